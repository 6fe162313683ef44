"""Orthogonal weights and identities: parts of their blocks (stack, out, in, field), in any framework."""

import math
from typing import Any

import numpy as np

from fanin.distributions import DeltaOrthogonal, Identity, Orthogonal
from fanin.draws.bits import Stream
from fanin.draws.householder import Indices, Ops, orthonormal
from fanin.draws.layout import Window, block_shape, centre

EVERY = slice(None)


def orthogonal(ops: Ops, law: Orthogonal, stream: Stream, part: Window, target: Any = None) -> Any:
    """A part of the blocks of an `Orthogonal`, shape `part.shape`; written to `target` where that is given.

    Args:
        ops: of the framework and dtype.
        law: what to draw.
        stream: of the weight.
        part: which blocks, outputs, inputs and taps.
        target: array of the framework, shape (blocks, outputs, inputs times taps).
    """
    _, out, in_, field = block_shape(law.axes)
    columns = (part.columns[:, None] * field + part.taps).reshape(-1)
    made = orthonormal(ops, stream, part.blocks, (out, in_ * field), part.rows, columns, gain(law), target)
    return made.reshape(part.shape)


def delta_orthogonal(ops: Ops, law: DeltaOrthogonal, stream: Stream, part: Window) -> Any:
    """A part of the blocks of a `DeltaOrthogonal`, shape `part.shape`."""
    _, out, in_, _ = block_shape(law.axes)
    blocks = ops.zeros(part.shape)
    tap = _among(part.taps, centre(law.axes))
    if not len(tap):
        return blocks
    made = orthonormal(ops, stream, part.blocks, (out, in_), part.rows, part.columns, gain(law))
    return ops.set(blocks, (EVERY, EVERY, EVERY, int(tap[0])), made)


def identity(ops: Ops, law: Identity, part: Window) -> Any:
    """A part of the blocks of an `Identity`, shape `part.shape`."""
    blocks = ops.zeros(part.shape)
    tap = _among(part.taps, centre(law.axes))
    _, rows, columns = np.intersect1d(part.rows, part.columns, assume_unique=True, return_indices=True)
    if not len(tap) or not len(rows):
        return blocks
    return ops.set(blocks, (EVERY, rows, columns, int(tap[0])), law.gain)


def _among(taps: Indices, tap: int) -> Indices:
    return np.flatnonzero(taps == tap)


def gain(law: Orthogonal | DeltaOrthogonal) -> float:
    """The singular value that every nonzero direction of the drawn matrix has (`scale_out` included)."""
    out, columns = _extents(law)
    return law.gain * (math.sqrt(max(1.0, out / columns)) if law.scale_out and columns else 1.0)


def row_size(law: Orthogonal | DeltaOrthogonal) -> float:
    """The root mean square of the norms of the drawn matrix's rows."""
    out, columns = _extents(law)
    return gain(law) * (math.sqrt(min(1.0, columns / out)) if out else 1.0)


def _extents(law: Orthogonal | DeltaOrthogonal) -> tuple[int, int]:
    _, out, in_, field = block_shape(law.axes)
    return out, in_ * field if isinstance(law, Orthogonal) else in_
