"""One method over all contexts: what holds on the whole, and not in one cell only."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from fanin.lab.analysis.facts import perfect
from fanin.lab.analysis.records import Across, Cell, ContextAnalysis
from fanin.lab.statistics import interquartile_mean, performance_profile, probability_of_improvement

THRESHOLDS = 41  # of a performance profile


def across_of(
    contexts: Sequence[ContextAnalysis], methods: Sequence[str]
) -> tuple[tuple[Across, ...], Literal["score", "share", ""]]:
    """One record a method, over the contexts in which every method has runs; and the scale of their scores.

    Scores are taken as they are where all contexts share data and metric; else each as the share of the way from the
    best constant prediction to a perfect score. Where even that cannot be said, there is nothing to show.
    """
    shared = [c for c in contexts if len(c.done) == len(c.cells) and c.score]
    if len(shared) < 2 or len(methods) < 1:
        return (), ""
    same = len({(c.data, c.score) for c in shared}) == 1
    scale: Literal["score", "share"] = "score" if same else "share"
    scores = {p: [_scores(c, c.cell(p), same) for c in shared if c.cell(p)] for p in methods}
    scores = {p: cells for p, cells in scores.items() if len(cells) == len(shared) and all(len(v) for v in cells)}
    everything = [v for cells in scores.values() for cell in cells for v in cell]
    if methods[0] not in scores or not np.isfinite(everything).all():
        return (), ""
    sign = 1.0 if not same or shared[0].larger_is_better else -1.0
    thresholds = np.linspace(min(everything), max(everything), THRESHOLDS)
    return tuple(
        Across(
            method=method,
            mean=interquartile_mean(_by_context(cells)),
            improvement=None
            if method == methods[0]
            else probability_of_improvement(_by_context(cells, sign), _by_context(scores[methods[0]], sign)),
            profile=performance_profile(_by_context(cells), thresholds) if np.ptp(everything) > 0 else None,
            best_in=sum(c.cell(method) is c.cell(c.best) for c in shared),
            contexts=len(shared),
        )
        for method, cells in scores.items()
    ), scale


def _scores(context: ContextAnalysis, cell: Cell | None, raw: bool) -> list[float]:
    scores = list(cell.scores) if cell else []
    if raw:
        return scores
    way = perfect(context.score) - context.constant
    return [(v - context.constant) / way if way and math.isfinite(way) else math.nan for v in scores]


def _by_context(cells: Sequence[Sequence[float]], factor: float = 1.0) -> dict[int, list[float]]:
    """Context → scores of its runs, of which there may be another number in each: what is compared is within a context."""
    return {place: [factor * v for v in cell] for place, cell in enumerate(cells)}
