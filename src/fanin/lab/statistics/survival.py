"""Time to a target as censored data: runs that never arrive are kept in."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import chdtrc, ndtri, stdtrit

from fanin.errors import FaninValueError
from fanin.lab.statistics.arguments import Values, numbers, one_of, positive, share
from fanin.lab.statistics.means import FEWEST, skewness, t_limit
from fanin.lab.statistics.records import Estimate, Survival, Tested
from fanin.lab.statistics.shares import share_ends


def kaplan_meier(
    times: Values,
    reached: Sequence[bool],
    horizon: float | None = None,
    level: float = 0.95,
    band: str = "rothman",
) -> Survival:
    """The share of runs that have not reached the target yet, with its band, its median and its restricted mean.

    The band is that of `wilson`, for as many runs as would give a plain share Greenwood's variance (Rothman): it is not
    empty before the first run arrives nor after the last. The "log-log" band of most packages (Greenwood's variance on the
    scale of log(-log share)) is, and covers too seldom below ten runs. The median's interval holds the times at which
    the log-log band holds ½ (R. Brookmeyer, J. Crowley, Biometrics 38, 1982). The mean of min(time, horizon) is the area
    under the curve; its interval takes Greenwood's variance and Student's quantile.

    Args:
        times: shape (n,), time of the event where `reached`, else the time up to which the run was watched; finite, ≥ 0.
        reached: shape (n,), whether the run reached the target. A diverged run was watched up to the horizon: it will
            never be there.
        horizon: the time up to which the restricted mean is taken; the largest time unless said.
        level: of band and intervals.
        band: "rothman" or "log-log".

    E. L. Kaplan, P. Meier, Nonparametric estimation from incomplete observations, JASA 53 (1958); M. Greenwood, Reports
    on Public Health and Medical Subjects 33 (1926); K. J. Rothman, Journal of Chronic Diseases 31 (1978); J. D.
    Kalbfleisch, R. L. Prentice, The Statistical Analysis of Failure Time Data (1980), section 1.3.

    Example:
        >>> s = kaplan_meier([10, 20, 30, 30], [True, True, False, False])
        >>> s.share, s.median.value, s.restricted_mean.value
        ((0.75, 0.5), 20.0, 22.5)
    """
    share("level", level)
    one_of("band", band, ("rothman", "log-log"))
    t, event = _watched(times, reached)
    end = float(t.max()) if horizon is None else positive("horizon", horizon)
    at, deaths, risk = _table(t, event)
    curve = np.cumprod(1 - deaths / risk)
    wide = log_log_band(curve, deaths, risk, level)
    low, high = wide if band == "log-log" else _rothman(curve, deaths, risk, level)
    return Survival(
        times=tuple(at.tolist()),
        share=tuple(curve.tolist()),
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        low_before=1.0 if band == "log-log" else float(share_ends(np.ones(()), t.size, level)[0]),
        at_risk=tuple(risk.tolist()),
        events=tuple(deaths.tolist()),
        median=_median(at, curve, *wide, t, level),
        restricted_mean=_restricted_mean(t, event, end, level),
        horizon=end,
        level=level,
        runs=int(t.size),
        reached=int(event.sum()),
        trusted=band == "rothman",
        why="" if band == "rothman" else "a log-log band has no width before the first run arrives nor after the last",
    )


def _watched(times: Values, reached: Sequence[bool]) -> tuple[np.ndarray, np.ndarray]:
    t, event = numbers("times", times, least=1, finite=True), np.asarray(reached, dtype=bool)
    if event.shape != t.shape:
        raise FaninValueError(f"times has {t.size} values and reached {event.size}, but they must be as many")
    if t.min() < 0:
        raise FaninValueError(f"times has the value {t.min():g}, but must have none below 0")
    return t, event


def _table(t: np.ndarray, event: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times of events, the events at each, and the runs at risk just before each."""
    at, deaths = np.unique(t[event], return_counts=True)
    return at, deaths, t.size - np.searchsorted(np.sort(t), at, "left")


def log_log_band(
    curve: np.ndarray, deaths: np.ndarray, risk: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Greenwood's band on the scale of log(-log share), from the curve and the events and runs at risk at each time."""
    z = float(ndtri(0.5 + level / 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.cumsum(deaths / (risk * (risk - deaths)))
        wide = z * np.sqrt(greenwood) / np.log(curve)
        low, high = curve ** np.exp(-wide), curve ** np.exp(wide)
    gone = curve <= 0  # the variance of a share of 0 is 0/0: all that is known is that it fell to 0
    return np.where(gone, 0.0, low), np.where(gone, 0.0, high)


def _rothman(curve: np.ndarray, deaths: np.ndarray, risk: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    left = risk > deaths  # where no run is left, as many count as just before
    greenwood = np.cumsum(deaths[left] / (risk[left] * (risk[left] - deaths[left])))
    runs = np.full(curve.size, float(risk[0]) if risk.size else 0.0)
    runs[left] = (1 - curve[left]) / (curve[left] * greenwood)
    if left.any() and not left.all():
        runs[~left] = runs[left][-1]
    return share_ends(curve, runs, level)


def _crossing(at: np.ndarray, curve: np.ndarray) -> float:
    below = np.flatnonzero(curve <= 0.5 + 1e-12)
    return float(at[below[0]]) if below.size else math.inf


def _median(
    at: np.ndarray, curve: np.ndarray, low: np.ndarray, high: np.ndarray, t: np.ndarray, level: float
) -> Estimate:
    runs = int(t.size)
    reaches = 1 - 2.0 ** (1 - runs)  # the chance that the median lies between the first and the last of so many
    why = "" if reaches >= level else f"{runs} runs cannot cover a median at {level:g}, but at {max(reaches, 0):.3g}"
    ends = min(_crossing(at, low), float(t.max())), _crossing(at, high)  # no run says what comes after the last watched
    return Estimate(_crossing(at, curve), *ends, level, runs, "Brookmeyer-Crowley", not why, why)


def _restricted_mean(t: np.ndarray, event: np.ndarray, end: float, level: float) -> Estimate:
    n = int(t.size)
    value, variance = _area(t, event, end)
    if n < 2:
        return Estimate(value, math.nan, math.nan, level, n, "Greenwood", False, "one run has no spread")
    # n/(n - 1) makes it the usual variance of a mean where nothing is censored before the horizon
    half = float(stdtrit(n - 1, 0.5 + level / 2)) * math.sqrt(variance * n / (n - 1))
    why = ""
    if n < FEWEST:
        why = f"{n} runs cannot show the shape of their times; it takes {FEWEST}"
    elif variance == 0:
        why = "all runs took the same time, or none arrived before the horizon"
    else:
        kept = ~np.eye(n, dtype=bool)
        pseudo = np.array([n * value - (n - 1) * _area(t[k], event[k], end)[0] for k in kept])
        skew = float(skewness(pseudo))
        if abs(skew) > t_limit(n):
            why = f"a skewness of {skew:.2g} is too much for {n} runs (at most ± {t_limit(n):.2g}); see the median"
    return Estimate(value, max(0.0, value - half), min(end, value + half), level, n, "Greenwood", not why, why)


def _area(t: np.ndarray, event: np.ndarray, end: float) -> tuple[float, float]:
    """The area under the curve up to `end`, and Greenwood's variance of it."""
    at, deaths, risk = _table(t, event)
    inside = at < end
    at, deaths, risk = at[inside], deaths[inside], risk[inside]
    edges = np.concatenate([[0.0], at, [end]])
    areas = np.concatenate([[1.0], np.cumprod(1 - deaths / risk)]) * np.diff(edges)
    after = np.cumsum(areas[::-1])[::-1][1:]  # from each event on
    left = risk > deaths
    terms = after[left] ** 2 * deaths[left] / (risk[left] * (risk[left] - deaths[left]))
    return float(areas.sum()), float(np.sum(terms))


def log_rank(*groups: tuple[Values, Sequence[bool]]) -> Tested:
    """Test of "all groups reach the target equally fast", for two or more groups.

    Args:
        groups: for each its times and whether they were reached, as in `kaplan_meier`.

    N. Mantel, Cancer Chemotherapy Reports 50 (1966); R. Peto, J. Peto, J. R. Statist. Soc. A 135 (1972).

    Example:
        >>> fast, slow = ([10, 20, 30], [True, True, True]), ([40, 50, 60], [True, True, False])
        >>> round(log_rank(fast, slow).p, 4)
        0.0246
    """
    if len(groups) < 2:
        raise FaninValueError(f"groups has {len(groups)} groups, but must have at least two")
    watched = [_watched(times, reached) for times, reached in groups]
    t, event = (np.concatenate(parts) for parts in zip(*watched, strict=True))
    at, deaths, risk = _table(t, event)
    risks = np.array([x.size - np.searchsorted(np.sort(x), at, "left") for x, _ in watched], dtype=float)
    seen = np.array([np.sum(e) for _, e in watched], dtype=float)
    share_of = risks / risk
    excess = seen - (share_of * deaths).sum(1)
    scale = np.where(risk > 1, deaths * (risk - deaths) / np.maximum(risk - 1, 1), 0.0)
    covariance = (np.diag((share_of * scale).sum(1))) - (share_of * scale) @ share_of.T
    statistic = float(excess[:-1] @ np.linalg.pinv(covariance[:-1, :-1], hermitian=True) @ excess[:-1])
    return Tested(float(chdtrc(len(groups) - 1, statistic)), "log-rank", statistic, int(t.size))
