"""A transposed convolution that starts as interpolation."""

import math

import numpy as np

from fanin.distributions import Distribution, Formula
from fanin.draws.layout import to_blocks
from fanin.errors import FaninValueError
from fanin.formulas import Places, formula
from fanin.rules.fans import axes_of, fan
from fanin.rules.places import standing
from fanin.rules.promise import Array, Promise, values
from fanin.rules.rule import rule
from fanin.slots import Axes, Slot


@formula
def triangle(places: Places, shape: tuple[int, ...], axes: Axes) -> Array:
    """Product over the kernel's axes of 1 - |tap - middle| / step, where input and output are the same channel; else 0."""
    where = standing(places, axes)
    value = (where.out == where.in_).astype(np.float64)
    for tap, size in where.field:
        value = value * (1.0 - np.abs(tap - (size - 1) / 2 if size % 2 == 0 else tap - size // 2) / ((size + 1) // 2))
    return value


def _steps(axes: Axes) -> tuple[int, ...]:
    """By how much each axis of the kernel interpolates."""
    return tuple((f.size + 1) // 2 for axis in axes.factors for f in axis if f.role == "field")


def _upsampling_axes(slot: Slot) -> Axes:
    axes = axes_of(slot, "bilinear_upsample")
    fan(slot, "fan_geo_avg", "bilinear_upsample")
    steps = _steps(axes)
    roles = {factor.role for axis in axes.factors for factor in axis}
    if not steps or not {"out", "in"} <= roles:
        raise FaninValueError(
            f"bilinear_upsample cannot fill {slot.name!r} of shape {slot.shape} (axes {axes.spec!r}); it takes the kernel of a "
            "transposed convolution, with an out, an in and a receptive field"
        )
    if axes.in_taps < 1 and round(1 / axes.in_taps) != math.prod(steps):
        raise FaninValueError(
            f"bilinear_upsample: the kernel of {slot.name!r}, shape {slot.shape}, interpolates {' x '.join(map(str, steps))} "
            f"times, but the layer's strides multiply to {round(1 / axes.in_taps)}; a stride s needs a kernel of 2s - s % 2 taps"
        )
    return axes


def _constant(slot: Slot) -> Promise:
    """Every phase of the stride has taps that sum to 1, so a constant image stays constant."""
    axes = _upsampling_axes(slot)
    sizes = tuple(f.size for axis in axes.factors for f in axis if f.role == "field")

    def furthest(weight: Array, slot: Slot) -> float:
        blocks = to_blocks(weight, axes)
        same = min(blocks.shape[1:3])
        kernels = np.stack([blocks[:, k, k] for k in range(same)]).reshape(-1, *sizes)
        for k, step in enumerate(_steps(axes)):
            kernels = np.stack(
                [np.take(kernels, range(p, sizes[k], step), axis=1).sum(axis=1) for p in range(step)], -1
            )
        return float(np.abs(kernels - 1.0).max())

    return values(0.0, furthest, "a constant image is upsampled to the same constant", 1e-6)


@rule(aliases=("bilinear",), promise=_constant)
def bilinear_upsample(slot: Slot) -> Distribution:
    """A transposed convolution that starts as bilinear interpolation of each channel (linear in 1-D, trilinear in 3-D).

    It suits a stride s with 2s - s % 2 taps (stride 2: 4 taps; stride 3: 5 taps), padding ceil((s - 1) / 2).

    Formula:
        W[i, i, tap] = Π over the axes of 1 - |tap - middle| / s, s = (taps + 1) // 2, middle = s - 1 (odd taps), s - ½ (even)

    Raises:
        FaninValueError: for a weight that is no convolution, and for a kernel that does not fit the stride.

    Promise:
        The taps of every phase of the stride sum to 1: a constant image comes out as the same constant.

    Paper:
        Long, Shelhamer & Darrell 2015, "Fully convolutional networks for semantic segmentation", section 3.3 (Caffe's
        BilinearFiller).

    Example:
        >>> from fanin import draws
        >>> draws.draw(bilinear_upsample(), (1, 1, 4), seed=0, name="up.weight", axes="iok").tolist()
        [[[0.25, 0.75, 0.75, 0.25]]]
    """
    return Formula("triangle", (), _upsampling_axes(slot))
