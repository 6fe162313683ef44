"""Windows: which part of a weight is asked for, as one `range` an axis."""

import math
import operator
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.draws.memory import LIMIT
from fanin.errors import FaninTypeError, FaninValueError

Ranges = tuple[range, ...]

TILE = 1 << 14  # elements a tile: its temporary arrays stay in the cache


def check_shape(shape: Any) -> tuple[int, ...]:
    """The shape as a tuple of ints of at least 0."""
    if type(shape) is tuple and all(type(n) is int and 0 <= n < 2**15 for n in shape) and len(shape) < 5:
        return shape  # what nearly all weights are, without the time that the questions below take
    try:
        sizes = tuple(operator.index(n) for n in ((shape,) if isinstance(shape, int) else shape))
    except TypeError:
        raise FaninTypeError(f"shape={shape!r} cannot be used; shape must be a tuple of integers") from None
    if any(n < 0 for n in sizes):
        raise FaninValueError(f"shape={sizes} cannot be used; every extent must be at least 0")
    if math.prod(n for n in sizes if n) >= LIMIT:
        raise FaninValueError(f"shape={sizes} cannot be used; a weight has fewer than 2**63 numbers")
    return sizes


def check_axis(axis: int, shape: tuple[int, ...], kind: str) -> int:
    """The axis counted from the front."""
    if not -len(shape) <= axis < len(shape):
        raise FaninValueError(f"{kind}: axis={axis} is not an axis of a weight of shape {shape}")
    return axis % len(shape)


def resolve(window: Any, shape: tuple[int, ...]) -> tuple[Ranges, tuple[int, ...]]:
    """One range for each axis, and the axes that an integer picked (they are dropped from the result, as in NumPy).

    Axes that the window does not name are taken whole.
    """
    if window is None:
        return tuple(map(range, shape)), ()
    if not isinstance(window, tuple):
        window = (window,)
    if len(window) > len(shape):
        raise FaninValueError(f"window={window} names {len(window)} axes, but the shape {shape} has {len(shape)}")
    ranges = [range(n) for n in shape]
    picked = []
    for axis, part in enumerate(window):
        if isinstance(part, slice):
            ranges[axis] = _sliced(part, shape[axis], axis, window)
            continue
        i = _index(part, part, window)
        if not -shape[axis] <= i < shape[axis]:
            raise FaninValueError(f"window={window}: {i} is outside of axis {axis}, which has {shape[axis]} elements")
        ranges[axis] = range(i % shape[axis], i % shape[axis] + 1)
        picked.append(axis)
    return tuple(ranges), tuple(picked)


def _sliced(part: slice, extent: int, axis: int, window: Any) -> range:
    """A slice that reaches past the weight would silently name fewer elements, so it is refused (unlike in NumPy)."""
    start, stop, step = (None if n is None else _index(n, part, window) for n in (part.start, part.stop, part.step))
    if step == 0:
        raise FaninValueError(f"window={window}: {part!r} cannot be used; its step must not be 0")
    for bound in (start, stop):
        if bound is not None and not -extent <= bound <= extent:
            raise FaninValueError(f"window={window}: {bound} is outside of axis {axis}, which has {extent} elements")
    found = range(*slice(start, stop, step).indices(extent))
    return found if len(found) > 1 else range(found.start, found.start + len(found))  # no step is too large for one


def _index(given: Any, part: Any, window: Any) -> int:
    """A whole number; a bool is none, for NumPy does not pick by it either."""
    try:
        if not isinstance(given, bool):
            return operator.index(given)
    except TypeError:
        pass
    raise FaninTypeError(
        f"window={window}: {part!r} cannot be used; give a slice of whole numbers, or one whole number, an axis"
    )


def take(whole: NDArray[Any], ranges: Ranges) -> NDArray[Any]:
    """The part of an array that the ranges name (a view)."""
    return whole[tuple(_as_slice(r) for r in ranges)]


def _as_slice(r: range) -> slice:
    stop = r.stop if r.stop >= 0 else None  # a range that runs down to 0 stops at -1, which a slice reads from the end
    return slice(r.start, stop, r.step) if len(r) else slice(0, 0)


def collapse(ranges: Ranges, shape: tuple[int, ...]) -> tuple[Ranges, tuple[int, ...]]:
    """The same elements in the same order with trailing whole axes merged into the axis before them."""
    kept, sizes = list(ranges) or [range(1)], list(shape) or [1]
    while len(kept) > 1 and kept[-1] == range(sizes[-1]) and kept[-2].step == 1:
        kept.pop()
        n, before = sizes.pop(), kept[-1]
        kept[-1] = range(before.start * n, max(before.stop, before.start) * n)
        sizes[-1] *= n
    return tuple(kept), tuple(sizes)


def starts(ranges: Ranges, shape: tuple[int, ...]) -> NDArray[np.uint64]:
    """Flat index of every element that the ranges name, in order, shape (product of lengths,)."""
    flat = np.zeros(1, dtype=np.uint64)
    for r, n in zip(ranges, shape, strict=True):
        axis = (np.arange(len(r), dtype=np.int64) * r.step + r.start).astype(np.uint64)
        flat = (flat[:, None] * np.uint64(n) + axis).reshape(-1)
    return flat


def tiles(ranges: Ranges, size: int = TILE) -> Iterator[tuple[slice, Ranges]]:
    """The window cut along its first axes into pieces of at most `size` elements.

    Yields:
        The flat positions that a piece fills in the (contiguous) result, and the piece's own ranges.
    """
    yield from _cut(ranges, (), 0, size)


def _cut(ranges: Ranges, head: Ranges, offset: int, size: int) -> Iterator[tuple[slice, Ranges]]:
    first, rest = ranges[0], ranges[1:]
    inner = math.prod(len(r) for r in rest)
    if inner == 0:
        return
    if inner > size:
        for k in range(len(first)):
            yield from _cut(rest, (*head, first[k : k + 1]), offset + k * inner, size)
        return
    step = max(1, size // inner)
    for k in range(0, len(first), step):
        piece = first[k : k + step]
        at = offset + k * inner
        yield slice(at, at + len(piece) * inner), (*head, piece, *rest)


def pieces(ranges: Ranges, size: int) -> Iterator[tuple[tuple[slice, ...], Ranges]]:
    """The window cut into blocks of at most `size` elements.

    Yields:
        Where a block lies in the result, one slice an axis, and its own ranges.
    """
    count = math.prod(len(r) for r in ranges)
    if count <= size:
        yield (slice(None),) * len(ranges), ranges
        return
    axis = next(a for a, r in enumerate(ranges) if len(r) > 1)
    rows = max(1, size * len(ranges[axis]) // count)
    for first in range(0, len(ranges[axis]), rows):
        along = ranges[axis][first : first + rows]
        for where, part in pieces((*ranges[:axis], along, *ranges[axis + 1 :]), size):
            yield (*where[:axis], slice(first, first + len(along)), *where[axis + 1 :]), part
