"""One method over many cells: scores of runs × cells to one figure with its interval, or to a profile.

R. Agarwal, M. Schwarzer, P. S. Castro, A. Courville, M. G. Bellemare, Deep reinforcement learning at the edge of the
statistical precipice, NeurIPS 2021 (the library rliable has the same definitions; scores of cells must be comparable, for
instance the share of the way from the best constant prediction to a reference).

The functions named `..._of` are statistics as `stratified_bootstrap` takes them: pooled scores (..., total), cell after
cell, and the cells' sizes, to figures (...).
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from fanin.lab.statistics.arguments import Scores, Values, columns, numbers, share
from fanin.lab.statistics.bootstrap import RESAMPLES, Statistic, stratified_bootstrap
from fanin.lab.statistics.records import Estimate, Profile
from fanin.lab.statistics.shares import share_ends


def interquartile_mean_of(pooled: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Mean of the middle half of all runs: a quarter of them (rounded down) is left out at each end."""
    total = pooled.shape[-1]
    cut = total // 4
    if cut == 0:
        return pooled.mean(-1)
    ordered = np.partition(pooled, (cut, total - cut - 1), axis=-1)
    return ordered[..., cut : total - cut].mean(-1)


def mean_of(pooled: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Mean over cells of their means."""
    return _cell_means(pooled, sizes).mean(-1)


def median_of(pooled: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Median over cells of their means."""
    return np.median(_cell_means(pooled, sizes), axis=-1)


def optimality_gap_of(pooled: np.ndarray, sizes: Sequence[int], target: float = 1.0) -> np.ndarray:
    """How far runs stay below `target` on average; what lies above it counts as 0."""
    return _cell_means(target - np.minimum(pooled, target), sizes).mean(-1)


def _cell_means(pooled: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    return np.add.reduceat(pooled, starts, axis=-1) / np.asarray(sizes)


def interquartile_mean(
    scores: Scores, level: float = 0.95, method: str = "expanded", resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """The mean of the middle half of all runs over all cells: odd runs do not move it, and it uses more than a median.

    Args:
        scores: matrix (runs × cells), or a dictionary cell → scores where cells have different numbers of runs.
        level, method, resamples, seed: of the interval, see `stratified_bootstrap`.

    Agarwal et al. 2021, section 4.3.

    Example:
        >>> interquartile_mean([[0, 4], [1, 5], [2, 6], [3, 70]]).value
        3.5
    """
    return stratified_bootstrap(
        scores, interquartile_mean_of, level=level, method=method, resamples=resamples, seed=seed
    )


def mean_score(
    scores: Scores, level: float = 0.95, method: str = "expanded", resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """The mean over cells of their means; arguments as in `interquartile_mean`.

    Example:
        >>> mean_score([[0, 1, 2, 3], [4, 5, 6, 7]]).value
        3.5
    """
    return stratified_bootstrap(scores, mean_of, level=level, method=method, resamples=resamples, seed=seed)


def median_score(
    scores: Scores, level: float = 0.95, method: str = "expanded", resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """The median over cells of their means; arguments as in `interquartile_mean`.

    Example:
        >>> median_score({"a": [0, 1], "b": [2, 3, 2.5], "c": [40, 50]}).value
        2.5
    """
    return stratified_bootstrap(scores, median_of, level=level, method=method, resamples=resamples, seed=seed)


def optimality_gap(
    scores: Scores,
    target: float = 1.0,
    level: float = 0.95,
    method: str = "expanded",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """How far runs stay below `target` on average, smaller is better; other arguments as in `interquartile_mean`.

    Agarwal et al. 2021, section 4.3.

    Example:
        >>> optimality_gap([[0.5, 1.5], [0.7, 0.9]]).value
        0.225
    """
    statistic: Statistic = partial(optimality_gap_of, target=target)
    return stratified_bootstrap(scores, statistic, level=level, method=method, resamples=resamples, seed=seed)


def performance_profile(scores: Scores, thresholds: Values, level: float = 0.95) -> Profile:
    """The share of runs above each threshold, cells weighing the same (run-score distribution), with a pointwise band.

    The band is that of `wilson`: a bootstrap band shrinks to nothing where no run, or every run, lies above the threshold.
    It is right for one cell and errs on the safe side for several, whose shares spread less than one binomial share.

    Args:
        scores: matrix (runs × cells), or a dictionary cell → scores where cells have different numbers of runs.
        thresholds: τ, shape (t,).
        level: of the band at each threshold by itself.

    Agarwal et al. 2021, section 4.2 and eq. 1.

    Example:
        >>> p = performance_profile([[0.1, 0.4], [0.5, 0.6], [0.9, 0.8]], [0.0, 0.45, 0.85]); [round(s, 3) for s in p.share]
        [1.0, 0.667, 0.167]
    """
    share("level", level)
    cells = columns("scores", scores)
    taus = np.sort(numbers("thresholds", thresholds, least=1, finite=True))
    above = np.array([np.mean(cell[:, None] > taus, axis=0) for cell in cells])  # (cells, thresholds)
    mean = above.mean(0)
    weight = np.array([1 / (len(cells) ** 2 * cell.size) for cell in cells])
    runs = 1 / weight.sum()  # of one sample as large as all cells together, where their sizes are the same
    low, high = share_ends(mean, runs, level)
    total = sum(cell.size for cell in cells)
    return Profile(
        thresholds=tuple(taus.tolist()),
        share=tuple(mean.tolist()),
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        level=level,
        count=total,
        method="Wilson",
    )
