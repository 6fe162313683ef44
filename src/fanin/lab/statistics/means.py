"""Intervals of one cell: the mean (Student's t, and Hall's for skewed values) and the median (order statistics).

The functions named `..._ends` take arrays of shape (..., n), one sample a row, and return arrays of shape (...).
"""

import math

import numpy as np
from scipy.special import bdtr, stdtrit  # the quantiles without the second that scipy.stats takes to import

from fanin.errors import FaninValueError
from fanin.lab.statistics.arguments import Values, numbers, share
from fanin.lab.statistics.records import Estimate, Interval

FEWEST = 8  # values that can show their shape: of fewer, a hump that holds 30 % of a population is missed too often
T_SKEW = 0.2  # largest sample skewness over √n at which the t-interval is trusted
HALL_SKEW = 0.08, 0.36  # largest sample skewness over n, and over √n, at which Hall's is


def t_interval(values: Values, level: float = 0.95) -> Interval:
    """The mean of `values` with Student's t-interval; the ends are NaN where there are fewer than two values.

    An infinite value (the loss of a run that could not be scored) makes the mean infinite and the ends NaN. It is not to
    be trusted (`trusted`, `why`) where the values are fewer than eight, all equal, or too skewed for their number.

    Args:
        values: shape (n,), one a run.
        level: coverage of the interval, between 0 and 1.

    Student, The probable error of a mean, Biometrika 6 (1908).

    Example:
        >>> i = t_interval([1.0, 2.0, 3.0]); (i.mean, round(i.low, 3), round(i.high, 3), i.trusted)
        (2.0, -0.484, 4.484, False)
    """
    share("level", level)
    x = numbers("values", values)
    if x.size == 0:
        return Interval(math.nan, math.nan, math.nan, math.nan, 0, level, False, "there are no values")
    with np.errstate(invalid="ignore"):  # infinite values of both signs have no mean
        mean = float(np.mean(x))
    if x.size == 1 or not np.isfinite(x).all():
        why = "one value has no spread" if x.size == 1 else "a value is not finite"
        return Interval(mean, math.nan, math.nan, math.nan, int(x.size), level, False, why)
    low, high = t_ends(x, level)
    why = _doubt(x, t_limit(int(x.size)), "skew_interval")
    return Interval(mean, float(low), float(high), float(np.std(x, ddof=1)), int(x.size), level, not why, why)


def skew_interval(values: Values, level: float = 0.95) -> Estimate:
    """The mean of skewed values with Hall's interval: Student's t of a cubic that takes the skewness out.

    As wide as the t-interval where values are symmetric, and moved towards the long tail where they are not.

    Args:
        values: shape (n,), one a run, finite; at least three.
        level: coverage of the interval.

    P. Hall, On the removal of skewness by transformation, J. R. Statist. Soc. B 54 (1992), eq. 3.

    Example:
        >>> i = skew_interval([1, 1, 2, 1, 3, 1, 2, 9, 1, 2]); (i.value, round(i.low, 2), round(i.high, 2))
        (2.3, 1.18, 7.75)
    """
    share("level", level)
    x = numbers("values", values, least=3, finite=True)
    low, high = skew_ends(x, level)
    why = _doubt(x, skew_limit(int(x.size)), "median_interval")
    return Estimate(float(np.mean(x)), float(low), float(high), level, int(x.size), "Hall's t", not why, why)


def median_interval(values: Values, level: float = 0.95) -> Estimate:
    """The median with the narrowest pair of order statistics that covers it at `level`, whatever the population.

    `level` of the result is what the pair really covers, at least what was asked for. Fewer than six values cannot cover
    95 %: the result is then their whole range, with the level that it has, and not to be trusted for the one asked for.

    Args:
        values: shape (n,), one a run, without NaN; at least one. An infinite value counts as larger (smaller) than all.
        level: coverage wanted.

    W. R. Thompson, Ann. Math. Statist. 7 (1936); H. A. David, H. N. Nagaraja, Order Statistics (2003), section 7.1.

    Example:
        >>> i = median_interval([0.2, 0.9, 0.91, 0.92, 0.93, 0.94]); (i.low, i.high, i.level)
        (0.2, 0.94, 0.96875)
    """
    share("level", level)
    x = np.sort(numbers("values", values, least=1))
    if np.isnan(x).any():
        raise FaninValueError("values has a NaN, which is neither above nor below a median")
    n = x.size
    cut = int(np.sum(bdtr(np.arange(n // 2 + 1), n, 0.5) <= (1 - level) / 2))  # values left out at each end
    inside = max(cut, 1)
    achieved = 1 - 2 * float(bdtr(inside - 1, n, 0.5))
    why = "" if cut else f"{n} values cannot cover a median at {level:g}, but at {max(achieved, 0):.3g}"
    middle = float(np.median(x)) if np.isfinite(x).all() else float((x[(n - 1) // 2] + x[n // 2]) / 2)
    return Estimate(middle, float(x[inside - 1]), float(x[n - inside]), achieved, n, "order statistics", not why, why)


def mean_interval(values: Values, level: float = 0.95) -> Estimate:
    """The mean with the t-interval, or with Hall's where the values are too skewed for that: what a report shows.

    Args:
        values: shape (n,), one a run; at least one.
        level: coverage of the interval.

    Example:
        >>> mean_interval([0.91, 0.92, 0.92, 0.93, 0.91, 0.92, 0.93, 0.92]).method
        "Student's t"
    """
    x = numbers("values", values, least=1)
    t = t_interval(x, level)
    if t.trusted or x.size < FEWEST or not np.isfinite(x).all() or np.ptp(x) == 0:
        return Estimate(t.mean, t.low, t.high, level, t.count, "Student's t", t.trusted, t.why)
    return skew_interval(x, level)


def skewness(x: np.ndarray) -> np.ndarray:
    """Sample skewness G₁ = g₁ √(n(n - 1)) / (n - 2) along the last axis (0 where all values are equal), n at least 3.

    D. N. Joanes, C. A. Gill, The Statistician 47 (1998).
    """
    n = x.shape[-1]
    d = x - x.mean(-1, keepdims=True)
    m2, m3 = (d**2).mean(-1), (d**3).mean(-1)
    flat = m2 <= (1e-14 * np.abs(x).max(-1)) ** 2
    return np.where(flat, 0.0, m3 / np.where(flat, 1.0, m2) ** 1.5) * math.sqrt(n * (n - 1)) / (n - 2)


def t_ends(x: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of Student's interval of each row."""
    n = x.shape[-1]
    half = stdtrit(n - 1, 0.5 + level / 2) * x.std(-1, ddof=1) / math.sqrt(n)
    mean = x.mean(-1)
    return mean - half, mean + half


def skew_ends(x: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of Hall's interval of each row.

    With u = (mean - μ)/s and skewness γ, g(u) = u + γ u²/3 + γ² u³/27 + γ/(6n) has no skewness to the order 1/√n, rises
    everywhere, and is inverted in closed form.
    """
    n = x.shape[-1]
    mean, std, skew = x.mean(-1), x.std(-1, ddof=1), skewness(x)
    w = stdtrit(n - 1, 0.5 + level / 2) / math.sqrt(n)
    return mean - std * _uncubed(w, skew, n), mean - std * _uncubed(-w, skew, n)


def _uncubed(w: float, skew: np.ndarray, n: int) -> np.ndarray:
    small = np.abs(skew) < 1e-6  # there the closed form is 0/0, and w right to the twelfth digit
    safe = np.where(small, 1.0, skew)
    return np.where(small, w, 3 / safe * (np.cbrt(1 + safe * (w - safe / (6 * n))) - 1))


def t_limit(n: int) -> float:
    """The largest sample skewness of n values at which the t-interval is trusted; negative where none is.

    The error of its coverage goes with γ²/n (P. Hall, The Bootstrap and Edgeworth Expansion, 1992, section 3.5).
    """
    return T_SKEW * math.sqrt(n) if n >= FEWEST else -1.0


def skew_limit(n: int) -> float:
    """The same for Hall's interval."""
    return min(HALL_SKEW[0] * n, HALL_SKEW[1] * math.sqrt(n)) if n >= FEWEST else -1.0


def _doubt(x: np.ndarray, limit: float, instead: str) -> str:
    n = x.size
    if n < FEWEST:
        return f"{n} values cannot show whether their population is skewed or has two humps; it takes {FEWEST}"
    if np.ptp(x) == 0:  # as ten runs in a row of which one in twenty fails: three in five such samples
        return f"all {n} values are equal, which shows no spread"
    skew = float(skewness(x))
    if abs(skew) <= limit:
        return ""
    return f"a skewness of {skew:.2g} is too much for {n} values (at most ± {limit:.2g}); see {instead}"
