"""Rules that need neither fan nor chance: constants and the identity."""

import dataclasses

import numpy as np

from fanin.distributions import Constant, Distribution, Identity
from fanin.draws.layout import block_shape, centre, to_blocks
from fanin.errors import FaninValueError
from fanin.rules.arguments import finite_check, whole_check
from fanin.rules.fans import axes_of
from fanin.rules.promise import Array, Promise, values
from fanin.rules.rule import rule
from fanin.slots import Axes, Factor, Slot


def everywhere(value: float) -> Promise:
    """Every number is this value."""

    def furthest(weight: Array, slot: Slot) -> float:
        return float(np.abs(weight - value).max(initial=0.0))

    return values(0.0, furthest, f"every number is {value:g}", 1e-6 * abs(value))


def _hands_on(axes: Axes, gain: float) -> Promise:
    """On a window of random numbers, output j is input j at the centre; what is left over is zero."""

    def error(weight: Array, slot: Slot) -> float:
        stack, out, in_, field = block_shape(axes)
        x = np.random.default_rng(0).standard_normal((stack, in_, field))
        y = np.einsum("soif,sif->so", to_blocks(weight, axes), x)
        same = min(out, in_)
        y[:, :same] -= gain * x[:, :same, centre(axes)]
        return float(np.abs(y).max(initial=0.0))

    return values(
        0.0, error, f"each output is {gain:g} times the input of the same index, the rest are 0", 1e-6 * abs(gain)
    )


@rule(promise=lambda slot, value: everywhere(value), samples=({"value": 0.5},))
def constant(slot: Slot, value: float) -> Distribution:
    """One value everywhere.

    Formula:
        W = value

    Args:
        value: the value of every element.

    Promise:
        Every number is `value`.

    Paper:
        None. A constant *weight* keeps all units of a layer equal for ever (symmetry); it is meant for biases and scales.

    Example:
        >>> from fanin import draws
        >>> draws.draw(constant(0.5), (2,), seed=0, name="bias").tolist()
        [0.5, 0.5]
    """
    return Constant(value)


@rule(promise=lambda slot: everywhere(0.0))
def zeros(slot: Slot) -> Distribution:
    """Zero everywhere: biases, and last weights of residual branches that are to start as the identity.

    Formula:
        W = 0

    Promise:
        Every number is 0.

    Paper:
        Goyal et al. 2017, "Accurate, large minibatch SGD", section 5.1 (zero last gamma); Zhang, Dauphin & Ma 2019, "Fixup
        initialization: residual learning without normalization".

    Example:
        >>> from fanin import draws
        >>> draws.draw(zeros(), (3,), seed=0, name="bias").tolist()
        [0.0, 0.0, 0.0]
    """
    return Constant(0.0)


@rule(promise=lambda slot: everywhere(1.0))
def ones(slot: Slot) -> Distribution:
    """One everywhere: scales of norms.

    Formula:
        W = 1

    Promise:
        Every number is 1.

    Paper:
        Ioffe & Szegedy 2015, "Batch normalization", section 3.

    Example:
        >>> from fanin import draws
        >>> draws.draw(ones(), (3,), seed=0, name="norm.weight").tolist()
        [1.0, 1.0, 1.0]
    """
    return Constant(1.0)


@rule(
    aliases=("eye",),
    promise=lambda slot, gain: _hands_on(_dense_axes(slot), gain),
    checks={"gain": finite_check},
)
def identity(slot: Slot, gain: float = 1.0) -> Distribution:
    """The identity of a dense weight, cut off or filled with zeros where in and out differ; one for each stacked block.

    Formula:
        W[j, i] = gain where j = i, else 0

    Args:
        gain: factor on the identity.

    Raises:
        FaninValueError: for a weight without both an in and an out axis, and for a convolution (use `dirac`).

    Promise:
        Output j is gain times input j; outputs without an input of their index are 0.

    Paper:
        Le, Jaitly & Hinton 2015, "A simple way to initialize recurrent networks of rectified linear units".

    Example:
        >>> from fanin import draws
        >>> draws.draw(identity(), (2, 3), seed=0, name="weight_hh").tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    return Identity(_dense_axes(slot), gain)


@rule(
    promise=lambda slot, groups, gain: _hands_on(_tapped_axes(slot, groups), gain),
    checks={"groups": whole_check(1), "gain": finite_check},
    samples=({}, {"groups": 2}),
)
def dirac(slot: Slot, groups: int = 1, gain: float = 1.0) -> Distribution:
    """The convolution that hands every channel on unchanged: the identity on the centre tap, in every group.

    Formula:
        W[j, i, tap] = gain where j = i and tap is the centre (size // 2 on each axis), else 0

    Args:
        groups: in how many equal parts the outputs are cut, each of which repeats the inputs; for a bare tensor. Groups that
            the axes tell of ("(s4o)ikk", a grouped convolution that was traced) need not be given.
        gain: factor on the identity.

    Raises:
        FaninValueError: for a weight without a receptive field (use `identity`), and for outputs that cannot be cut into equal
            groups.

    Promise:
        At the centre of a window, output j is gain times input j (of its group); the rest are 0.

    Paper:
        Zagoruyko & Komodakis 2017, "DiracNets: training very deep neural networks without skip-connections" (where this is a fixed part
        beside the trained weight); as a start of its own, and with groups, torch's `dirac_`.

    Example:
        >>> from fanin import draws
        >>> draws.draw(dirac(), (1, 1, 3), seed=0, name="conv.weight", axes="oik").tolist()
        [[[0.0, 1.0, 0.0]]]
    """
    return Identity(_tapped_axes(slot, groups), gain)


def _dense_axes(slot: Slot) -> Axes:
    axes = _matrix_axes(slot, "identity")
    if axes.receptive_field > 1:
        raise FaninValueError(
            f"identity cannot fill {slot.name!r} of shape {slot.shape}, a convolution with {axes.receptive_field} taps; use dirac()"
        )
    return axes


def _tapped_axes(slot: Slot, groups: int) -> Axes:
    """The axes of a convolution, its outputs cut into groups."""
    axes = _matrix_axes(slot, "dirac")
    if not any(factor.role == "field" for axis in axes.factors for factor in axis):
        raise FaninValueError(
            f"dirac cannot fill {slot.name!r} of shape {slot.shape}, which has no receptive field (axes {axes.spec!r}); "
            "use identity()"
        )
    if groups == 1:
        return axes
    out = axes.size("out")
    if axes.size("stack") > 1 or out % groups:
        why = f"its {out} outputs" if axes.size("stack") == 1 else f"outputs in groups already (axes {axes.spec!r})"
        raise FaninValueError(f"dirac: groups={groups} does not cut {why} of {slot.name!r} into equal groups")
    cut = (Factor("stack", groups), Factor("out", out // groups))
    factors = tuple(cut if axis == (Factor("out", out),) else axis for axis in axes.factors)
    if factors == axes.factors:
        raise FaninValueError(
            f"dirac: groups={groups} needs outputs on an axis of their own, but the axes are {axes.spec!r}"
        )
    return dataclasses.replace(axes, factors=factors)


def _matrix_axes(slot: Slot, rule: str) -> Axes:
    axes = axes_of(slot, rule)
    roles = {factor.role for axis in axes.factors for factor in axis}
    if not {"out", "in"} <= roles:
        raise FaninValueError(
            f"{rule} cannot fill {slot.name!r} of shape {slot.shape}: it takes a weight with an out and an in axis, "
            f"but the axes are {axes.spec!r}"
        )
    return axes
