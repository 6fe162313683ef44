"""Rules that single code bases are known by."""

import math

from fanin.distributions import Distribution, Normal, Uniform
from fanin.rules.fans import axes_of, fan
from fanin.rules.promise import Promise, backward, forward, law
from fanin.rules.rule import rule
from fanin.slots import Slot


def _goog_fan(slot: Slot) -> float:
    """taps · outputs of one group, the stride not counted."""
    axes = axes_of(slot, "goog_normal")
    fan(slot, "fan_out", "goog_normal")
    return float(axes.size("out") * axes.receptive_field)


def _goog(slot: Slot) -> tuple[Promise, ...]:
    axes, size = axes_of(slot, "goog_normal"), _goog_fan(slot)
    if axes.receptive_field == 1 and not _is_conv(slot):
        return backward(1 / 3), law(1.0 / math.sqrt(3.0 * size))
    return backward(2.0 * axes.out_taps), law(math.sqrt(2.0 / size))


def _is_conv(slot: Slot) -> bool:
    return any(factor.role == "field" for axis in axes_of(slot, "goog_normal").factors for factor in axis)


@rule(aliases=("goog",), promise=_goog)
def goog_normal(slot: Slot) -> Distribution:
    """TensorFlow's EfficientNets: convolutions by He's rule over fan_out, dense layers uniform over their outputs.

    fan_out is that of one group: timm's older ports and PyTorch's count all groups, which makes a depthwise layer's deviation
    too small by the square root of the groups. The stride is not counted, as there.

    Formula:
        convolution: W ~ N(0, 2 / (taps · out / groups));   dense: W ~ U(-1/√out, 1/√out)

    Promise:
        E[dx²] = 2 E[dy²] of a convolution (over the stride's area where it has one), ⅓ E[dy²] of a dense layer.

    Paper:
        Tan & Le 2019, "EfficientNet", the authors' code (`conv_kernel_initializer`, `dense_kernel_initializer`); timm's
        `_init_weight_goog`.

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(goog_normal(), (512, 1, 3, 3), seed=0, name="dw.weight", axes="(s512o)ikk")
        >>> round(float(w.std()), 2)      # sqrt(2 / 9): nine taps, one output a group
        0.47
    """
    size = _goog_fan(slot)
    return Normal(math.sqrt(2.0 / size)) if _is_conv(slot) else Uniform(1.0 / math.sqrt(size))


@rule(
    aliases=("snn_normal",),
    promise=lambda slot: (forward(axes_of(slot, "selu_normal").fan_in / fan(slot, "fan_in", "selu_normal"), "selu"),),
)
def selu_normal(slot: Slot) -> Distribution:
    """The weights of a self-normalizing net: with SELU, a signal of mean 0 and size 1 stays so at any depth.

    SELU's second moment is 1 at 1, so its gain is 1 (PyTorch's `calculate_gain` says 3/4: a signal then falls to 0.2 in 50 layers).

    Formula:
        W ~ N(0, 1 / fan_in)

    Promise:
        E[y²] = 1 for inputs selu(z), z ~ N(0, 1): the fixed point (0, 1).

    Paper:
        Klambauer, Unterthiner, Mayr & Hochreiter 2017, "Self-normalizing neural networks", theorem 1 and section 3.

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(selu_normal(), (300, 400), seed=0, name="w")
        >>> round(float(w.std()) * 400 ** 0.5, 2)
        1.0
    """
    return Normal(1.0 / math.sqrt(fan(slot, "fan_in", "selu_normal")))
