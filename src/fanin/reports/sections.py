"""The sections of the HTML report that show a check and a fix."""

import math
import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from fanin.checks.finding import Finding
from fanin.checks.report import Curve, Report
from fanin.reports.figures import Series, line_figure
from fanin.reports.streams import curves_of
from fanin.reports.words import (
    count,
    count_findings,
    counterpart,
    distribution_text,
    evidence,
    number,
    shape_text,
    undone_text,
    verdict,
    worst,
)
from fanin.slots import Slot

MOST_ROWS = 1200  # rows of the weights table; beyond it the file would pass 2 MB
MOST_PLACES = 6
FANNED = ("weight", "recurrent", "embedding")

CAPTIONS = {
    "stream gradient": "How large the gradient of the loss is behind each residual add; it comes from the right.",
    "stream": "How large the residual stream is behind each add; every branch adds to it.",
    "forward": "How large the signal is after each weight, from the input to the output.",
    "gradient": "How large the gradient of the loss is there; it comes from the right.",
    "spread": "How much of it tells examples apart: what a bias adds to all of them is left out.",
    "correlation": "How alike two different examples look; at 1 the model cannot tell them apart.",
}


def verdict_section(report: Report, fixed: Any = None) -> str:
    """The one thing to know first, with a link to each finding."""
    found = verdict(report)
    level, headline, turn = found.level, found.headline, ""
    if fixed is not None:
        left = [f for f in fixed.left if f.severity != "info"]
        level = worst(left)
        headline = "Mended: nothing that keeps it from training well is left"
        if left:
            headline = f"Not all mended: {count_findings(left)} left"
        elif report.ok:
            headline = f"Nothing to mend: {count_findings(report.findings)} before"
        cells = (("Before", fixed.before), ("After the fix", fixed.after))
        turn = "".join(
            f'<div class="level-{verdict(r).level}"><b>{name}</b>{escape(verdict(r).headline)}</div>'
            for name, r in cells
        )
        turn = f'<div class="turn">{turn}</div>'
    chips = "".join(
        f'<li class="level-{f.severity}"><a href="#{anchor(f, i)}">{f.code} {escape(f.slug.replace("-", " "))}</a></li>'
        for i, f in enumerate(report.findings[:12])
    )
    return (
        f'<section id="verdict" class="verdict level-{level}"><h1>{escape(headline)}</h1>'
        f'<p><span class="name">{escape(report.target)}</span> {escape(report.trace.model)}</p>'
        f'<p class="detail">{escape(found.detail)}</p>{turn}'
        + (f'<ul class="chips" aria-label="Findings">{chips}</ul>' if chips else "")
        + "</section>"
    )


def signal_section(report: Report, fixed: Any = None) -> str:
    """The signal through depth, forward and backward: measured beside predicted, or before beside after."""
    found = curves_of(report)
    if not found:
        return ""
    after = {c.title: c for c in curves_of(fixed.after)} if fixed is not None else {}
    figures = "".join(curve_figure(curve, after.get(curve.title)) for curve in found)
    lead = "Measured in one watched pass, beside what theory predicts from the laws of the weights. The band is where redraws fall."
    if fixed is not None:
        lead = "Measured in one watched pass before the fix and one after it. A healthy signal keeps its size from end to end."
    return (
        f'<section id="signal"><h2>Signal through depth</h2><p class="lead">{lead}</p>'
        f'<div class="figures">{figures}</div></section>'
    )


def curve_figure(curve: Curve, after: Curve | None = None) -> str:
    """One curve through depth; on a log axis unless it is a correlation."""
    key = next((k for k in CAPTIONS if k in curve.title.lower()), "")
    series = []
    predicted = any(math.isfinite(v) for v in curve.predicted)
    same = after is not None and len(after.measured) == len(curve.measured)
    if predicted and not same:
        series.append(Series("predicted", "predicted", curve.predicted, curve.low, curve.high))
    series.append(Series("before" if same else "measured", "before" if same else "measured", curve.measured))
    if same and after is not None:
        if any(math.isfinite(v) for v in after.predicted):
            series.append(Series("predicted after", "predicted", after.predicted, after.low, after.high))
        series.append(Series("after", "after", after.measured))
    x = [
        float(i + 1) for i in range(len(curve.measured))
    ]  # ops of parallel branches share a depth; their order does not
    title = curve.title[:1].upper() + curve.title[1:]
    x_name = "residual adds" if "stream" in key else "weights in the order of execution"
    return line_figure(
        title, CAPTIONS.get(key, ""), x, series, labels=curve.where, x_name=x_name, log=key != "correlation"
    )


def findings_section(report: Report, fixed: Any = None) -> str:
    """Every finding with its evidence and fix, and what became of it; then those that only the fix brought."""
    found = [(f, "") for f in report.findings]
    if fixed is not None:
        found = [(f, fate(counterpart(f, fixed.after.findings))) for f in report.findings]
        old = {f.code for f in report.findings}
        found += [
            (f, '<span class="fate stays">new: found after the fix</span>')
            for f in fixed.after.findings
            if f.code not in old
        ]
    if not found:
        return '<section id="findings"><h2>Findings</h2><p class="lead">None. Every check that applies to this model passed.</p></section>'
    items = "".join(finding_article(f, i, text) for i, (f, text) in enumerate(found))
    lead = "The most severe first. An error keeps the model from training; a warning costs quality or time; info is worth knowing."
    return f'<section id="findings"><h2>Findings</h2><p class="lead">{lead}</p>{items}</section>'


def finding_article(finding: Finding, index: int, became: str = "") -> str:
    """One finding: message, numbers, places, why, fix, and its fate."""
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td class="n">{m or "–"}</td><td class="n">{e or "–"}</td></tr>'
        for name, m, e in evidence(finding)
    )
    table = f'<table><thead><tr><th></th><th class="n">measured</th><th class="n">expected</th></tr></thead><tbody>{rows}</tbody></table>'
    facts = [("where", places(finding.where)), ("why", prose(finding.why)), ("fix", fix_text(finding))]
    if became:
        facts.append(("after", became))
    inside = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in facts)
    return (
        f'<article class="finding level-{finding.severity}" id="{anchor(finding, index)}">'
        f'<h3><span class="badge">{finding.severity}</span> <span>{finding.code} {escape(finding.slug.replace("-", " "))}</span></h3>'
        f'<p class="message">{prose(finding.message)}</p>'
        f'<div class="body"><dl>{inside}</dl>{f"<div>{table}</div>" if rows else "<div></div>"}</div></article>'
    )


def fate(after: Finding | None) -> str:
    """What became of a finding after the fix."""
    if after is None:
        return '<span class="fate gone">✓ gone when measured again</span>'
    return f'<span class="fate stays">still there</span> ({after.severity}): {escape(after.message)}'


def fix_text(finding: Finding) -> str:
    """What to do, the edits that fanin would make, and where to read on."""
    edits = "".join(
        f'<li><span class="name">{escape(name)}</span> ← {escape(distribution_text(d))}</li>'
        for name, d in list(finding.fix.edits.items())[:40]
    )
    more = (
        f"<details><summary>{count(len(finding.fix.edits), 'weight')} to draw anew</summary><ul>{edits}</ul></details>"
        if edits
        else ""
    )
    return f'{prose(finding.fix.text)} <span class="soft">More: <code>fanin explain {finding.code}</code></span>{more}'


def prose(text: str) -> str:
    """A sentence as HTML; what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def places(where: Sequence[str]) -> str:
    """Names of weights or modules; the long tail is folded away."""
    if not where:
        return "the whole model"
    names = [f'<span class="name">{escape(w or "(root)")}</span>' for w in where]
    if len(names) <= MOST_PLACES:
        return ", ".join(names)
    rest = ", ".join(names[3:400]) + (" …" if len(names) > 400 else "")
    return f"{', '.join(names[:3])}<details><summary>and {len(names) - 3} more</summary>{rest}</details>"


def fix_section(fixed: Any) -> str:
    """The plan with a reason for each weight, and what was undone."""
    entries = list(fixed.plan.entries.items())
    rows = "".join(
        f'<tr><td class="name">{escape(name)}</td><td>{escape(distribution_text(entry.distribution))}</td>'
        f'<td class="text">{escape(entry.reason)}</td></tr>'
        for name, entry in entries[:MOST_ROWS]
    )
    undone = "".join(
        f'<li><span class="name">{escape(n)}</span>: {escape(r)}</li>' for n, r in undone_text(fixed.undone)
    )
    undone = f'<h3>Undone, because it did not help</h3><ul class="notes">{undone}</ul>' if undone else ""
    lead = f"{count(len(entries), 'weight')} drawn anew with seed {fixed.plan.seed}, then measured again; the others keep their values."
    return (
        f'<section id="fix"><h2>What the fix draws</h2><p class="lead">{lead}</p>{undone}<details {"open" if len(entries) <= 12 else ""}>'
        f"<summary>The plan, a reason for each weight</summary>"
        f'<div class="scroll wide"><table><thead><tr><th>weight</th><th>drawn from</th><th>reason</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
        f"{cut_note(len(entries))}</details></section>"
    )


def weights_section(report: Report, fixed: Any = None) -> str:
    """Every weight: shape, fans, what its output meets, how it is drawn, what went through. Sortable, filterable."""
    trace = report.trace
    found: dict[str, list[str]] = {}
    for f in report.findings:
        for name in f.where:
            found.setdefault(name, []).append(f.code)
    head = [
        ("weight", ""),
        ("role", ""),
        ("shape", "n"),
        ("fan in", "n"),
        ("fan out", "n"),
        ("output meets", ""),
        ("std", "n"),
    ]
    head += [("signal rms", "n"), ("gradient rms", "n"), ("findings", "")]
    rows = "".join(
        weight_row(report, slot, found.get(slot.name) or found.get(slot.module) or [])
        for slot in trace.slots[:MOST_ROWS]
    )
    heads = "".join(f'<th class="{kind}" scope="col">{name}</th>' for name, kind in head)
    return (
        f'<section id="weights"><h2>Weights</h2><p class="lead">Every weight as the watched pass saw it'
        f"{' before the fix' if fixed is not None else ''}: fans come from the op that consumes it, not from its shape.</p>"
        '<div class="tools" hidden><label>Filter <input type="search" placeholder="name, role, activation, code"></label>'
        '<label><input type="checkbox"> only with findings</label><span class="count soft" role="status"></span></div>'
        f'<div class="scroll wide" tabindex="0" role="region" aria-label="Weights"><table class="sortable"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{cut_note(len(trace.slots))}</section>"
    )


def weight_row(report: Report, slot: Slot, codes: Iterable[str]) -> str:
    """One row of the weights table; `data-v` holds what the column sorts by."""
    facts = report.trace.weights.get(slot.name)
    op = (
        report.trace.ops[slot.op_index] if slot.op_index is not None and slot.op_index < len(report.trace.ops) else None
    )
    signal = op.signal if op is not None and slot.role != "bias" else None
    codes = " ".join(dict.fromkeys(codes))
    meets = "a norm" if slot.norm_after else str(slot.activation) if slot.activation else ""
    # a bias and a scale are added and multiplied elementwise: nothing is summed, so a fan would say nothing
    fans = (slot.axes.fan_in, slot.axes.fan_out) if slot.axes and slot.role in FANNED else (None, None)
    numbers = [
        (slot.size, shape_text(slot.shape)),
        *((x, number(x)) if x is not None else (math.nan, "") for x in fans),
    ]
    values = [
        facts.std if facts else math.nan,
        signal.rms if signal else math.nan,
        facts.grad_rms if facts else math.nan,
    ]
    tied = f' <span class="soft">= {escape(", ".join(slot.names[1:3]))}</span>' if len(slot.names) > 1 else ""
    cells = [f'<td class="name">{escape(slot.name)}{tied}</td>', f"<td>{slot.role.replace('_', ' ')}</td>"]
    cells += [_number_cell(v, text) for v, text in numbers]
    cells += [f"<td>{escape(meets)}</td>"]
    cells += [_number_cell(v, "" if math.isnan(v) else number(v)) for v in values]
    return f"<tr{' data-found=1' if codes else ''}>{''.join(cells)}<td>{codes}</td></tr>"


def _number_cell(value: float, text: str) -> str:
    return f'<td class="n" data-v="{value:.6g}">{text}</td>'


def notes_section(report: Report) -> str:
    """What the watched pass could not see, and how it was made."""
    trace = report.trace
    notes = [
        *trace.notes,
        f"Watched in {'train' if trace.training else 'eval'} mode with random state {trace.seed}, in {trace.framework}.",
    ]
    for x in trace.inputs:
        size = f"mean {number(x.mean)}, std {number(x.std)}" if x.floating else f"{number(x.low)} to {number(x.high)}"
        known = not math.isnan(x.mean if x.floating else x.low)
        notes.append(f"{x.name}: {x.dtype}, {shape_text(x.shape)}{f'; {size}' if known else ''}.")
    items = "".join(f"<li>{escape(n)}</li>" for n in notes)
    return f'<section id="notes"><h2>Notes</h2><ul class="notes">{items}</ul></section>'


def cut_note(rows: int) -> str:
    """A sentence where a table was cut."""
    if rows <= MOST_ROWS:
        return ""
    return (
        f'<p class="soft">The first {MOST_ROWS:,} of {rows:,} are shown; <code>--format json</code> has them all.</p>'
    )


def anchor(finding: Finding, index: int) -> str:
    """The id of a finding on the page."""
    return f"{finding.code}-{index + 1}"
