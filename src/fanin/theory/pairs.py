"""Expectations over a pair of correlated Gaussians: what two inputs become in a wide layer.

With u = √q₁ (a A + b B) and v = √q₂ (a A - b B), a² = (1 + c)/2, b² = (1 - c)/2, the integral over A for a fixed B is smooth
between the places where u or v meets a kink, and as a function of B it is smooth between the few places where two kinks meet.
So both are integrated between those places, and ½ E (f(u) - f(v))² comes without the cancellation of 1 - c.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np

from fanin.activations import Array
from fanin.errors import FaninValueError
from fanin.theory.arguments import real
from fanin.theory.curves import Curve, Function
from fanin.theory.integrals import moments
from fanin.theory.quadrature import differentiation, legendre

REACH = 9.0  # deviations; what is left out is 1e-18 of the mass
NODES = 10
GRADES = np.concatenate([-(2.0 ** np.arange(8, -2, -2)), 2.0 ** np.arange(0, 9, 2)])
MOST_KINKS = 8  # a function by hand with more is integrated on the even panels alone


@dataclass(frozen=True)
class PairMoments:
    """Expectations over a Gaussian pair (u, v).

    Attributes:
        ff: E f(u) f(v).
        dfdf: E f'(u) f'(v).
        gap: ½ E (f(u) - f(v))².
    """

    ff: float
    dfdf: float
    gap: float


def pair_moments(
    f: Function | Curve,
    correlation: float,
    variance: float = 1.0,
    other: float | None = None,
    contrast: float | None = None,
) -> PairMoments:
    """E f(u) f(v), E f'(u) f'(v) and ½ E (f(u) - f(v))² for centred Gaussians u, v with this correlation.

    They carry the correlation map of a wide layer and its slope (Poole et al. 2016, eq. 5 and 6; Cho & Saul 2009 for ReLU).

    Args:
        f: as in `moments`.
        correlation: of u and v, in [-1, 1].
        variance: of u (and of v, unless `other` is given).
        other: the variance of v.
        contrast: 1 - correlation, where that is far below 1 and its digits matter.

    Raises:
        FaninValueError: a correlation outside [-1, 1] or a variance that is not a finite number of at least 0.

    Example:
        >>> round(pair_moments("relu", 0.5).ff, 6)                # arc-cosine kernel: (sin θ + (π - θ) cos θ) / 2π
        0.304499
    """
    variance = real("variance", variance)
    other = variance if other is None else real("other", other)
    if not -1 - 1e-12 <= real("correlation", correlation) <= 1 + 1e-12:
        raise FaninValueError(f"correlation={correlation} is not usable; it must be between -1 and 1")
    if not (math.isfinite(variance) and math.isfinite(other) and min(variance, other) >= 0):
        raise FaninValueError(
            f"variance={variance if variance < 0 else other} is not usable; it must be finite and at least 0"
        )
    if contrast is not None and not 0 <= real("contrast", contrast) <= 2:
        raise FaninValueError(f"contrast={contrast} is not usable; it must be between 0 and 2")
    curve = Curve.of(f)
    s = 1.0 - min(max(correlation, -1.0), 1.0) if contrast is None else contrast
    return _pair(curve, float(s), float(variance), float(other))


@functools.lru_cache(maxsize=32768)
def _pair(curve: Curve, s: float, q1: float, q2: float) -> PairMoments:
    if s <= 0 and q1 == q2:
        m = moments(curve, 0.0, q1)
        return PairMoments(m.f2, m.df2, 0.0)
    r1, r2 = max(math.sqrt(q1), 1e-150), max(math.sqrt(q2), 1e-150)
    big, small, sign = math.sqrt(1 - s / 2), math.sqrt(s / 2), 1.0
    if s > 1:  # negative correlation: the two swap their parts, so that the inner integral never degenerates
        big, small, sign = small, math.sqrt(max(1 - s / 2, 0.0)), -1.0
    kinks, points = _points(curve, max(r1, r2))
    with np.errstate(all="ignore"):
        y, weight_y = _outer(kinks, small, r1, sign * r2)
        x, weight_x, half = _inner(points, big, small * y, r1, sign * r2)
        weight = weight_x * weight_y[:, None, None]
        outer = small * y[:, None, None]
        u, v = r1 * (big * x + outer), sign * r2 * (big * x - outer)
        fu, fv = curve.f(u), curve.f(v)
        if curve.df is not None:
            du, dv = curve.df(u), curve.df(v)
        else:
            du, dv = (np.nan_to_num(g @ differentiation(NODES).T / half) for g in (fu, fv))
            du, dv = du / (r1 * big), dv / (sign * r2 * big)
        ff, dfdf = float(np.sum(weight * fu * fv)), float(np.sum(weight * du * dv))
        gap = float(0.5 * np.sum(weight * np.square(fu - fv)))
    return PairMoments(ff, dfdf + _of_jumps(curve, s, q1, q2), gap)


def _points(curve: Curve, deviation: float) -> tuple[Array, Array]:
    """Kinks, and all values of u or v at which panels end: also a graded mesh about kinks and 0 where the Gaussian is wide."""
    kinks: Array = np.array(curve.kinks if len(curve.kinks) <= MOST_KINKS else (), dtype=np.float64)
    if deviation <= 1.5:
        return kinks, kinks
    centres: Array = np.unique(np.append(kinks, 0.0))
    graded = np.concatenate([centres[:, None] + GRADES[None, :], centres[:, None]], axis=None)
    return centres, np.unique(graded).astype(np.float64)


def _outer(kinks: Array, small: float, r1: float, r2: float) -> tuple[Array, Array]:
    """Nodes and weights (n,) of the outer variable; panels end where a kink of f(u) meets a kink of f(v)."""
    even = r1 == r2
    edges = np.arange(0.0 if even else -REACH, REACH + 0.5)
    if len(kinks) and small > 0:
        meet = (kinks[:, None] / r1 - kinks[None, :] / r2).ravel() / (2 * small)
        if max(r1, abs(r2)) > 1.5:
            meet = (np.unique(meet)[:, None] + np.append(GRADES, 0.0) / (max(r1, abs(r2)) * small)).ravel()
        edges = np.concatenate([edges, meet[np.abs(meet) < REACH]])
    edges = np.unique(edges[edges >= (0.0 if even else -REACH)])
    edges = edges[np.concatenate([[True], np.diff(edges) > 1e-9])]
    x, w = legendre(NODES)
    half = np.diff(edges) / 2
    nodes = ((edges[:-1] + half)[:, None] + half[:, None] * x).ravel()
    weights = (half[:, None] * w).ravel() * np.exp(-0.5 * nodes**2) / math.sqrt(2 * math.pi)
    return nodes, 2 * weights if even else weights


def _inner(points: Array, big: float, outer: Array, r1: float, r2: float) -> tuple[Array, Array, Array]:
    """Nodes, weights (n, panels, 10) and half widths (n, panels, 1) of the inner variable for every outer node."""
    even = np.broadcast_to(np.arange(-REACH, REACH + 0.5), (len(outer), int(2 * REACH) + 1))
    kinks = [(points[None, :] / r1 - outer[:, None]) / big, (points[None, :] / r2 + outer[:, None]) / big]
    edges = np.sort(np.clip(np.concatenate([even, *kinks], axis=1), -REACH, REACH), axis=1)
    x, w = legendre(NODES)
    half = (np.diff(edges, axis=1) / 2)[:, :, None]
    nodes = (edges[:, :-1, None] + half) + half * x
    return nodes, half * w * np.exp(-0.5 * nodes**2) / math.sqrt(2 * math.pi), half


def _of_jumps(curve: Curve, s: float, q1: float, q2: float) -> float:
    """What the point masses of f' add to E f'(u) f'(v): Σ J p(u = k) E[f'(v) | u = k], and the same for v without its own."""
    if not curve.jumps:
        return 0.0
    c = 1 - s
    if s <= 0 or s >= 2:
        return math.inf
    total = 0.0
    for this, other, own in ((q1, q2, True), (q2, q1, False)):
        variance = other * (1 - c * c)
        for place, low, high in curve.jumps:
            density = math.exp(-0.5 * place**2 / this) / math.sqrt(2 * math.pi * this)
            middle = c * math.sqrt(other / this) * place
            h = 1e-4 * math.sqrt(variance)
            slope = (moments(curve, middle + h, variance).f - moments(curve, middle - h, variance).f) / (2 * h)
            if not own:
                slope -= sum(
                    (b - a) * math.exp(-0.5 * (k - middle) ** 2 / variance) / math.sqrt(2 * math.pi * variance)
                    for k, a, b in curve.jumps
                )
            total += (high - low) * density * slope
    return total
