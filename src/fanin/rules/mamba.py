"""Mamba: step sizes spread over time scales, decays 1 … N, and the projection that makes steps of the input."""

import math

import numpy as np

from fanin.distributions import Constant, Distribution, Formula, Mapped, Uniform
from fanin.errors import FaninValueError
from fanin.formulas import Places, formula, mapping
from fanin.rules.arguments import choice_check, flag_check, number_check
from fanin.rules.constant import everywhere
from fanin.rules.fans import axes_of, fan
from fanin.rules.promise import Array, Promise, backward, forward, law, values
from fanin.rules.rule import rule
from fanin.slots import Axes, Slot

ABOVE_0 = number_check("a finite number above 0", lambda x: x > 0)


@mapping
def softplus_inverse_of_exp(x: Array, floor: float) -> Array:
    """y with log(1 + e^y) = max(e^x, floor)."""
    step = np.maximum(np.exp(x), floor)
    return step + np.log(-np.expm1(-step))


def log_uniform(low: float, high: float) -> Uniform:
    return Uniform((math.log(high) - math.log(low)) / 2.0, (math.log(high) + math.log(low)) / 2.0)


def check_order(rule: str, dt_min: float, dt_max: float) -> None:
    if dt_min > dt_max:
        raise FaninValueError(f"{rule}: dt_min={dt_min!r} is above dt_max={dt_max!r}; dt_min must be at most dt_max")


def steps_promise(rule: str, slot: Slot, low: float, high: float, step: str) -> tuple[Promise, ...]:
    """What is promised of log-uniform step sizes that a parameter holds as `step` says: "softplus" or "exp"."""

    def log_steps(weight: Array) -> Array:
        return np.log(np.logaddexp(0.0, weight)) if step == "softplus" else weight

    def mean(weight: Array, slot: Slot) -> float:
        return float(np.exp(log_steps(weight).mean()))

    def outside(weight: Array, slot: Slot) -> float:
        found = log_steps(weight)
        return float(max(0.0, math.log(low) - found.min(), found.max() - math.log(high)))

    middle = math.sqrt(low * high)
    spread = (math.log(high) - math.log(low)) / math.sqrt(12 * max(1, slot.size))
    return (
        values(middle, mean, f"step sizes around {middle:.3g} (in the log)", 6 * spread * middle + 1e-5 * middle),
        values(0.0, outside, f"every one from {low:g} to {high:g}", 1e-4),
    )


def _dt_promise(slot: Slot, dt_min: float, dt_max: float, floor: float) -> tuple[Promise, ...]:
    if dt_min >= floor:
        return steps_promise("mamba_dt_bias", slot, dt_min, dt_max, "softplus")

    def least(weight: Array, slot: Slot) -> float:
        return float(max(0.0, np.log(floor) - np.log(np.logaddexp(0.0, weight)).min()))

    return (values(0.0, least, f"no step is below {floor:g}", 1e-4),)


@rule(
    promise=_dt_promise,
    checks={"dt_min": ABOVE_0, "dt_max": ABOVE_0, "floor": ABOVE_0},
    samples=({}, {"dt_min": 0.01, "dt_max": 0.5}),
)
def mamba_dt_bias(slot: Slot, dt_min: float = 1e-3, dt_max: float = 0.1, floor: float = 1e-4) -> Distribution:
    """The bias behind Mamba's step sizes: softplus of it is log-uniform, so that the channels see all time scales alike.

    A step Δ with the decay -1 remembers for 1 / Δ steps of the sequence: from 10 to 1000 by default. Blanket rules ("all biases zero")
    that are applied afterwards make every step softplus(0) = .69, which was a bug of several libraries.

    Formula:
        b = softplus⁻¹(max(e^x, floor)), x ~ U(log dt_min, log dt_max);   softplus⁻¹(Δ) = Δ + log(1 - e^(-Δ))

    Args:
        dt_min, dt_max: the smallest and the largest step.
        floor: steps below it are set to it (where dt_min is smaller).

    Raises:
        FaninValueError: where dt_min is above dt_max.

    Promise:
        softplus(b) is log-uniform between dt_min and dt_max, and not below floor.

    Paper:
        Gu & Dao 2023, "Mamba: linear-time sequence modeling with selective state spaces", section 3.6 and code
        (`mamba_simple.py`: `dt_proj.bias`; Mamba-2: `dt_bias`).

    Example:
        >>> import numpy as np
        >>> from fanin import draws
        >>> step = np.logaddexp(0, draws.draw(mamba_dt_bias(), (4000,), seed=0, name="dt_proj.bias"))
        >>> bool(step.min() >= 0.00099), bool(step.max() < 0.101), round(float(np.exp(np.log(step).mean())), 3)
        (True, True, 0.01)
    """
    check_order("mamba_dt_bias", dt_min, dt_max)
    return Mapped(log_uniform(dt_min, dt_max), "softplus_inverse_of_exp", (floor,))


def _dt_weight_promise(slot: Slot, scale: float, mode: str) -> tuple[Promise, ...]:
    size = fan(slot, "fan_in", "mamba_dt_weight")
    if mode == "constant":
        return (everywhere(scale / math.sqrt(size)),)
    axes = axes_of(slot, "mamba_dt_weight")
    return (
        forward(scale**2 / 3.0 * axes.fan_in / size),
        backward(scale**2 / 3.0 * axes.fan_out / size),
        law(scale / math.sqrt(3.0 * size)),
    )


@rule(
    promise=_dt_weight_promise,
    checks={"mode": choice_check(("random", "constant"))},
    samples=({}, {"scale": 2.0}, {"mode": "constant"}),
)
def mamba_dt_weight(slot: Slot, scale: float = 1.0, mode: str = "random") -> Distribution:
    """The projection from a low rank to Mamba's step sizes: what it adds to the bias does not grow with the rank.

    Formula:
        W ~ U(-scale / √rank, scale / √rank);   mode "constant": W = scale / √rank

    Args:
        scale: Mamba's dt_scale.
        mode: Mamba's dt_init, "random" or "constant".

    Raises:
        FaninValueError: for a weight without inputs.

    Promise:
        E[y²] = scale² / 3 E[x²] (random); every number is scale / √rank (constant).

    Paper:
        Gu & Dao 2023, code (`mamba_simple.py`: `dt_proj.weight`).

    Example:
        >>> from fanin import draws
        >>> round(float(abs(draws.draw(mamba_dt_weight(), (512, 16), seed=0, name="dt_proj.weight")).max()), 2)
        0.25
    """
    bound = scale / math.sqrt(fan(slot, "fan_in", "mamba_dt_weight"))
    return Uniform(bound) if mode == "random" else Constant(bound)


@formula
def log_of_place(places: Places, shape: tuple[int, ...], axes: Axes | None) -> Array:
    """log(1 + index along the last axis)."""
    return np.log1p(places[-1])


def _log_uniform_range(slot: Slot, low: float, high: float) -> tuple[Promise, ...]:
    def mean(weight: Array, slot: Slot) -> float:
        return float(np.exp(weight).mean())

    def outside(weight: Array, slot: Slot) -> float:
        return float(max(0.0, low - np.exp(weight).min(), np.exp(weight).max() - high))

    middle = (low + high) / 2.0
    noise = 6 * (high - low) / math.sqrt(12 * max(1, slot.size))
    return values(middle, mean, f"decays of {middle:.4g} on average", noise + 1e-5 * high), values(
        0.0, outside, f"every decay from {low:g} to {high:g}", 1e-4 * high
    )


def _a_log_promise(slot: Slot, heads: bool, low: float, high: float) -> tuple[Promise, ...]:
    if heads:
        return _log_uniform_range(slot, low, high)

    def unlike(weight: Array, slot: Slot) -> float:
        """Σ decay and Σ log decay over the states, against the trace and the log-determinant of HiPPO's matrix."""
        from fanin.rules.state_space import legs_matrix

        n = weight.shape[-1]
        matrix = legs_matrix(n)
        logdet = float(np.linalg.slogdet(matrix)[1])
        sums = np.abs(np.exp(weight).sum(axis=-1) / -np.trace(matrix) - 1.0)
        return float(max(sums.max(), np.abs(weight.sum(axis=-1) - logdet).max() / max(1.0, logdet)))

    return (values(0.0, unlike, "the decays have the sum and the product of the eigenvalues of HiPPO-LegS", 1e-4),)


@rule(
    promise=_a_log_promise,
    checks={"heads": flag_check, "low": ABOVE_0, "high": ABOVE_0},
    samples=({}, {"heads": True}),
)
def mamba_a_log(slot: Slot, heads: bool = False, low: float = 1.0, high: float = 16.0) -> Distribution:
    """The log of Mamba's decays: 1 … N in every channel (S4D-Real), or one random decay a head (Mamba-2).

    `transformers` fills Mamba-2's with log 1 … log heads instead, which is `heads=False` here. The skip D beside it is one: `ones()`.

    Formula:
        A_log[…, n] = log(n + 1), so that A = -exp(A_log) = -(1 … N);   heads: A_log = log u, u ~ U(low, high)

    Args:
        heads: one decay for each head, drawn (Mamba-2), in place of one for each state of a channel.
        low, high: heads: the smallest and the largest decay.

    Raises:
        FaninValueError: where low is above high, and for a weight without axes.

    Promise:
        The decays of a channel are the eigenvalues of HiPPO-LegS, with the sign turned; heads: uniform between low and high.

    Paper:
        Gu & Dao 2023, section 3.6; Gupta, Gu & Berant 2022 and Gu, Gupta, Goel & Ré 2022, "On the parameterization and
        initialization of diagonal state space models" (S4D-Real); Dao & Gu 2024 (Mamba-2), code: `A_init_range=(1, 16)`.

    Example:
        >>> import numpy as np
        >>> from fanin import draws
        >>> np.exp(draws.draw(mamba_a_log(), (2, 4), seed=0, name="A_log")).round(4).tolist()
        [[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]]
    """
    if low > high:
        raise FaninValueError(f"mamba_a_log: low={low!r} is above high={high!r}; low must be at most high")
    if heads:
        return Mapped(Uniform((high - low) / 2.0, (high + low) / 2.0), "natural_log")
    if not slot.shape:
        raise FaninValueError(
            f"mamba_a_log cannot fill {slot.name!r}, which has no axes; it takes one decay for each state"
        )
    return Formula("log_of_place")


@mapping
def natural_log(x: Array) -> Array:
    """log x."""
    return np.log(x)
