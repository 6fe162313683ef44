"""Mirrored weights: half-sized blocks laid out with signs, so that units come in pairs f(u), f(-u)."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from fanin.distributions import DeltaOrthogonal, Distribution, Mirrored, Orthogonal
from fanin.draws.bits import Stream
from fanin.draws.householder import Indices, Ops, as_index
from fanin.draws.layout import Window, block_shape, with_sizes
from fanin.draws.orthogonal import row_size
from fanin.errors import FaninValueError
from fanin.slots import Axes, Pairing

EVERY = slice(None)


def mirrored(ops: Ops, law: Mirrored, stream: Stream, part: Window, draw_base: Any) -> Any:
    """A part of the blocks of a `Mirrored`, shape `part.shape`; of the base, only what the part is made of is drawn.

    Args:
        ops: of the framework and dtype.
        law: what to draw.
        stream: of the weight.
        part: which blocks, outputs, inputs and taps.
        draw_base: `matrices.block`; draws the base.
    """
    rows, columns, half = halves(law)
    stack, _, half_in, field = half
    above, beside = _sides(part.rows, rows), _sides(part.columns, columns)
    blocks = ops.zeros(part.shape)
    blocks = _lay(ops, blocks, law.base, half, stream, part, above, beside, draw_base)
    if rows and len(above.alone):
        alone = rows.outer * rows.inner
        wide = row_law(law.base, law.axes, alone, half_in)
        extra = above._replace(plus=above.alone, plus_from=above.alone_from, minus=NONE, minus_from=NONE)
        blocks = _lay(
            ops, blocks, wide, (stack, alone, half_in, field), stream.part("alone"), part, extra, beside, draw_base
        )
    return blocks


def halves(law: Mirrored) -> tuple[Pairing | None, Pairing | None, tuple[int, int, int, int]]:
    """How the outputs and the inputs of a block are paired, and the blocks of the base; raises where they do not fit."""
    stack, out, in_, field = block_shape(law.axes)
    rows = block_pairing(law.out, out, stack, "out")
    columns = block_pairing(law.in_, in_, stack, "in_")
    half_out = rows.outer * (rows.units // 2) * rows.inner if rows else out
    half_in = columns.outer * (columns.units // 2) * columns.inner if columns else in_
    half = (stack, half_out, half_in, field)
    axes = getattr(law.base, "axes", None)
    if axes is not None and block_shape(axes) != half:
        raise FaninValueError(
            f"Mirrored: base has blocks (stack, out, in, field) of {block_shape(axes)}, but half of the weight has {half}"
        )
    return rows, columns, half


class Sides(NamedTuple):
    """Which of the asked-for lines carry the base's lines, which their negatives, and which have no partner."""

    plus: Indices
    plus_from: Indices
    minus: Indices
    minus_from: Indices
    alone: Indices
    alone_from: Indices


NONE = np.zeros(0, dtype=np.intp)


def _sides(lines: Indices, pairing: Pairing | None) -> Sides:
    every = np.arange(len(lines))
    if pairing is None:
        return Sides(every, lines, NONE, NONE, NONE, NONE)
    h = pairing.units // 2
    outer, unit, inner = (
        lines // (pairing.units * pairing.inner),
        lines // pairing.inner % pairing.units,
        lines % pairing.inner,
    )
    source = (outer * h + unit % max(h, 1)) * pairing.inner + inner
    kinds = (unit < h, (unit >= h) & (unit < 2 * h), unit >= 2 * h)
    plus, minus, alone = (every[kind] for kind in kinds)
    return Sides(plus, source[plus], minus, source[minus], alone, (outer * pairing.inner + inner)[alone])


def _lay(
    ops: Ops,
    blocks: Any,
    law: Distribution,
    sizes: tuple[int, ...],
    stream: Stream,
    part: Window,
    above: Sides,
    beside: Sides,
    draw_base: Any,
) -> Any:
    """The base, drawn once for all lines that come from it, laid into the blocks with its signs."""
    rows = np.unique(np.concatenate([above.plus_from, above.minus_from]))
    columns = np.unique(np.concatenate([beside.plus_from, beside.minus_from]))
    if not (len(rows) and len(columns)):
        return blocks
    base = draw_base(ops, law, sizes, stream, dataclasses.replace(part, rows=rows, columns=columns))
    for row_sign, to, source in ((1, above.plus, above.plus_from), (-1, above.minus, above.minus_from)):
        for sign, to_in, source_in in ((1, beside.plus, beside.plus_from), (-1, beside.minus, beside.minus_from)):
            if len(to) and len(to_in):
                taken = base[:, as_index(np.searchsorted(rows, source))]
                taken = taken[:, :, as_index(np.searchsorted(columns, source_in))]
                place = (EVERY, *_crossed(as_index(to), as_index(to_in)))
                blocks = ops.set(blocks, place, taken if sign == row_sign else -taken)
    return blocks


def _crossed(rows: slice | Indices, columns: slice | Indices) -> tuple[Any, Any]:
    """Two indices that name every pair of a row and a column."""
    if isinstance(rows, np.ndarray) and isinstance(columns, np.ndarray):
        return rows[:, None], columns
    return rows, columns


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


def row_law(base: Distribution, axes: Axes, rows: int, columns: int) -> Distribution:
    """What the rows of an unpaired unit are drawn from: as large as the base's rows, and apart from them.

    They are not drawn together with the base: one row more would take the orthogonality from the others.
    """
    if isinstance(base, Orthogonal | DeltaOrthogonal):
        return dataclasses.replace(base, axes=with_sizes(axes, rows, columns), gain=row_size(base), scale_out=True)
    if getattr(base, "axes", None) is not None:
        return dataclasses.replace(base, axes=with_sizes(axes, rows, columns))  # type: ignore[call-arg]
    return base
