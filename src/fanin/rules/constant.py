"""Rules that need neither fan nor chance: constants and the identity."""

from fanin.distributions import Constant, Distribution, Identity
from fanin.errors import FaninValueError
from fanin.rules.fans import axes_of
from fanin.rules.rule import rule
from fanin.slots import Axes, Slot


@rule()
def constant(slot: Slot, value: float) -> Distribution:
    """One value everywhere.

    Formula:
        W = value

    Args:
        value: the value of every element.

    Paper:
        None. A constant *weight* keeps all units of a layer equal for ever (symmetry); it is meant for biases and scales.

    Example:
        >>> from fanin import draws
        >>> draws.draw(constant(0.5), (2,), seed=0, name="bias").tolist()
        [0.5, 0.5]
    """
    return Constant(value)


@rule()
def zeros(slot: Slot) -> Distribution:
    """Zero everywhere: biases, and last weights of residual branches that are to start as the identity.

    Formula:
        W = 0

    Paper:
        Goyal et al. 2017, "Accurate, large minibatch SGD", section 5.1 (zero last gamma); Zhang, Dauphin & Ma 2019, "Fixup
        initialization: residual learning without normalization".

    Example:
        >>> from fanin import draws
        >>> draws.draw(zeros(), (3,), seed=0, name="bias").tolist()
        [0.0, 0.0, 0.0]
    """
    return Constant(0.0)


@rule()
def ones(slot: Slot) -> Distribution:
    """One everywhere: scales of norms.

    Formula:
        W = 1

    Paper:
        Ioffe & Szegedy 2015, "Batch normalization", section 3.

    Example:
        >>> from fanin import draws
        >>> draws.draw(ones(), (3,), seed=0, name="norm.weight").tolist()
        [1.0, 1.0, 1.0]
    """
    return Constant(1.0)


@rule(aliases=("eye",))
def identity(slot: Slot, gain: float = 1.0) -> Distribution:
    """The identity of a dense weight, cut off or filled with zeros where in and out differ; one for each stacked block.

    Formula:
        W[j, i] = gain where j = i, else 0

    Args:
        gain: factor on the identity.

    Raises:
        FaninValueError: for a weight without both an in and an out axis, and for a convolution (use `dirac`).

    Paper:
        Le, Jaitly & Hinton 2015, "A simple way to initialize recurrent networks of rectified linear units".

    Example:
        >>> from fanin import draws
        >>> draws.draw(identity(), (2, 3), seed=0, name="weight_hh").tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    axes = _matrix_axes(slot, "identity")
    if axes.receptive_field > 1:
        raise FaninValueError(
            f"identity cannot fill {slot.name!r} of shape {slot.shape}, a convolution with {axes.receptive_field} taps; use dirac()"
        )
    return Identity(axes, gain)


@rule()
def dirac(slot: Slot, gain: float = 1.0) -> Distribution:
    """The convolution that hands every channel on unchanged: the identity on the centre tap, in every group.

    Formula:
        W[j, i, tap] = gain where j = i and tap is the centre (size // 2 on each axis), else 0

    Args:
        gain: factor on the identity.

    Raises:
        FaninValueError: for a weight without a receptive field (use `identity`).

    Paper:
        Zagoruyko & Komodakis 2017, "DiracNets: training very deep neural networks without skip-connections".

    Example:
        >>> from fanin import draws
        >>> draws.draw(dirac(), (1, 1, 3), seed=0, name="conv.weight", axes="oik").tolist()
        [[[0.0, 1.0, 0.0]]]
    """
    axes = _matrix_axes(slot, "dirac")
    if not any(factor.role == "field" for axis in axes.factors for factor in axis):
        raise FaninValueError(
            f"dirac cannot fill {slot.name!r} of shape {slot.shape}, which has no receptive field (axes {axes.spec!r}); "
            "use identity()"
        )
    return Identity(axes, gain)


def _matrix_axes(slot: Slot, rule: str) -> Axes:
    axes = axes_of(slot, rule)
    roles = {factor.role for axis in axes.factors for factor in axis}
    if not {"out", "in"} <= roles:
        raise FaninValueError(
            f"{rule} cannot fill {slot.name!r} of shape {slot.shape}: it takes a weight with an out and an in axis, "
            f"but the axes are {axes.spec!r}"
        )
    return axes
