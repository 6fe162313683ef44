"""The share of runs that something happened to, such as divergence."""

import math

import numpy as np
from scipy.special import ndtri

from fanin.errors import FaninValueError
from fanin.lab.statistics.arguments import count, share
from fanin.lab.statistics.records import Estimate


def wilson(happened: int, runs: int, level: float = 0.95) -> Estimate:
    """The share happened / runs with Wilson's interval.

    Args:
        happened: runs that it happened to.
        runs: all runs; none at all gives NaN.
        level: coverage of the interval.

    E. B. Wilson, Probable inference, JASA 22 (1927).

    Example:
        >>> w = wilson(1, 10); (w.value, round(w.low, 3), round(w.high, 3))
        (0.1, 0.018, 0.404)
    """
    share("level", level)
    happened, runs = count("happened", happened), count("runs", runs)
    if happened > runs:
        raise FaninValueError(f"happened={happened} must be at most runs={runs}")
    if runs == 0:
        return Estimate(math.nan, math.nan, math.nan, level, 0, "Wilson", False, "there are no runs")
    low, high = wilson_ends(np.asarray(happened / runs), runs, level)
    return Estimate(happened / runs, float(low), float(high), level, runs, "Wilson")


def wilson_ends(part: np.ndarray, runs: float | np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of Wilson's interval of each share."""
    z = float(ndtri(0.5 + level / 2))
    middle = (part + z * z / (2 * runs)) / (1 + z * z / runs)
    half = z * np.sqrt(part * (1 - part) / runs + z * z / (4 * runs * runs)) / (1 + z * z / runs)
    low, high = np.where(part <= 0, 0.0, middle - half), np.where(part >= 1, 1.0, middle + half)
    return np.maximum(low, 0.0), np.minimum(high, 1.0)
