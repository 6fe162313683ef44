"""Fans and gains, as every rule takes them: fans from the slot's axes, gains from exact Gaussian integrals."""

import math

from fanin.activations import Activation
from fanin.errors import FaninValueError
from fanin.rules.arguments import Nonlinearity
from fanin.rules.promise import Promise, backward, forward, law
from fanin.slots import Axes, Slot


def axes_of(slot: Slot, rule: str) -> Axes:
    """The slot's axes; raises where nothing is known about them."""
    if slot.axes is None or slot.role in ("bias", "norm_shift", "norm_scale"):  # their axes are those of outputs alone
        raise FaninValueError(
            f"{rule} needs to know what the axes of {slot.name!r} (shape {slot.shape}, role {slot.role!r}) mean, but it has "
            "none: for a bias or a scale use zeros(), ones(), constant(value), normal(std) or uniform(bound=...); "
            "for a weight drawn by hand give axes, such as 'oi' for a linear layer or 'oikk' for a convolution"
        )
    return slot.axes


def fan(slot: Slot, mode: str, rule: str) -> float:
    """The fan that `mode` names: "fan_in", "fan_out", their mean "fan_avg", or their geometric mean "fan_geo_avg"."""
    axes = axes_of(slot, rule)
    into, out = axes.fan_in, axes.fan_out
    value = {"fan_in": into, "fan_out": out, "fan_avg": (into + out) / 2, "fan_geo_avg": math.sqrt(into * out)}[mode]
    if value <= 0:
        raise FaninValueError(
            f"{rule}: {slot.name!r} of shape {slot.shape} has {mode} {value:g}, because an axis has no elements; "
            "only zeros(), ones() and constant(value) can fill it"
        )
    return value


def gain_of(rule: str, gain: float | None, nonlinearity: Nonlinearity) -> float:
    """The gain of `nonlinearity` where it is given, else `gain`, else 1."""
    if nonlinearity is not None:
        return finite_gain(rule, Activation.of(nonlinearity))
    return 1.0 if gain is None else gain


def finite_gain(rule: str, nonlinearity: Activation) -> float:
    """The gain of an activation; raises where it has none (a function that is 0 everywhere, or grows too fast)."""
    if nonlinearity.why_no_gain:
        raise FaninValueError(f"{rule}: nonlinearity={str(nonlinearity)!r} {nonlinearity.why_no_gain}")
    return nonlinearity.gain


def kept(slot: Slot, mode: str, rule: str, gain: float = 1.0, through: Activation | None = None) -> tuple[Promise, ...]:
    """What independent numbers of variance gain² / fan promise: the signal forward, the gradient backward, and their law.

    Args:
        slot: the weight.
        mode: which fan, as `fan` takes it.
        rule: whose promise it is, for errors.
        gain: factor on the deviation.
        through: the activation whose own gain is in it; inputs that came through it are then promised a size of gain².
    """
    axes, size = axes_of(slot, rule), fan(slot, mode, rule)
    own = 1.0 if through is None else finite_gain(rule, through)
    return (
        forward(gain**2 * axes.fan_in / size, through),
        backward((gain * own) ** 2 * axes.fan_out / size),
        law(gain * own / math.sqrt(size)),
    )
