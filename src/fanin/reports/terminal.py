"""Results as text for a terminal, a pipe or a log: the verdict first, then the evidence, readable without colour."""

import math
from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fanin.checks.finding import Finding
from fanin.checks.report import Curve, Report
from fanin.lab.records import Comparison
from fanin.reports.rich_parts import MARKS, STYLES, bar_span, ends, labelled, render, sparkline
from fanin.reports.streams import curves_of
from fanin.reports.words import count, count_findings, evidence, fates, undone_text, verdict, where_text, worst


def report_text(report: Report, width: int = 80, color: bool = False) -> str:
    """A report as text, `width` columns wide."""
    return render(report_parts(report), width, color)


def fixed_text(fixed: Any, width: int = 80, color: bool = False) -> str:
    """What `fanin.fix` did, as text: before and after for each finding, what was undone, what is left."""
    return render(fixed_parts(fixed), width, color)


def report_parts(report: Report) -> list[RenderableType]:
    """The pieces of a report: verdict, findings, signal through depth, notes."""
    parts: list[RenderableType] = [*verdict_parts(report), Text()]
    for finding in report.findings:
        parts += [finding_part(finding), Text()]
    if report.trace.depth > 1:
        parts += [signal_part(curves_of(report)), Text()]
    for note in report.trace.notes:
        parts.append(labelled([("note", Text(note))]))
    if report.findings:
        codes = " ".join(dict.fromkeys(f.code for f in report.findings))
        parts.append(
            Text(f"More about each: fanin explain {codes.split()[0]}" + (" (and the others)" if " " in codes else ""))
        )
    return parts


def verdict_parts(report: Report) -> list[RenderableType]:
    """Mark and headline, then what was looked at."""
    found = verdict(report)
    headline = Text.assemble((f"{MARKS[found.level]} {found.headline}", STYLES[found.level]))
    name = Text.assemble(
        (report.target, "bold"), f"  {report.trace.model}" if report.trace.model != report.target else ""
    )
    return [headline, Padding(name, (0, 0, 0, 2)), Padding(Text(found.detail), (0, 0, 0, 2))]


def finding_part(finding: Finding) -> RenderableType:
    """One finding: severity, code and slug, then message, place, numbers, why and fix."""
    head = Text.assemble(
        (finding.severity.upper(), STYLES[finding.severity]), "  ", (finding.code, "bold"), " ", finding.slug
    )
    rows: list[tuple[str, RenderableType]] = [("", Text(finding.message)), ("where", Text(where_text(finding.where)))]
    numbers = evidence(finding)
    if numbers:
        measured = ", ".join(f"{name} {value}" for name, value, _ in numbers if value)
        expected = ", ".join(f"{name} {value}" for name, _, value in numbers if value)
        rows += [("measured", Text(measured))] if measured else []
        rows += [("expected", Text(expected))] if expected else []
    rows.append(("why", Text(finding.why)))
    rows.append(("fix", Text(finding.fix.text)))
    return Group(head, labelled(rows))


def signal_part(curves: Sequence[Curve], others: Sequence[Curve] = ()) -> RenderableType:
    """The curves as bars, one column a layer (or several layers where there are many); `others` are drawn below ("after")."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(3):
        table.add_column(no_wrap=True)
    after = {curve.title: curve for curve in others}
    for curve in (c for c in curves if len(c.measured) > 1):
        pair = after.get(curve.title)
        rows = [(curve.title, curve.measured)]
        rows += [("  predicted", curve.predicted)] if pair is None and any(map(math.isfinite, curve.predicted)) else []
        rows += [("  after", pair.measured)] if pair is not None else []
        log = "correlation" not in curve.title
        span = bar_span([v for _, values in rows for v in values], log)
        for name, values in rows:
            table.add_row(name, sparkline(values, 36, span, log), ends(values))
    title = Text("Signal through depth (log scale, the first layer at the left)", style="bold")
    return Group(title, Padding(table, (0, 0, 0, 2)))


def fixed_parts(fixed: Any) -> list[RenderableType]:
    """The pieces of a fix: verdict before and after, each finding's fate, what was undone, what is left."""
    left = list(fixed.left)
    serious = [f for f in left if f.severity != "info"]
    level = worst(left) if serious else "ok"
    text = "Mended" if not serious else f"Not all mended: {count_findings(serious)} left"
    if fixed.before.ok and not serious:
        text = "Nothing to mend"
    before = f"{count_findings(fixed.before.findings)} before, {count_findings(fixed.after.findings)} after"
    drawn = count(changed_weights(fixed), "weight")
    parts: list[RenderableType] = [
        Text(f"{MARKS[level]} {text} ({before})", style=STYLES[level]),
        Padding(
            Text(f"{fixed.after.target}  {drawn if changed_weights(fixed) else 'no weight'} drawn anew"), (0, 0, 0, 2)
        ),
        Text(),
    ]
    if fixed.before.findings or left:
        parts += [fate_table(fixed), Text()]
    if fixed.before.trace.depth > 1:
        parts += [
            signal_part(curves_of(fixed.before), curves_of(fixed.after) if changed_weights(fixed) else ()),
            Text(),
        ]
    if fixed.undone:
        rows = [Padding(Text(f"{names}: {reason}"), (0, 0, 0, 2)) for names, reason in undone_text(fixed.undone)]
        parts += [Text("Undone, because it did not help", style="bold"), *rows, Text()]
    if left:
        parts.append(Text("Left", style="bold"))
        for finding in left:
            parts += [finding_part(finding), Text()]
    return parts


def fate_table(fixed: Any) -> RenderableType:
    """One row a finding: code, what it was, what became of its first number."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for name in ("", "finding", "before", "after"):
        table.add_column(name, overflow="fold", no_wrap=name in ("", "finding"))
    for code, old, new in fates(fixed.before.findings, fixed.after.findings):
        slug = (old or new)[0].slug
        mark, style = ("✗", "red") if not old else ("✓", "green") if not new else ("·", "yellow")
        table.add_row(Text(mark, style=style), f"{code} {slug}", brief(old), brief(new))
    return Padding(table, (0, 0, 0, 2))


def brief(findings: Sequence[Finding]) -> str:
    """The first measured number of the first of the findings, and how many more there are; "none" without any."""
    if not findings:
        return "none"
    first = next(((n, m) for n, m, _ in evidence(findings[0]) if m), None)
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return findings[0].severity + (f", {first[0]} {first[1]}" if first else "") + more


def changed_weights(fixed: Any) -> int:
    """How many weights the plan draws."""
    return len(fixed.plan.entries)


def comparison_text(result: Comparison, width: int = 80, color: bool = False) -> str:
    """A comparison as text, `width` columns wide."""
    from fanin.reports import compared_terminal  # it draws with this module's own pieces

    return compared_terminal.comparison_text(result, width, color)
