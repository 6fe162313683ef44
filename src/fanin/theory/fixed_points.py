"""Where variance and correlation settle in a deep dense net, how fast, and where order meets chaos."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fanin.errors import FaninValueError
from fanin.records import Record
from fanin.theory.arguments import reals
from fanin.theory.curves import Curve, Function
from fanin.theory.integrals import GaussianMoments, moments
from fanin.theory.maps import _checked, correlation_map
from fanin.theory.pairs import pair_moments

Phase = Literal["ordered", "critical", "chaotic", "unbounded"]
LOW, HIGH = -30.0, 30.0  # decades of q that are searched (base e: 1e-13 to 1e13)
STEP = 0.25
SAME = 1e-9  # relative differences below this are none
EDGE = 1e-7  # |χ₁ - 1| below this is the edge of chaos
MOST_LAYERS, FAR_OFF = 300, 1e5  # of a net whose variance grows for ever, until large signals' law holds


@dataclass(frozen=True)
class FixedPoint(Record):
    """Where a deep net settles, from a variance of 1.

    Attributes:
        q: the variance of the pre-activations; 0 where signals die out, infinite where they grow for ever.
        c: the correlation of two inputs that were not alike: 1 in the ordered phase, and below 1 with dropout, whose masks differ.
            Where signals die out it is put to 1 (without dropout); where every correlation is kept (linear nets) it is what becomes
            of 0.
        chi1: χ₁ = σ_w² E f'² / keep at q: growth per layer of gradients, and of small differences of two inputs under one dropout
            mask. `gradient_map` at q.
        xi_q: depth scale of the variance, -1 / log |d q'/d q|, in layers.
        xi_c: depth scale of the correlation, -1 / log |d c'/d c| at c, in layers. Infinite at the edge.
        phase: "critical" (χ₁ = 1: gradients neither vanish nor explode), "ordered" (below), "chaotic" (above), or "unbounded" (q
            grows for ever, χ₁ is not 1).
        slope_q: d q'/d q at q: stable below 1.
        slope_c: χ at c: stable below 1.
    """

    q: float
    c: float
    chi1: float
    xi_q: float
    xi_c: float
    phase: Phase
    slope_q: float
    slope_c: float


def fixed_point(f: Function | Curve, sigma_w: float, sigma_b: float = 0.0, keep: float = 1.0) -> FixedPoint:
    """The fixed point of the variance and correlation maps that signals of variance 1 reach.

    q* = σ_w² E f(√q* z)² / p + σ_b²; χ₁ = σ_w² E f'² / p; ξ_q⁻¹ = -log |d q'/d q|, where d q'/d q = σ_w² E f f' z / (p q) is
    Schoenholz et al.'s χ₁ + σ_w² E f f'' without the second derivative; ξ_c⁻¹ = -log χ_c at c* (Poole et al. 2016, eq. 4 to 6;
    Schoenholz et al. 2017, eq. 7 to 9). A positively homogeneous f at its critical σ_w keeps every q: 1 is returned.

    Dropout with the share p = `keep` of the units left makes gradients grow by 1/p, for the mask that divided forward divides
    backward too. Two inputs with a mask each come apart: c = 1 is no fixed point, whatever χ₁ is, so c* < 1 in both phases and ξ_c
    is finite where χ₁ = 1 (Schoenholz et al. 2017: dropout destroys the critical point).

    Args:
        f: as in `moments`.
        sigma_w: weights have the variance σ_w² / fan_in.
        sigma_b: biases have the variance σ_b².
        keep: share p of units that dropout leaves, in (0, 1]; what is left is divided by it.

    Raises:
        FaninValueError: σ_w, σ_b or `keep` is out of range, or f jumps, so that χ₁ is infinite.

    Example:
        >>> p = fixed_point("tanh", sigma_w=1.5, sigma_b=0.1)
        >>> p.phase, round(p.q, 4), round(p.c, 4), round(p.chi1, 4), round(p.xi_c, 2)
        ('chaotic', 0.8133, 0.1801, 1.1291, 14.85)
    """
    _checked(sigma_w, sigma_b, keep)
    curve = Curve.of(f)
    q = _settled(curve, sigma_w, sigma_b, keep)
    at = min(q, math.exp(HIGH))
    m = moments(curve, 0.0, at)
    chi1 = sigma_w**2 * m.df2 / keep
    if math.isinf(chi1):
        raise FaninValueError(f"{curve.name} jumps, so E f'² is infinite: there is no χ₁ and no depth scale")
    slope_q = sigma_w**2 / keep * _stretch(m, at) if at > 0 else chi1  # near 0 f is a line on either side
    near = max(at, math.exp(LOW))  # what dying signals do to correlations, to rounding
    contrast = _settled_contrast(curve, near, sigma_w, sigma_b, keep)
    slope_c = _slope_c(curve, near, contrast, sigma_w, sigma_b, keep)
    return FixedPoint(
        q=q,
        c=1.0 - contrast,
        chi1=chi1,
        xi_q=_scale(slope_q),
        xi_c=_scale(slope_c),
        phase=_phase(q, chi1),
        slope_q=slope_q,
        slope_c=slope_c,
    )


def critical_point(f: Function | Curve, sigma_b: float = 0.0) -> float:
    """The σ_w at which χ₁ = 1 at the fixed point: the edge of chaos for this σ_b.

    For a variance q the weights that make χ₁ = 1 have σ_w² = 1 / E f'²; q is the fixed point for the σ_b² = q - E f² / E f'²
    that goes with it, so the edge is one equation in q (Poole et al. 2016, fig. 1; Hayou et al. 2019, algorithm 1). A root where
    the variance is stable is preferred. GELU (σ_b below .416) and SiLU (below .745) have none: there the σ_w of the unstable
    one is returned, and `fixed_point` tells where signals of variance 1 run away to.

    Args:
        f: as in `moments`.
        sigma_b: biases have the variance σ_b².

    Returns:
        σ_w; 1 for tanh without bias, √2 for ReLU (with a bias its variance then grows by σ_b² a layer, for ever).

    Raises:
        FaninValueError: f has no critical point at this σ_b (softplus), or it jumps.

    Example:
        >>> round(critical_point("relu"), 6), round(critical_point("tanh", 0.3), 4)
        (1.414214, 1.3956)
    """
    return critical(f, sigma_b)[0]


def critical(f: Function | Curve, sigma_b: float = 0.0) -> tuple[float, float, bool]:
    """`critical_point`, the variance q there, and whether it is stable."""
    _checked(0.0, sigma_b, 1.0)
    curve = Curve.of(f)
    if math.isinf(moments(curve, 0.0, 1.0).df2):
        raise FaninValueError(f"{curve.name} jumps, so E f'² is infinite: it has no critical point")

    def miss(log_q: float) -> float:
        """(σ_b² that goes with q, less the one asked for) / q."""
        q = math.exp(log_q)
        m = moments(curve, 0.0, q)
        return 1.0 - m.f2 / m.df2 / q - sigma_b**2 / q if m.df2 > 0 else math.nan

    grid = np.arange(LOW, HIGH + STEP, STEP).tolist()
    values = [miss(x) for x in grid]
    if all(abs(v + sigma_b**2 / math.exp(x)) < SAME for v, x in zip(values, grid, strict=True)):
        return 1.0 / math.sqrt(moments(curve, 0.0, 1.0).df2), 1.0, True  # homogeneous: χ₁ does not know q
    found: list[tuple[bool, float, float]] = []
    for (x, v), (y, w) in itertools.pairwise(zip(grid, values, strict=True)):
        if v * w < 0 and max(abs(v), abs(w)) > SAME:
            q = math.exp(_root(miss, x, y))
            m = moments(curve, 0.0, q)
            found.append((_stretch(m, q) / m.df2 > 1 + 1e-9, q, 1.0 / math.sqrt(m.df2)))
    at_zero = moments(curve, 0.0, 0.0)
    if sigma_b == 0 and abs(at_zero.f) < 1e-100 and at_zero.df2 > 1e-100:
        found.append((not _falls_from_small(curve), 0.0, 1.0 / math.sqrt(at_zero.df2)))
    if not found:
        raise FaninValueError(
            f"{curve.name} has no critical point at sigma_b={sigma_b:g}: no variance has both χ₁ = 1 and a fixed point; "
            "sigma_w = fanin.gain(f) keeps the second moment of activations at 1"
        )
    unstable, q, sigma_w = min(found)
    return sigma_w, q, not unstable


def phase_boundary(f: Function | Curve, sigma_b: list[float] | tuple[float, ...]) -> list[float]:
    """`critical_point` for each σ_b: the line between order and chaos (Poole et al. 2016, fig. 1); NaN where there is none.

    Example:
        >>> [round(w, 3) for w in phase_boundary("tanh", [0.0, 0.1, 0.5])]
        [1.0, 1.193, 1.55]
    """
    line, curve = [], Curve.of(f)
    for b in reals("sigma_b", sigma_b):
        _checked(0.0, b, 1.0)
        try:
            line.append(critical_point(curve, b))
        except FaninValueError:
            line.append(math.nan)
    return line


def _settled(curve: Curve, sigma_w: float, sigma_b: float, keep: float) -> float:
    """The first zero of q' - q that signals of variance 1 run into."""

    def pull(log_q: float) -> float:
        q = math.exp(log_q)
        return (sigma_w**2 * moments(curve, 0.0, q).f2 / keep + sigma_b**2) / q - 1.0

    start = pull(0.0)
    if math.isnan(start):
        raise FaninValueError(f"E f² of {curve.name} is not finite: there is no variance map")
    if abs(start) < 1e-12:
        return 1.0
    step = math.copysign(STEP, start)
    x, value = 0.0, start
    while LOW <= x + step <= HIGH:
        ahead = pull(x + step)
        if ahead * start <= 0:
            return math.exp(_root(pull, *sorted((x, x + step))))
        x, value = x + step, ahead
    if start > 0:
        return math.inf
    return 0.0 if value < -SAME or sigma_b == 0 else math.exp(LOW)


def _settled_contrast(curve: Curve, q: float, sigma_w: float, sigma_b: float, keep: float) -> float:
    """1 - c*, the stable zero of the contrast map's pull, from above (inputs that were not alike)."""
    if q <= math.exp(LOW) * 1.01 and keep == 1:
        return 0.0
    if q >= math.exp(HIGH) and abs(_slope_c(curve, q, 1.0, sigma_w, 0.0, keep) - 1) < SAME:
        return _contrast_left(curve, sigma_w, sigma_b, keep)

    def pull(log_s: float) -> float:
        s = math.exp(log_s)
        return correlation_map(curve, 1 - s, q, sigma_w, sigma_b, keep, contrast=s) / s - 1.0

    x = 0.0  # c = 0
    start = pull(x)
    if abs(start) < 1e-13:
        return 1.0
    step = -0.5 if start < 0 else 0.1
    while -60 < x + step < math.log(2.0) + 0.1:
        ahead = pull(min(x + step, math.log(2.0)))
        if ahead * start <= 0:
            return math.exp(_root(pull, *sorted((x, min(x + step, math.log(2.0))))))
        x += step
        if x < -12:  # the map is a straight line from here on: its slope decides
            break
    return 0.0 if start < 0 else 2.0


def _contrast_left(curve: Curve, sigma_w: float, sigma_b: float, keep: float) -> float:
    """1 - c of inputs of correlation 0 and variance 1 where q grows for ever and large signals keep every correlation.

    Each layer's biases are shared by the two inputs, so that 1 - c falls by the share σ_b² / q'. Where q grows by a constant a
    layer (a linear net at σ_w = 1) these shares add up to infinity and c tends to 1; where it grows by a factor λ the layers behind
    a variance q leave (λ - 1) q / ((λ - 1) q + σ_b²) of 1 - c.
    """
    growth = _after(curve, math.exp(HIGH), sigma_w, 0.0, keep) / math.exp(HIGH)
    if growth < 1 + SAME:
        return 0.0 if sigma_b > 0 else 1.0
    q, s = 1.0, 1.0
    for _ in range(MOST_LAYERS):
        if q > FAR_OFF:
            break
        s = correlation_map(curve, 1 - s, q, sigma_w, sigma_b, keep, contrast=s)
        q = _after(curve, q, sigma_w, sigma_b, keep)
    return s * (growth - 1) * q / ((growth - 1) * q + sigma_b**2)


def _after(curve: Curve, q: float, sigma_w: float, sigma_b: float, keep: float) -> float:
    return sigma_w**2 * moments(curve, 0.0, q).f2 / keep + sigma_b**2


def _slope_c(curve: Curve, q: float, contrast: float, sigma_w: float, sigma_b: float, keep: float) -> float:
    """d c'/d c at c*; where q runs away (ReLU above √2) or dies out relative to the growth of q."""
    after = _after(curve, q, sigma_w, sigma_b, keep)
    growth = after / q if after > 0 else 1.0
    return sigma_w**2 * pair_moments(curve, 1 - contrast, q, contrast=contrast).dfdf / growth


def _stretch(m: GaussianMoments, q: float) -> float:
    """d E f² / d q = E f f' z / q."""
    return m.zfdf / q


def _falls_from_small(curve: Curve) -> bool:
    """Whether E f² / q falls as q grows from 0, so that the fixed point 0 attracts at the edge."""
    return moments(curve, 0.0, 1e-4).f2 / 1e-4 <= moments(curve, 0.0, 1e-8).f2 / 1e-8 * (1 + SAME)


def _phase(q: float, chi1: float) -> Phase:
    if abs(chi1 - 1) < EDGE:
        return "critical"
    if math.isinf(q):
        return "unbounded"
    return "ordered" if chi1 < 1 else "chaotic"


def _scale(slope: float) -> float:
    size = abs(slope)
    if size <= 0:
        return 0.0
    return math.inf if size > 1 - EDGE else -1.0 / math.log(size)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    from scipy.optimize import brentq

    return float(brentq(function, low, high, xtol=1e-13, rtol=1e-13))  # type: ignore[arg-type]
