"""How far one draw of a net of finite width may be from the mean: the law of the log-norm.

Given the activations x of a layer, the next pre-activations of Gaussian weights are independent N(0, σ_w² |x|² / n + σ_b²),
exactly, at any width. So r = |x|² / n_l is a Markov chain, and one layer adds to log r

    log V(q) / q,  a fluctuation of variance (E f⁴ / (E f²)² - 1) / n_l,  and the drift -1/2 of that variance,

where V(q) = E f². What was there already is multiplied by the elasticity e = d log V / d log q (1 for ReLU, below 1 where f
saturates, so that errors of scale heal). Haar-orthogonal weights keep |Wx| too, which takes 2 e² from the constant. Where e is
above 1, fluctuations grow, and the chain is walked as it is (`fanin.theory.wandering`).
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fanin.activations import Array
from fanin.errors import FaninValueError
from fanin.records import Record
from fanin.theory.curves import Curve, Function
from fanin.theory.fixed_points import critical, fixed_point
from fanin.theory.integrals import moments
from fanin.theory.wandering import Wandering, between, quantiles, walk

Weights = Literal["normal", "orthogonal"]
HERMITE = 9  # nodes over the law of the log signal, so that curved maps are averaged, not linearised
MOST_LOG = 300.0  # a log signal beyond this has left all numbers
GRID_END, GRID_STEP = 20.0, 0.25  # of log q
GROWS = 1e-6  # of an elasticity over 1
NOISE = {"normal": 2.0, "orthogonal": 0.0}  # relative variance, times n, of |W u|² for a fixed u


@dataclass(frozen=True)
class LogNorm(Record):
    """The law of a log squared norm at each depth; entry l belongs to layer l + 1.

    Where fluctuations grow from layer to layer (GELU at its gain), all are those of simulated walks of the norms, and the band
    lies between quantiles: some draws' signals die while others grow.

    Attributes:
        mean: of log(|x|² / n), natural logarithm.
        variance: of the same, over draws of the weights, to first order in 1/n.
        sigma_w: the deviation of the weights, times √fan_in.
        fluctuation: the variance with terms of second order: a layer's v becomes v + v²/2, as the log of a gamma variable has it
            (the mean of n squares is nearly one). It is what the band is made of; 4 % more than the variance for ReLU × 64.
        quantiles: of each depth, at the normal scores -3, -2.5, …, 3; () where a mean and a variance say all.
    """

    mean: tuple[float, ...]
    variance: tuple[float, ...]
    sigma_w: float
    fluctuation: tuple[float, ...] = ()
    quantiles: tuple[tuple[float, ...], ...] = ()

    def band(self, deviations: float = 1.96) -> tuple[Array, Array]:
        """The ends of mean ± `deviations` standard deviations, for each depth; of log |x|² / n.

        Where fluctuations grow: the quantiles that a normal law has there.
        """
        if self.quantiles:
            return between(self.quantiles, -deviations), between(self.quantiles, deviations)
        mean, spread = np.array(self.mean), deviations * np.sqrt(np.array(self.fluctuation or self.variance))
        return mean - spread, mean + spread


def layer_constant(f: Function | Curve, q: float = 1.0, weights: Weights = "normal", backward: bool = False) -> float:
    """c: one layer of n units adds c / n to the variance of the log squared norm.

    Forward E f⁴ / (E f²)² - 1, less 2 e² for orthogonal weights (e = d log E f² / d log q); backward 3 E f'⁴ / (E f'²)² - 1,
    less 2 for orthogonal ones. ReLU with Gaussian weights: 5 both ways (Hanin & Rolnick 2018, theorem 5; Hanin & Nica 2020, eq. 1).

    Args:
        f: as in `moments`.
        q: variance of the pre-activations.
        weights: "normal" (any law with independent entries, to first order) or "orthogonal" (square, Haar).
        backward: of gradients instead of activations.

    Example:
        >>> [round(layer_constant("relu", weights=w), 9) for w in ("normal", "orthogonal")]
        [5.0, 3.0]
    """
    _checked_weights(weights)
    m = moments(f, 0.0, q)
    if backward:
        return 3 * m.df4 / m.df2 / m.df2 - 3 + NOISE[weights]
    return m.kurtosis - 1 - (2 - NOISE[weights]) * m.elasticity**2


def log_norm(
    f: Function | Curve,
    widths: Sequence[int],
    sigma_w: float | None = None,
    weights: Weights = "normal",
    sigma_b: float = 0.0,
    q0: float | None = None,
) -> LogNorm:
    """Mean and variance of log(|x_l|² / n_l) of the activations x_l = f(W_l x_{l-1} + b_l) of a dense net.

    For ReLU at σ_w = √2 the variance is about 5 Σ 1/n_l and the mean -5/2 Σ 1/n_l (Hanin & Rolnick 2018; Hanin & Nica 2020).
    Other activations heal: the variance settles where it gains as much as e² takes away. First order in 1/n.

    Args:
        f: as in `moments`.
        widths: of the hidden layers, n_1 … n_L; the input's width does not matter for independent weights, and is taken as n_1
            for orthogonal ones.
        sigma_w: weights have the variance σ_w² / fan_in (orthogonal: σ_w √(fan_out / fan_in, if above 1) times an isometry);
            critical unless given, or the one that keeps a second moment of 1 where no stable variance is critical (GELU).
        weights: "normal" or "orthogonal".
        sigma_b: biases have the variance σ_b².
        q0: |x_0|² / n_0 of the input. Unless given it is the fixed point's, or 1 where that is 0, infinite or any (ReLU at √2).

    Raises:
        FaninValueError: a width below 1, no widths, or another kind of weights.

    Example:
        >>> law = log_norm("relu", [128] * 50)
        >>> round(law.variance[-1], 4), round(law.mean[-1], 4)             # 5 · 50 / 128, and minus half of it
        (1.9531, -0.9766)
    """
    curve, n = Curve.of(f), _checked_widths(widths)
    _checked_weights(weights)
    sigma_w = critical_or_gain(curve, sigma_b) if sigma_w is None else float(sigma_w)
    start = mean = _log_start(curve, sigma_w, sigma_b, q0)
    table, variance, fluctuation, before = log_table(curve), 0.0, 0.0, n[0]
    means, variances, fluctuations, grows = [], [], [], False
    for width in n:
        at = _spread(table, mean, variance, sigma_w, sigma_b)
        kept = (
            1.0 / max(before, width) if weights == "orthogonal" else 0.0
        )  # |Wx|² then fluctuates by 2/n_l less twice this
        constant = (at.kurtosis - 1) / width - 2 * at.elasticity**2 * kept
        after = at.log_f2 - 0.5 * constant - at.bend * kept
        mean = min(max(float(at.weights @ after), -MOST_LOG), MOST_LOG)
        variance = min(max(float(at.weights @ (np.square(after - mean) + constant)), 0.0), MOST_LOG**2)
        stretch = float(at.weights @ np.square(at.elasticity * at.share))
        grows |= stretch > 1 + GROWS
        second = float(at.weights @ (constant + 0.5 * np.square(constant)))
        fluctuation = min(max(variance, stretch * fluctuation + second), MOST_LOG**2)
        means.append(mean)
        variances.append(variance)
        fluctuations.append(fluctuation)
        before = width
    if grows and len(n) > 1:
        return _of_walks(_walks(table, start, tuple(n), sigma_w, sigma_b, weights).forward, sigma_w)
    return LogNorm(tuple(means), tuple(variances), sigma_w, tuple(fluctuations))


def log_gradient_norm(
    f: Function | Curve,
    widths: Sequence[int],
    sigma_w: float | None = None,
    weights: Weights = "normal",
    sigma_b: float = 0.0,
    q0: float | None = None,
) -> LogNorm:
    """Mean and variance of the log squared norm of ∂loss/∂x_l, relative to that of ∂loss/∂x_L; entry l - 1 is layer l.

    A layer multiplies it by χ(q) = σ_w² E f'² and adds 3 (E f'⁴ / (E f'²)² - 1) / n_l + 2 / n_{l-1} to its variance: 5 / n for
    ReLU (Hanin 2018, theorem 1). The forward signal's own fluctuation enters through d log χ / d log q, which is why a saturating
    net's gradients fluctuate more than their constants say; and Gaussian weights that made h are not independent of f'(h), which
    moves the mean by 2 d log χ / d log q / n a layer (docs/decisions/0009-theory.md). First order in 1/n.

    Args:
        f, widths, sigma_w, weights, sigma_b, q0: as in `log_norm`.

    Example:
        >>> law = log_gradient_norm("relu", [100] * 11)
        >>> round(law.variance[0], 4), law.variance[-1]                    # ten layers of 5/100
        (0.5, 0.0)
    """
    curve, n = Curve.of(f), _checked_widths(widths)
    _checked_weights(weights)
    sigma_w = critical_or_gain(curve, sigma_b) if sigma_w is None else float(sigma_w)
    forward = log_norm(curve, n, sigma_w, weights, sigma_b, q0)
    table = log_table(curve)
    if not math.isfinite(table(np.zeros(1))[3, 0]):
        raise FaninValueError(f"{curve.name} jumps, so E f'² is infinite: its gradients have no law")
    if forward.quantiles:
        growth = _walks(table, _log_start(curve, sigma_w, sigma_b, q0), tuple(n), sigma_w, sigma_b, weights).growth[1:]
        sums = np.cumsum(growth[::-1], axis=0)[::-1]
        return _of_walks(np.vstack([sums, np.zeros(sums.shape[1])]), sigma_w)
    steps = [
        _gradient_step(table, forward.mean[i - 1], forward.variance[i - 1], sigma_w, sigma_b, n[i - 1], n[i], weights)
        for i in range(1, len(n))
    ]
    means, variances, fluctuations = [0.0], [0.0], [0.0]
    for first in range(len(n) - 2, -1, -1):
        mean, variance, second = _through(steps[first:], forward.variance[first])
        means.append(mean)
        variances.append(variance)
        fluctuations.append(variance + second)
    return LogNorm(tuple(reversed(means)), tuple(reversed(variances)), sigma_w, tuple(reversed(fluctuations)))


@dataclass(frozen=True)
class _GradientStep:
    growth: float  # log χ
    lean: float  # d log χ / d log r of the layer before
    e: float  # elasticity of the forward signal
    forward: float  # variance that the layer adds to log r
    backward: float  # … and to the gradient's log norm
    shared: float  # … and their covariance


def _through(steps: Sequence[_GradientStep], variance: float) -> tuple[float, float, float]:
    """Mean, variance, and the variance's second order, of the summed log growth, given the forward signal's variance before."""
    mean, total, cross = 0.0, 0.0, 0.0  # cross: covariance of the sum so far and the forward signal
    second = 0.5 * sum(s.backward**2 for s in steps)
    for s in steps:
        total += s.lean**2 * variance + 2 * s.lean * cross + s.backward
        mean += s.growth - 0.5 * s.backward
        cross = s.e * (cross + s.lean * variance) + s.shared
        variance = s.e**2 * variance + s.forward
    return mean, total, second


@functools.lru_cache(maxsize=2)  # both laws of a net are of the same walks
def _walks(
    table: Callable[..., Array], start: float, n: tuple[int, ...], sigma_w: float, sigma_b: float, weights: Weights
) -> Wandering:
    def layer(number: int, signal: Array) -> tuple[Array, Array, Array, Array, Array]:
        width, before = n[number], n[max(number - 1, 0)]
        at = _layer_at(table, signal, sigma_w, sigma_b)
        kept = 1.0 / max(before, width) if weights == "orthogonal" else 0.0
        constant = (at.kurtosis - 1) / width - 2 * at.elasticity**2 * kept
        back = 3 * (at.kurtosis_of_slopes - 1) / width + NOISE[weights] / before
        growth = 2 * math.log(sigma_w) + at.log_df2 + NOISE[weights] * at.tilt / before - 0.5 * back
        shared = (at.shared - 1 - (2 - NOISE[weights]) * at.elasticity * at.tilt) / width
        return at.log_f2 - 0.5 * constant - at.bend * kept, constant, growth, back, shared

    with np.errstate(over="ignore", invalid="ignore"):  # where E f'² is infinite there are no gradients to speak of
        return walk(start, len(n), layer, MOST_LOG)


def _of_walks(walks: Array, sigma_w: float) -> LogNorm:
    variance = tuple(walks.var(axis=1).tolist())
    return LogNorm(tuple(walks.mean(axis=1).tolist()), variance, sigma_w, variance, quantiles(walks))


def critical_or_gain(f: Function | Curve, sigma_b: float = 0.0) -> float:
    """σ_w at the edge of chaos where the variance is stable there, else the one that keeps E f² at 1 with q = 1.

    Example:
        >>> round(critical_or_gain("tanh"), 6), round(critical_or_gain("gelu"), 4)
        (1.0, 1.5335)
    """
    curve = Curve.of(f)
    try:
        sigma_w, _, stable = critical(curve, sigma_b)
        if stable:
            return sigma_w
    except FaninValueError:
        pass
    second = moments(curve, 0.0, 1.0).f2
    if not (0 < second < math.inf):
        raise FaninValueError(f"E f² of {curve.name} is {second:g}, so no sigma_w keeps its signal; give sigma_w")
    return 1.0 / math.sqrt(second)


def _log_start(curve: Curve, sigma_w: float, sigma_b: float, q0: float | None) -> float:
    """log |x_0|² / n_0 of the input."""
    return math.log(_start(curve, sigma_w, sigma_b) if q0 is None else float(q0))


def _start(curve: Curve, sigma_w: float, sigma_b: float) -> float:
    """|x|² / n at the fixed point, or 1."""
    try:
        at = fixed_point(curve, sigma_w, sigma_b)
    except FaninValueError:  # f jumps: no χ₁, but a second moment
        return 1.0
    every = abs(at.slope_q - 1) < 1e-9  # ReLU at √2: every norm is kept
    return moments(curve, 0.0, at.q).f2 if 1e-9 < at.q < 1e9 and not every else 1.0


@dataclass(frozen=True)
class _At:
    """What a layer does at some log signals before it: arrays of one shape."""

    share: Array  # of the pre-activations' variance that the weights bring
    log_f2: Array
    kurtosis: Array
    elasticity: Array
    log_df2: Array
    kurtosis_of_slopes: Array
    shared: Array  # E f² f'² / (E f² E f'²)
    tilt: Array  # d log E f'² / d log q
    bend: Array  # q² V'' / V


@dataclass(frozen=True)
class _Spread(_At):
    """The same at Gauss-Hermite nodes of the log signal, with their weights."""

    weights: Array


def _layer_at(table: Callable[..., Array], signal: Array, sigma_w: float, sigma_b: float) -> _At:
    part = sigma_w**2 * np.exp(np.clip(signal, -MOST_LOG, MOST_LOG))
    q = part + sigma_b**2
    log_q = np.log(q)
    log_f2, kurtosis, e, log_df2, slopes, shared = table(log_q)
    leans = table(log_q, 1)
    return _At(part / q, log_f2, kurtosis, e, log_df2, slopes, shared, leans[3], leans[2] + e**2 - e)


def _spread(table: Callable[..., Array], mean: float, variance: float, sigma_w: float, sigma_b: float) -> _Spread:
    nodes, weights = np.polynomial.hermite_e.hermegauss(HERMITE)
    at = _layer_at(table, mean + math.sqrt(variance) * nodes, sigma_w, sigma_b)
    return _Spread(**vars(at), weights=weights / weights.sum())


def _gradient_step(
    table: Callable[..., Array],
    mean: float,
    variance: float,
    sigma_w: float,
    sigma_b: float,
    before: int,
    width: int,
    weights: Weights,
) -> _GradientStep:
    """What layer l does to x_{l-1} → x_l and to the gradient of x_l → that of x_{l-1}, on average over the signal before it."""
    at = _spread(table, mean, variance, sigma_w, sigma_b)
    radial = 2 - NOISE[weights]
    return _GradientStep(
        # W sends the gradient back and made h: given h, E |Wᵀ v|² is off by (E h² f'² / (q E f'²) - 1) / n = 2 tilt / n.
        growth=float(at.weights @ (2 * math.log(sigma_w) + at.log_df2 + NOISE[weights] * at.tilt / before)),
        lean=float(at.weights @ (at.tilt * at.share)),
        e=float(at.weights @ (at.elasticity * at.share)),
        forward=float(at.weights @ (at.kurtosis - 1 - radial * at.elasticity**2)) / width,
        backward=float(at.weights @ (3 * (at.kurtosis_of_slopes - 1))) / width + NOISE[weights] / before,
        shared=float(at.weights @ (at.shared - 1 - radial * at.elasticity * at.tilt)) / width,
    )


@functools.lru_cache(maxsize=128)
def log_table(curve: Curve) -> Callable[..., Array]:
    """log E f², E f⁴/(E f²)², elasticity, log E f'², E f'⁴/(E f'²)², E f² f'²/(E f² E f'²) over log q, as a spline (6, points)."""
    from scipy.interpolate import CubicSpline

    grid = np.arange(-GRID_END, GRID_END + GRID_STEP / 2, GRID_STEP)
    rows = []
    for x in grid.tolist():
        m = moments(curve, 0.0, math.exp(x))
        with np.errstate(all="ignore"):
            rows.append([
                np.log(m.f2), m.kurtosis, m.elasticity, np.log(m.df2),
                np.float64(m.df4) / m.df2 / m.df2, np.float64(m.f2df2) / m.f2 / m.df2,
            ])  # fmt: skip
    columns = np.array(rows)
    good = np.isfinite(columns[:, :3]).all(axis=1)
    with_slopes = np.isfinite(columns[good]).all()
    if not with_slopes:
        columns[:, 3:] = 0.0
    spline = CubicSpline(grid[good], columns[good])
    low, high = float(grid[good][0]), float(grid[good][-1])

    def at(log_q: Array, derivative: int = 0) -> Array:
        inside = np.clip(log_q, low, high)
        values = spline(inside, derivative).T
        if derivative == 0:  # beyond the grid: powers of q, as of a homogeneous function
            values[0] += (log_q - inside) * values[2]
        if not with_slopes:
            values[3:] = np.inf
        return values

    return at


def _checked_weights(weights: str) -> None:
    if weights not in NOISE:
        raise FaninValueError(f"weights={weights!r} is not known; accepted are {', '.join(sorted(NOISE))}")


def _checked_widths(widths: Sequence[int]) -> list[int]:
    n = [int(w) for w in widths]
    if not n or min(n) < 1:
        raise FaninValueError(f"widths={list(widths)!r} must be one or more hidden widths of at least 1")
    return n
