"""Matrix families in any framework: orthogonal, identity, mirrored and centred weights, and any part of them alone.

A window of the weight is cut into parts of its stacked blocks (`layout.runs`), each part is made by its law, and laid
where it belongs. Nothing is drawn that the window is not made of, but for strips of an orthogonal matrix (`householder`)
and the inputs that a centred weight's mean goes over.
"""

from typing import Any

import numpy as np

from fanin.distributions import Centred, DeltaOrthogonal, Distribution, Identity, Mirrored, Orthogonal
from fanin.draws.bits import Stream
from fanin.draws.centred import centred
from fanin.draws.householder import Ops, as_index
from fanin.draws.layout import Indices, Run, Window, block_shape, runs
from fanin.draws.mirrored import mirrored
from fanin.draws.orthogonal import delta_orthogonal, identity, orthogonal
from fanin.draws.windows import Ranges

Family = Identity | Orthogonal | DeltaOrthogonal | Mirrored | Centred
FAMILIES = (Identity, Orthogonal, DeltaOrthogonal, Mirrored, Centred)


def fill(ops: Ops, law: Family, stream: Stream, ranges: Ranges, out: Any) -> Any:
    """Write a window of a weight into an array of the framework.

    Args:
        ops: of the framework, in the dtype to compute in.
        law: what to draw.
        stream: of the weight.
        ranges: one for each axis of the weight.
        out: shape: the lengths of the ranges.

    Returns:
        `out`, or a new array where the framework's arrays do not change.
    """
    turned = tuple(axis for axis, r in enumerate(ranges) if r.step < 0)
    upward = tuple(r[::-1] if r.step < 0 else r for r in ranges)
    _, rows, columns, field = block_shape(law.axes)
    for run in runs(law.axes, upward, max(1, ops.batch // max(1, rows * columns * field))):
        out = _lay(ops, law, stream, run, out, turned)
    return out


def block(ops: Ops, law: Distribution, sizes: tuple[int, ...], stream: Stream, part: Window, target: Any = None) -> Any:
    """A part of the blocks (stack, out, in, field) of any distribution, shape `part.shape`.

    Args:
        ops: of the framework.
        law: what to draw; without axes, it is drawn as a weight of shape `sizes`.
        sizes: of all blocks.
        stream: of the weight.
        part: which blocks, outputs, inputs and taps.
        target: see `orthogonal.orthogonal`; other families leave it alone.
    """
    match law:
        case Orthogonal():
            return orthogonal(ops, law, stream, part, target)
        case DeltaOrthogonal():
            return delta_orthogonal(ops, law, stream, part)
        case Identity():
            return identity(ops, law, part)
        case Mirrored():
            return mirrored(ops, law, stream, part, block)
        case Centred():
            return centred(ops, law, stream, part, block)
    if 0 in part.shape:
        return ops.zeros(part.shape)
    lines = (np.arange(part.blocks.start, part.blocks.stop), part.rows, part.columns, part.taps)
    drawn = ops.draw(law, sizes, stream, tuple(range(int(at[0]), int(at[-1]) + 1) for at in lines))
    for axis, at in enumerate(lines):
        drawn = drawn[(slice(None),) * axis + (as_index(at - at[0]),)]
    return drawn


def _lay(ops: Ops, law: Family, stream: Stream, run: Run, out: Any, turned: tuple[int, ...]) -> Any:
    """One run of blocks, written to where its lines say; along `turned` axes the window runs downward."""
    part, sizes, order = run.window, run.sizes, run.order
    joint = _joint(run)
    count = len(run.blocks)
    if isinstance(law, Orthogonal) and joint is not None and order is not None and not turned:
        axis, where = joint
        index = _index([line.where for line in run.lines[0]], axis, where, out.shape, ())
        direct = ops.writes(out) and all(isinstance(at, slice) for at in index)
        held = out[index] if direct else ops.zeros(tuple(count * n if a == axis else n for a, n in enumerate(sizes)))
        target = ops.matrices(held, axis, count, order, (len(part.rows), len(part.columns) * len(part.taps)))
        if target is not None:
            block(ops, law, block_shape(law.axes), stream, part, target)
            return out if direct else ops.put(out, index, held)
    values = block(ops, law, block_shape(law.axes), stream, part)
    if order is None:
        rows, columns, taps = run.gather()
        values = values[:, rows, columns, taps]
    else:
        values = values.reshape(count, *(sizes[axis] for axis in order))
        values = ops.permute(values, (0, *(1 + order.index(axis) for axis in range(len(sizes)))))
    flips = tuple(axis + 1 for axis in turned)
    if joint is not None:
        axis, where = joint
        values = ops.permute(values, (*range(1, axis + 1), 0, *range(axis + 1, len(sizes) + 1)))
        values = values.reshape(*(count * n if a == axis else n for a, n in enumerate(sizes)))
        index = _index([line.where for line in run.lines[0]], axis, where, out.shape, turned)
        return ops.put(out, index, ops.flip(values, turned) if turned else values)
    if turned:
        values = ops.flip(values, flips)
    for k, lines in enumerate(run.lines):
        index = _index([line.where for line in lines], 0, lines[0].where, out.shape, turned)
        out = ops.put(out, index, values[k])
    return out


def _joint(run: Run) -> tuple[int, Indices] | None:
    """The axis along which the blocks of a run lie one behind the other, and their places; None where there is none."""
    first = run.lines[0]
    if not first:
        return None
    apart = [a for a, line in enumerate(first) if any(lines[a] is not line for lines in run.lines)]
    if len(apart) > 1:
        return None
    axis = apart[0] if apart else 0
    where = np.concatenate([lines[axis].where for lines in run.lines]) if apart else first[axis].where
    return (axis, where) if (np.diff(where) > 0).all() else None


def _index(
    wheres: list[Indices], axis: int, where: Indices, shape: tuple[int, ...], turned: tuple[int, ...]
) -> tuple[Any, ...]:
    """An index of these places along each axis, `where` along one of them; slices if it can be, else one array an axis."""
    places = [where if a == axis else at for a, at in enumerate(wheres)]
    places = [shape[a] - 1 - at[::-1] if a in turned else at for a, at in enumerate(places)]
    slices = tuple(as_index(at) for at in places)
    return slices if all(isinstance(at, slice) for at in slices) else np.ix_(*places)
