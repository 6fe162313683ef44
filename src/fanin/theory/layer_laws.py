"""What one layer of finite width does to the chain of log-norms: the means, variances and covariance that it adds, to first order in 1/n.

Forward, with r = |x|² / n before the layer and q = σ_w² r + σ_b²: h = W x + b are independent N(0, q). Backward, the weights that
made h also carry the gradient back: given h, W is (h xᵀ / |x|²) σ_w² r / q plus independent noise, so that the part of the gradient
along x is not like its parts along other directions. With κ = n (g·x̂)² / |g|², on average 1 for a gradient that knows nothing of x,

    κ_{l-1} - 1 = s (2 d log E f'² / d log q + (κ_l - 1) (E h f f')² / (E f² q E f'²)),       s = σ_w² r / q,

and |g_{l-1}|² is off by (κ_{l-1} - 1) / n + (κ_l - 1) (E f² f'² / (E f² E f'²) - 1) / n: the weights, and f' where x is large.
ReLU keeps κ = 1 (x·g is the same at every layer), softplus does not.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fanin.activations import Array
from fanin.theory.curves import Curve
from fanin.theory.integrals import derivative, moments, standard_edges
from fanin.theory.quadrature import integrate

Weights = Literal["normal", "orthogonal"]
Table = Callable[..., Array]
MOST_LOG = 300.0  # a log signal beyond this has left all numbers
GRID = np.arange(-20.0, 20.125, 0.25)  # of log q
HEAVY = 1e8  # E f⁴ / (E f²)² beyond which (hardshrink of small signals) there is next to no signal
TINY = 1e-300


@dataclass(frozen=True)
class LayerLaw:
    """Arrays of one shape, one entry for each log signal before the layer.

    Attributes:
        after: mean of the log signal after it.
        forward: variance that it adds to that.
        elasticity: d after / d before.
        growth: mean log growth of the squared gradient on its way back through it, for a gradient with κ = 1 before it.
        backward: variance that it adds to that.
        lean: d growth / d before.
        shared: covariance of what it adds forward and backward.
        turn: what is added to κ - 1 behind it.
        pull: growth for each κ - 1 before it.
    """

    after: Array
    forward: Array
    elasticity: Array
    growth: Array
    backward: Array
    lean: Array
    shared: Array
    turn: Array
    pull: Array


@dataclass(frozen=True)
class EchoLaw:
    """What becomes of a gradient's part along the signal; arrays as in `LayerLaw`.

    Attributes:
        echo: of κ - 1 before the layer, what is left behind it.
        sag, wobble: mean of √echo over its limit for wide layers, and its variance from draw to draw.
        wobble_forward, wobble_backward: its covariance with what the layer adds forward and backward.
    """

    echo: Array
    sag: Array
    wobble: Array
    wobble_forward: Array
    wobble_backward: Array


@dataclass(frozen=True)
class Layer:
    """A layer of a dense net.

    Attributes:
        curve: its activation.
        sigma_w, sigma_b: of its weights (times √fan_in) and biases.
        before, width: units before it and in it.
        weights: "normal" or "orthogonal".
    """

    curve: Curve
    sigma_w: float
    sigma_b: float
    before: int
    width: int
    weights: Weights

    @property
    def isometry(self) -> float:
        """How much of the fluctuation 2/n of |W u|² an isometry between these widths takes away, over 2: none for normal weights."""
        return 1.0 / max(self.before, self.width) if self.weights == "orthogonal" else 0.0

    @property
    def along(self) -> float:
        """What κ - 1 behind the layer counts for in the gradient's growth."""
        return 1.0 / self.before - self.isometry

    @np.errstate(all="ignore")  # gradients of a function that jumps have no law
    def __call__(self, signal: Array) -> LayerLaw:
        """The law at these log signals before the layer."""
        share, log_q, kept, table = *self._before(signal), self.isometry, log_table(self.curve)
        log_f2, kurtosis, e, log_df2, slopes, both = table(log_q)
        leans = table(log_q, 1)
        tilt, bend = leans[3], leans[2] + e**2 - e  # d log E f'² / d log q, q² V'' / V
        forward = (kurtosis - 1) / self.width - 2 * (e * share) ** 2 * kept
        backward = 3 * (slopes - 1) / self.width + 2 * self.along
        return LayerLaw(
            after=log_f2 - 0.5 * forward - bend * share**2 * kept,
            forward=forward,
            elasticity=e * share,
            growth=2 * math.log(self.sigma_w) + log_df2 - 0.5 * backward,
            backward=backward,
            lean=tilt * share,
            shared=(both - 1) / self.width - 2 * e * tilt * share**2 * kept,
            turn=2 * tilt * share,
            pull=(both - 1) / self.width,
        )

    def echo(self, signal: Array) -> EchoLaw:
        """The same of the gradient's part along the signal, where there are gradients to speak of."""
        share, log_q = self._before(signal)
        _, kurtosis, _, _, _, both = log_table(self.curve)(log_q)
        root, p2, pf2, pdf2 = echo_table(self.curve)(log_q)
        return EchoLaw(
            echo=root**2 * share,
            sag=(0.375 * root * (kurtosis - 1) - 0.5 * (pf2 - root)) * np.sqrt(share) / self.width,
            wobble=(p2 - root * pf2 + 0.25 * root**2 * (kurtosis - 1)) * share / self.width,
            wobble_forward=(pf2 - root - 0.5 * root * (kurtosis - 1)) * np.sqrt(share) / self.width,
            wobble_backward=(pdf2 - root - 0.5 * root * (both - 1)) * np.sqrt(share) / self.width,
        )

    def _before(self, signal: Array) -> tuple[Array, Array]:
        """What share of the pre-activations' variance q the weights bring, and log q."""
        part = self.sigma_w**2 * np.exp(np.clip(signal, -MOST_LOG, MOST_LOG))
        q = part + self.sigma_b**2
        return part / q, np.log(q)


@functools.lru_cache(maxsize=128)
def log_table(curve: Curve) -> Table:
    """log E f², E f⁴/(E f²)², elasticity, log E f'², E f'⁴/(E f'²)², E f² f'²/(E f² E f'²) over log q, as a spline (6, points)."""
    rows = []
    for x in GRID.tolist():
        m = moments(curve, 0.0, math.exp(x))
        with np.errstate(all="ignore"):
            rows.append([
                np.log(m.f2), m.kurtosis, m.elasticity, np.log(m.df2),
                np.float64(m.df4) / m.df2 / m.df2, np.float64(m.f2df2) / m.f2 / m.df2,
            ])  # fmt: skip
    columns = np.array(rows)
    good = np.isfinite(columns[:, :3]).all(axis=1) & (columns[:, 1] < HEAVY)
    with_slopes = np.isfinite(columns[good]).all()
    if not with_slopes:
        columns[:, 3:] = 1.0
    spline = _splined(GRID[good], columns[good], steep=[1, 4, 5])
    low, high = float(GRID[good][0]), float(GRID[good][-1])

    def at(log_q: Array, derivative: int = 0) -> Array:
        values = spline(log_q, derivative)
        if derivative == 0:
            values[0] += (log_q - np.clip(log_q, low, high)) * values[
                2
            ]  # beyond the grid: powers of q, as of a homogeneous function
        if not with_slopes:
            values[3:] = np.inf
        return values

    return at


@functools.lru_cache(maxsize=128)
def echo_table(curve: Curve) -> Table:
    """E p, E p², E p f² / E f², E p f'² / E f'² over log q, for p = z f f' / (q E f² E f'²)^½, as a spline (4, points)."""
    rows = []
    for x in GRID.tolist():
        m = moments(curve, 0.0, math.exp(x))
        p2, pf2, pdf2 = _products(curve, math.exp(x))
        with np.errstate(all="ignore"):
            unit = np.sqrt(math.exp(x) * m.f2 * m.df2)
            heavy = 0.0 if m.kurtosis < HEAVY else np.nan
            rows.append([m.zfdf / unit + heavy, p2 / unit**2, pf2 / unit / m.f2, pdf2 / unit / m.df2])
    columns = np.array(rows)
    good = np.isfinite(columns).all(axis=1)
    return _splined(GRID[good], columns[good], steep=[1])


def _splined(grid: Array, columns: Array, steep: list[int]) -> Table:
    """Columns over log q, those that are steep as logs, or a spline would ring; level beyond the grid."""
    from scipy.interpolate import CubicSpline

    columns[:, steep] = np.log(np.maximum(columns[:, steep], TINY))
    spline = CubicSpline(grid, columns)

    def at(log_q: Array, derivative: int = 0) -> Array:
        values = spline(np.clip(log_q, grid[0], grid[-1]), derivative).T
        if derivative == 0:
            values[steep] = np.exp(values[steep])
        return values

    return at


def _products(curve: Curve, q: float) -> Array:
    """E z² f² f'², E z f³ f', E z f f'³ for z ~ N(0, q)."""
    sd = math.sqrt(q)

    def integrands(t: Array, half: Array) -> Array:
        z = sd * t
        y = curve.f(z)
        slope = derivative(curve, z, y, half * sd)
        p = np.exp(-0.5 * np.square(t)) / math.sqrt(2 * math.pi)
        product = z * y * slope
        return p * np.stack([np.square(product), product * np.square(y), product * np.square(slope)])

    return integrate(integrands, standard_edges(curve, 0.0, sd), 1e-6, rounds=2).value
