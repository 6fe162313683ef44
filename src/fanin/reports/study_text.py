"""A study as text for a terminal, a pipe or a log."""

import math

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from fanin.lab.analysis.records import ContextAnalysis, StudyAnalysis
from fanin.lab.results import StudyResults
from fanin.reports import study_tables
from fanin.reports.compared import DOUBT, DOUBTED, cell_text
from fanin.reports.rich_parts import MARKS, STYLES, labelled, render, sparkline
from fanin.reports.study_curves import mean_curves
from fanin.reports.study_tables import Table
from fanin.reports.study_words import STATE_LEVELS, held_out, lr_note, outcome_text, study_verdict
from fanin.reports.words import count, number

MOST_CONTEXTS = 24  # rows of the table by context
STATE_MARKS = {"came out": "✓", "did not come out": "✗", "cannot be said": "?"}


def study_text(results: StudyResults, width: int = 80, color: bool = False) -> str:
    """A study as text, `width` columns wide: the verdict, the expectations, a row a method, curves, what to beware of."""
    return render(study_parts(results), width, color)


def study_parts(results: StudyResults) -> list[RenderableType]:
    """The pieces of a study's text."""
    a, found = results.analysis, study_verdict(results)
    parts: list[RenderableType] = [
        Text(f"{MARKS[found.level]} {found.headline}", style=STYLES[found.level]),
        Padding(Text(found.detail), (0, 0, 0, 2)),
        Text(),
    ]
    if results.study.question:
        parts.insert(0, Text(results.study.question, style="bold"))
    if a.outcomes:
        rows: list[RenderableType] = []
        for o in a.outcomes:
            head = Text.assemble((STATE_MARKS[o.state], STYLES[STATE_LEVELS[o.state]]), f" {o.expectation.says}")
            rows += [head, Padding(Text(f"{o.state}: {outcome_text(o)}", style="dim"), (0, 0, 0, 2))]
        parts += [Text("What was expected", style="bold"), *(Padding(r, (0, 0, 0, 2)) for r in rows), Text()]
    if len(a.contexts) == 1:
        parts += _context(results, a.contexts[0])
    elif a.contexts:
        parts += _contexts(results)
    notes = [("beware", Text(w)) for w in a.warnings]
    notes += [("failed", Text(f"{count(n, 'run')}: {error}")) for error, n in a.failures.items()]
    notes += [("note", Text(n)) for n in a.notes]
    shown = results.references.get(a.contexts[0].data, ()) if len(a.contexts) == 1 else ()
    notes += [("learner", Text(f"{r.name}: {r.note}")) for r in shown if r.note]
    notes += [("power", Text(a.power_after))] if a.power_after else []
    every = (
        "; over all contexts, of all runs, diverged ones with what the constant prediction scores" if a.across else ""
    )
    notes.append(("±", Text(f"95 % interval over the seeds, of the runs that did not diverge{every}")))
    if _doubted(a):
        notes.append((DOUBTED, Text(DOUBT)))
    if len(a.contexts) == 1 and results.references.get(a.contexts[0].data):
        notes.append(("*", Text("an ordinary learner on the same split, for reference")))
    return [*parts, labelled(notes)]


def _doubted(a: StudyAnalysis) -> bool:
    """Whether an interval that is shown is not to be trusted."""
    shown = [cell.metrics[c.score] for c in a.contexts for cell in c.done if c.score in cell.metrics]
    shown += [pair.verdict.difference for c in a.contexts for pair in c.pairs] + [m.mean for m in a.across]
    return any(not e.trusted and math.isfinite(e.low) for e in shown)


def _context(results: StudyResults, c: ContextAnalysis) -> list[RenderableType]:
    rows = []
    for cell in c.cells:
        steps = [study_tables.survival_text(cell.survival)] if c.target is not None else []
        rows.append((cell.plan, lr_note(cell), cell_text(cell, c.score), *steps))
    for r in results.references.get(c.data, ()):
        if c.score in r.metrics:
            rows.append((f"{r.name}*", "–", f"{r.metrics[c.score]:z.3f}", *(["–"] if c.target is not None else [])))
    head = ("method", "lr", c.score, *(["steps to target"] if c.target is not None else []))
    parts: list[RenderableType] = [rich_table(Table("", head, tuple(rows))), Text()]
    differences = study_tables.differences_table(c)
    if differences:
        cut = [(r[0], r[1], r[2], r[3], r[4], r[5]) for r in differences.rows]
        head = ("paired", *differences.head[1:6])
        parts += [rich_table(Table("", head, tuple(cut))), Text()]
    curves = mean_curves(results, c)
    if curves:
        table = RichTable.grid(padding=(0, 2, 0, 0))
        top = max(v for line in curves.values() for v in line.mean if v == v)
        for plan, line in curves.items():
            end = f"→ {number(line.mean[-1])}" + (f" ({line.left})" if line.left else "")
            table.add_row(plan, sparkline(line.mean, 36, (0.0, max(top, 1e-9)), log=False), end)
        ends = "0 at the bottom, the best at the top" if c.larger_is_better else "0 at the bottom; lower is better"
        part = "held-out" if held_out(results) else "test"
        title = f"{c.score} on {part} data through training, of the runs that go on ({ends})"
        parts += [Text(title, style="bold"), Padding(table, (0, 0, 0, 2)), Text()]
    return parts


def _contexts(results: StudyResults) -> list[RenderableType]:
    a = results.analysis
    across, every = study_tables.across_table(a), study_tables.contexts_table(a)
    parts: list[RenderableType] = []
    if across:
        parts += [Text("Over all contexts", style="bold"), rich_table(across), Text()]
    if len(a.methods) <= 6:
        shown = Table(every.title, every.head, every.rows[:MOST_CONTEXTS], None, every.note)
        parts += [Text(f"{every.title} ({every.note})", style="bold"), rich_table(shown), Text()]
        if len(every.rows) > MOST_CONTEXTS:
            parts.append(Text(f"and {len(every.rows) - MOST_CONTEXTS} more; the page has all of them"))
    return parts


def rich_table(table: Table) -> RenderableType:
    """A table of texts, drawn by Rich."""
    drawn = RichTable(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for i, name in enumerate(table.head):
        drawn.add_column(name, overflow="fold", justify="left" if i == 0 else "right")
    for row in table.rows:
        drawn.add_row(*row)
    return Padding(drawn, (0, 0, 0, 2))
