"""What one layer of finite width does to the chain of log-norms: the means, variances and covariance that it adds, to first order in 1/n.

Forward, with r = |x|² / n before the layer and q = σ_w² r + σ_b²: h = W x + b are independent N(0, q). Backward, the weights that
made h also carry the gradient back: given h, W is (h xᵀ / |x|²) σ_w² r / q plus independent noise, so that the part of the gradient
along x is not like its parts along other directions. With κ = n (g·x̂)² / |g|², on average 1 for a gradient that knows nothing of x,

    κ_{l-1} - 1 = s (2 d log E f'² / d log q + (κ_l - 1) (E h f f')² / (E f² q E f'²)),       s = σ_w² r / q,

and |g_{l-1}|² is off by (κ_{l-1} - 1) / n + (κ_l - 1) (E f² f'² / (E f² E f'²) - 1) / n: the weights, and f' where x is large.
ReLU keeps κ = 1 (x·g is the same at every layer), softplus does not.

A layer's factor is the mean of n independent numbers u of mean 1 (forward f² / E f², backward (f' z)² / E f'²). With the cumulants
k₂, k₃ of u, log of it has the mean -k₂ / 2 n + (k₃ / 3 - 3/4 k₂²) / n², the variance k₂ / n + (5/2 k₂² - k₃) / n² and the third cumulant
(k₃ - 3 k₂²) / n²; what an isometry takes away from the latter two is in docs/decisions/0014-skewed-bands.md.
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
OF_SLOPES = [3, 4, 5, 7]  # columns of the table
SERIES = 0.5  # of a variance: where its second order is more, the series in 1/n says nothing, and a gamma variable's stands for it


@dataclass(frozen=True)
class LayerLaw:
    """Arrays of one shape, one entry for each log signal before the layer.

    Attributes:
        after: mean of the log signal after it.
        forward: variance that it adds to that, to first order in 1/n.
        forward_second: what of it is of second order.
        forward_drift: what of the mean is of second order (of independent weights; of isometries not known, and 0).
        forward_third: third cumulant that it adds.
        elasticity: d after / d before.
        growth: mean log growth of the squared gradient on its way back through it, for a gradient with κ = 1 before it.
        backward, backward_second, backward_drift, backward_third: as forward.
        lean: d growth / d before.
        shared: covariance of what it adds forward and backward.
        turn: what is added to κ - 1 behind it.
        pull: growth for each κ - 1 before it.
    """

    after: Array
    forward: Array
    forward_second: Array
    forward_drift: Array
    forward_third: Array
    elasticity: Array
    growth: Array
    backward: Array
    backward_second: Array
    backward_drift: Array
    backward_third: Array
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
        log_f2, kurtosis, e, log_df2, slopes, both, _, slopes6 = table(log_q)
        leans = table(log_q, 1)
        tilt, bend = leans[3], leans[2] + e**2 - e  # d log E f'² / d log q, q² V'' / V
        forward = (kurtosis - 1) / self.width - 2 * (e * share) ** 2 * kept
        backward = 3 * (slopes - 1) / self.width + 2 * self.along
        second, drift, third = self._tails(share, log_q)
        n, before = np.float64(self.width), np.float64(self.before)
        k2, k3, chi = 3 * slopes - 1, 15 * slopes6 - 9 * slopes + 2, before**-2 - kept**2
        return LayerLaw(
            after=log_f2 - 0.5 * forward - bend * share**2 * kept,
            forward=forward,
            forward_second=_second(second, forward, 1 / 2),
            forward_drift=_second(drift, forward, -1 / 12),
            forward_third=third,
            elasticity=e * share,
            growth=2 * math.log(self.sigma_w) + log_df2 - 0.5 * backward,
            backward=backward,
            backward_second=_second((2.5 * k2**2 - k3 - 2) / n**2 + 2 * chi, backward, 1 / 2),
            backward_drift=_second((k3 / 3 - 0.75 * k2**2 + 1 / 3) / n**2 - chi / 3, backward, -1 / 12),
            backward_third=(k3 - 3 * k2**2 + 4) / n**2 - 4 * chi,
            lean=tilt * share,
            shared=(both - 1) / self.width - 2 * e * tilt * share**2 * kept,
            turn=2 * tilt * share,
            pull=(both - 1) / self.width,
        )

    def echo(self, signal: Array) -> EchoLaw:
        """The same of the gradient's part along the signal, where there are gradients to speak of."""
        share, log_q = self._before(signal)
        _, kurtosis, _, _, _, both, *_ = log_table(self.curve)(log_q)
        root, p2, pf2, pdf2 = echo_table(self.curve)(log_q)
        return EchoLaw(
            echo=root**2 * share,
            sag=(0.375 * root * (kurtosis - 1) - 0.5 * (pf2 - root)) * np.sqrt(share) / self.width,
            wobble=(p2 - root * pf2 + 0.25 * root**2 * (kurtosis - 1)) * share / self.width,
            wobble_forward=(pf2 - root - 0.5 * root * (kurtosis - 1)) * np.sqrt(share) / self.width,
            wobble_backward=(pdf2 - root - 0.5 * root * (both - 1)) * np.sqrt(share) / self.width,
        )

    def _tails(self, share: Array, log_q: Array) -> tuple[Array, Array, Array]:
        """Forward: second order of variance and mean, and the third cumulant; e, v and their derivatives are by the log signal before."""
        n, kept, table, rest = np.float64(self.width), self.isometry, log_table(self.curve), 1 - share
        _, kurtosis, e, *_, sixth, _ = table(log_q)
        k2, k3 = kurtosis - 1, sixth - 3 * kurtosis + 2
        second, third = (2.5 * k2**2 - k3) / n**2, (k3 - 3 * k2**2) / n**2
        if not kept:
            return second, (k3 / 3 - 0.75 * k2**2) / n**2, third
        (_, log_k1, e1, *_), (_, log_k2, e2, *_) = table(log_q, 1), table(log_q, 2)
        k_1, k_2 = kurtosis * log_k1, kurtosis * (log_k2 + log_k1**2)
        e_2 = (e2 * share + 3 * e1 * rest) * share**2 + e * share * rest * (1 - 2 * share)
        e_1, e = e1 * share**2 + e * share * rest, e * share
        v_1 = k_1 * share - 4 * e * e_1
        v_2 = k_2 * share**2 + k_1 * share * rest - 4 * e_1**2 - 4 * e * e_2
        second = second - kept**2 * (2 * e**2 - 4 * e * e_1 + 2 * e_1**2 + v_2 - v_1 - 2 * e * v_1 - 8 * e**2 * e_1)
        third = third + 4 * e**3 * kept**2 - 6 * e * v_1 * kept / n - 12 * e**2 * e_1 * kept * (2 / n - kept)
        return second, np.zeros_like(second), third

    def _before(self, signal: Array) -> tuple[Array, Array]:
        """What share of the pre-activations' variance q the weights bring, and log q."""
        part = self.sigma_w**2 * np.exp(np.clip(signal, -MOST_LOG, MOST_LOG))
        q = part + self.sigma_b**2
        return part / q, np.log(q)


@functools.lru_cache(maxsize=128)
def log_table(curve: Curve) -> Table:
    """log E f², E f⁴/(E f²)², elasticity, log E f'², E f'⁴/(E f'²)², E f² f'²/(E f² E f'²), E f⁶/(E f²)³, E f'⁶/(E f'²)³ over log q,
    as a spline (8, points).
    """
    rows = []
    for x in GRID.tolist():
        m = moments(curve, 0.0, math.exp(x))
        with np.errstate(all="ignore"):
            slopes = np.float64(m.df4) / m.df2 / m.df2
            f6, df6 = _sixths(curve, math.exp(x)) / np.power([m.f2, m.df2], 3)
            rows.append([
                np.log(m.f2), m.kurtosis, m.elasticity, np.log(m.df2), slopes, np.float64(m.f2df2) / m.f2 / m.df2,
                f6 if np.isfinite(f6) else _as_of_gamma(m.kurtosis - 1),
                df6 if np.isfinite(df6) else _as_of_gamma(3 * slopes - 1) / 15,
            ])  # fmt: skip
    columns = np.array(rows)
    good = np.isfinite(columns[:, :3]).all(axis=1) & (columns[:, 1] < HEAVY)
    with_slopes = np.isfinite(columns[good]).all()
    if not with_slopes:
        columns[:, OF_SLOPES] = 1.0
    spline = _splined(GRID[good], columns[good], steep=[1, 4, 5, 6, 7])
    low, high = float(GRID[good][0]), float(GRID[good][-1])

    def at(log_q: Array, derivative: int = 0) -> Array:
        values = spline(log_q, derivative)
        if derivative == 0:
            values[0] += (log_q - np.clip(log_q, low, high)) * values[
                2
            ]  # beyond the grid: powers of q, as of a homogeneous function
        if not with_slopes:
            values[OF_SLOPES] = np.inf
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


def _second(found: Array, first: Array, gamma: float) -> Array:
    """A term of second order beside a variance; where the series is of no use, what it is of the log of a gamma variable."""
    return np.where(np.abs(found) <= SERIES * first, found, gamma * first**2)


def _as_of_gamma(k2: float | np.float64) -> float:
    """E u³ of a gamma variable with E u = 1 and this variance."""
    return 1 + 3 * k2 + 2 * np.square(k2)


def _sixths(curve: Curve, q: float) -> Array:
    """E f⁶, E f'⁶ for z ~ N(0, q)."""
    sd = math.sqrt(q)

    def integrands(t: Array, half: Array) -> Array:
        z = sd * t
        y = curve.f(z)
        p = np.exp(-0.5 * np.square(t)) / math.sqrt(2 * math.pi)
        return p * np.stack([y, derivative(curve, z, y, half * sd)]) ** 6

    return integrate(integrands, standard_edges(curve, 0.0, sd), 1e-6, rounds=2).value


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
