"""What the commands of the command line do. Each returns an exit status: 0, or 1 where something was found."""

import contextlib
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fanin.checks.finding import Finding, Severity
from fanin.checks.report import Report
from fanin.errors import FaninError, FaninValueError
from fanin.reports.files import check_writable, write_file
from fanin.targets.models import Target, TargetError, load_function, load_target, own_traceback
from fanin.targets.weights import load_weights


@dataclass(frozen=True)
class Saves:
    """Files that `fanin fix` writes besides; None for those that were not asked for."""

    plan: str | None = None
    python: str | None = None
    weights: str | None = None

    def files(self) -> dict[str, str | None]:
        """Option → file."""
        return {"--save-plan": self.plan, "--save-python": self.python, "--save-weights": self.weights}


@dataclass(frozen=True)
class Asked:
    """The options that `check` and `fix` share, as they were written."""

    target: str
    batch: str | None
    targets: str | None
    loss: str | None
    format: str
    select: str
    ignore: str
    fail_on: Severity
    html: str | None

    def codes(self) -> dict[str, Any]:
        """The codes to select and to ignore."""
        return {"select": codes(self.select, "--select"), "ignore": codes(self.ignore, "--ignore")}

    def reads(self) -> dict[str, str | None]:
        """Argument → the file that it may be read from."""
        return {
            "TARGET": self.target.removeprefix("hf:")
            if self.target.startswith("hf:")
            else self.target.rpartition(":")[0],
            "--batch": self.batch,
            "--targets": self.targets,
        }

    def model(self) -> tuple[Any, tuple[Any, Any, Any]]:
        """The model, and (batch, targets, loss)."""
        place = load_target(self.target)
        seed_everything(0)
        model = place.build()
        from fanin.targets.torch import read_inputs

        return model, read_inputs(model, self.batch, self.targets, self.loss)


def check(asked: Asked) -> int:
    """`fanin check`: 1 where a finding is at or above `fail_on`."""
    import fanin

    chosen = asked.codes()
    writable({"--html": asked.html}, asked.reads())
    with busy("watching one pass"), user_output():
        model, inputs = asked.model()
        report = fanin.check(model, *inputs, target=asked.target, **chosen)
    show(report_in(report, asked.format))
    if asked.html:
        from fanin.reports.html import report_html

        written(asked.html, report_html(report))
    return 1 if report.at_least(asked.fail_on) else 0


def fix(asked: Asked, seed: int, saves: Saves) -> int:
    """`fanin fix`: 1 where a finding at or above `fail_on` is left."""
    import fanin

    chosen = asked.codes()
    writable({"--html": asked.html, **saves.files()}, asked.reads())
    with busy("watching, drawing and watching again"), user_output():
        model, inputs = asked.model()
        fixed = narrowed(fanin.fix(model, *inputs, seed=seed, target=asked.target), **chosen)
    if asked.format == "text":
        from fanin.reports.terminal import fixed_text

        show(fixed_text(fixed, *terminal()))
    else:
        show(report_in(fixed.after, asked.format, fixed))
    if saves.plan:
        fixed.plan.save(saves.plan)
        say(f"wrote {saves.plan}")
    if saves.python:
        written(saves.python, fixed.plan.to_python())
    if saves.weights:
        save_weights(fixed.model, saves.weights)
    if asked.html:
        from fanin.reports.html import report_html

        written(asked.html, report_html(fixed.before, fixed))
    return 1 if [f for f in fixed.left if at_least(f, asked.fail_on)] else 0


def compare(
    target: str, inits: str, data: str, format: str, html: str | None, save: str | None, options: dict[str, Any]
) -> int:
    """`fanin compare`: always 0; after Ctrl-C the result is over what was done."""
    import fanin

    writable({"--html": html, "--save": save}, {"TARGET": target.rpartition(":")[0]})
    place = load_target(target)
    if not place.fresh:
        raise FaninValueError(
            f"TARGET={target!r} is one model; compare needs a function that returns a new one at each call"
        )
    with user_output():
        if options.get("loss") and ":" in options["loss"]:
            options = {**options, "loss": load_function(options["loss"], "--loss")}
        result = fanin.compare(build_fresh(place), inits=inits, data=data, **options)
    result = named(result, target)
    if save:
        result.save(save)
        say(f"wrote {save}")
    if html:
        from fanin.reports.html import report_html

        written(html, report_html(comparison=result))
    if format == "json":
        import json

        show(json.dumps(result.to_dict(), allow_nan=False))
    else:
        from fanin.reports.terminal import comparison_text

        show(comparison_text(result, *terminal()))
    return 0


def diff(a: str, b: str) -> int:
    """`fanin diff A B`: 1 where the plans differ."""
    from fanin.plans import Plan

    for path in (a, b):
        if not Path(path).is_file():
            raise FaninValueError(f"the plan file {path} does not exist")
    difference = Plan.load(a).diff(Plan.load(b))
    show(str(difference) if difference else "the plans are the same")
    return 1 if difference else 0


def fingerprint(what: str, format: str) -> int:
    """`fanin fingerprint`: always 0."""
    import json

    import fanin

    with user_output():
        found = fanin.fingerprint(load_weights(what, lambda: seed_everything(0)))
    if format == "json":
        show(json.dumps({"version": 1, "fingerprint": found.whole, "tensors": found.tensors}, indent=1))
    else:
        show("\n".join([f"{found.whole}  {what}", *(f"{hash}  {name}" for name, hash in found.tensors.items())]))
    return 0


def verify(model: str, plan: str, format: str) -> int:
    """`fanin verify MODEL PLAN`: 1 where a weight is not what the plan gives."""
    import json

    import fanin
    from fanin.plans import Plan

    wanted = Plan.load(plan)
    with user_output():
        found = fanin.verify(load_weights(model, lambda: seed_everything(0)), wanted)
    if format == "json":
        show(json.dumps({"version": 1, "same": found.same, **found.to_dict()}, indent=1))
    else:
        show(str(found))
    return 0 if found.same else 1


def explain(topic: str, asked: Asked | None = None, html: str | None = None) -> int:
    """`fanin explain`: a code, a rule or an idea, told with a model's own numbers; the list of all where nothing is named."""
    from fanin.lessons.command import outputs

    writable({"--html": html}, asked.reads() if asked is not None else {})
    trace = None
    if asked is not None:
        from fanin.traces.torch import trace as watch

        with busy("watching one pass"), user_output():
            model, inputs = asked.model()
            trace = watch(model, *inputs)
    text, page = outputs(topic, trace, html is not None, *terminal())
    show(text)
    if html and page is not None:
        written(html, page)
    return 0


def rules(format: str, presets: bool = False) -> int:
    """`fanin rules`: the table of rules, or that of presets."""
    import json

    from fanin.explain import listing

    rows, text = listing(presets, *terminal())
    show(json.dumps([row.to_dict() for row in rows], indent=1) if format == "json" else text)
    return 0


def demo(html: str, seeds: int) -> int:
    """`fanin demo`: check, fix and compare a deep ReLU network."""
    from fanin.demo import run

    writable({"--html": html})
    return run(html, seeds, *terminal())


def build_fresh(place: Target) -> Callable[[], Any]:
    """The factory that a comparison calls: the user's own where possible, since other processes find it by name."""
    place.build()  # so that what it raises is said before anything is trained
    return place.value


def named(result: Any, target: str) -> Any:
    """The comparison, called by the name that the user knows."""
    return replace(result, model=target)


def seed_everything(seed: int) -> None:
    """Seeds the random state that a factory draws from, so that the same command says the same thing twice."""
    import random

    random.seed(seed)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)


def codes(text: str, option: str) -> tuple[str, ...]:
    """Codes from a comma list; a slug stands for its code."""
    from fanin.explain import check_codes

    known = check_codes()
    chosen = []
    for word in filter(None, (w.strip() for w in text.split(","))):
        code = known.get(word.lower(), word.upper())
        if not any(k.startswith(code) for k in known.values()) or not re.fullmatch(r"FI\d{0,3}", code):
            raise FaninValueError(
                f"{option}: {word!r} is no code of a check nor the beginning of one; `fanin explain` lists them"
            )
        chosen.append(code)
    return tuple(chosen)


def narrowed(fixed: Any, select: tuple[str, ...], ignore: tuple[str, ...]) -> Any:
    """A fix that speaks of the selected findings alone; what was drawn was chosen for all of them."""

    def kept(report: Report) -> Report:
        wanted = (f for f in report.findings if not select or f.code.startswith(select))
        return replace(report, findings=tuple(f for f in wanted if not ignore or not f.code.startswith(ignore)))

    return replace(fixed, before=kept(fixed.before), after=kept(fixed.after))


def report_in(report: Report, format: str, fixed: Any = None) -> str:
    """A report in one of the formats."""
    if format == "json":
        from fanin.reports.json import dumps

        return dumps(report, fixed)
    if format == "sarif":
        from fanin.reports.sarif import dumps as sarif

        return sarif(report)
    if format == "github":
        from fanin.reports.github import dumps as github

        return github(report)
    from fanin.reports.terminal import report_text

    return report_text(report, *terminal())


def at_least(finding: Finding, severity: str) -> bool:
    """Whether a finding is of at least this severity."""
    order = ("info", "warning", "error")
    return order.index(finding.severity) >= order.index(severity)


def save_weights(model: Any, path: str) -> None:
    """Writes a model's state as safetensors."""
    from fanin.targets.weights_torch import state_bytes

    written(path, state_bytes(model))


def writable(files: dict[str, str | None], reads: "dict[str, str | None] | None" = None) -> None:
    """Refuses early what could not be written later, and what would overwrite another file of the same command.

    Args:
        files: option → the file that it asks for.
        reads: argument → the file that it is read from, which must not be overwritten.
    """
    taken = {Path(path).resolve(): option for option, path in (reads or {}).items() if path and Path(path).is_file()}
    for option, path in files.items():
        if not path:
            continue
        other = taken.setdefault(Path(path).resolve(), option)
        if other != option:
            use = "is read from" if other in (reads or {}) else "writes"
            raise FaninValueError(f"{option} {path} is the file that {other} {use}; name another")
        check_writable(path)


def written(path: str, content: str | bytes) -> None:
    """Writes a file and says so on the standard error."""
    write_file(path, content)
    say(f"wrote {path}")


def terminal() -> tuple[int, bool]:
    """Columns to write in, and whether to use colour: 80 columns and none in pipes."""
    tty = sys.stdout.isatty()
    columns = shutil.get_terminal_size((80, 24)).columns if tty or "COLUMNS" in os.environ else 80
    return max(40, min(columns, 100)), (tty or "FORCE_COLOR" in os.environ) and "NO_COLOR" not in os.environ


def show(text: str) -> None:
    """Prints to the standard output, in ASCII where it can do no better."""
    from fanin.reports.rich_parts import ASCII

    encoding = sys.stdout.encoding or "ascii"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(ASCII).encode(encoding, "replace").decode(encoding)
    print(text.rstrip("\n"), flush=True)


def say(text: str) -> None:
    """Prints a remark to the standard error, so that what is piped stays clean."""
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def busy(what: str) -> Iterator[None]:
    """A spinner on the standard error, where that is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(f"{what} …"):
        yield


@contextlib.contextmanager
def user_output() -> Iterator[None]:
    """Sends what the user's own code prints to the standard error: what fanin prints may be piped into a program."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def shown_traceback(error: FaninError) -> str:
    """The user's own traceback behind an error, "" where their code had no part in it."""
    if isinstance(error, TargetError):
        return error.shown
    cause = error.__cause__
    if cause is None or isinstance(cause, FaninError):
        return ""
    return own_traceback(cause) if getattr(error, "where", None) is not None else ""


def elapsed(start: float) -> str:
    """ "12 s" since `start` (of `time.perf_counter`)."""
    return f"{time.perf_counter() - start:.0f} s"
