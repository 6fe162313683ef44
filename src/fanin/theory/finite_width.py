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
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from fanin.activations import Array
from fanin.errors import FaninValueError
from fanin.records import Record
from fanin.theory.arguments import real, reals
from fanin.theory.curves import Curve, Function
from fanin.theory.fixed_points import critical, fixed_point
from fanin.theory.integrals import moments
from fanin.theory.layer_laws import MOST_LOG, Layer, Weights, log_table
from fanin.theory.maps import _checked
from fanin.theory.wandering import Wandering, between, noise_at, quantiles, skew, skewed, walk, walk_back

HERMITE = 9  # nodes over the law of the log signal, so that curved maps are averaged, not linearised
GROWS = 1e-6  # of an elasticity over 1
STRAYS = 0.5  # of a gradient's part along the signal over what chance gives it
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
        centre: the mean with terms of second order.
        fluctuation: the variance with terms of second order (`fanin.theory.layer_laws`): for ReLU × 64 6 % more than the variance.
        skewness: third cumulant over fluctuation^(3/2), to its first order, n^(-1/2): logs of means of squares lean to the left.
        quantiles: of each depth, at the normal scores -3, -2.5, …, 3; () where a mean and a variance say all.
    """

    mean: tuple[float, ...]
    variance: tuple[float, ...]
    sigma_w: float
    centre: tuple[float, ...] = ()
    fluctuation: tuple[float, ...] = ()
    skewness: tuple[float, ...] = ()
    quantiles: tuple[tuple[float, ...], ...] = ()

    def band(self, deviations: float = 1.96) -> tuple[Array, Array]:
        """For each depth, between which log |x|² / n a share lies that a normal law has within ± `deviations`; as much on either side.

        From centre, fluctuation and skewness by the expansion of Cornish & Fisher (1938); where fluctuations grow, quantiles of walks.
        """
        if self.quantiles:
            return between(self.quantiles, -deviations), between(self.quantiles, deviations)
        mean, deviation = np.array(self.centre or self.mean), np.sqrt(np.array(self.fluctuation or self.variance))
        lean = np.array(self.skewness or np.zeros_like(mean))
        return mean + deviation * skewed(-deviations, lean), mean + deviation * skewed(deviations, lean)


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
        FaninValueError: a width below 1, no widths, another kind of weights, or deviations or q0 out of range.

    Example:
        >>> law = log_norm("relu", [128] * 50)
        >>> round(law.variance[-1], 4), round(law.mean[-1], 4)             # 5 · 50 / 128, and minus half of it
        (1.9531, -0.9766)
    """
    curve, n = Curve.of(f), _checked_widths(widths)
    _checked_weights(weights)
    sigma_w = _checked_sigma(curve, sigma_w, sigma_b)
    layers = _layers(curve, n, sigma_w, sigma_b, weights)
    start = mean = _log_start(curve, sigma_w, sigma_b, q0)
    variance, grows = 0.0, False
    means, variances, seconds = [], [], [(start, 0.0, 0.0)]
    for layer in layers:
        seconds.append(_second_order(layer, *seconds[-1]))
        signal, shares = _nodes(mean, variance)
        law = layer(signal)
        mean = min(max(float(shares @ law.after), -MOST_LOG), MOST_LOG)
        variance = min(max(float(shares @ (np.square(law.after - mean) + law.forward)), 0.0), MOST_LOG**2)
        grows |= float(shares @ np.square(law.elasticity)) > 1 + GROWS
        means.append(mean)
        variances.append(variance)
    if grows and len(n) > 1:
        return _of_walks(_walks(start, layers).forward, sigma_w)
    return _of_cumulants(means, variances, sigma_w, seconds[1:])


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
    net's gradients fluctuate more than their constants say; and Gaussian weights that made h are not independent of f'(h): the
    gradient's part along the signal is not like its other parts (`fanin.theory.layer_laws`, docs/decisions/0009-theory.md), and
    where that part lasts through many layers (softplus) the chain is walked. First order in 1/n.

    Args:
        f, widths, sigma_w, weights, sigma_b, q0: as in `log_norm`.

    Example:
        >>> law = log_gradient_norm("relu", [100] * 11)
        >>> round(law.variance[0], 4), law.variance[-1]                    # ten layers of 5/100
        (0.5, 0.0)
    """
    curve, n = Curve.of(f), _checked_widths(widths)
    _checked_weights(weights)
    sigma_w = _checked_sigma(curve, sigma_w, sigma_b)
    forward = log_norm(curve, n, sigma_w, weights, sigma_b, q0)
    if not math.isfinite(log_table(curve)(np.zeros(1))[3, 0]):
        raise FaninValueError(f"{curve.name} jumps, so E f'² is infinite: its gradients have no law")
    layers = _layers(curve, n, sigma_w, sigma_b, weights)
    steps = [
        _GradientStep.at(layer, mean, variance)
        for layer, mean, variance in zip(layers[1:], forward.mean, forward.variance, strict=False)
    ]
    drift, stray = _drift(layers[1:], steps)
    if forward.quantiles or stray > STRAYS:
        start = _log_start(curve, sigma_w, sigma_b, q0)
        return _of_walks(walk_back(_walks(start, layers), layers), sigma_w)
    means, variances, seconds = [], [], []
    for first, along in enumerate(drift):
        mean, variance = _through(steps[first:], forward.variance[first])
        means.append(mean + along)
        variances.append(variance)
        own = np.array([(s.backward_drift, s.backward_second, s.backward_third) for s in steps[first:]]).reshape(-1, 3)
        seconds.append(np.array([means[-1], variance, 0.0]) + own.sum(axis=0))
    return _of_cumulants(means, variances, sigma_w, seconds)


def _of_cumulants(
    means: list[float], variances: list[float], sigma_w: float, seconds: Sequence[Sequence[float] | Array]
) -> LogNorm:
    """The law of first order, with the cumulants of second order of each layer."""
    centre, fluctuation, third = np.array(seconds).T
    rows = (centre, fluctuation, skew(third, fluctuation))
    return LogNorm(tuple(means), tuple(variances), sigma_w, *(tuple(row.tolist()) for row in rows))


def _second_order(layer: Layer, mean: float, variance: float, third: float) -> tuple[float, float, float]:
    """The first three cumulants of the log signal behind a layer, from those before it: bent maps skew, and skewed laws spread."""
    signal, shares = _nodes(mean, variance, third)
    law = layer(signal)
    after, noise = law.after + law.forward_drift, law.forward + law.forward_second
    mean = min(max(float(shares @ after), -MOST_LOG), MOST_LOG)
    variance = min(max(float(shares @ ((after - mean) ** 2 + noise)), 0.0), MOST_LOG**2)
    return mean, variance, float(shares @ ((after - mean) ** 3 + 3 * (after - mean) * noise + law.forward_third))


@dataclass(frozen=True)
class _GradientStep:
    """A layer's law on average over the signal before it."""

    elasticity: float
    growth: float
    lean: float
    forward: float
    backward: float
    backward_second: float
    backward_drift: float
    backward_third: float
    shared: float
    turn: float
    echo: float
    pull: float

    @classmethod
    def at(cls, layer: Layer, mean: float, variance: float) -> "_GradientStep":
        signal, shares = _nodes(mean, variance)
        found = {**vars(layer(signal)), **vars(layer.echo(signal))}
        return cls(**{f.name: float(shares @ found[f.name]) for f in fields(cls)})


def _through(steps: Sequence[_GradientStep], variance: float) -> tuple[float, float]:
    """Mean and variance of the summed log growth, given the forward signal's variance before."""
    mean, total, cross = 0.0, 0.0, 0.0  # cross: covariance of the sum so far and the forward signal
    for s in steps:
        total += s.lean**2 * variance + 2 * s.lean * cross + s.backward
        mean += s.growth
        cross = s.elasticity * (cross + s.lean * variance) + s.shared
        variance = s.elasticity**2 * variance + s.forward
    return mean, total


def _drift(layers: Sequence[Layer], steps: Sequence[_GradientStep]) -> tuple[list[float], float]:
    """What the part of the gradient along the signal adds to its mean log growth, from the last layer down to each one; and
    how far that part goes astray.
    """
    off, stray, found = 0.0, 0.0, [0.0]  # off: κ - 1, nothing for a gradient that knows nothing of the signal
    for layer, step in zip(reversed(layers), reversed(steps), strict=True):
        before, off = off, min(step.turn + step.echo * off, layer.before - 1.0)
        found.append(found[-1] + before * step.pull + off * layer.along)
        stray = max(stray, abs(off * layer.along * layer.before))
    return found[::-1], stray


def _layers(curve: Curve, n: Sequence[int], sigma_w: float, sigma_b: float, weights: Weights) -> tuple[Layer, ...]:
    """The hidden layers; the first one's input is taken to be as wide as it is."""
    before = (n[0], *n[:-1])
    return tuple(Layer(curve, sigma_w, sigma_b, b, width, weights) for b, width in zip(before, n, strict=True))


@functools.lru_cache(maxsize=2)  # both laws of a net are of the same walks
def _walks(start: float, layers: tuple[Layer, ...]) -> Wandering:
    return walk(start, layers, MOST_LOG)


def _of_walks(walks: Array, sigma_w: float) -> LogNorm:
    variance = tuple(walks.var(axis=1).tolist())
    return LogNorm(tuple(walks.mean(axis=1).tolist()), variance, sigma_w, quantiles=quantiles(walks))


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
    if q0 is not None and not 0 < real("q0", q0) < math.inf:
        raise FaninValueError(f"q0={q0} is not usable; it must be a finite number above 0")
    return math.log(_start(curve, sigma_w, sigma_b) if q0 is None else float(q0))


def _start(curve: Curve, sigma_w: float, sigma_b: float) -> float:
    """|x|² / n at the fixed point, or 1."""
    try:
        at = fixed_point(curve, sigma_w, sigma_b)
    except FaninValueError:  # f jumps: no χ₁, but a second moment
        return 1.0
    every = abs(at.slope_q - 1) < 1e-9  # ReLU at √2: every norm is kept
    return moments(curve, 0.0, at.q).f2 if 1e-9 < at.q < 1e9 and not every else 1.0


def _nodes(mean: float, variance: float, third: float = 0.0) -> tuple[Array, Array]:
    """Gauss-Hermite nodes of a log signal, with their weights."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(HERMITE)
    return mean + noise_at(nodes, np.array(variance), np.array(third)), weights / weights.sum()


def _checked_sigma(curve: Curve, sigma_w: float | None, sigma_b: float) -> float:
    _checked(1.0 if sigma_w is None else sigma_w, sigma_b, 1.0)
    if sigma_w is not None and float(sigma_w) == 0:
        raise FaninValueError("sigma_w=0 is not usable; no signal passes, and the logarithm of its norm is not finite")
    return critical_or_gain(curve, sigma_b) if sigma_w is None else float(sigma_w)


def _checked_weights(weights: str) -> None:
    if not isinstance(weights, str) or weights not in NOISE:
        raise FaninValueError(f"weights={weights!r} is not known; accepted are {', '.join(sorted(NOISE))}")


def _checked_widths(widths: Sequence[int]) -> list[int]:
    n = [int(w) if math.isfinite(w) else 0 for w in reals("widths", widths)]
    if not n or min(n) < 1:
        raise FaninValueError(f"widths={list(widths)!r} must be one or more hidden widths of at least 1")
    return n
