"""Gaussian integrals of one activation: what a wide random layer does to the statistics of a signal.

Notation of the whole room. Over the units of a layer, and over pairs (a, b) of different examples, a signal x has

    mean  m = E[x],    second moment  q = E[x_a²],    contrast  s = ½ E[(x_a - x_b)²],

so that E[x_a x_b] = q - s and the correlation between examples is 1 - s / q. The contrast is kept instead of the
correlation because a deep net can shrink it by thirty orders of magnitude, far below the rounding of 1 - s / q.
Pre-activations of a wide layer are jointly Gaussian over its units (Poole et al. 2016, Matthews et al. 2018).
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fanin.activations import Activation, Array

Function = Callable[[Array], Array]

REACH = 8.0  # the quadrature covers ± 8 deviations
FINE, COARSE = 4000, 800  # points of one- and two-dimensional integrals; even, so that none falls on a kink at the mean
FEW = 500  # points that do for smooth functions, where the trapezoid rule converges faster than any power
SMOOTH = frozenset(
    (
        "linear", "gelu", "gelu_tanh", "quick_gelu", "silu", "mish", "softplus", "tanh", "sigmoid", "sin", "exp", "square",
        "logsigmoid", "tanhshrink",
    )
)  # fmt: skip
CANCELS = 4.0  # deviations between the mean and zero beyond which differences of tails lose digits
DIGITS = 5  # significant digits that cached arguments keep: an error of 1e-5 per layer


class Moments(NamedTuple):
    """Of f(z), z ~ N(mean, variance).

    Attributes:
        mean: E f.
        second: E f².
        elasticity: d ln E f² / d ln variance; 1 for ReLU, below 1 where f is bounded (errors of scale heal).
        wobble: relative variance of f² that is left where Σ z² over the units is held fixed.
        slope2: E f'².
        slope4: E f'⁴.
    """

    mean: float
    second: float
    elasticity: float
    wobble: float
    slope2: float
    slope4: float


@dataclass(frozen=True)
class Odd:
    """o(u) = f(b + u) - f(b - u): what a mirrored pair of units with the bias b hands on (Balduzzi et al. 2017, in general form)."""

    f: Activation
    bias: float = 0.0

    def __call__(self, z: Array) -> Array:
        """o(z), elementwise."""
        return self.f(self.bias + z) - self.f(self.bias - z) if self.bias else self.f.odd(z)


@functools.cache
def _grid(points: int) -> tuple[Array, Array]:
    z = np.linspace(-REACH, REACH, points)
    weight = np.exp(-0.5 * z**2)
    return z, weight / weight.sum()


@functools.cache
def _hermite() -> tuple[Array, Array]:
    nodes, weights = np.polynomial.hermite_e.hermegauss(24)
    keep = nodes > 0  # the integrand is even in the half difference
    return nodes[keep], 2 * weights[keep] / weights.sum()


def homogeneous(f: Function) -> bool:
    """Whether f(c z) = c f(z) for c > 0."""
    return isinstance(f, Activation) and f.name in ("relu", "leaky_relu", "linear", "abs")


def _smooth(f: Function) -> bool:
    f = f.f if isinstance(f, Odd) else f
    return isinstance(f, Activation) and f.table is None and f.name in SMOOTH


def rounded(x: float) -> float:
    """x with the digits that cached integrals keep."""
    return float(f"{x:.{DIGITS}g}") if math.isfinite(x) else x


def moments(f: Function, mean: float, variance: float) -> Moments:
    """Moments of f(z) and f'(z) for z ~ N(mean, variance)."""
    if variance > 0 and homogeneous(f):  # f(c z) = c f(z): one integral for all variances
        scale = math.sqrt(variance)
        m = _straight(f, mean / scale) if abs(mean) < CANCELS * scale else _moments(f, rounded(mean / scale), 1.0)
        return m._replace(mean=m.mean * scale, second=m.second * variance)
    return _moments(f, rounded(mean), rounded(max(variance, 0.0)))


@functools.cache
def _sides(f: Function) -> tuple[float, float]:
    """The slopes left and right of zero of a function that is straight on both sides."""
    ends = f(np.array([-1.0, 1.0])).tolist()
    return -ends[0], ends[1]


@functools.lru_cache(maxsize=8192)
def _straight(f: Function, m: float) -> Moments:
    """Of a function that is straight on both sides of zero, by the moments of x ~ N(m, 1) on each side."""
    left, right = _sides(f)
    above = 0.5 * math.erfc(-m / math.sqrt(2))
    first = m * above + math.exp(-0.5 * m * m) / math.sqrt(2 * math.pi)
    second = m * first + above
    fourth = m * (m * second + 2 * first) + 3 * second  # E[xⁿ; x > 0] = m E[xⁿ⁻¹; x > 0] + (n - 1) E[xⁿ⁻²; x > 0]
    square = right**2 * second + left**2 * (m * m + 1 - second)
    quartic = right**4 * fourth + left**4 * (m**4 + 6 * m * m + 3 - fourth)
    slope2, slope4 = (right**k * above + left**k * (1 - above) for k in (2, 4))
    # ½ E[f² (z² - 1)] = ½ E (f²)'' = E f'², by parts twice: f² has no kink.
    relative = (
        (slope2 / square, max(quartic - square**2 - 2 * slope2**2, 0.0) / square**2) if square > 0 else (0.0, 0.0)
    )
    return Moments(right * first + left * (m - first), square, *relative, slope2, slope4)


@functools.lru_cache(maxsize=8192)
def _moments(f: Function, mean: float, variance: float) -> Moments:
    z, w = _grid(FEW if variance < 16 and _smooth(f) else FINE)
    x = mean + math.sqrt(variance) * z
    with np.errstate(over="ignore", invalid="ignore"):
        h = 1e-4 * max(math.sqrt(variance), 1e-3)
        y, slope = f(x), (f(x + h) - f(x - h)) / (2 * h)
        square = y**2
        second = float(w @ square)
        # Regress f² on z²: the slope is the elasticity, and what is left wobbles even where Σ z² is fixed.
        lean = float(w @ (square * (z**2 - 1))) / 2
        left = max(float(w @ square**2 - np.square(second) - 2 * np.square(lean)), 0.0)  # not `**`: floats raise
        relative = (lean / second, left / float(np.square(second))) if second > 0 else (0.0, 0.0)
        return Moments(float(w @ y), second, *relative, float(w @ slope**2), float(w @ slope**4))


def contrast(f: Function, mean: float, q: float, s: float) -> float:
    """½ E[(f(u) - f(v))²] for a Gaussian pair with this mean, second moment q and contrast s.

    Good for every s, also where s / q is far below the machine's rounding of a correlation.
    """
    variance = max(q - mean * mean, 0.0)
    if s <= 0 or variance <= 0:
        return 0.0
    s = min(s, 2 * variance)
    if s < 1e-6 * variance:  # the first order, good to 1e-3 here for kinked functions and better for smooth ones
        return s * moments(f, mean, variance).slope2
    if homogeneous(f):
        return variance * _contrast(f, rounded(mean / math.sqrt(variance)), 1.0, rounded(s / variance))
    return _contrast(f, rounded(mean), rounded(variance), rounded(s))


@functools.lru_cache(maxsize=8192)
def _contrast(f: Function, mean: float, variance: float, s: float) -> float:
    z, w = _grid(COARSE // 4 if variance < 16 and _smooth(f) else COARSE)
    t, v = _hermite()
    middle = mean + math.sqrt(max(variance - s / 2, 0.0)) * z[:, None]
    half = math.sqrt(s / 2) * t[None, :]
    with np.errstate(over="ignore", invalid="ignore"):
        gap = f(middle + half) - f(middle - half)
    return float(0.5 * w @ (gap**2 @ v))


def wobble_of_slopes(f: Function, mean: float, variance: float) -> float:
    """3 (E[f'⁴] / E[f'²]² - 1): relative variance, times the width, that f adds to a contrast or a gradient.

    3 for ReLU, 0 for a straight line; independent Gaussian weights add 2 (together Hanin & Nica's 5).
    """
    m = moments(f, mean, variance)
    return max(3 * (m.slope4 / m.slope2**2 - 1), 0.0) if m.slope2 > 0 else 0.0


def orthant(k: int, correlation: float) -> float:
    """P(u_1 < 0, …, u_k < 0) for k standard Gaussians, each pair with this correlation (between 0 and 1)."""
    z, w = _grid(FINE)
    rho = min(max(correlation, 0.0), 1.0 - 1e-12)
    from scipy.special import log_ndtr

    return float(w @ np.exp(k * log_ndtr(-math.sqrt(rho / (1 - rho)) * z)))
