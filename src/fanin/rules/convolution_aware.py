"""Convolutions whose filters are orthogonal to each other, in space and so in frequency."""

import math

import numpy as np

from fanin.activations import Activation
from fanin.distributions import Distribution, Orthogonal
from fanin.draws.layout import to_blocks
from fanin.errors import FaninValueError
from fanin.rules.arguments import Nonlinearity
from fanin.rules.fans import axes_of, fan, finite_gain
from fanin.rules.promise import Array, Promise, forward, values
from fanin.rules.rule import rule
from fanin.slots import Axes, AxisRole, Factor, Slot

# One matrix (inputs x taps) for each output: what the roles of the weight's axes are within it.
AS_BASIS: dict[AxisRole, AxisRole] = {"stack": "stack", "out": "stack", "in": "out", "field": "in"}


def _filters(slot: Slot) -> Axes:
    axes = axes_of(slot, "convolution_aware")
    fan(slot, "fan_geo_avg", "convolution_aware")
    if axes.receptive_field < 2 or any(factor.role == "lookup" for axis in axes.factors for factor in axis):
        raise FaninValueError(
            f"convolution_aware cannot fill {slot.name!r} of shape {slot.shape} (axes {axes.spec!r}): a basis of filters needs "
            "a receptive field of at least 2 taps; use orthogonal()"
        )
    return axes


def _met(slot: Slot, nonlinearity: Nonlinearity) -> Activation:
    if nonlinearity is not None:
        return Activation.of(nonlinearity)
    return slot.activation or Activation.named("relu")


def _promise(slot: Slot, nonlinearity: Activation | None) -> tuple[Promise, ...]:
    axes = _filters(slot)

    def overlap(weight: Array, slot: Slot) -> float:
        """The largest |cos| between two filters of one output (or between two taps, where there are more filters)."""
        blocks = to_blocks(weight, axes)
        if blocks.shape[2] > blocks.shape[3]:
            blocks = blocks.swapaxes(2, 3)
        size = np.linalg.norm(blocks, axis=3, keepdims=True)
        cosines = np.einsum("soif,sojf->soij", blocks / size, blocks / size)
        return float(np.abs(cosines - np.eye(blocks.shape[2])).max())

    f = _met(slot, nonlinearity)
    return forward(1.0, f), values(0.0, overlap, "the filters of one output are orthogonal to each other", 1e-5)


@rule(promise=_promise, samples=({}, {"nonlinearity": "tanh"}))
def convolution_aware(slot: Slot, nonlinearity: Nonlinearity = None) -> Distribution:
    """Each output's filters, one an input, form a random orthonormal basis of filters, scaled as He's rule scales.

    A convolution is a product in frequency, so the paper draws orthogonal bases there and transforms them back. The Fourier
    transform keeps inner products: filters are orthogonal in frequency just when they are so in space, and that is how they
    are drawn here. (keras-contrib transforms *real* spectra, which gives filters that mirror themselves, and adds noise
    against it; in 2-D they are not orthogonal: of six 3 × 3 filters, the closest two have |cos| 0.6.) Where there are more
    inputs than taps, the filters are a tight frame: no direction of the space of filters is preferred.

    Formula:
        for each output, W (in × taps) = gain · √(max(1, in / taps) / in) · Q, QQᵀ = I (QᵀQ = I where in > taps)

    Args:
        nonlinearity: the activation that the output meets; where nothing is said, the slot's own, else ReLU.

    Raises:
        FaninValueError: for a weight without a receptive field of at least 2 taps.

    Promise:
        The filters of one output are orthogonal to each other, and E[y²] = 1 for inputs f(z), z ~ N(0, 1).

    Paper:
        Aghajanyan 2017, "Convolution aware initialization", section 3.

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(convolution_aware(), (2, 3, 3, 3), seed=0, name="w", axes="oikk", dtype="float64").reshape(2, 3, 9)
        >>> abs(w[0] @ w[0].T).round(6).tolist()
        [[0.666667, 0.0, 0.0], [0.0, 0.666667, 0.0], [0.0, 0.0, 0.666667]]
    """
    axes = _filters(slot)
    basis = Axes(tuple(tuple(Factor(AS_BASIS[f.role], f.size) for f in axis) for axis in axes.factors))
    size = finite_gain("convolution_aware", _met(slot, nonlinearity)) / math.sqrt(axes.size("in") * axes.in_taps)
    return Orthogonal(basis, size, scale_out=True)
