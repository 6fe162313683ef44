"""Resampling with cells kept apart: the stratified bootstrap."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from fanin.lab.statistics.arguments import Scores, columns, count, one_of, share
from fanin.lab.statistics.records import Estimate

# A statistic takes pooled scores (..., total), cell after cell, and the cells' sizes, and gives figures (...).
Statistic = Callable[[np.ndarray, Sequence[int]], np.ndarray]
METHODS = ("expanded", "percentile", "bca")
RESAMPLES = 2000
FREEDOM = 7.0  # least degrees of freedom of the figure's spread: of eight runs of one cell, of five in each of a few
SKEW = 0.2  # largest skewness of the figure (its runs' influences added up); of one cell that is skewness over √n
PLAIN_RUNS = 20  # a cell, for percentiles that nothing makes up for
LEAST_PULL = 0.2  # of BCa's denominator, which few runs in a long tail take through 0
AT_ONCE = 4_000_000  # resampled scores held at once


def stratified_bootstrap(
    scores: Scores,
    statistic: Statistic,
    *,
    level: float = 0.95,
    method: str = "expanded",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """A figure across cells with its bootstrap interval: runs are resampled within each cell, cells are kept.

    Args:
        scores: matrix (runs × cells), or a dictionary cell → scores where cells have different numbers of runs.
        statistic: see `fanin.lab.statistics.aggregates`: `interquartile_mean_of` and its like.
        level: coverage of the interval.
        method: "percentile" (the paper's; too narrow for few runs, as resamples of n have (n - 1)/n of their spread), "bca"
            (bias-corrected and accelerated: B. Efron, JASA 82, 1987) or "expanded" (Student's quantiles in place of the
            normal ones and √(n/(n - 1)) in front of them, after T. C. Hesterberg, American Statistician 69, 2015, section
            5.3, then Efron's acceleration with the bias that goes with it for a mean, which leans it to the long tail).
        resamples: number of them.
        seed: of the resampling.

    R. Agarwal et al., Deep reinforcement learning at the edge of the statistical precipice, NeurIPS 2021.

    Example:
        >>> from fanin.lab.statistics import interquartile_mean_of
        >>> scores = np.linspace(0, 1, 40).reshape(10, 4)
        >>> e = stratified_bootstrap(scores, interquartile_mean_of); (round(e.value, 3), e.low < e.value < e.high)
        (0.5, True)
    """
    share("level", level)
    one_of("method", method, METHODS)
    count("resamples", resamples, least=2)
    cells = columns("scores", scores)
    sizes = [c.size for c in cells]
    pooled = np.concatenate(cells)
    value = float(statistic(pooled, sizes))
    drawn = resampled(cells, statistic, resamples, np.random.default_rng(count("seed", seed)))
    pull = influence(pooled, sizes, statistic)
    df = freedom(pull)
    low, high = percentiles(method, level, drawn, value, min(sizes), df, np.concatenate(pull))
    why = doubt(method, min(sizes), df, np.concatenate(pull), bool(np.ptp(drawn) == 0))
    ends = np.quantile(drawn, [low, high])
    return Estimate(value, float(ends[0]), float(ends[1]), level, len(pooled), f"bootstrap, {method}", not why, why)


def resampled(
    cells: Sequence[np.ndarray], statistic: Statistic, resamples: int, generator: np.random.Generator
) -> np.ndarray:
    """The statistic of each of `resamples` stratified resamples, shape (resamples,)."""
    sizes = [c.size for c in cells]
    found, at_once = [], max(1, AT_ONCE // sum(sizes))
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        drawn = [cell[generator.integers(0, cell.size, (rows, cell.size))] for cell in cells]
        found.append(statistic(np.concatenate(drawn, axis=1), sizes))
    return np.concatenate(found)


def influence(pooled: np.ndarray, sizes: Sequence[int], statistic: Statistic) -> list[np.ndarray]:
    """How much each run moves the figure, one array a cell, by leaving it out of its cell.

    A. C. Davison, D. V. Hinkley, Bootstrap Methods and their Application (1997), section 3.2.1.
    """
    found, start = [], 0
    for i, n in enumerate(sizes):
        pull = np.zeros(n)
        if n > 1:
            smaller = [*sizes[:i], n - 1, *sizes[i + 1 :]]
            kept = np.ones((n, pooled.size), dtype=bool)
            kept[np.arange(n), start + np.arange(n)] = False
            without = statistic(np.broadcast_to(pooled, kept.shape)[kept].reshape(n, -1), smaller)
            pull = (n - 1) * (without.mean() - without) / n
        found.append(pull)
        start += n
    return found


def freedom(pull: Sequence[np.ndarray]) -> float:
    """Degrees of freedom of the figure's spread, from the runs' influence (F. E. Satterthwaite 1946); 0 if nothing moves it."""
    parts = [(float(np.sum(p**2)) * p.size / (p.size - 1), p.size - 1) for p in pull if p.size > 1]
    total = sum(v for v, _ in parts)
    return total**2 / sum(v * v / df for v, df in parts) if total > 0 else 0.0


def percentiles(
    method: str, level: float, drawn: np.ndarray, value: float, runs: int, df: float, pull: np.ndarray
) -> tuple[float, float]:
    """The two shares of the resampled figures that are the ends of the interval."""
    tail = (1 - level) / 2
    if method == "percentile":
        return tail, 1 - tail
    a = _skew(pull) / 6
    if method == "expanded":
        if runs < 2 or df == 0:
            return 0.0, 1.0
        bias, z = a, math.sqrt(runs / (runs - 1)) * float(stdtrit(df, 1 - tail))
    else:
        below = (np.sum(drawn < value) + 0.5 * np.sum(drawn == value)) / drawn.size
        bias, z = float(ndtri(min(max(below, 0.5 / drawn.size), 1 - 0.5 / drawn.size))), float(ndtri(1 - tail))
    ends = [bias + (bias + end) / max(1 - a * (bias + end), LEAST_PULL) for end in (-z, z)]
    return float(ndtr(ends[0])), float(ndtr(ends[1]))


def _skew(pull: np.ndarray) -> float:
    """Skewness of the sum of the influences."""
    spread = float(np.sum(pull**2)) ** 1.5
    return float(np.sum(pull**3)) / spread if spread > 0 else 0.0


def doubt(method: str, runs: int, df: float, pull: np.ndarray, flat: bool) -> str:
    """Why such an interval is not to be trusted, "" where it is."""
    if runs < 2:
        return "a cell has one run only, which has no spread"
    if flat:
        return "no resample differs from the scores"
    if method != "expanded" and runs < PLAIN_RUNS:
        return f"resamples of {runs} runs a cell spread too little, and only method='expanded' makes up for it"
    if df < FREEDOM:
        return f"the figure's spread rests on {df:.2g} degrees of freedom; it takes {FREEDOM:g}"
    if abs(_skew(pull)) > SKEW:
        return f"the figure's skewness of {_skew(pull):.2g} is too much for so few runs (at most ± {SKEW:g})"
    return ""
