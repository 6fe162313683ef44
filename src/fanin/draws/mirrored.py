"""Mirrored weights: half-sized blocks laid out with signs, so that units come in pairs f(u), f(-u)."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.distributions import DeltaOrthogonal, Distribution, Mirrored, Orthogonal
from fanin.draws.bits import Stream
from fanin.draws.layout import block_shape, from_blocks, to_blocks, with_sizes
from fanin.draws.orthogonal import row_size
from fanin.errors import FaninValueError
from fanin.slots import Axes, Pairing

Array = NDArray[np.float64]


def mirrored(law: Mirrored, stream: Stream, draw_whole: Any) -> Array:
    """The whole weight of a `Mirrored`, shape `law.axes.shape`.

    Args:
        law: what to draw.
        stream: of the weight.
        draw_whole: (distribution, shape, stream) → float64 array; draws the base.
    """
    stack, out, in_, field = block_shape(law.axes)
    rows = block_pairing(law.out, out, stack, "out")
    columns = block_pairing(law.in_, in_, stack, "in_")
    half_out = rows.outer * (rows.units // 2) * rows.inner if rows else out
    half_in = columns.outer * (columns.units // 2) * columns.inner if columns else in_
    base = _base_blocks(law.base, (stack, half_out, half_in, field), stream, draw_whole)
    if rows:
        alone = rows.outer * rows.inner if rows.units % 2 else 0
        extra = None
        if alone:
            wide = _row_law(law.base, law.axes, alone, half_in)
            extra = _base_blocks(wide, (stack, alone, half_in, field), stream.part("alone"), draw_whole)
        base = _signed(base, rows, 1, extra)
    if columns:
        base = _signed(base, columns, 2, None)
    return from_blocks(base, law.axes)


def block_pairing(pairing: Pairing | None, size: int, stack: int, field: str) -> Pairing | None:
    """The pairing within one block. A pairing of an axis that the stack lies on too must not cross the blocks."""
    if pairing is None:
        return None
    extent = pairing.outer * pairing.units * pairing.inner
    if extent == size:
        return pairing
    if extent == size * stack and pairing.outer % stack == 0:
        return Pairing(pairing.units, pairing.outer // stack, pairing.inner)
    raise FaninValueError(
        f"Mirrored: {field}={pairing} covers {extent} elements, but each of {stack} blocks has {size}; "
        "outer * units * inner must be the extent of a block, and pairs must not cross blocks"
    )


def _base_blocks(base: Distribution, shape: tuple[int, ...], stream: Stream, draw_whole: Any) -> Array:
    """The base drawn for its half size, as blocks of this shape."""
    axes = getattr(base, "axes", None)
    if axes is None:
        return draw_whole(base, shape, stream)
    if block_shape(axes) != shape:
        raise FaninValueError(
            f"Mirrored: base has blocks (stack, out, in, field) of {block_shape(axes)}, but half of the weight has {shape}"
        )
    return to_blocks(draw_whole(base, axes.shape, stream), axes)


def _row_law(base: Distribution, axes: Axes, rows: int, columns: int) -> Distribution:
    """What the rows of an unpaired unit are drawn from: as large as the base's rows, and apart from them.

    They are not drawn together with the base: one row more would take the orthogonality from the others.
    """
    if isinstance(base, Orthogonal | DeltaOrthogonal):
        return dataclasses.replace(base, axes=with_sizes(axes, rows, columns), gain=row_size(base), scale_out=True)
    if getattr(base, "axes", None) is not None:
        return dataclasses.replace(base, axes=with_sizes(axes, rows, columns))  # type: ignore[call-arg]
    return base


def _signed(half: Array, pairing: Pairing, axis: int, alone: Array | None) -> Array:
    """(half, -half) along the units of this axis; the unpaired unit gets `alone`, or zeros."""
    h = pairing.units // 2
    shape = half.shape
    split = half.reshape(*shape[:axis], pairing.outer, h, pairing.inner, *shape[axis + 1 :])
    parts = [split, -split]
    if pairing.units % 2:
        one = (*shape[:axis], pairing.outer, 1, pairing.inner, *shape[axis + 1 :])
        parts.append(np.zeros(one) if alone is None else alone.reshape(one))
    whole = np.concatenate(parts, axis=axis + 1)
    return whole.reshape(*shape[:axis], pairing.outer * pairing.units * pairing.inner, *shape[axis + 1 :])
