"""A comparison as text for a terminal, a pipe or a log."""

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fanin.lab import metrics
from fanin.lab.records import Comparison, StepsToTarget
from fanin.reports import compared
from fanin.reports.curves import going_on, grid_of, left_text, mean_band
from fanin.reports.rich_parts import MARKS, STYLES, labelled, render, sparkline

SHORT = {"precision": "prec.", "recall": "recall", "f1": "F1"}  # eight columns have to fit into 80 characters


def short_steps(steps: StepsToTarget | None) -> str:
    """Median steps to the target and the share of runs that got there, in few characters."""
    if steps is None:
        return "–"
    if steps.reached == 0:
        return "never"
    median = f"{steps.median:,.0f}" if steps.median is not None else f">{steps.horizon:,}"
    return median + ("" if steps.reached == steps.runs else f" ({steps.reached}/{steps.runs})")


def comparison_text(result: Comparison, width: int = 80, color: bool = False) -> str:
    """A comparison as text: the verdict, a row an init, curves, paired differences."""
    return render(comparison_parts(result, width), width, color)


def comparison_parts(result: Comparison, width: int = 80) -> list[RenderableType]:
    """The pieces of a comparison."""
    found = compared.verdict(result)
    parts: list[RenderableType] = [
        Text(f"{MARKS[found.level]} {found.headline}", style=STYLES[found.level]),
        Padding(Text(found.detail), (0, 0, 0, 2)),
    ]
    if result.interrupted:
        parts.append(
            Padding(Text("Stopped early: the figures are over the seeds that every init finished."), (0, 0, 0, 2))
        )
    parts += [Text(), summary_table(result, width), Text()]
    rows = [(f"{d.init}", Text(compared.difference_text(d))) for d in result.differences if d.metric == result.score]
    if rows:
        parts += [
            Text(f"Paired differences of {result.score} against {result.inits[0]}", style="bold"),
            labelled(rows),
            Text(),
        ]
    shown = [s.metrics[result.score] for s in result.summaries if result.score in s.metrics]
    shown += [d.interval for d in result.differences if d.metric == result.score]
    doubted = any(not e.trusted for e in shown)
    learned = curves_table(result)
    if learned is not None:
        larger = metrics.higher_is_better(result.score)
        ends = "0 at the bottom, the best at the top" if larger else "0 at the bottom; lower is better"
        title = (
            f"{result.score} on the {compared.part_text(result)} through training (mean of the runs that go on; {ends})"
        )
        parts += [Text(title, style="bold"), learned, Text()]
    notes = [("±", Text("95 % interval over the seeds, of the runs that did not diverge"))]
    notes += [(compared.DOUBTED, Text(compared.DOUBT))] * doubted
    notes += [("note", Text(n)) for n in result.notes]
    if compared.has_target(result):
        where = f"until {result.score} {result.settings.target:g} on the {compared.part_text(result)}"
        words = f"{where}: median over the runs, and how many got there"
        notes.append(("steps", Text(words)))
    if result.references:
        notes.append(("*", Text("an ordinary learner on the same split, for reference")))
    return [*parts, labelled(notes)] if notes else parts[:-1]


def summary_table(result: Comparison, width: int = 80) -> RenderableType:
    """A row an init: the metrics of the runs that converged, the first with its interval, steps to target, diverged."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    target = compared.has_target(result)
    first, *rest = result.metrics or (result.score,)
    widest = max(
        (len(compared.estimate_text(s.metrics[first])) for s in result.summaries if first in s.metrics), default=0
    )
    taken = (
        2 + min(18, max(map(len, result.inits))) + 2 + widest + 2 + 13 * target + 8
    )  # by init, score, steps, diverged
    rest = rest[-max(1, (width - taken) // 8) :]  # what has no room beside is in the page; the loss stays
    table.add_column("init", overflow="fold", min_width=9)
    table.add_column(first, justify="right", no_wrap=True)
    for metric in rest:
        table.add_column(SHORT.get(metric, metric), justify="right", no_wrap=True)
    if target:
        table.add_column("steps", justify="right", no_wrap=True)
    table.add_column("diverged", justify="right", no_wrap=True)
    for s in result.summaries:
        cells = [compared.estimate_text(s.metrics[first]) if first in s.metrics else "–"]
        cells += [compared.metric_text(s.metrics[m].value) if m in s.metrics else "–" for m in rest]
        cells += [short_steps(s.steps_to_target)] if target else []
        table.add_row(s.init, *cells, f"{s.diverged}/{s.runs}")
    for r in result.references:
        cells = [compared.metric_text(r.metrics[m]) if m in r.metrics else "–" for m in (first, *rest)]
        table.add_row(f"{r.name}*", *cells, *(["–"] if target else []), "–", style="dim")
    return Padding(table, (0, 0, 0, 2))


def curves_table(result: Comparison) -> RenderableType | None:
    """The mean score through training as bars, one row an init, and how many runs go on where not all do."""
    table = Table.grid(padding=(0, 2, 0, 0))
    grid = grid_of([r.eval_steps for r in result.results])
    if len(grid) < 3:
        return None
    means: dict[str, list[float]] = {}
    left: dict[str, str] = {}
    for init in result.inits:
        lines = []
        for run in result.runs(init):
            known = dict(zip(run.eval_steps, run.eval_score, strict=True))
            if not run.error:
                lines.append([known.get(step, float("nan")) for step in grid])
        if lines:
            means[init], left[init] = mean_band(lines)[0], left_text(going_on(lines)[-1], len(lines))
    top = max((v for line in means.values() for v in line if v == v), default=1.0)
    for init, line in means.items():
        bars = sparkline(line, 36, (0.0, max(top, 1e-9)), log=False)
        table.add_row(init, bars, f"→ {compared.metric_text(line[-1])}" + (f" ({left[init]})" if left[init] else ""))
    return Padding(table, (0, 0, 0, 2))
