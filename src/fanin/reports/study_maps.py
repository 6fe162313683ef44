"""The figures over all contexts: score along one axis, maps over two, performance profiles."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from fanin.lab.analysis import axes
from fanin.lab.analysis.records import Cell, ContextAnalysis
from fanin.lab.results import StudyResults
from fanin.lab.study.records import AxisValue
from fanin.reports.figures import Series, line_figure
from fanin.reports.figures_map import map_figure
from fanin.reports.study_figures import MOST_BANDS, converged_or_all, diverged_mark, style_of
from fanin.reports.study_tables import Table
from fanin.reports.study_words import larger_across
from fanin.reports.words import number

MOST_FIGURES = 8  # of one kind


@dataclass(frozen=True)
class Place:
    """One cell of the grid, by its numbers.

    Attributes:
        context, cell: what was measured.
        numbers: axis → number, of the context and of the method's own variables.
        rest: everything else that sets it apart.
    """

    context: ContextAnalysis
    cell: Cell
    numbers: dict[str, float]
    rest: dict[str, AxisValue]

    def without(self, *names: str) -> str:
        """What sets it apart beside these axes, in words."""
        rest = {**{n: v for n, v in self.numbers.items() if n not in names}, **self.rest}
        return ", ".join(axes.axis_text(n, v) for n, v in rest.items())


def places_of(results: StudyResults) -> list[Place]:
    """Every cell that has runs, with the numbers that it stands at."""
    a, study = results.analysis, results.study
    found = []
    for c in a.contexts:
        outer = {n: c.parts[n] for n in a.varying if n in c.parts}
        for cell in c.done:
            inner = axes.plan_variables(cell.plan, study)
            everything: Mapping[str, AxisValue] = {**outer, **inner}
            numbers = {
                n: float(v) for n, v in everything.items() if isinstance(v, int | float) and not isinstance(v, bool)
            }
            rest: dict[str, AxisValue] = {n: v for n, v in everything.items() if n not in numbers}
            rest["method"] = axes.plan_family(cell.plan, study) if inner else cell.plan
            found.append(Place(c, cell, numbers, rest))
    if len({p.rest["method"] for p in found}) == 1:
        found = [Place(p.context, p.cell, p.numbers, {n: v for n, v in p.rest.items() if n != "method"}) for p in found]
    return found


def spread_axes(places: list[Place], least: int) -> list[str]:
    """The numeric axes with at least so many values."""
    names = dict.fromkeys(n for p in places for n in p.numbers)
    return [n for n in names if len({p.numbers[n] for p in places if n in p.numbers}) >= least]


@dataclass(frozen=True)
class Map:
    """Scores over two numeric axes.

    Attributes:
        label: what holds for all of it beside the two axes.
        score: the metric.
        x_name, y_name: the axes.
        xs, ys: their values, rising.
        places: one list a row, None where the grid has no cell.
    """

    label: str
    score: str
    x_name: str
    y_name: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    places: tuple[tuple[Place | None, ...], ...]


def maps_of(results: StudyResults) -> list[Map]:
    """Maps of the score over two numeric axes, one for each of the other axes' values; [] where no two span the grid."""
    places = places_of(results)
    names = spread_axes(places, 3)
    if len(names) < 2:
        return []
    y_name, x_name = names[:2]
    groups: dict[str, list[Place]] = {}
    for p in places:
        if x_name in p.numbers and y_name in p.numbers:
            groups.setdefault(p.without(x_name, y_name), []).append(p)
    found = []
    for label, group in groups.items():
        xs, ys = (tuple(sorted({p.numbers[n] for p in group})) for n in (x_name, y_name))
        at = {(p.numbers[y_name], p.numbers[x_name]): p for p in group}
        cells = tuple(tuple(at.get((y, x)) for x in xs) for y in ys)
        found.append(Map(label, group[0].context.score, x_name, y_name, xs, ys, cells))
    return found


def map_figures(results: StudyResults) -> str:
    """The maps as figures."""
    found = maps_of(results)
    known = [v for m in found for row in m.places for v in map(_overall, row) if math.isfinite(v)]
    span = (min(known), max(known)) if known else (0.0, 1.0)
    return "".join(_map(m, span) for m in found[:MOST_FIGURES])


def _map(m: Map, span: tuple[float, float]) -> str:
    caption = "Mean test score over all runs, at the best learning rate; a diverged run with what a constant prediction scores."
    return map_figure(
        _map_title(m), caption, [number(x) for x in m.xs], [number(y) for y in m.ys],
        [[_overall(p) for p in row] for row in m.places],
        x_name=_words(m.x_name), y_name=_words(m.y_name), text=_short,
        marks=[[_mark(p) for p in row] for row in m.places], span=span,
    )  # fmt: skip


def _map_title(m: Map) -> str:
    title = f"{m.score[:1].upper()}{m.score[1:]} over {_words(m.y_name)} and {_words(m.x_name)}"
    return title + (f": {m.label}" if m.label else "")


def map_tables(results: StudyResults) -> list[Table]:
    """The maps as tables; in brackets how many runs diverged."""
    tables = []
    for m in maps_of(results)[:MOST_FIGURES]:
        rows = tuple(
            (
                number(y),
                *(f"{_short(_overall(p))}{f' ({p.cell.diverged})' if p and p.cell.diverged else ''}" for p in row),
            )
            for y, row in zip(m.ys, m.places, strict=True)
        )
        head = (f"{_words(m.y_name)} \\ {_words(m.x_name)}", *map(number, m.xs))
        tables.append(Table(_map_title(m), head, rows, None, "Mean over all runs; in brackets how many diverged."))
    return tables


def _words(name: str) -> str:
    return name.replace("_", " ")


def _short(value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.2f}".removeprefix("0") if abs(value) < 10 else number(value, 2)


def _overall(p: Place | None) -> float:
    return p.cell.overall.get(p.context.score, math.nan) if p else math.nan


def _mark(p: Place | None) -> str:
    return f"{p.cell.diverged} of {p.cell.runs} diverged" if p and p.cell.diverged else ""


def along_figures(results: StudyResults) -> str:
    """Score along each numeric axis of the contexts, one line a method; one figure for each of the other axes' values."""
    a = results.analysis
    places = places_of(results)
    figures: list[str] = []
    for name in [n for n in spread_axes(places, 3) if n in a.varying]:
        groups: dict[str, list[Place]] = {}
        for p in places:
            if name in p.numbers:
                others = [n for n in a.varying if n != name]
                groups.setdefault(axes.label_of(p.context.parts, others), []).append(p)
        figures += [_along(group, label, name, a.methods) for label, group in groups.items()]
    return "".join(figures[:MOST_FIGURES])


def _along(group: list[Place], label: str, name: str, methods: tuple[str, ...]) -> str:
    xs = sorted({p.numbers[name] for p in group})
    if len(xs) < 3:
        return ""
    series = []
    shown = [m for m in methods if any(p.cell.method == m for p in group)]
    for method in shown:
        own = {p.numbers[name]: p for p in group if p.cell.method == method}
        here = [own.get(x) for x in xs]
        given = [p.cell.metrics.get(p.context.score) if p else None for p in here]
        y = [converged_or_all(e, _overall(p)) for e, p in zip(given, here, strict=True)]
        low, high = ([getattr(e, end) if e else math.nan for e in given] for end in ("low", "high"))
        said = [diverged_mark(p.cell) if p else "" for p in here]
        banded = len(shown) <= MOST_BANDS and any(math.isfinite(v) for v in low)
        series.append(
            Series(method, style_of(method, methods), y, low if banded else (), high if banded else (), said=said)
        )
    c = group[0].context
    if math.isfinite(c.constant):
        series.append(Series("best constant prediction", "reference", [c.constant] * len(xs), plain=True))
    title = f"{c.score[:1].upper()}{c.score[1:]} against {_words(name)}" + (f": {label}" if label else "")
    caption = (
        "Test score of the runs that did not diverge, at each method's own learning rate, mean and 95 % interval (×: some "
        "did; where all did, what a constant prediction scores)."
    )
    log_x = xs[0] > 0 and xs[-1] / xs[0] >= 8
    labels = [axes.axis_text(name, x) for x in xs]
    ticks = xs if len(xs) <= 8 else ()
    return line_figure(
        title, caption, xs, series, labels=labels, x_name=_words(name), log=False, log_x=log_x, x_ticks=ticks
    )  # fmt: skip


def profile_figure(results: StudyResults) -> str:
    """The share of runs above each score, over all contexts."""
    a = results.analysis
    profiles = {m.method: m.profile for m in a.across if m.profile is not None}
    if not profiles:
        return ""
    thresholds = next(iter(profiles.values())).thresholds
    banded = len(profiles) <= MOST_BANDS
    series = [
        Series(
            method, style_of(method, a.methods), p.share, p.low if banded else (), p.high if banded else (), plain=True
        )
        for method, p in profiles.items()
    ]
    what = "share of the way to a perfect score" if a.scale == "share" else next(c.score for c in a.contexts if c.score)
    better = "higher" if larger_across(a) else "lower"
    caption = (
        f"Share of runs that score above each threshold, contexts weighing the same; {better} is better. Band: 95 %."
    )
    labels = [f"above {number(t)}" for t in thresholds]
    return line_figure("Performance profile", caption, thresholds, series, labels=labels, x_name=what, log=False)
