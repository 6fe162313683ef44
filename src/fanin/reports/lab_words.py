"""What `fanin lab` says of a study before and while it is run: its cost, what its seeds can show, where it stands."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fanin.lab.analysis.expectations import judge
from fanin.lab.analysis.planning import comparisons_of, most_methods, power_before, too_few_seeds
from fanin.lab.analysis.records import Outcome
from fanin.lab.executors.named import cores
from fanin.lab.results import StudyResults
from fanin.lab.studies import StudyFile
from fanin.lab.study import grid
from fanin.lab.study.records import Bindings, Expectation, Study
from fanin.lab.study_progress import duration
from fanin.lab.worker import Cost
from fanin.reports.rich_parts import STYLES, labelled, render
from fanin.reports.words import count

MOST_SHOWN = 12  # values of an axis that are listed one by one
MARKS = {"came out": "✓", "did not come out": "✗", "cannot be said": "?"}
LEVELS = {"came out": "ok", "did not come out": "error", "cannot be said": "warning"}


def cost_text(cost: Cost, workers: int | None, executor: str = "processes") -> str:
    """ "400 runs, 126,000 steps, about 12 min on 2 workers of this machine (from a few timed steps)"."""
    local = executor in ("serial", "processes")
    at_once = 1 if executor == "serial" or not local else min(workers or cores(), max(1, cost.runs))
    where = f"on {count(at_once, 'worker')} of this machine" if local else "of computing on one core like this one's"
    return (
        f"{cost.runs:,} runs, {cost.steps:,} steps, {duration(cost.seconds / at_once)} {where} (from a few timed steps)"
    )


def seeds_text(study: Study, bindings: Bindings | None = None) -> str:
    """How large a difference the study's seeds can show, before anything is run; "beware: …" where they can show none."""
    plans = most_methods(study, bindings)
    warned = plans > 1 and too_few_seeds(len(study.seeds), comparisons_of(study, plans))
    return ("beware: " if warned else "") + power_before(study, plans)


def list_text(files: Sequence[StudyFile], width: int, color: bool) -> str:
    """The studies that ship: name, question, runs at small and at full size."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for justify in ("left", "right", "right", "left"):
        table.add_column(justify=justify, no_wrap=justify == "right", ratio=1 if justify == "left" else None)  # type: ignore[arg-type]
    table.columns[0].ratio, table.columns[0].no_wrap = None, True
    table.add_row(*(Text(head, style="dim") for head in ("study", "small", "full", "question")))
    for file in files:
        small = f"{grid.run_count(file.small):,}" if file.small else "–"
        table.add_row(
            Text(file.full.name, style="bold"), small, f"{grid.run_count(file.full):,}", Text(file.full.question)
        )
    end = Text(
        "runs at small and at full size; fanin lab show STUDY says more, fanin lab run textbook runs all the small ones"
    )
    return render([table, Text(), end], width, color)


def show_text(
    study: Study, cost: Cost | None, why: str, width: int, color: bool, bindings: Bindings | None = None
) -> str:
    """A study before it is run.

    Args:
        study: any.
        cost: of a run, None where it cannot be said.
        why: the reason then.
        bindings: objects of the caller's own that it names.
    """
    parts: list[RenderableType] = [Text(study.name, style="bold"), Padding(Text(study.question), (0, 0, 0, 2)), Text()]
    if study.answer:
        parts += [Text("Expected answer, written before the run", style="bold")]
        parts += [Padding(Text(" ".join(study.answer.split())), (0, 0, 0, 2)), Text()]
    axes: dict[str, Sequence[object]] = {
        "model": study.models, "plan": study.plans, "data": study.data, "optimizer": study.optimizers, "lr": study.lrs,
        "batch_size": study.batch_sizes, **study.variables, "seeds": study.seeds,
    }  # fmt: skip
    parts += [Text("The grid", style="bold"), labelled([(name, Text(_values(name, v))) for name, v in axes.items()])]
    parts += [Padding(Text(_trained(study), style="dim"), (0, 0, 1, 2))]
    if study.expectations:
        rows = [
            Padding(Text.assemble("· ", e.says, (f"  {_judged(e)}", "dim")), (0, 0, 0, 2)) for e in study.expectations
        ]
        parts += [Text("Expectations", style="bold"), *rows, Text()]
    power = Text(seeds_text(study, bindings))
    power.stylize(STYLES["warning"] if power.plain.startswith("beware") else "")
    said = cost_text(cost, None) if cost else f"{grid.run_count(study):,} runs; what they take cannot be said: {why}"
    parts += [labelled([("cost", Text(said)), ("power", power)])]
    return render(parts, width, color)


def _values(name: str, values: Sequence[object]) -> str:
    if name == "seeds" and tuple(values) == tuple(range(len(values))):
        return f"{len(values)} (0 to {len(values) - 1})" if len(values) > 1 else "1 (0)"
    shown = ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values[:MOST_SHOWN])
    more = f", … ({len(values)} in all)" if len(values) > MOST_SHOWN else ""
    return f"{shown}{more}"


def _trained(study: Study) -> str:
    t = study.training
    length = f"{t.steps:,} steps" if t.steps is not None else f"{t.epochs:g} epochs"
    parts = [length, f"{t.schedule} learning rate", f"{100 * t.validation:g} % held out"]
    parts += [f"warm-up over {100 * t.warmup:g} %"] if t.warmup else []
    parts += [f"gradients clipped at {t.clip:g}"] if t.clip is not None else []
    parts += [f"weight decay {t.weight_decay:g}"] if t.weight_decay else []
    parts += [f"augmented by {', '.join(t.augment)}"] if t.augment else []
    return ", ".join(parts)


def _judged(e: Expectation) -> str:
    """How an expectation is judged, in few words."""
    metric = f" in {e.metric}" if e.metric else ""
    words = {
        "better": f"better: {e.plan} than {e.than} by {e.by:g} or more{metric}",
        "no_difference": f"no difference: {e.plan} and {e.than} within {e.by:g}{metric}",
        "at_least": f"at least {e.value}: {e.plan}{metric}",
        "at_most": f"at most {e.value}: {e.plan}{metric}",
        "fails": f"fails: {e.plan}, within {e.by:g} of a constant prediction{metric}, or half of its runs diverge",
        "trains": f"trains: {e.plan}, more than {e.by:g} beyond a constant prediction{metric}, and fewer than half of its runs diverge",
        "diverges": f"diverges: {e.plan}, in {100 * (0.5 if e.value is None else e.value):g} % of its runs or more",
    }
    where = ", ".join(f"{name} {value}" for name, value in e.where.items())
    rate = f"; lr {e.lr:g}" if e.lr is not None else ""
    return f"[{words[e.kind]}{f'; {where}' if where else ''}{rate}]"


def status_text(results: StudyResults, locked: bool, width: int, color: bool) -> str:
    """Where a study stands."""
    states = Counter(row.state for row in results.rows)
    diverged = sum(row.diverged for row in results.rows if row.state == "done")
    total = len(results.rows)
    folder = Path(results.folder) if results.folder else Path()
    what = (
        "it is being run now" if locked else f"fanin lab resume {folder} goes on" if states["pending"] else "it is done"
    )
    rows = [
        (
            "runs",
            Text(
                f"{states['done']:,} of {total:,} done ({diverged:,} diverged), {states['failed']:,} failed, {states['pending']:,} to do"
            ),
        ),
        ("state", Text(what)),
        ("taken", Text(f"{duration(results.seconds)} of computing")),
    ]
    if states["pending"] and states["done"]:
        left = results.seconds / states["done"] * states["pending"]
        rows.append(("left", Text(f"{duration(left)} of computing")))
    errors = Counter(row.error for row in results.rows if row.state == "failed")
    rows += [("failed", Text(f"{count(n, 'run')}: {error}")) for error, n in errors.most_common(10)]
    rows += [("note", Text(sentence)) for sentence in results.log[-10:]]
    return render([Text(results.study.name, style="bold"), labelled(rows)], width, color)


def outcomes_of(results: StudyResults) -> tuple[Outcome, ...]:
    """Whether each written answer came out."""
    return tuple(judge(e, results) for e in results.study.expectations)


def textbook_text(done: Sequence[StudyResults], skipped: Sequence[tuple[str, str]], width: int, color: bool) -> str:
    """All studies of the suite: whether each written answer came out.

    Args:
        done: results of those that were run.
        skipped: name and reason of the others.
    """
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    came = said = 0
    for results in done:
        outcomes = outcomes_of(results)
        said += len(outcomes)
        came += sum(o.state == "came out" for o in outcomes)
        table.add_row(Text(results.study.name, style="bold"), Text(results.study.question, style="dim"))
        for o in outcomes:
            line = Text.assemble((MARKS[o.state], STYLES[LEVELS[o.state]]), f" {o.expectation.says}")
            if o.state != "came out":
                line.append(f" – {o.state}{f': {o.reason}' if o.reason else ''}", style="dim")
            table.add_row("", line)
    for name, reason in skipped:
        table.add_row(Text(name, style="bold"), Text(f"skipped: {reason}", style="dim"))
    head = (
        f"{count(len(done), 'study')}: {came} of {said} written answers came out"
        if said
        else f"{count(len(done), 'study')}"
    )
    head = head.replace("studys", "studies")
    return render([Text(head, style="bold"), Text(), table], width, color)
