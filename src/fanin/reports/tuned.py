"""What tuning found: the verdict in words, the map of gain and learning rate, and how the search went."""

import math
from html import escape

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fanin.lab.tuning.records import Candidate, Tuning
from fanin.reports.compared import metric_text, signed
from fanin.reports.figures_map import map_figure
from fanin.reports.html import fragment, page
from fanin.reports.rich_parts import MARKS, STYLES, labelled, render
from fanin.reports.words import count, number

SHOWN = 5  # candidates of a rung that are listed


def candidate_text(candidate: Candidate) -> str:
    """ "he_normal × 1.41 at 0.03"."""
    return f"{candidate.start.name} at {number(candidate.lr)}"


def headline(result: Tuning) -> tuple[str, str]:
    """Level and sentence of the verdict."""
    seeds = count(result.confirmed.difference.count, "fresh seed")
    pair = (
        f"{result.score} {metric_text(result.winner_score)} against {metric_text(result.baseline_score)} "
        f"of {candidate_text(result.baseline)}, {signed(result.confirmed.difference.value)} over {seeds}"
    )
    if all(row.diverged for row in result.rows):
        return "warning", "Recommend nothing: every run on the fresh seeds diverged; try smaller learning rates"
    if result.winner.start == result.baseline.start:
        return "info", f"Keep the model's own weights, at a learning rate of {number(result.winner.lr)}"
    if result.in_disguise:
        rate, own = number(result.winner.lr), number(result.baseline.lr)
        found = f"{candidate_text(result.winner)} is better than it at {own}, and not shown to be at {rate}"
        return "info", f"Keep the default, at a learning rate of {rate}: {found}"
    if result.recommended:
        return "ok", f"Use {candidate_text(result.winner)}: {pair}"
    return "info", f"Keep the default: the search preferred {candidate_text(result.winner)}, but {pair}"


def detail(result: Tuning) -> str:
    """How sure it is, whether it is more than a learning rate, and what it cost."""
    found = result.confirmed
    i = found.difference
    score = result.default_at_winners_rate
    again = "" if score is None else _at_winners_rate(result, score)
    between = f" ({signed(i.low)} to {signed(i.high)})" if math.isfinite(i.low) else ""
    p = f", p = {number(found.test.p, 2)}" if math.isfinite(found.test.p) else ""
    return (
        f"{result.model} on {result.data}, {result.optimizer}; on the test part {found.finding}{between}: better in "
        f"{found.wins} of {i.count} seeds{p}. {again}The search cost {number(result.cost, 2)} whole runs, the fresh seeds among them."
    )


def _at_winners_rate(result: Tuning, score: float) -> str:
    """What became of the difference where the default took the winner's learning rate."""
    if result.winner.start == result.baseline.start:
        return ""
    if result.winner.lr == result.baseline.lr:
        return "Both have the same learning rate. "
    left = (
        "no difference is shown then: it was the learning rate's"
        if result.in_disguise
        else "the winner is better then, too"
    )
    return f"At the winner's learning rate the default scores {metric_text(score)}; {left}. "


def tuning_text(result: Tuning, width: int = 80, color: bool = False) -> str:
    """A tuning as text for a terminal."""
    level, sentence = headline(result)
    parts: list[RenderableType] = [
        Text(f"{MARKS[level]} {sentence}", style=STYLES[level]),
        Padding(Text(detail(result)), (0, 0, 0, 2)),
        Text(),
        _map_table(result),
        Text(),
    ]
    for rung in result.rungs:
        title = f"{count(len(rung.trials), 'candidate')}, {rung.steps:,} steps each: held-out {result.score}"
        rows = [(metric_text(t.score), Text(candidate_text(t.candidate))) for t in rung.trials[:SHOWN]]
        parts += [Text(title, style="bold"), labelled(rows)]
    if result.notes:
        parts += [Text(), labelled([("beware", Text(note)) for note in result.notes])]
    return render(parts, width, color)


def _map_table(result: Tuning) -> RenderableType:
    gains, rates, scores = result.map()
    title = f"{result.winner.start.init}, held-out {result.score} after {result.rungs[0].steps:,} steps"
    table = Table(title=title, box=None, title_justify="left", title_style="bold", pad_edge=False, padding=(0, 1))
    table.add_column("gain \\ lr", justify="right")
    for rate in rates:
        table.add_column(number(rate, 2), justify="right")
    for gain, row in zip(gains, scores, strict=True):
        table.add_row(number(gain), *("–" if v is None else f"{v:.2f}" for v in row))
    return table


def tuning_section(result: Tuning, first: bool = True) -> str:
    """A tuning as a section of a page."""
    level, sentence = headline(result)
    tag = "h1" if first else "h3"
    gains, rates, scores = result.map()
    figure = map_figure(
        f"Gain and learning rate of {result.winner.start.init}",
        f"Mean held-out {result.score} after {result.rungs[0].steps:,} steps, the first rung of the search; "
        "a diverged run counts as the best constant prediction.",
        [number(rate) for rate in rates], [number(gain) for gain in gains],
        [[math.nan if v is None else v for v in row] for row in scores],
        x_name="learning rate", y_name="gain", text=lambda v: f"{v:.2f}",
    )  # fmt: skip
    rungs = "".join(_rung_table(result, k) for k in range(len(result.rungs)))
    notes = "".join(f"<li>{escape(note)}</li>" for note in result.notes)
    return (
        f'<section id="tuning"><div class="verdict level-{level}"><{tag}>{escape(sentence)}</{tag}>'
        f'<p class="detail">{escape(detail(result))}</p></div><div class="figures">{figure}</div>{rungs}'
        + (f'<ul class="notes">{notes}</ul>' if notes else "")
        + "</section>"
    )


def _rung_table(result: Tuning, k: int) -> str:
    rung = result.rungs[k]
    title = f"Rung {k + 1}: {count(len(rung.trials), 'candidate')}, {rung.steps:,} steps each"
    rows = "".join(
        f'<tr><td class="name">{escape(candidate_text(t.candidate))}</td><td>{metric_text(t.score)}</td>'
        f"<td>{t.diverged} of {t.seeds}</td></tr>"
        for t in rung.trials[: 2 * SHOWN]
    )
    return (
        f'<h3 class="table-title">{escape(title)}</h3><div class="scroll wide" tabindex="0" role="region" '
        f'aria-label="{escape(title)}"><table><thead><tr><th scope="col">candidate</th>'
        f'<th scope="col">held-out {escape(result.score)}</th><th scope="col">diverged</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def tuning_fragment(result: Tuning) -> str:
    """A tuning as a piece of HTML for a notebook."""
    return fragment(tuning_section(result))


def tuning_html(result: Tuning) -> str:
    """A tuning as a whole page."""
    return page(f"{result.model} on {result.data}", tuning_section(result))
