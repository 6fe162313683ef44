"""What `fanin lab show` says of a data set: what it is, how it is split, and what its inputs measure."""

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fanin.errors import FaninError
from fanin.lab.data import DataSet, load, table
from fanin.reports.rich_parts import labelled, render
from fanin.reports.words import number

MOST_CLASSES = 12  # whose shares are listed one by one


def is_data(text: str) -> bool:
    """Whether a text asks for a data set ("digits", "cifar10:5000:16"), or for the list of them ("data")."""
    return text == "data" or text.partition(":")[0] in table()


def data_text(spec: str, width: int, color: bool) -> str:
    """A data set by its name, or with "data" all of them.

    A set whose files are absent is described all the same, and what it lacks is said.
    """
    if spec == "data":
        return _list(width, color)
    entry = table()[spec.partition(":")[0]]
    parts: list[RenderableType] = [Text(spec, style="bold"), Padding(Text(_sentence(entry.about)), (0, 0, 1, 2))]
    facts = [("source", entry.source), ("terms", entry.terms)]
    if entry.needs:
        facts.append(("needs", entry.needs))
    try:
        facts += _measured(load(spec))
    except FaninError as error:
        if not entry.needs:
            raise
        facts.append(("absent", str(error)))
    return render([*parts, labelled([(name, Text(value)) for name, value in facts])], width, color)


def _list(width: int, color: bool) -> str:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(ratio=1)
    for name, entry in table().items():
        grid.add_row(Text(":".join((name, *(f"[{o}]" for o in entry.options)))), Text(_sentence(entry.about)))
    end = Text("fanin lab show NAME measures one; what is in brackets may be left out")
    return render([grid, Text(), end], width, color)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _measured(data: DataSet) -> list[tuple[str, str]]:
    s = data.statistics
    forms = " or ".join(" × ".join(str(n) for n in form) for form in data.forms)
    kind = f", {data.vocabulary:,} ids" if data.vocabulary else ""
    classes = {"classification": "classes", "language": "tokens", "multilabel": "labels"}.get(data.task)
    mean = s.mean if abs(s.mean) > 1e-6 * s.std else 0.0  # what rounding leaves of a mean that was taken away
    found = [
        ("task", f"{data.task}, {data.classes} {classes}" if classes else data.task),
        ("examples", f"{s.train:,} to train on, {s.test:,} to test on"),
        ("one example", f"{forms}{kind}"),
        ("score", data.score + (f", {data.target:g} to reach" if data.target is not None else "")),
        ("normalised", data.normalisation),
        ("inputs", f"{number(mean)} ± {number(s.std)}, from {number(s.least)} to {number(s.most)}"),
        (
            "mean square",
            f"{number(s.second_moment)} (of ids it says nothing)" if data.vocabulary else number(s.second_moment),
        ),
        ("zeros", f"{100 * s.zeros:.1f} %"),
    ]
    if s.prior:
        shares = [f"{100 * share:.1f}" for share in s.prior]
        listed = ", ".join(shares) if len(shares) <= MOST_CLASSES else f"{min(s.prior):.2g} to {max(s.prior):.2g}"
        found.append(("shares", f"{listed} %" if len(shares) <= MOST_CLASSES else listed))
    return [*found, ("version", data.version), ("SHA-256", data.checksum)]
