"""The statistics of a signal at one place of the graph, and how a weight, an activation or a norm changes them."""

import math
from dataclasses import dataclass, replace

from fanin.activations import Activation
from fanin.theory import gaussian
from fanin.theory.gaussian import Function, Odd
from fanin.theory.laws import WeightLaw

WEIGHT_WOBBLE = 2.0  # relative variance of Σ u² over n Gaussian units, times n


@dataclass(frozen=True)
class Gaussian:
    """A pre-activation and the function that was applied to it; `paired` where its units come as u and -u."""

    activation: Activation
    mean: float
    q: float
    s: float
    noise: float
    paired: bool


@dataclass(frozen=True)
class State:
    """What theory says of one signal.

    Attributes:
        mean: over units and examples.
        q: second moment.
        s: contrast ½ E[(x_a - x_b)²] between examples, the noise of dropout included.
        noise: the part of `s` that dropout made (it would be there between two passes of one example).
        var_q, var_s: variance of ln q and of ln s between redraws of the weights, error of the estimated laws included.
        before: where the signal comes straight out of an activation, what went into it.
        paired: whether units come in pairs u and -u.
    """

    mean: float
    q: float
    s: float
    noise: float = 0.0
    var_q: float = 0.0
    var_s: float = 0.0
    before: Gaussian | None = None
    paired: bool = False

    @property
    def distinct(self) -> float:
        """The contrast that the examples themselves make."""
        return max(self.s - self.noise, 0.0)

    @property
    def correlation(self) -> float:
        """Mean product of two examples over the second moment, NaN for a zero signal."""
        return 1 - self.s / self.q if self.q > 0 else math.nan

    def scaled(self, q: float, s: float) -> "State":
        """This state with its second moment and contrast multiplied."""
        mean = self.mean * math.sqrt(q) if q >= 0 else self.mean
        return replace(self, mean=mean, q=self.q * q, s=self.s * s, noise=self.noise * s, before=None, paired=False)


def through_weight(x: State, w: WeightLaw, bias: WeightLaw | None) -> State:
    """The signal behind a dense or convolutional weight with its bias.

    q' = fan_in σ² q + σ_b²,  s' = fan_in σ² s. Between redraws ln q' wobbles by 2 / width, since q' is the mean of
    `outputs` squares, unless the rows are orthogonal and keep the length of x.
    """
    if w.mirrored_in and x.before is not None and x.before.paired:
        pair, g = Odd(x.before.activation), x.before
        variance = max(g.q - g.mean**2, 0.0)
        power = w.power / 2
        q = power * gaussian.moments(pair, 0.0, variance).second
        s = power * gaussian.contrast(pair, 0.0, variance, g.s)
        noise = power * gaussian.contrast(pair, 0.0, variance, g.noise)
        mean = 0.0
    else:
        spread_of_weights = w.variance + w.mean**2
        across = (w.fan_in * w.mean * x.mean) ** 2
        q = w.fan_in * (w.variance * x.q + w.mean**2 * max(x.q - x.mean**2, 0.0)) + across
        s, noise = w.fan_in * spread_of_weights * x.s, w.fan_in * spread_of_weights * x.noise
        mean = w.fan_in * w.mean * x.mean
    width = max(w.outputs / (2 if w.mirrored_out else 1), 1.0)
    draw = 0.0 if w.orthogonal and w.outputs >= w.inputs else WEIGHT_WOBBLE / width
    var_q, var_s = x.var_q + draw + w.doubt, x.var_s + draw + w.doubt
    if bias is not None and (bias.variance > 0 or bias.mean != 0):
        own = bias.variance + bias.mean**2
        total = q + own + 2 * mean * bias.mean
        if total > 0:
            wobble = max(bias.kurtosis - 1, 0.0) / width * (bias.variance / total) ** 2
            var_q = var_q * (q / total) ** 2 + wobble
        q, mean = max(total, 0.0), mean + bias.mean
    return State(mean, q, s, noise, var_q, var_s, None, w.mirrored_out and (bias is None or bias.zero))


def through_activation(u: State, f: Activation, width: int) -> State:
    """The signal behind an activation of Gaussian pre-activations."""
    variance = max(u.q - u.mean**2, 0.0)
    m = gaussian.moments(f, u.mean, variance)
    s = gaussian.contrast(f, u.mean, u.q, u.s)
    noise = gaussian.contrast(f, u.mean, u.q, u.noise) if u.noise > 0 else 0.0
    units = max(width / (2 if u.paired else 1), 1.0)
    share = variance / u.q if u.q > 0 else 0.0
    var_q = (m.elasticity * share) ** 2 * u.var_q + m.wobble / units
    var_s = u.var_s + slope_elasticity(f, u.mean, variance) ** 2 * u.var_q
    var_s += gaussian.wobble_of_slopes(f, u.mean, variance) / units
    before = Gaussian(f, u.mean, u.q, u.s, u.noise, u.paired)
    return State(m.mean, m.second, s, noise, var_q, var_s, before)


def slope_elasticity(f: Function, mean: float, variance: float) -> float:
    """d ln E[f'²] / d ln variance: how a wrong scale of the signal changes what happens to its contrast."""
    up = gaussian.moments(f, mean, variance * 1.1).slope2
    down = gaussian.moments(f, mean, variance / 1.1).slope2
    return math.log(up / down) / math.log(1.21) if up > 0 and down > 0 else 0.0


def through_norm(x: State, name: str, eps: float, scale: WeightLaw | None, shift: WeightLaw | None) -> State:
    """The signal behind a norm: over examples (batch norm) or over the units of one example (layer norm, RMS norm)."""
    gamma = scale.variance + scale.mean**2 if scale is not None else 1.0
    centred = "rms" not in name
    if "batch" in name:
        # The batch's mean goes, and with it all that examples have in common: what is left is their contrast.
        power = x.s / (x.s + eps) if x.s + eps > 0 else 0.0
        q = s = gamma * power
        noise = gamma * power * (x.noise / x.s if x.s > 0 else 0.0)
    else:
        variance = max(x.q - x.mean**2, 0.0) if centred else x.q
        factor = gamma / (variance + eps) if variance + eps > 0 else 0.0
        q, s, noise = factor * variance, factor * min(x.s, variance), factor * x.noise
    own, mean = (shift.variance + shift.mean**2, shift.mean) if shift is not None else (0.0, 0.0)
    doubt = 0.0 if "batch" in name else x.var_s
    return State(mean, q + own, s, noise, 0.0, doubt)


def through_dropout(x: State, p: float) -> State:
    """The signal behind dropout in train mode: kept elements grow by 1 / (1 - p), each pass its own mask."""
    if not 0 <= p < 1:
        return x
    more = x.q * p / (1 - p)
    return replace(x, q=x.q + more, s=x.s + more, noise=x.noise + more)


def added(a: State, b: State) -> State:
    """The sum of two signals that share no weight."""
    q = max(a.q + b.q + 2 * a.mean * b.mean, 0.0)
    s = a.s + b.s
    var_q = (a.q**2 * a.var_q + b.q**2 * b.var_q) / q**2 if q > 0 else 0.0
    var_s = (a.s**2 * a.var_s + b.s**2 * b.var_s) / s**2 if s > 0 else 0.0
    return State(a.mean + b.mean, q, s, a.noise + b.noise, var_q, var_s)
