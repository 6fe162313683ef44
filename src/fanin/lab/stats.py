"""Statistics over few seeds: t-intervals, paired tests, Holm's correction, and times that some runs never reached."""

import math
from collections.abc import Sequence

import numpy as np

from fanin.errors import FaninValueError
from fanin.lab.records import Interval, StepsToTarget

FEWEST_PAIRS = 6  # of fewer, even differences of one sign have p > .05: the test could say nothing
EXACT_PAIRS = 16  # 2**16 sign patterns are listed one by one; above that, the signed-rank test


def t_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """The mean of `values` with its t-interval at `level`; the ends are NaN where there are fewer than two values.

    An infinite value (the loss of a run that could not be scored) makes the mean infinite and the ends NaN.

    Example:
        >>> i = t_interval([1.0, 2.0, 3.0]); (i.mean, round(i.low, 3), round(i.high, 3))
        (2.0, -0.484, 4.484)
    """
    if not 0 < level < 1:
        raise FaninValueError(f"level={level} must lie between 0 and 1")
    x = np.asarray(values, dtype=float)
    if x.size == 0:
        return Interval(math.nan, math.nan, math.nan, math.nan, 0, level)
    mean = float(np.mean(x))
    if x.size == 1 or not np.isfinite(x).all():
        return Interval(mean, math.nan, math.nan, math.nan, int(x.size), level)
    from scipy.special import stdtrit  # the t quantile, without the second that scipy.stats takes to import

    std = float(np.std(x, ddof=1))
    half = float(stdtrit(x.size - 1, 0.5 + level / 2)) * std / math.sqrt(x.size)
    return Interval(mean, mean - half, mean + half, std, int(x.size), level)


def paired_test(differences: Sequence[float]) -> tuple[float, str]:
    """Two-sided p of "the differences are symmetric about zero", and the name of the test.

    Up to 16 pairs: the exact sign-flip permutation test of the mean. Beyond: Wilcoxon's signed-rank test, Pratt's way
    with zeros. NaN with fewer than six pairs, since the smallest p of n pairs is 2 / 2**n.
    """
    d = np.asarray(differences, dtype=float)
    if d.size < FEWEST_PAIRS or not np.isfinite(d).all():
        return math.nan, "sign-flip"
    if d.size <= EXACT_PAIRS:
        return _sign_flip(d), "sign-flip"
    if not d.any():
        return 1.0, "wilcoxon"
    from scipy.stats import wilcoxon

    return float(wilcoxon(d, zero_method="pratt").pvalue), "wilcoxon"  # type: ignore[union-attr]


def _sign_flip(d: np.ndarray) -> float:
    sums = np.zeros(1)
    for value in d:
        sums = np.concatenate([sums + value, sums - value])
    slack = 1e-12 * np.abs(d).sum()  # sums that are equal on paper differ in their last bits
    return float(np.mean(np.abs(sums) >= abs(d.sum()) - slack))


def holm(ps: Sequence[float]) -> tuple[float, ...]:
    """Holm's step-down correction: adjusted p values in the order given; NaN stays NaN and counts as no test.

    S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6 (1979).
    """
    tests = sorted((p, i) for i, p in enumerate(ps) if not math.isnan(p))
    adjusted = [math.nan] * len(ps)
    running = 0.0
    for rank, (p, i) in enumerate(tests):
        running = max(running, min(1.0, p * (len(tests) - rank)))
        adjusted[i] = running
    return tuple(adjusted)


def kaplan_meier(times: Sequence[float], reached: Sequence[bool]) -> tuple[tuple[float, float], ...]:
    """The share of runs that have not reached the target yet: (time, share just after it) at each time of an event.

    `times` holds the time of the event where `reached`, else the time up to which the run was watched.

    E. L. Kaplan, P. Meier, Nonparametric estimation from incomplete observations, JASA 53 (1958).
    """
    if len(times) != len(reached):
        raise FaninValueError(f"times has {len(times)} values and reached {len(reached)}, but they must be as many")
    t, event = np.asarray(times, dtype=float), np.asarray(reached, dtype=bool)
    share, curve = 1.0, []
    for time in np.unique(t[event]):
        at_risk = int(np.sum(t >= time))
        share *= 1 - int(np.sum(event & (t == time))) / at_risk
        curve.append((float(time), share))
    return tuple(curve)


def steps_to_target(target: float, reached_at: Sequence[int | None], horizon: int) -> StepsToTarget:
    """Median and restricted mean of the steps to a target; None stands for a run that was not there by `horizon`.

    A run that diverged counts as watched up to the horizon: it will never be there.
    """
    times = [horizon if r is None else r for r in reached_at]
    curve = kaplan_meier(times, [r is not None for r in reached_at])
    median = next((time for time, share in curve if share <= 0.5 + 1e-12), None)
    area, last, share = 0.0, 0.0, 1.0
    for time, after in (*curve, (float(horizon), 0.0)):
        area += share * (time - last)
        last, share = time, after
    reached = sum(r is not None for r in reached_at)
    restricted = area if times else math.nan
    return StepsToTarget(target, reached, len(times), median, restricted, horizon)
