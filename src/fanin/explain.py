"""`fanin explain`: checks by code or slug, rules by name, ideas by topic. The texts stand with what they explain."""

import difflib
import functools
import inspect
import re
from collections.abc import Callable
from importlib import resources
from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fanin.errors import FaninValueError
from fanin.reports.rich_parts import STYLES, render
from fanin.reports.words import SEVERITY_WORDS

TOPIC_ALIASES = {
    "activation": "activations",
    "backprop": "backpropagation",
    "backward": "backpropagation",
    "symmetry": "symmetry-breaking",
    "convergence": "convergence-speed",
    "speed": "convergence-speed",
    "isometry": "dynamical-isometry",
    "orthogonality": "dynamical-isometry",
    "chaos": "edge-of-chaos",
    "order": "edge-of-chaos",
    "mean-field": "edge-of-chaos",
    "depth-scale": "edge-of-chaos",
    "width": "finite-width",
    "fluctuation": "finite-width",
    "residual": "residual-streams",
    "resnet": "residual-streams",
    "mup": "parametrization",
    "ntk": "parametrization",
    "coordinate-check": "parametrization",
    "vanishing": "vanishing-exploding-gradients",
    "exploding": "vanishing-exploding-gradients",
    "vanishing-gradients": "vanishing-exploding-gradients",
    "exploding-gradients": "vanishing-exploding-gradients",
    "dead": "dead-relu",
    "dead-relus": "dead-relu",
    "dying-relu": "dead-relu",
    "mirrored-chain": "mirrored-chains",
    "looks-linear": "mirrored-chains",
    "gains": "gain",
    "fans": "fan",
    "fan-in": "fan",
    "fan-out": "fan",
}


def explain_text(topic: str, width: int = 80, color: bool = False, trace: Any = None) -> str:
    """What is known about a code, a slug, a rule or a topic, `width` columns wide; of a topic its figure, too.

    Args:
        topic: the name.
        width: columns.
        color: whether the terminal has colours.
        trace: a watched pass of the user's model, whose own numbers are told then (topics only).

    Raises:
        FaninValueError: nothing has this name (the message names what is near), or it is no topic and a model was given.
    """
    from fanin.lessons import own, pictures, show

    text, name = find(topic), topic_name(topic)
    if trace is not None and name is None:
        raise FaninValueError(
            f"{topic!r} is no topic, so it has no numbers of a model; topics are {', '.join(topics())} (codes: `fanin check`)"
        )
    shown = None if name is None else pictures.picture(name)
    found = parts(text)
    if shown is not None:
        found += [Text(), *show.figure_parts(shown)]
    if trace is not None and name is not None:
        found += [Text(), *show.own_parts(trace.model, own.own(name, trace))]
    return render(found, width, color)


def explain_page(topic: str, trace: Any = None) -> str:
    """A topic as one self-contained page of HTML, with its figure and, where a trace is given, the model's own numbers."""
    from fanin.lessons import own, pictures, show

    name = topic_name(topic)
    if name is None:
        find(topic)  # which says what is near where nothing has this name
        raise FaninValueError(f"{topic!r} is no topic, so there is no page of it; topics are {', '.join(topics())}")
    told = None if trace is None else own.own(name, trace)
    return show.topic_page(name, topic_text(name), pictures.picture(name), getattr(trace, "model", ""), told)


def topic_name(topic: str) -> str | None:
    """The name of the topic that this stands for; None where it is a code, a rule or nothing."""
    name = re.sub(r"[\s_]+", "-", topic.strip().lower())
    name = TOPIC_ALIASES.get(name, name)
    return name if name in topics() and find(topic) == topic_text(name) else None


def find(topic: str) -> str:
    """The text about a code ("FI301"), a slug ("dead-units"), a rule ("he_normal") or a topic ("dead ReLU")."""
    from fanin import rules

    name = re.sub(r"[\s_]+", "-", topic.strip().lower())
    for module in check_modules():
        if name in (module.CODE.lower(), module.SLUG):
            level = f"{module.SEVERITY}: {SEVERITY_WORDS[module.SEVERITY]}"
            return f"# {module.CODE} {module.SLUG} ({level})\n\n{inspect.getdoc(module)}"
    known_rules = {other: row.name for row in rules.table() for other in (row.name, *row.aliases)}
    rule = known_rules.get(topic.strip().lower().replace("-", "_").rstrip("_"))
    if rule is not None:
        signature, _, rest = rules.explain(rule).partition("\n")
        return f"# {signature}\n\n{rest.strip()}"
    function = weight_functions().get(name)
    if function is not None:
        return f"# fanin.draws.{name}\n\n{inspect.getdoc(function)}"
    name = TOPIC_ALIASES.get(name, name)
    if name in topics():
        return topic_text(name)
    codes = [m.CODE for m in check_modules()]
    known = [*codes, *(m.SLUG for m in check_modules()), *known_rules, *weight_functions(), *topics(), *TOPIC_ALIASES]
    if re.fullmatch(r"fi\d+", name):
        close = [c for c in codes if c.startswith(name[:3].upper())]
    else:
        close = difflib.get_close_matches(name, known, 4, 0.55)
    offered = f"did you mean {', '.join(close)}?" if close else "`fanin explain` lists everything"
    raise FaninValueError(f"nothing is known about {topic!r}; {offered}")


def weight_functions() -> dict[str, Callable[..., Any]]:
    """Starts that read the values of the weight that they adapt: functions of `fanin.draws`, and no rules; by name."""
    from fanin.draws import low_rank

    return {name: getattr(low_rank, name) for name in low_rank.OPTIONS}


def check_modules() -> tuple:
    """Every check, by code."""
    from fanin import checks

    table = checks.ALL.values() if isinstance(checks.ALL, dict) else checks.ALL
    return tuple(sorted(table, key=lambda m: m.CODE))


def check_codes() -> dict[str, str]:
    """Slug and code in lower case → code."""
    return {key: m.CODE for m in check_modules() for key in (m.SLUG, m.CODE.lower())}


@functools.cache
def topics() -> dict[str, str]:
    """Every topic: name → its title."""
    folder = resources.files("fanin").joinpath("explain_topics")
    names = sorted(entry.name.removesuffix(".md") for entry in folder.iterdir() if entry.name.endswith(".md"))
    return {name: topic_text(name).splitlines()[0].removeprefix("# ") for name in names}


def topic_text(name: str) -> str:
    """The text of a topic, as Markdown."""
    return resources.files("fanin").joinpath("explain_topics", f"{name}.md").read_text(encoding="utf-8")


def overview(width: int = 80, color: bool = False) -> str:
    """The list of everything that can be explained."""
    from fanin import rules

    found: list[RenderableType] = [Text("Findings", style="bold")]
    rows = [(m.CODE, f"{m.SLUG}: {(inspect.getdoc(m) or '').splitlines()[0]}", m.SEVERITY) for m in check_modules()]
    found.append(_grid(rows))
    found += [Text(), Text("Rules", style="bold"), _grid([(r.name, r.summary, "") for r in rules.table()])]
    found += [Text(), Text("Ideas", style="bold"), _grid([(name, title, "") for name, title in topics().items()])]
    return render([*found, Text(), Text("fanin explain FI301 (or a name from the left) tells more.")], width, color)


def rules_text(width: int = 80, color: bool = False) -> str:
    """The table of rules: how each is written, what it draws, where it comes from."""
    from fanin import rules

    found: list[RenderableType] = []
    for row in rules.table():
        found.append(Text.assemble((row.name, "bold"), row.signature))
        lines = [row.summary, *([row.formula] if row.formula else []), *([row.paper] if row.paper else [])]
        lines += [f"Also: {', '.join(row.aliases)}"] if row.aliases else []
        found += [Padding(Text(line), (0, 0, 0, 4)) for line in lines] + [Text()]
    found += [
        Text(
            "Functions of a weight's own values (no rules; fanin.torch, fanin.jax and fanin.keras have them for layers)"
        ),
        Text(),
    ]
    for name, function in weight_functions().items():
        found.append(Text.assemble("fanin.draws.", (name, "bold"), "(weight, rank, ...)"))
        found += [Padding(Text((inspect.getdoc(function) or "").partition("\n")[0]), (0, 0, 0, 4)), Text()]
    return render(found[:-1], width, color)


def presets_text(width: int = 80, color: bool = False) -> str:
    """The table of presets: how each is written, what it assumes, where it comes from and what it was compared with."""
    from fanin.plans.presets import presets

    found: list[RenderableType] = []
    for preset in presets():
        name, bracket, rest = preset.spec.partition("(")
        found.append(Text.assemble((name, "bold"), bracket + rest))
        lines = [preset.title, preset.source, f"Assumes: {preset.assumes}", f"Compared with: {preset.verified}"]
        found += [Padding(Text(line), (0, 0, 0, 4)) for line in lines] + [Text()]
    return render(found[:-1], width, color)


def listing(presets: bool, width: int = 80, color: bool = False) -> tuple[tuple[Any, ...], str]:
    """The rows and the text of the table of rules, or of presets."""
    from fanin.plans.presets import presets as recipes
    from fanin.rules import table

    return (recipes(), presets_text(width, color)) if presets else (table(), rules_text(width, color))


def _grid(rows: list[tuple[str, str, str]]) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    for name, text, severity in rows:
        table.add_row(Text(name, style=STYLES.get(severity, "bold")), text)
    return Padding(table, (0, 0, 0, 2))


def parts(text: str) -> list[RenderableType]:
    """A docstring or a topic as lines that wrap: headings, labels ("Why it hurts:"), lists, code as it stands."""
    found: list[RenderableType] = []
    for block in re.split(r"\n\s*\n", text.strip()):
        found += [*_block(block), Text()]
    return found[:-1]


def _block(block: str) -> list[RenderableType]:
    lines = block.splitlines()
    if lines[0].startswith("#"):
        return [Text(lines[0].lstrip("# "), style="bold")]
    if ">>>" in block or all(line.startswith("    ") for line in lines):
        return [Text(line) for line in lines]
    found: list[RenderableType] = []
    for indent, content in _joined(lines):
        label = re.match(r"([A-Z][\w' ]{1,28}):(?=\s|$)", content) if indent == 0 else None
        bullet = content.startswith("- ")
        words = _styled(content[2:] if bullet else content, len(label[0]) if label else 0)
        if bullet:
            grid = Table.grid(padding=(0, 1, 0, 0))
            grid.add_row("•", words)
            found.append(Padding(grid, (0, 0, 0, indent)))
        else:
            found.append(Padding(words, (0, 0, 0, indent)))
    return found


def _joined(lines: list[str]) -> list[tuple[int, str]]:
    """Lines with their continuations: (indent, text). A deeper line, or one of the same depth in prose, continues."""
    found: list[tuple[int, str]] = []
    last = 0
    for line in lines:
        indent, content = len(line) - len(line.lstrip()), line.strip()
        named = re.match(r"[\w, *]{1,40}: ", content) is not None and bool(found) and 0 < indent <= found[-1][0]
        item = content.startswith("- ") or named
        after_label = bool(found) and found[-1][1].endswith(":") and indent > last
        if found and not item and not after_label and (indent == last or indent > found[-1][0]):
            found[-1] = (found[-1][0], f"{found[-1][1]} {content}")
        else:
            found.append((indent, content))
        last = indent
    return found


def _styled(text: str, label: int) -> Text:
    """Bold for the label and **…**, the rest as it is."""
    out = Text()
    if label:
        out.append(text[:label], style="bold")
        text = text[label:]
    for i, piece in enumerate(re.split(r"\*\*(.+?)\*\*|(?<![\w*])\*(?!\s)([^*]+?)\*(?![\w*])", text)):
        if piece:
            out.append(piece, style={1: "bold", 2: "italic"}.get(i % 3))
    return out
