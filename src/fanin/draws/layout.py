"""Weights as stacked matrices: between a weight's own layout and blocks of (stack, out, in, field)."""

import functools
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
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


Indices = NDArray[np.intp]
ROLES = (0, 1, 2, 3)  # stack, out, in, field


@dataclass(frozen=True)
class Lines:
    """What one axis of a window adds to the place of its elements within the blocks, for one stacked block or more.

    Attributes:
        stack: which block; the contributions of all axes add up, here and below.
        where: the places along the window's axis, ascending.
        out, in_, field: one entry for each of these places.
    """

    stack: int
    where: Indices
    out: Indices
    in_: Indices
    field: Indices

    @property
    def key(self) -> tuple[bytes, bytes, bytes]:
        """Equal for the same lines of another block."""
        return self.out.tobytes(), self.in_.tobytes(), self.field.tobytes()


@dataclass(frozen=True)
class Window:
    """A part of a weight's blocks.

    Attributes:
        blocks: which blocks, consecutive.
        rows, columns, taps: which outputs, inputs and elements of the receptive field, ascending.
    """

    blocks: range
    rows: Indices
    columns: Indices
    taps: Indices

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(stack, out, in, field) of the part."""
        return len(self.blocks), len(self.rows), len(self.columns), len(self.taps)


@dataclass(frozen=True)
class Run:
    """The part of a window that consecutive blocks have in common.

    Attributes:
        blocks: which blocks.
        lines: for each block, the lines of every axis.
    """

    blocks: range
    lines: tuple[tuple[Lines, ...], ...]

    @functools.cached_property
    def window(self) -> Window:
        """The same in blocks."""
        lines = self.lines[0]
        rows, columns, taps = (_sums([getattr(line, role) for line in lines]) for role in ("out", "in_", "field"))
        return Window(self.blocks, rows, columns, taps)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Shape of one block's part of the window."""
        return tuple(len(line.where) for line in self.lines[0])

    @functools.cached_property
    def order(self) -> list[int] | None:
        """The window's axes in the order (out, in, field) of a block; None where one axis has two of these meanings."""
        groups: list[list[int]] = [[], [], []]
        for axis, line in enumerate(self.lines[0]):
            varied = [
                k for k, part in enumerate((line.out, line.in_, line.field)) if len(part) and part.min() != part.max()
            ]
            if len(varied) > 1:
                return None
            groups[varied[0] if varied else 0].append(axis)
        return [axis for group in groups for axis in group]

    def gather(self) -> tuple[Indices, Indices, Indices]:
        """For each element of one block's part of the window: its place among the rows, columns and taps."""
        lines, rank = self.lines[0], len(self.lines[0])

        def spread(parts: list[Indices], among: Indices) -> Indices:
            total = sum(part.reshape([-1 if a == axis else 1 for a in range(rank)]) for axis, part in enumerate(parts))
            return np.searchsorted(among, np.broadcast_to(total, self.sizes))

        return (
            spread([line.out for line in lines], self.window.rows),
            spread([line.in_ for line in lines], self.window.columns),
            spread([line.field for line in lines], self.window.taps),
        )


@functools.lru_cache(maxsize=16)
def runs(axes: Axes, ranges: tuple[range, ...], most: int) -> tuple[Run, ...]:
    """A window, ranges of positive step, as runs of at most `most` blocks; none where it has no elements."""
    return tuple(_runs(axes, ranges, most))


def _runs(axes: Axes, ranges: tuple[range, ...], most: int) -> Iterator[Run]:
    if not all(len(r) for r in ranges):
        return
    along = [_axis_lines(axes, axis, r) for axis, r in enumerate(ranges)]
    parts = sorted(
        ((sum(line.stack for line in lines), lines) for lines in itertools.product(*along)), key=lambda p: p[0]
    )
    start = 0
    for k in range(1, len(parts) + 1):
        if k < len(parts) and k - start < most and _continues(parts[start], parts[k], k - start):
            continue
        yield Run(range(parts[start][0], parts[k - 1][0] + 1), tuple(lines for _, lines in parts[start:k]))
        start = k


def _continues(first: tuple[int, tuple[Lines, ...]], next_: tuple[int, tuple[Lines, ...]], apart: int) -> bool:
    """Whether a block is so many behind the first of a run, and has the same lines."""
    return next_[0] == first[0] + apart and all(
        a is b or a.key == b.key for a, b in zip(next_[1], first[1], strict=True)
    )


def _axis_lines(axes: Axes, axis: int, r: range) -> list[Lines]:
    """The lines of one axis, apart for each block."""
    index = np.arange(r.start, r.stop, r.step)
    places = [np.zeros(len(index), dtype=np.intp) for _ in ROLES]
    inner = 1
    for factor, weight in reversed(list(zip(axes.factors[axis], _weights(axes)[axis], strict=True))):
        places[ORDER[factor.role]] += index // inner % factor.size * weight
        inner *= factor.size
    stack, *others = places
    if not stack.any():
        return [Lines(0, np.arange(len(index)), *others)]
    order = np.argsort(stack, kind="stable")
    numbers, first = np.unique(stack[order], return_index=True)
    groups = np.split(order, first[1:])
    return [Lines(int(n), g, *(part[g] for part in others)) for n, g in zip(numbers, groups, strict=True)]


def _weights(axes: Axes) -> list[list[int]]:
    """For each factor of each axis: by how much the place among all of its role grows with it."""
    weights: list[list[int]] = [[0] * len(axis) for axis in axes.factors]
    size = [1, 1, 1, 1]
    for axis in reversed(range(len(axes.factors))):
        for k in reversed(range(len(axes.factors[axis]))):
            role = ORDER[axes.factors[axis][k].role]
            weights[axis][k] = size[role]
            size[role] *= axes.factors[axis][k].size
    return weights


def _sums(parts: list[Indices]) -> Indices:
    """All sums of one entry of each part, ascending, each once."""
    total = np.zeros(1, dtype=np.intp)
    for part in parts:
        if len(part) > 1 and (part[1:] <= part[:-1]).any():
            part = np.unique(part)
        total = (total[:, None] + part).reshape(-1) if len(part) > 1 else total + part
    return np.sort(total)
