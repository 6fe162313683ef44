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
    contexts: Sequence[ContextAnalysis], plans: Sequence[str]
) -> tuple[tuple[Across, ...], Literal["score", "share", ""]]:
    """One record a method, over the contexts in which every method has runs; and the scale of their scores.

    Scores are taken as they are where all contexts share data and metric; else each as the share of the way from the
    best constant prediction to a perfect score. Where even that cannot be said, there is nothing to show.
    """
    shared = [c for c in contexts if len(c.done) == len(c.cells) and c.score]
    if len(shared) < 2 or len(plans) < 1:
        return (), ""
    same = len({(c.data, c.score) for c in shared}) == 1
    scale: Literal["score", "share"] = "score" if same else "share"
    scores = {p: [_scores(c, c.cell(p), same) for c in shared if c.cell(p)] for p in plans}
    scores = {p: cells for p, cells in scores.items() if len(cells) == len(shared) and all(len(v) for v in cells)}
    everything = [v for cells in scores.values() for cell in cells for v in cell]
    if plans[0] not in scores or not np.isfinite(everything).all():
        return (), ""
    sign = 1 if not same or shared[0].larger_is_better else -1
    thresholds = np.linspace(min(everything), max(everything), THRESHOLDS)
    return tuple(
        Across(
            plan=plan,
            mean=interquartile_mean(cells),
            improvement=None
            if plan == plans[0]
            else probability_of_improvement([sign * v for v in cells], [sign * v for v in scores[plans[0]]]),
            profile=performance_profile(cells, thresholds) if len(thresholds) and np.ptp(everything) > 0 else None,
            best_in=sum(c.best == plan for c in shared),
            contexts=len(shared),
        )
        for plan, cells in scores.items()
    ), scale


def _scores(context: ContextAnalysis, cell: Cell | None, raw: bool) -> np.ndarray:
    scores = np.asarray(cell.scores if cell else (), dtype=float)
    if raw:
        return scores
    way = perfect(context.score) - context.constant
    return (scores - context.constant) / way if way and math.isfinite(way) else scores * math.nan
