"""The statistics of a signal at one place of the graph, and how a weight, an activation or a norm changes them."""

import math
from dataclasses import dataclass, replace
from typing import Any

from fanin.activations import Activation
from fanin.records import changed
from fanin.theory import gaussian
from fanin.theory.gaussian import Function, Odd
from fanin.theory.laws import WeightLaw

WEIGHT_WOBBLE = 2.0  # relative variance of Σ u² over n Gaussian units, times n


@dataclass(frozen=True)
class Gaussian:
    """A pre-activation, the function that was applied to it, and how many units it has."""

    activation: Activation
    state: "State"
    width: int


@dataclass(frozen=True)
class State:
    """What theory says of one signal.

    Attributes:
        mean: over units and examples.
        q: second moment.
        s: contrast ½ E[(x_a - x_b)²] between examples, the noise of dropout included.
        shared: the part of `s` that all units have in common, ½ E[(mean over units of x_a - x_b)²]: s / width for unrelated units.
        noise: the part of `s` that dropout made (it would be there between two passes of one example).
        var_q: variance of ln q between redraws of the weights, error of the estimated laws included.
        var_r: variance of ln (s / q) between redraws. It is smaller, because s is a mean over many pairs of examples.
        before: where the signal comes straight out of an activation, what went into it.
        paired: whether units come in pairs, mean + u and mean - u.
        apart: contrast between two positions (pixels, tokens, steps) of one example, NaN where it is not followed.
        profile: along each axis of positions, the second moment relative to its mean (borders of images, first tokens).
        kernel: second moments E[x_i x_j] between all positions of a sequence, where they are followed (see `tokens`).
        law: the signal's values and how likely each is, where it is known not to be Gaussian.
    """

    mean: float
    q: float
    s: float
    noise: float = 0.0
    var_q: float = 0.0
    var_r: float = 0.0
    shared: float = 0.0
    before: Gaussian | None = None
    paired: bool = False
    apart: float = math.nan
    profile: tuple[tuple[float, ...], ...] = ()
    law: tuple[gaussian.Array, gaussian.Array] | None = None
    kernel: gaussian.Array | None = None

    def but(self, **changes: Any) -> "State":
        """This state with some fields changed, as a walk does thousands of times."""
        return changed(self, **changes)

    @property
    def distinct(self) -> float:
        """The contrast that the examples themselves make."""
        return max(self.s - self.noise, 0.0)

    @property
    def var_s(self) -> float:
        """Variance of ln s between redraws."""
        return self.var_q + self.var_r

    @property
    def variance(self) -> float:
        """Second moment about the mean over units."""
        return max(self.q - self.mean**2, 0.0)

    @property
    def correlation(self) -> float:
        """Mean product of two examples over the second moment, NaN for a zero signal."""
        return 1 - self.s / self.q if self.q > 0 else math.nan

    def scaled(self, q: float, s: float) -> "State":
        """This state with its second moment and contrast multiplied."""
        mean = self.mean * math.sqrt(q) if q >= 0 else self.mean
        return self.but(
            mean=mean,
            q=self.q * q,
            s=self.s * s,
            noise=self.noise * s,
            shared=self.shared * s,
            before=None,
            paired=False,
            apart=self.apart * s,
            law=None,
            kernel=None if self.kernel is None else self.kernel * q,
        )


def times(x: State, factor: float) -> State:
    """The signal multiplied by a number."""
    return x.scaled(factor**2, factor**2).but(mean=factor * x.mean) if factor != 1.0 else x


def through_weight(x: State, w: WeightLaw, bias: WeightLaw | None, examples: int) -> State:
    """The signal behind a dense or convolutional weight with its bias.

    q' = fan_in σ² q + σ_b²,  s' = fan_in σ² s. Between redraws ln q' wobbles by 2 / width, since q' is the mean of
    `outputs` squares, unless the rows are orthogonal and keep the length of x. A mirrored weight behind mirrored units
    is half as large a weight behind the odd part of the activation.
    """
    if pairs_meet(x, w):
        assert x.before is not None
        u, f = x.before.state, x.before.activation
        about = replace(u, mean=0.0, q=u.variance, paired=False)
        x = through_activation(about, Odd(f, gaussian.rounded(u.mean)), x.before.width // 2, examples)
        power, mean, shared = w.power / 2, 0.0, 0.0
        q, s, noise = power * x.q, power * x.s, power * x.noise
    else:
        # The mean weight sees the sum over units: what they have in common adds up coherently.
        power, lean = w.fan_in * (w.variance + w.mean**2), (w.fan_in * w.mean) ** 2
        mean, shared = w.fan_in * w.mean * x.mean, lean * x.shared
        own = w.fan_in * w.mean**2 * max(x.variance - x.shared, 0.0)
        q = w.fan_in * w.variance * x.q + own + mean**2 + shared
        s = w.fan_in * (w.variance * x.s + w.mean**2 * max(x.s - x.shared, 0.0)) + shared
        noise = power * x.noise
    width = max(w.outputs / (2 if w.mirrored_out else 1), 1.0)
    draw = 0.0 if w.orthogonal and w.outputs >= w.inputs else WEIGHT_WOBBLE / width
    var_q = x.var_q + draw + w.doubt
    var_r = x.var_r + draw / max(examples - 1, 1)
    if bias is not None and (bias.variance > 0 or bias.mean != 0):
        total = q + bias.variance + bias.mean**2 + 2 * mean * bias.mean
        if total > 0:
            wobble = max(bias.kurtosis - 1, 0.0) / width * (bias.variance / total) ** 2
            var_r += (x.var_q + draw) * (1 - q / total) ** 2 + wobble
            var_q = var_q * (q / total) ** 2 + wobble
        q, mean = max(total, 0.0), mean + bias.mean
    return State(mean, q, s, noise, var_q, var_r, max(shared, s / width), None, w.mirrored_out and alike(bias))


def alike(bias: WeightLaw | None) -> bool:
    """Whether a bias moves both units of every pair to the same place: u and -u become b + u and b - u."""
    return bias is None or bias.variance == 0


def pairs_meet(x: State, w: WeightLaw) -> bool:
    """Whether the weight's opposite columns meet units that come in pairs f(u), f(-u)."""
    return w.mirrored_in and x.before is not None and x.before.state.paired


def through_activation(u: State, f: Function, width: int, examples: int) -> State:
    """The signal behind an activation of Gaussian pre-activations."""
    m = gaussian.moments(f, u.mean, u.variance)
    s = gaussian.contrast(f, u.mean, u.q, u.s)
    noise = gaussian.contrast(f, u.mean, u.q, u.noise) if u.noise > 0 else 0.0
    units = max(width / (2 if u.paired else 1), 1.0)
    share = u.variance / u.q if u.q > 0 else 0.0
    var_q = (m.elasticity * share) ** 2 * u.var_q + m.wobble / units
    slopes = gaussian.wobble_of_slopes(f, u.mean, u.variance) / 3  # what all pairs of examples share
    drift = slope_elasticity(f, u.mean, u.variance) - m.elasticity + 1
    var_r = u.var_r + drift**2 * u.var_q + slopes * (1 + 2 / max(examples - 1, 1)) / units
    before = Gaussian(f, u, width) if isinstance(f, Activation) else None
    shared = u.shared / u.s * s if u.s > 0 else 0.0
    return State(m.mean, m.second, s, noise, var_q, var_r, shared, before)


def slope_elasticity(f: Function, mean: float, variance: float) -> float:
    """d ln E[f'²] / d ln variance: how a wrong scale of the signal changes what happens to its contrast."""
    if mean == 0 and gaussian.homogeneous(f):
        return 0.0  # the slopes are the same at every scale
    up = gaussian.moments(f, mean, variance * 1.1).slope2
    down = gaussian.moments(f, mean, variance / 1.1).slope2
    return math.log(up / down) / math.log(1.21) if up > 0 and down > 0 else 0.0


def through_norm(
    x: State, name: str, eps: float, scale: WeightLaw | None, shift: WeightLaw | None, over: float | None = None
) -> State:
    """The signal behind a norm: over examples (batch norm) or over the units of one example (layer norm, RMS norm).

    `over` is what a batch norm divides by, where it is more than the contrast between examples.
    """
    gamma = scale.variance + scale.mean**2 if scale is not None else 1.0
    centred = "rms" not in name
    if "batch" in name:
        # The batch's mean goes, and with it all that examples have in common: what is left is their contrast.
        over = x.s if over is None else over
        factor = gamma / (over + eps) if over + eps > 0 else 0.0
        q, s, noise = factor * over, factor * x.s, factor * x.noise
    else:
        variance = x.variance if centred else x.q
        factor = gamma / (variance + eps) if variance + eps > 0 else 0.0
        q, s, noise = factor * variance, factor * min(x.s, variance), factor * x.noise
    own, mean = (shift.variance + shift.mean**2, shift.mean) if shift is not None else (0.0, 0.0)
    shared = s * x.shared / x.s if x.s > 0 and not centred else 0.0
    return State(mean, q + own, s, noise, 0.0, 0.0 if "batch" in name else x.var_r, shared)


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
    var_q = _blend(a.q, a.var_q, b.q, b.var_q, q)
    var_r = _blend(a.s, a.var_r, b.s, b.var_r, s)
    return State(a.mean + b.mean, q, s, a.noise + b.noise, var_q, var_r, a.shared + b.shared)


def _blend(a: float, var_a: float, b: float, var_b: float, total: float) -> float:
    """Variance of ln (a + b), a and b independent; `total` is their sum."""
    return (a / total) ** 2 * var_a + (b / total) ** 2 * var_b if total > 0 and math.isfinite(total) else 0.0


def through_unknown_norm(x: State, before: State, after: State) -> State:
    """The signal behind a norm written by hand: its size is the measured one, its contrast follows the predicted share."""
    share = x.s / x.q if x.q > 0 else 0.0
    was = before.s / before.q if before.q > 0 else 0.0
    s = min(after.s * share / was, 2 * after.q) if was > 0 else after.s
    noise = s * x.noise / x.s if x.s > 0 else 0.0
    return State(after.mean, after.q, s, noise, 0.0, x.var_r)
