"""Moments of an activation and of its derivative under a Gaussian of any mean and variance."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fanin.activations import Array
from fanin.errors import FaninValueError
from fanin.records import Record
from fanin.theory.arguments import real
from fanin.theory.curves import Curve, Function
from fanin.theory.quadrature import SHOWN, Integrals, differentiation, integrate, legendre, to_ends

NEAR, FAR = 12.0, 38.0  # deviations: almost all of the mass; all that a 64-bit number can hold
GRADES = 2.0 ** np.arange(
    -4, 40
)  # distances from kinks at which panels end, so that features of size 1 are never missed
BESIDE = 1e-2  # distance over which the slope at a place is taken where values are all that is known
HEAVY = 10.0  # E f⁴ / (E f²)² beyond which an average over units is ruled by few of them (ReLU: 6)
FLAT = 100.0  # of f's rounding: a sum of 16 values times the weights of their derivative
NAMES = ("f", "f2", "df2", "fdf", "f4", "df4", "zfdf", "f2df2")


@dataclass(frozen=True)
class GaussianMoments(Record):
    """Expectations for z ~ N(mean, variance).

    Attributes:
        f: E f(z).
        f2: E f(z)².
        df2: E f'(z)²: times σ_w² it is χ₁. Infinite where f jumps.
        fdf: E f(z) f'(z), as half the derivative of E f² by the mean: a jump from l to r counts (r² - l²)/2 times the density there
            (a step from 0 to 1 one half of it, a sign nothing), and what f is at the place itself nothing.
        f4: E f(z)⁴: how much one layer of finite width fluctuates.
        df4: E f'(z)⁴.
        zfdf: E (z - mean) f(z) f'(z), which is variance · d E f² / d variance.
        f2df2: E f(z)² f'(z)².
        digits: correct decimal digits of the least certain of f, f2, df2 and fdf (relative to the integral of the size).
        notes: what a reader must know: jumps, singular points, heavy tails, digits lost. Empty for most.
    """

    f: float
    f2: float
    df2: float
    fdf: float
    f4: float
    df4: float
    zfdf: float
    f2df2: float
    digits: int
    notes: tuple[str, ...] = ()

    @property
    def kurtosis(self) -> float:
        """E f⁴ / (E f²)²: one less is n times the relative variance of the mean of f² over n units."""
        return self.f4 / self.f2 / self.f2 if self.f2 > 0 else math.nan

    @property
    def elasticity(self) -> float:
        """d log E f² / d log variance: 1 for ReLU, below 1 where f saturates."""
        return self.zfdf / self.f2 if self.f2 > 0 else math.nan


def moments(f: Function | Curve, mean: float = 0.0, variance: float = 1.0) -> GaussianMoments:
    """E f, E f², E f'², E f f' for z ~ N(mean, variance), to 10 digits and more.

    These four integrals are all that mean-field theory asks of an activation (Poole et al. 2016, eq. 3; Schoenholz et al.
    2017, eq. 3, 5 and 6). Known activations are integrated between their kinks with their own derivative. A function by hand is
    closed in on where it is rough, its derivative taken from its values; `digits` says what is attained (fewer where it
    works in 32 bits, or where the variance is so small that differences of its values round).

    Args:
        f: a name, an `Activation`, or an elementwise function of arrays, tensors or numbers.
        mean: of z.
        variance: of z, ≥ 0.

    Raises:
        FaninValueError: the mean or the variance is not a finite number, or f is not a function of numbers.

    Example:
        >>> m = moments("relu")
        >>> [round(v, 9) for v in (m.f, m.f2, m.df2, m.fdf, m.kurtosis)]
        [0.39894228, 0.5, 0.5, 0.39894228, 6.0]
        >>> moments("hardshrink").notes
        ("f jumps at -0.5, 0.5: E f'² is infinite",)
    """
    mean, variance = real("mean", mean), real("variance", variance)
    if not math.isfinite(mean):
        raise FaninValueError(f"mean={mean} is not usable; it must be a finite number")
    if not (math.isfinite(variance) and variance >= 0):
        raise FaninValueError(f"variance={variance} is not usable; it must be a finite number of at least 0")
    return _moments(Curve.of(f), mean, variance)


@functools.lru_cache(maxsize=16384)
def _moments(curve: Curve, mean: float, variance: float) -> GaussianMoments:
    sd = max(math.sqrt(variance), 1e-150, 1e-13 * abs(mean))
    closed = CLOSED.get(curve.activation.name) if curve.activation is not None else None
    if closed is not None and (values := closed(mean, variance, *curve.activation.parameters)) is not None:  # type: ignore[union-attr]
        return _record(values, 14, [])
    if variance == 0 and curve.df is None and all(place != mean for place, *_ in curve.jumps):
        return _record(_at_point(curve, mean), 10, [])
    edges = standard_edges(curve, mean, sd)
    integrands = _integrands(curve, mean, sd)
    few_bits = curve.resolution > 1e-12
    with np.errstate(all="ignore"):
        found = integrate(integrands, edges, 1e-6, rounds=2) if few_bits else integrate(integrands, edges)
        ends = np.array([[-FAR], [FAR]])  # what grows as the Gaussian falls has not died out where the numbers end
        tails = np.abs(integrands(ends, np.ones((2, 1)))).max(axis=(1, 2)) > 1e-10 * np.maximum(found.size, 1e-200)
    values, notes = _judged(curve, found, tails, mean, sd)
    return _record(values, _digits(curve, found, sd, values), notes)


def standard_edges(curve: Curve, mean: float, sd: float) -> Array:
    """Ends of panels in t = (z - mean) / sd: even ones, kinks, and a graded mesh around kinks and 0."""
    centres = np.array([*curve.kinks, 0.0]) if len(curve.kinks) <= 8 else np.array([0.0])
    graded = np.concatenate([centres, *(centres[:, None] + s * GRADES[None, :] for s in (-1.0, 1.0))], axis=None)
    even = np.concatenate([np.arange(-FAR, -NEAR), np.arange(-NEAR, NEAR, 0.5), np.arange(NEAR, FAR + 0.5)])
    t = np.concatenate([even, (graded - mean) / sd, (np.array(curve.kinks) - mean) / sd])
    t = np.unique(t[np.abs(t) <= FAR])
    return t[np.concatenate([[True], np.diff(t) > 1e-14])]


def derivative(curve: Curve, z: Array, y: Array, half: Array) -> Array:
    """f' at Gauss-Legendre nodes z (panels, 16) with values y, in panels of these half widths."""
    if curve.df is not None:
        return curve.df(z)
    if y.shape[-1] == 1:  # single points: only their size is asked for
        return (curve.f(z + 1e-3) - y) / 1e-3
    change = y @ differentiation().T
    rounding = (
        FLAT * curve.resolution * np.max(np.abs(y), axis=-1, keepdims=True)
    )  # a constant has the slope 0, not noise
    return np.where(np.abs(change) <= rounding, 0.0, change) / half


def _at_point(curve: Curve, place: float) -> Array:
    """The limit for small variances: f there, and half of its slope on either side (over no distance values have no slope)."""
    reach = min([BESIDE * max(abs(place), 1.0), *(abs(k - place) / 2 for k in curve.kinks if k != place)])
    sides = place + np.array([[-0.5], [0.5]]) * reach * (1 + legendre()[0])  # nodes from the place outwards
    outwards = derivative(curve, sides, curve.f(sides), np.full((2, 1), 0.5 * reach)) @ to_ends()[:, 0]
    f, slope = np.full(2, curve.f(np.array([place]))[0]), np.array([-1.0, 1.0]) * outwards
    nothing = np.zeros(2)
    return np.mean([f, f**2, slope**2, f * slope, f**4, slope**4, nothing, (f * slope) ** 2], axis=1)


def _integrands(curve: Curve, mean: float, sd: float) -> Callable[[Array, Array], Array]:
    def at(t: Array, half: Array) -> Array:
        z = mean + sd * t
        y = curve.f(z)
        slope = derivative(curve, z, y, half * sd)
        p = np.exp(-0.5 * np.square(t)) / math.sqrt(2 * math.pi)
        y2, slope2 = np.square(y), np.square(slope)
        return p * np.stack([y, y2, slope2, y * slope, y2 * y2, slope2 * slope2, sd * t * y * slope, y2 * slope2])

    return at


def _judged(
    curve: Curve, found: Integrals, tails: NDArray[np.bool_], mean: float, sd: float
) -> tuple[Array, list[str]]:
    """The values with jumps' parts, infinite where they are, and what is to be said of them."""
    values, size, notes = found.value.copy(), found.size.copy(), []
    jumps = [(a, low, high) for a, low, high in curve.jumps if abs(a - mean) <= FAR * sd]
    for place, low, high in jumps:
        t = (place - mean) / sd
        part = 0.5 * (high**2 - low**2) * math.exp(-0.5 * t * t) / math.sqrt(2 * math.pi) / sd
        values[3] += part
        values[6] += sd * t * part
        size[[3, 6]] += np.abs([part, sd * t * part])
    singular = [a for a in curve.singular if abs(a - mean) <= FAR * sd]
    unsure = ~np.isfinite(values) | (found.error > 1e-2 * size) | tails
    if singular:
        unsure[[2, 3, 5, 6, 7]] = True
    if jumps:
        values[[2, 5, 7]] = math.inf
        notes.append(f"f jumps at {_listed([a for a, *_ in jumps])}: E f'² is infinite")
        unsure[[2, 5, 7]] = False
    if unsure.any():
        values[unsure] = np.where(np.isin(np.flatnonzero(unsure), (0, 3, 6)), math.nan, math.inf)
        lost = ", ".join(n for n, bad in zip(NAMES, unsure, strict=True) if bad)
        why = (
            f"f is singular at {_listed(singular)}"
            if singular
            else "f grows too fast for this Gaussian, or is too rough"
        )
        notes.append(f"no finite value of {lost}: {why}")
    return values, notes


def _digits(curve: Curve, found: Integrals, sd: float, values: Array) -> int:
    size = np.where(found.size > 0, found.size, 1.0)
    relative = np.where(np.isfinite(values), found.error / size, 0.0)[:4]
    worst = max(float(relative.max()), 1e-15)
    if curve.df is None and values[2] > 0 and math.isfinite(values[2]):  # differences of values over a panel of 1/4
        worst = max(worst, 1e-12 if curve.kinks else 0.0)  # places are known to that
        worst = max(worst, 30 * curve.resolution * math.sqrt(values[1] / values[2]) / min(0.25 * sd, 1.0))
    return max(0, min(15, math.floor(-math.log10(max(worst, curve.resolution)))))


def _record(values: Array, digits: int, notes: list[str]) -> GaussianMoments:
    record = GaussianMoments(*(float(v) for v in values), digits=digits)
    if math.isfinite(record.f4) and record.kurtosis > HEAVY:
        notes.append(
            f"heavy tail: E f⁴ is {record.kurtosis:.4g} (E f²)², so the second moment of n units fluctuates by "
            f"{math.sqrt(record.kurtosis - 1):.3g}/√n"
        )
    elif math.isinf(record.f2) and not notes:
        notes.append("E f² is beyond the largest 64-bit number")
    elif record.f2 == 0 and not notes:
        notes.append("f is 0 wherever this Gaussian has mass")
    if digits < 10:
        notes.append(f"{digits} digits: f works in few bits, or its values differ too little over this variance")
    return GaussianMoments(*(float(v) for v in values), digits=digits, notes=tuple(notes))


def _listed(places: list[float]) -> str:
    shown = ", ".join(f"{a:.6g}" for a in sorted(places)[:SHOWN])
    return f"{shown}, …" if len(places) > SHOWN else shown


def _exp(mean: float, variance: float) -> Array:
    """E e^{kz} = e^{k mean + k² variance / 2}; beyond 64 bits infinite."""
    with np.errstate(over="ignore"):
        first, second, fourth = (float(np.exp(k * mean + 0.5 * k * k * variance)) for k in (1, 2, 4))
    return np.array([first, second, second, second, fourth, fourth, 2 * variance * second, fourth])


def _sin(mean: float, variance: float, w: float) -> Array | None:
    """By characteristic functions, where there are too many waves for panels."""
    if w * w * variance < 25:
        return None
    c2, c4 = (math.cos(k * w * mean) * math.exp(-0.5 * k * k * w * w * variance) for k in (2, 4))
    s1, s2 = (math.sin(k * w * mean) * math.exp(-0.5 * k * k * w * w * variance) for k in (1, 2))
    return np.array([
        s1, (1 - c2) / 2, w * w * (1 + c2) / 2, w * s2 / 2, (3 - 4 * c2 + c4) / 8, w**4 * (3 + 4 * c2 + c4) / 8,
        w * w * variance * c2, w * w * (1 - c4) / 8,
    ])  # fmt: skip


CLOSED: dict[str, Callable[..., Array | None]] = {"exp": _exp, "sin": _sin}
