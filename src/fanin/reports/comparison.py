"""The section of the HTML report that shows a comparison: verdict, dots, curves with intervals, table, differences."""

import math
from collections.abc import Sequence
from html import escape

from fanin.lab.records import Comparison, RunResult
from fanin.reports import compared
from fanin.reports.compared import DOUBTED_WORDS
from fanin.reports.curves import ENDED, endings, grid_of, mean_band
from fanin.reports.figures import DotRow, Series, dot_figure, line_figure

STYLES = 8  # colours there are for inits


def comparison_section(result: Comparison, first: bool = False) -> str:
    """A comparison; `first` where it opens the page and so carries the verdict's heading."""
    found = compared.verdict(result)
    tag = "h1" if first else "h3"
    notes = list(result.notes)
    listed = "".join(f"<li>{escape(n)}</li>" for n in notes)
    return (
        f'<section id="comparison">{"" if first else "<h2>Comparison</h2>"}'
        f'<div class="verdict level-{found.level}"><{tag}>{escape(found.headline)}</{tag}>'
        f'<p class="detail">{escape(found.detail)}</p></div>'
        '<p class="lead" style="margin-top:16px">Each init trains with the same data order and seeds. A dot is one run; '
        "the bar is the mean with its 95 % interval, of the runs that did not diverge; one that did stays in as a dot, with what a "
        "constant prediction scores, and so it counts in paired differences.</p>"
        f'<div class="figures">{score_figure(result)}{loss_figure(result)}{score_curve(result)}{train_curve(result)}</div>'
        f"{summary_table(result)}{differences_table(result)}"
        + (f'<ul class="notes">{listed}</ul>' if listed else "")
        + "</section>"
    )


def style(result: Comparison, init: str) -> str:
    """The colour class of an init."""
    return f"c{result.inits.index(init) % STYLES}"


def score_figure(result: Comparison) -> str:
    """The final score, every run as a dot."""
    return _metric_figure(result, result.score, f"Final {result.score}", "On the test part after the last step.")


def loss_figure(result: Comparison) -> str:
    """The final loss, every run as a dot."""
    return _metric_figure(result, "loss", "Final loss", "On the test part after the last step; smaller is better.")


def _metric_figure(result: Comparison, metric: str, title: str, caption: str) -> str:
    rows = []
    for s in result.summaries:
        if metric not in s.overall:
            continue
        e = s.metrics.get(metric)
        mean, low, high = (e.value, e.low, e.high) if e else (math.nan,) * 3
        values = [r.metrics[metric] for r in result.runs(s.init) if not r.error and metric in r.metrics]
        rows.append(DotRow(s.init, style(result, s.init), values, mean, low, high))
    return dot_figure(title, caption, rows) if rows else ""


def score_curve(result: Comparison) -> str:
    """The score on the held-out part through training."""
    title = f"{result.score[:1].upper()}{result.score[1:]} through training"
    caption = f"On the {compared.part_text(result)}; thin lines are single runs."
    return _curve(result, title, caption, "eval_steps", "eval_score", log=False)


def train_curve(result: Comparison) -> str:
    """The training loss through training."""
    return _curve(
        result,
        "Training loss",
        "On each batch, smoothed; thick lines are geometric means.",
        "train_steps",
        "train_loss",
        log=True,
    )


def _curve(result: Comparison, title: str, caption: str, steps: str, values: str, *, log: bool) -> str:
    grid = grid_of([getattr(r, steps) for r in result.results])
    if len(grid) < 2:
        return ""
    series: list[Series] = []
    for init in result.inits:
        runs = [r for r in result.runs(init) if not r.error]
        lines = [_on_grid(r, grid, steps, values) for r in runs]
        if not lines:
            continue
        lines = [smoothed(line) for line in lines] if log else lines
        mean, low, high = mean_band(lines, log)
        series += [Series(init, style(result, init), line, faint=True) for line in lines if len(lines) > 1][:20]
        series.append(Series(init, style(result, init), mean, low, high, said=endings(lines)))
    ended = any(text for s in series for text in s.said)
    caption += f" {ENDED}" if ended else ""
    labels = [f"step {step:,}" for step in grid]
    return line_figure(title, caption, [float(s) for s in grid], series, labels=labels, x_name="step", log=log)


def _on_grid(run: RunResult, grid: Sequence[int], steps: str, values: str) -> list[float]:
    known = dict(zip(getattr(run, steps), getattr(run, values), strict=True))
    return [known.get(step, math.nan) for step in grid]


def smoothed(line: Sequence[float], window: int = 9) -> list[float]:
    """Means over the points around each (fewer at the ends); gaps stay gaps."""
    half = window // 2
    means = []
    for i, value in enumerate(line):
        near = [v for v in line[max(0, i - half) : i + half + 1] if math.isfinite(v)]
        means.append(math.fsum(near) / len(near) if math.isfinite(value) else value)
    return means


def summary_table(result: Comparison) -> str:
    """One row an init: every metric of the runs that converged, steps to the target, the share that diverged; learners below."""
    metrics = result.metrics
    target = compared.has_target(result)
    head = ["init", *metrics, *(["steps to target"] if target else []), "diverged", "seconds a run"]
    rows = []
    for s in result.summaries:
        cells = [compared.estimate_text(s.metrics[m]) if m in s.metrics else "–" for m in metrics]
        cells += [compared.steps_text(s.steps_to_target)] if target else []
        rows.append([s.init, *cells, compared.diverged_text(s), compared.metric_text(s.seconds.mean)])
    for r in result.references:
        cells = [compared.metric_text(r.metrics[m]) if m in r.metrics else "–" for m in metrics]
        rows.append(
            [f"{r.name} (no network)", *cells, *(["–"] if target else []), "–", compared.metric_text(r.seconds)]
        )
    note = "Mean and 95 % interval over the runs that did not diverge; beside it the share that did, with its interval."
    note += f" {DOUBTED_WORDS}" if compared.doubted(result) else ""
    return _table("Means", head, rows, note)


def differences_table(result: Comparison) -> str:
    """Paired differences of the score against the baseline."""
    rows = [
        [d.init, d.metric, compared.difference_text(d)]
        for d in result.differences
        if d.metric in (result.score, "loss") and d.interval.count
    ]
    if not rows:
        return ""
    note = "Over all seeds, diverged runs with what the constant prediction scores; p after Holm's correction."
    note += f" {DOUBTED_WORDS}" if any(compared.DOUBTED in text for row in rows for text in row) else ""
    head = ["init", "metric", "difference, seed by seed"]
    return _table(f"Paired differences against {result.inits[0]}", head, rows, note)


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], note: str) -> str:
    heads = "".join(f'<th scope="col">{escape(h)}</th>' for h in head)
    body = "".join(
        "<tr>"
        + "".join(f'<td class="{"name" if i == 0 else ""}">{escape(c)}</td>' for i, c in enumerate(row))
        + "</tr>"
        for row in rows
    )
    return (
        f'<h3 class="table-title">{escape(title)}</h3><div class="scroll wide" tabindex="0" role="region" aria-label="{escape(title)}">'
        f'<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div><p class="table-note">{escape(note)}</p>'
    )
