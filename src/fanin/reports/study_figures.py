"""The figures of one context: every seed as a dot, learning curves, learning rates, time to target, confusion."""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from fanin.lab.analysis.records import Cell, ContextAnalysis, LrPoint
from fanin.lab.records import ReferenceLine
from fanin.lab.results import StudyResults
from fanin.lab.statistics import Estimate
from fanin.lab.study.rows import CurvePoint, LayerSignal, RunRow
from fanin.reports.compared import share_text
from fanin.reports.curves import ENDED, endings, grid_of, mean_band
from fanin.reports.figures import DotRow, Series, dot_figure, line_figure
from fanin.reports.figures_map import map_figure
from fanin.reports.study_words import held_out
from fanin.reports.words import number

COLOURS = 8
MOST_BANDS = 5  # methods up to which bands are drawn, and single runs behind them
MOST_FAINT = 12  # single runs drawn behind a mean
MOST_CLASSES = 20  # of a confusion matrix that is drawn
MOST_MATRICES = 4
MOST_LEARNERS = 5


@dataclass(frozen=True)
class Drawing:
    """What a context's figures need.

    Attributes:
        results: of the study.
        context: what is drawn.
        faint: whether single runs are drawn behind their means.
    """

    results: StudyResults
    context: ContextAnalysis
    faint: bool = True

    def style(self, name: str) -> str:
        """The colour of a plan's method, which holds for all figures of the study; dashed from the ninth on."""
        cell = self.context.cell(name)
        return style_of(cell.method if cell else name, self.results.analysis.methods)

    def runs(self, cell: Cell) -> list[RunRow]:
        """The runs of a cell at its chosen learning rate."""
        return [self.results.by_key[key] for key in cell.keys]

    @functools.cached_property
    def curves(self) -> dict[str, list[tuple[CurvePoint, ...]]]:
        """Plan → the curves of its runs, read once for all figures."""
        return {cell.plan: [self.results.curve(row) for row in self.runs(cell)] for cell in self.context.done}

    def learners(self) -> list[ReferenceLine]:
        """Ordinary learners that have the score, the best first."""
        c = self.context
        found = self.results.references.get(c.data, ())
        found = [r for r in found if c.score in r.metrics and "constant" not in r.name]
        return sorted(found, key=lambda r: -r.metrics[c.score] if c.larger_is_better else r.metrics[c.score])


def style_of(method: str, methods: Sequence[str]) -> str:
    """The CSS classes of a method's colour."""
    at = methods.index(method)
    return f"c{at % COLOURS}" + (" second" if at >= COLOURS else "")


def score_figure(d: Drawing) -> str:
    """The test score, every run as a dot; ordinary learners below."""
    c, rows = d.context, []
    for cell in c.done:
        e = cell.metrics.get(c.score)
        mean, low, high = (e.value, e.low, e.high) if e else (math.nan,) * 3
        rows.append(DotRow(cell.plan, d.style(cell.plan), cell.scores, mean, low, high))
    rows += [
        DotRow(r.name, "reference", (), r.metrics[c.score], math.nan, math.nan) for r in d.learners()[:MOST_LEARNERS]
    ]
    caption = (
        "On the test part, at each method's own learning rate. A dot is one run (a diverged one with what a constant "
        "prediction scores), the bar mean and 95 % interval of the others."
    )
    return dot_figure(f"Final {c.score}", caption, rows) if rows else ""


def curve_figures(d: Drawing) -> str:
    """Held-out score and losses through training."""
    c = d.context
    held = "On the held-out part" if held_out(d.results) else "On the test part (nothing was held out)"
    curves, loss = d.curves, "Held-out loss" if held_out(d.results) else "Test loss"
    words = "; band: 95 % interval of the mean" if len(curves) <= MOST_BANDS else ""
    levels = d.learners()[:1] + [r for r in d.learners()[1:] if r.name.startswith(("logistic", "linear"))]
    return (
        _curve(d, curves, f"{_title(c.score)} through training", f"{held}{words}.", lambda p: p.held_score, levels=levels[:2])
        + _curve(d, curves, loss, f"{held}; geometric mean.", lambda p: p.held_loss, log=True)
        + _curve(d, curves, "Training loss", "Between two looks; geometric mean.", lambda p: p.train_loss, log=True)
    )  # fmt: skip


def stability_figures(d: Drawing) -> str:
    """Gradient norm and movement of the weights through training."""
    curves = d.curves
    norm = "Norm of the whole gradient of the last batch; geometric mean."
    moved = "Distance of the weights from their start, over the norm that they started with."
    return _curve(d, curves, "Gradient norm", norm, lambda p: p.grad_norm, log=True) + _curve(
        d, curves, "Weights moved", moved, lambda p: p.moved
    )


def _title(name: str) -> str:
    return name[:1].upper() + name[1:]


def _curve(
    d: Drawing,
    curves: dict[str, list[tuple[CurvePoint, ...]]],
    title: str,
    caption: str,
    value: Callable[[CurvePoint], float],
    *,
    log: bool = False,
    levels: Sequence[ReferenceLine] = (),
) -> str:
    steps = grid_of([[p.step for p in curve] for found in curves.values() for curve in found])
    series: list[Series] = []
    for plan, found in curves.items():
        lines = [_on_grid(curve, steps, value) for curve in found if curve]
        if not any(math.isfinite(v) for line in lines for v in line):
            continue
        mean, low, high = mean_band(lines, log)
        banded = len(curves) <= MOST_BANDS and len(lines) > 1
        if d.faint and banded:
            series += [Series(plan, d.style(plan), line, faint=True) for line in lines[:MOST_FAINT]]
        band = (low, high) if banded else ((), ())
        series.append(Series(plan, d.style(plan), mean, *band, said=endings(lines)))
    caption += f" {ENDED}" if any(text for s in series for text in s.said) else ""
    if len(steps) < 2 or not series:
        return ""
    for r in levels:
        y = [r.metrics[d.context.score]] * len(steps)
        series.append(Series(f"{r.name} (test part)", "reference", y, plain=True))
    labels = [f"step {step:,}" for step in steps]
    return line_figure(title, caption, [float(s) for s in steps], series, labels=labels, x_name="step", log=log)


def _on_grid(curve: Sequence[CurvePoint], steps: Sequence[int], value: Callable[[CurvePoint], float]) -> list[float]:
    known = {p.step: value(p) for p in curve}
    return [v if math.isfinite(v := known.get(step, math.nan)) else math.nan for step in steps]


def lr_figure(d: Drawing) -> str:
    """Score against learning rate, one line a method; a cross where runs diverged."""
    c = d.context
    lrs = sorted({p.lr for cell in c.cells for p in cell.lrs})
    if len(lrs) < 2:
        return ""
    series = []
    for cell in c.done:
        points = {p.lr: p for p in cell.lrs if p.runs}
        here = [points.get(lr) for lr in lrs]
        said = [diverged_mark(p) for p in here]
        y = [converged_or_all(p.held, p.overall) if p else math.nan for p in here]
        low, high = ([getattr(p.held, end) if p else math.nan for p in here] for end in ("low", "high"))
        banded = len(c.done) <= MOST_BANDS and any(math.isfinite(v) for v in low)
        band = (low, high) if banded else ((), ())
        series.append(Series(cell.plan, d.style(cell.plan), y, *band, said=said))
    by = "the mean over all runs, which the table has" if held_out(d.results) else "the training loss"
    caption = (
        f"{'Held-out' if held_out(d.results) else 'Test'} score of the runs that did not diverge, mean and 95 % interval (×: "
        f"some did; where all did, what a constant prediction scores). Rates are chosen by {by}."
    )
    labels = [f"learning rate {number(lr)}" for lr in lrs]
    ticks = lrs if len(lrs) <= 9 else lrs[:: math.ceil(len(lrs) / 8)]
    return line_figure(
        "Learning-rate sensitivity", caption, lrs, series,
        labels=labels, x_name="learning rate (log)", log=False, log_x=True, x_ticks=ticks,
    )  # fmt: skip


def converged_or_all(e: Estimate | None, overall: float) -> float:
    """The mean of the runs that converged; where none did, that over all runs, which the constant prediction then scores."""
    return e.value if e is not None and not math.isnan(e.value) else overall


def diverged_mark(runs: LrPoint | Cell | None) -> str:
    """How many runs diverged, with the share: "3 of 10 diverged: 30 % (11 to 60)"; "" where none did."""
    if runs is None or not runs.diverged:
        return ""
    return f"{runs.diverged} of {runs.runs} diverged: {share_text(runs.diverged_share)}"


def target_figure(d: Drawing) -> str:
    """The share of runs that have reached the target score by each step (Kaplan-Meier)."""
    c = d.context
    survivals = {cell.plan: cell.survival for cell in c.done if cell.survival is not None}
    if not survivals or not any(s.reached for s in survivals.values()):
        return ""
    horizon = max(s.horizon for s in survivals.values())
    times = sorted({0.0, horizon, *(t for s in survivals.values() for t in s.times)})
    x = [times[0], *(t for t in times[1:] for _ in range(2))]  # each time twice: before its events and after them
    series = []
    for plan, s in survivals.items():
        after = [_share_at(s.times, s.share, t) for t in times]
        y = [1 - after[0]] + [1 - v for i in range(1, len(times)) for v in (after[i - 1], after[i])]
        series.append(Series(plan, d.style(plan), y, plain=True))
    name = (
        f"{c.score} {number(c.target)}" if c.target is not None and math.isfinite(c.target) else f"the target {c.score}"
    )
    part = "held-out" if held_out(d.results) else "test"
    caption = f"Share of runs that have reached {name} on the {part} part; runs that never did stay in."
    labels = [f"step {t:,.0f}" for t in x]
    return line_figure("Time to target", caption, x, series, labels=labels, x_name="step", log=False)


def _share_at(times: Sequence[float], share: Sequence[float], t: float) -> float:
    return next((s for at, s in zip(reversed(times), reversed(share), strict=True) if at <= t), 1.0)


def confusion_figures(d: Drawing) -> str:
    """Confusion matrices over all runs of a method that did not diverge; of the best and the baseline where there are many."""
    c = d.context
    cells = [cell for cell in c.done if any(row.confusion for row in d.runs(cell))]
    if len(cells) > MOST_MATRICES:
        cells = [cell for cell in cells if cell.plan in (c.cells[0].plan, c.best)]
    figures = []
    for cell in cells:
        runs = [row for row in d.runs(cell) if row.confusion and not row.diverged]
        if not runs or len(runs[0].confusion) > MOST_CLASSES:
            continue
        total = [
            [sum(cells) for cells in zip(*lines, strict=True)]
            for lines in zip(*(r.confusion for r in runs), strict=True)
        ]
        shares = [[n / max(1, sum(line)) for n in line] for line in total]
        names = [str(i) for i in range(len(total))]
        caption = f"Percent of each class, {len(runs)} run{'' if len(runs) == 1 else 's'} together."
        figures.append(
            map_figure(
                f"Confusion of {cell.plan}", caption, names, names, shares,
                x_name="predicted", y_name="class", text=lambda v: f"{100 * v:.0f}", span=(0.0, 1.0),
            )
        )  # fmt: skip
    return "".join(figures)


def signal_figures(d: Drawing) -> str:
    """Signal through depth before training, half way and after it: rms, dead units, effective rank."""
    shown = (("rms", "Rms of the outputs", True), ("dead", "Dead units", False), ("rank", "Effective rank", False))
    when = ((0, "at the start"), (1, "half way"), (2, "after training"))
    return "".join(
        _signal(d, place, field, f"{title} {words}", log) for field, title, log in shown for place, words in when
    )


def _signal(d: Drawing, place: int, field: str, title: str, log: bool) -> str:
    series, names, at = [], [], []
    for cell in d.context.done:
        runs = [layers for row in d.runs(cell) if (layers := _layers(row, place))]
        if not runs or len({len(layers) for layers in runs}) > 1:
            continue
        columns = [[getattr(layer, field) for layer in layers] for layers in zip(*runs, strict=True)]
        seen = [any(layer.rank is not None for layer in layers) for layers in zip(*runs, strict=True)]
        values = [_median(column) for column in itertools.compress(columns, seen)]  # of what a next layer sees
        if len(values) < 2 or not any(math.isfinite(v) for v in values):
            continue
        if names and len(names) != len(values):
            continue
        names = [layer.name for layer in itertools.compress(runs[0], seen)]
        at = [float(i) for i in itertools.compress(itertools.count(), seen)]
        series.append(Series(cell.plan, d.style(cell.plan), values))
    if not series:
        return ""
    what = {"rms": "Root mean square of each layer's outputs", "dead": "Share of units that are constant over a batch",
            "rank": "Effective rank over the most that it could be"}[field]  # fmt: skip
    caption = f"{what}, median over the seeds; of layers that go straight into an activation, behind it."
    return line_figure(title, caption, at, series, labels=names, x_name="layer", log=log)


def _layers(row: RunRow, place: int) -> tuple[LayerSignal, ...]:
    """Its layers at the start, half way (where that was looked at) or after training; a run that diverged has those of the start alone."""
    if not row.signals or (place and row.diverged) or (place == 1 and len(row.signals) < 3):
        return ()
    return row.signals[-1 if place == 2 else place].layers


def _median(values: Sequence[float | None]) -> float:
    known = [v for v in values if v is not None and not math.isnan(v)]
    return median(known) if known else math.nan
