"""Weights of every distribution, for any backend: what is made of others is taken apart here, once.

A backend writes into views of one array of its own (`Backend`); what it must make itself are elementwise numbers and the
random orders of lines. Matrix families (`matrices`) are computed by the backend's own matrix products.
"""

import bisect
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from fanin.distributions import (
    Built,
    Centred,
    Constant,
    DeltaOrthogonal,
    Distribution,
    Formula,
    Identity,
    Mapped,
    Mirrored,
    Orthogonal,
    Permutations,
    Sparse,
    Stack,
    ZeroRows,
)
from fanin.draws import host, matrices
from fanin.draws.bits import Stream, check_seed
from fanin.draws.householder import Ops
from fanin.draws.recipe import Recipe, recipe
from fanin.draws.windows import Ranges, check_axis, check_shape, pieces, resolve
from fanin.errors import FaninTypeError, FaninValueError

Shape = tuple[int, ...]
AT_ONCE = 1 << 20  # numbers of lines whose orders are made in one go


@dataclass(frozen=True)
class Request:
    """The arguments that every backend's draw takes, checked.

    Attributes:
        shape: of the whole weight.
        stream: of the weight.
        ranges: which part is asked for, one for each axis.
        picked: the axes that an integer picked, which the result does not have.
        wanted: the shape of the result.
    """

    shape: Shape
    stream: Stream
    ranges: Ranges
    picked: tuple[int, ...]
    wanted: Shape

    @classmethod
    def of(cls, distribution: Any, shape: Any, seed: Any, name: Any, window: Any, bits: Any) -> "Request":
        """Raises FaninValueError or FaninTypeError with a sentence about the first argument that cannot be used."""
        if not isinstance(distribution, Distribution):
            raise FaninTypeError(f"distribution={distribution!r} cannot be used; give a record of fanin.distributions")
        if not isinstance(name, str):
            raise FaninTypeError(f"name={name!r} cannot be used; name must be a string")
        if bits not in (32, 64):
            raise FaninValueError(f"bits={bits!r} cannot be used; accepted are 32 and 64")
        shape = check_shape(shape)
        ranges, picked = resolve(window, shape)
        wanted = tuple(len(r) for axis, r in enumerate(ranges) if axis not in picked)
        return cls(shape, Stream(check_seed(seed), name), ranges, picked, wanted)


class Backend(Protocol):
    """What fills an array of one framework. `out` has one axis for each range, and may be a view of any strides."""

    def fill(self, made: Recipe, shape: Shape, stream: Stream, ranges: Ranges, out: Any) -> None:
        """Write the numbers of a recipe."""
        ...

    def ops(self, out: Any) -> Ops:
        """The matrix products for an array like `out`: float64 for float64, else float32."""
        ...

    def orders(self, shape: Shape, axis: int, stream: Stream, ranges: Ranges, out: Any) -> Any:
        """`permutations.orders`, as an array of integers that lies where `out` does."""
        ...

    def put(self, out: Any, values: Any) -> None:
        """Write values of this shape, by way of float32 where `out` is narrower: numbers of NumPy's, or `orders`."""
        ...

    def zero(self, out: Any, where: Any) -> None:
        """Write zeros to the elements of `out` that an index along axis 0, or a mask, names."""
        ...

    def double(self, out: Any) -> bool:
        """Whether `out` is float64."""
        ...

    def rounded(self, value: float, out: Any) -> float:
        """What `out` would hold of a number."""
        ...

    def name(self, out: Any) -> str:
        """What the dtype is called."""
        ...


def fill(law: Distribution, shape: Shape, stream: Stream, ranges: Ranges, out: Any, bits: int, to: Backend) -> None:
    """Write the part of the weight that the ranges name into `out`.

    Args:
        law: what to draw.
        shape: of the whole weight.
        stream: of the weight.
        ranges: one for each axis.
        out: where to; one axis for each range.
        bits: random bits a number, 32 or 64.
        to: the backend that `out` belongs to.
    """
    check_axes(law, shape, stream)
    match law:
        case Constant(value):
            if not math.isfinite(to.rounded(value, out)):
                raise FaninValueError(f"Constant: value={value!r} is too large for {to.name(out)}")
            to.put(out, np.asarray(value, dtype=np.float64))
        case Identity() | Orthogonal() | DeltaOrthogonal() | Mirrored() | Centred():
            matrices.fill(to.ops(out), law, stream, ranges, out)
        case Formula() | Mapped() | Built():
            made = host.values(law, shape, stream, ranges, bits)
            if made.size and not math.isfinite(to.rounded(float(np.abs(made).max()), out)):
                raise FaninValueError(f"{law.function!r} gives numbers that are too large for {to.name(out)}")
            to.put(out, made)
        case Stack():
            _fill_stack(law, shape, stream, ranges, out, bits, to)
        case ZeroRows():
            _fill_zero_rows(law, shape, stream, ranges, out, bits, to)
        case Permutations():
            axis = check_axis(law.axis, shape, "Permutations")
            for where, part in _lines(shape, axis, ranges):
                to.put(out[where], to.orders(shape, axis, stream, part, out))
        case Sparse():
            _fill_sparse(law, shape, stream, ranges, out, bits, to)
        case _:
            made = recipe(law, bits=bits, double=to.double(out))
            if made is None:
                raise FaninTypeError(
                    f"{type(law).__name__} cannot be drawn; known are the records of fanin.distributions"
                )
            to.fill(made, shape, stream, ranges, out)


def check_axes(law: Distribution, shape: Shape, stream: Stream) -> None:
    """Raise where the law is of a matrix of another shape."""
    axes = getattr(law, "axes", None)
    if axes is not None and axes.shape != shape:
        raise FaninValueError(
            f"{type(law).__name__}: its axes have the shape {axes.shape}, but the weight {stream.name!r} has {shape}"
        )


def _fill_stack(law: Stack, shape: Shape, stream: Stream, ranges: Ranges, out: Any, bits: int, to: Backend) -> None:
    for index, part, size, where, moved in stack_parts(law, shape, stream, ranges):
        fill(
            part,
            (*shape[: law.axis], size, *shape[law.axis + 1 :]),
            stream.part(f"part {index}"),
            (*ranges[: law.axis], moved, *ranges[law.axis + 1 :]),
            out[(slice(None),) * law.axis + (where,)],
            bits,
            to,
        )


def stack_parts(
    law: Stack, shape: Shape, stream: Stream, ranges: Ranges
) -> list[tuple[int, Distribution, int, slice, range]]:
    """The parts that the ranges touch: number, law, extent along the axis, where they lie in the window, their own range."""
    if not 0 <= law.axis < len(shape) or sum(law.sizes) != shape[law.axis]:
        raise FaninValueError(
            f"Stack: sizes={law.sizes} along axis {law.axis} do not add up to the shape {shape} of {stream.name!r}"
        )
    found, begin, along = [], 0, ranges[law.axis]
    for index, (part, size) in enumerate(zip(law.parts, law.sizes, strict=True)):
        where = inside(along, begin, begin + size)
        if where.start < where.stop:
            piece = along[where]
            found.append((index, part, size, where, range(piece.start - begin, piece.stop - begin, piece.step)))
        begin += size
    return found


def inside(along: range, begin: int, end: int) -> slice:
    """Which places of a range hold numbers from `begin` to `end` - 1."""
    if along.step > 0:
        return slice(bisect.bisect_left(along, begin), bisect.bisect_left(along, end))
    turned = inside(along[::-1], begin, end)
    return slice(len(along) - turned.stop, len(along) - turned.start)


def _fill_zero_rows(
    law: ZeroRows, shape: Shape, stream: Stream, ranges: Ranges, out: Any, bits: int, to: Backend
) -> None:
    check_rows(law, shape, stream)
    fill(law.base, shape, stream, ranges, out, bits, to)
    for row in law.rows:
        if row in ranges[0]:
            to.zero(out, ranges[0].index(row))


def check_rows(law: ZeroRows, shape: Shape, stream: Stream) -> None:
    """Raise where the rows are not all rows of the weight."""
    if not shape or any(not 0 <= row < shape[0] for row in law.rows):
        raise FaninValueError(f"ZeroRows: rows={law.rows} are not all rows of {stream.name!r}, whose shape is {shape}")


def _fill_sparse(law: Sparse, shape: Shape, stream: Stream, ranges: Ranges, out: Any, bits: int, to: Backend) -> None:
    axis = check_zeros(law, shape, stream)
    fill(law.base, shape, stream, ranges, out, bits, to)
    for where, part in _lines(shape, axis, ranges):
        to.zero(out[where], to.orders(shape, axis, stream.part("zeros"), part, out) < law.zeros)


def _lines(shape: Shape, axis: int, ranges: Ranges) -> Iterator[tuple[tuple[slice, ...], Ranges]]:
    """The window cut across its lines: while a random order is made, it takes some eighty bytes a number."""
    across = (*ranges[:axis], range(1), *ranges[axis + 1 :])
    for where, part in pieces(across, max(1, AT_ONCE // max(1, shape[axis]))):
        yield (*where[:axis], slice(None), *where[axis + 1 :]), (*part[:axis], ranges[axis], *part[axis + 1 :])


def check_zeros(law: Sparse, shape: Shape, stream: Stream) -> int:
    """The axis along which the zeros are counted; raises where a line has fewer numbers than that."""
    axis = check_axis(law.axis, shape, "Sparse")
    if law.zeros > shape[axis]:
        raise FaninValueError(
            f"Sparse: zeros={law.zeros} is more than the {shape[axis]} numbers of a line of {stream.name!r}, shape {shape}"
        )
    return axis
