"""Weights as stacked matrices: between a weight's own layout and blocks of (stack, out, in, field)."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.slots import Axes, AxisRole, Factor

ORDER: dict[AxisRole, int] = {"stack": 0, "out": 1, "in": 2, "lookup": 2, "field": 3}


def block_shape(axes: Axes) -> tuple[int, int, int, int]:
    """(stack, out, in, field). A lookup counts as *in*: an embedding is the matrix that a one-hot vector meets."""
    sizes = [1, 1, 1, 1]
    for axis in axes.factors:
        for factor in axis:
            sizes[ORDER[factor.role]] *= factor.size
    return sizes[0], sizes[1], sizes[2], sizes[3]


def from_blocks(blocks: NDArray[Any], axes: Axes) -> NDArray[Any]:
    """The weight, in its own layout (shape `axes.shape`), from its blocks of shape `block_shape(axes)`."""
    factors, order = _ordered(axes)
    expanded = blocks.reshape([factors[k].size for k in order])
    return expanded.transpose(np.argsort(order)).reshape(axes.shape)


def to_blocks(weight: NDArray[Any], axes: Axes) -> NDArray[Any]:
    """The blocks (stack, out, in, field) of a weight of shape `axes.shape`."""
    factors, order = _ordered(axes)
    return weight.reshape([f.size for f in factors]).transpose(order).reshape(block_shape(axes))


def _ordered(axes: Axes) -> tuple[list[Factor], list[int]]:
    factors = [factor for axis in axes.factors for factor in axis]
    return factors, sorted(
        range(len(factors)), key=lambda k: ORDER[factors[k].role]
    )  # stable: layout order within a role


def centre(axes: Axes) -> int:
    """Index of the kernel's centre tap along the field axis of the blocks: size // 2 on each axis of the kernel."""
    index = 0
    for axis in axes.factors:
        for factor in axis:
            if factor.role == "field":
                index = index * factor.size + factor.size // 2
    return index


def with_sizes(axes: Axes, out: int, in_: int) -> Axes:
    """The same axes with `out` outputs and `in_` inputs a block.

    Where an out or in is spread over several axes, the result has the layout (stack) (out) (in) (field…) instead.
    """
    roles = [factor.role for axis in axes.factors for factor in axis]
    if roles.count("out") == 1 and roles.count("in") == 1 and "lookup" not in roles:
        sizes = {"out": out, "in": in_}
        return Axes(
            tuple(tuple(Factor(f.role, sizes.get(f.role, f.size)) for f in axis) for axis in axes.factors),
            axes.in_taps,
            axes.out_taps,
        )
    stack = math.prod(f.size for axis in axes.factors for f in axis if f.role == "stack")
    field = tuple((f,) for axis in axes.factors for f in axis if f.role == "field")
    head = ((Factor("stack", stack),), (Factor("out", out),), (Factor("in", in_),))
    return Axes((*head, *field), axes.in_taps, axes.out_taps)
