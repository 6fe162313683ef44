"""The share of runs that something happened to, such as divergence."""

import functools
import math

import numpy as np
from scipy.special import bdtr, betaincinv, ndtri

from fanin.errors import FaninValueError
from fanin.lab.statistics.arguments import count, share
from fanin.lab.statistics.records import Estimate

LOWEST_TAIL = 1e-3


def slack(level: float) -> float:
    """What the coverage may fall short of `level`: two points at 95 % and below, less above (0.4 at 99 %)."""
    return min(0.02, 0.4 * (1 - level))


def wilson(happened: int, runs: int, level: float = 0.95, *, textbook: bool = False) -> Estimate:
    """The share happened / runs with Wilson's interval, its ends moved out where a true share would be covered too seldom.

    A count moves in steps, and the coverage of Wilson's own interval swings with the true share, down to 84 % for rare
    events, however many the runs. So each end is the outer one of Wilson's and of Clopper and Pearson's at a tail that is
    chosen, by exact sums, as large as it may be for no true share to be covered less than two points below `level`.

    Args:
        happened: runs that it happened to.
        runs: all runs; none at all gives NaN.
        level: coverage of the interval.
        textbook: Wilson's own ends, trusted only where no share between them is covered less than that.

    E. B. Wilson, Probable inference, JASA 22 (1927); C. J. Clopper, E. S. Pearson, Biometrika 26 (1934); L. D. Brown,
    T. T. Cai, A. DasGupta, Interval estimation for a binomial proportion, Statistical Science 16 (2001).

    Example:
        >>> w = wilson(1, 10); (w.value, round(w.low, 3), round(w.high, 3))
        (0.1, 0.004, 0.419)
        >>> w = wilson(1, 10, textbook=True); (round(w.low, 3), round(w.high, 3), w.trusted)
        (0.018, 0.404, False)
    """
    share("level", level)
    happened, runs = count("happened", happened), count("runs", runs)
    if happened > runs:
        raise FaninValueError(f"happened={happened} must be at most runs={runs}")
    if runs == 0:
        return Estimate(math.nan, math.nan, math.nan, level, 0, "Wilson", False, "there are no runs")
    part, why = np.asarray(happened / runs), ""
    if textbook:
        low, high = wilson_ends(part, runs, level)
        least = worst_coverage(*wilson_ends(np.arange(runs + 1) / runs, runs, level), float(low), float(high))
        if least < level - slack(level):
            why = f"a share between its ends is covered at {least:.3g} only"
    else:
        low, high = share_ends(part, runs, level)
    return Estimate(float(part), float(low), float(high), level, runs, "Wilson", not why, why)


def wilson_ends(part: np.ndarray, runs: float | np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of Wilson's own interval of each share."""
    z = float(ndtri(0.5 + level / 2))
    middle = (part + z * z / (2 * runs)) / (1 + z * z / runs)
    half = z * np.sqrt(part * (1 - part) / runs + z * z / (4 * runs * runs)) / (1 + z * z / runs)
    low, high = np.where(part <= 0, 0.0, middle - half), np.where(part >= 1, 1.0, middle + half)
    return np.maximum(low, 0.0), np.minimum(high, 1.0)


def share_ends(part: np.ndarray, runs: float | np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of the interval of `wilson` for each share; `runs` may be fractions, as of cells that differ in size."""
    whole, places = np.unique(np.maximum(1, np.floor(np.asarray(runs) * (1 + 1e-9))), return_inverse=True)
    tails = np.array([_tail(int(n), level) for n in whole])[places].reshape(np.shape(runs))
    return _outer(part, runs, level, tails)


def _outer(
    part: np.ndarray, runs: float | np.ndarray, level: float, tail: float | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    low, high = wilson_ends(part, runs, level)
    x = part * runs
    none, every = part <= 0, part >= 1
    lower = np.where(none, 0.0, betaincinv(np.where(none, 1.0, x), runs - x + 1, tail))
    upper = np.where(every, 1.0, betaincinv(x + 1, np.where(every, 1.0, runs - x), 1 - tail))
    return np.minimum(low, lower), np.maximum(high, upper)


@functools.cache
def _tail(runs: int, level: float) -> float:
    """The largest tail of Clopper and Pearson's with which no true share is covered less than `level` less its `slack`."""
    parts = np.arange(runs + 1) / runs

    def enough(tail: float) -> bool:
        return worst_coverage(*_outer(parts, runs, level, tail)) >= level - slack(level)

    low, high = (
        min(LOWEST_TAIL, (1 - level) / 2),
        1 - level + slack(level),
    )  # at the lower one Clopper and Pearson guarantee it
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if enough(middle) else (low, middle)
    return low


def worst_coverage(low: np.ndarray, high: np.ndarray, least: float = 0.0, most: float = 1.0) -> float:
    """The smallest exact coverage over true shares from `least` to `most`, of intervals low[x], high[x] for x = 0..n.

    Between two neighbouring ends the counts that cover are the same, and the chance of them has no minimum inside.
    """
    n = low.size - 1
    ends = np.unique(np.concatenate([low, high, [0.0, 1.0, least, most]]))
    ends = ends[(ends >= least) & (ends <= most)]
    left, right = ends[:-1], ends[1:]
    first = np.searchsorted(high, right, "left")  # counts first..last cover the open piece
    last = np.searchsorted(low, left, "right") - 1
    chances = [_between(first, last, n, p) for p in (left, right)]
    return float(min(c.min() for c in chances))


def _between(first: np.ndarray, last: np.ndarray, n: int, p: np.ndarray) -> np.ndarray:
    below = np.where(first > 0, bdtr(np.maximum(first - 1, 0), n, p), 0.0)
    return np.where(last >= first, bdtr(np.minimum(last, n), n, p) - below, 0.0)
