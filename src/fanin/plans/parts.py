"""Which numbers of a weight one process holds, and how work on them is cut into pieces.

A shard is described as tensors are chunked: for each axis, the ranges of global indices that the local tensor has there,
in order. Most shards have one range an axis; strided ones (tensor parallel below data parallel) have several.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Window = tuple[slice, ...]
PIECE = 1 << 20  # numbers a piece of work: small enough to share out evenly, large enough not to be felt


@dataclass(frozen=True)
class Split:
    """How one axis of a mesh of processes splits a weight.

    Attributes:
        axis: the axis of the weight that is split.
        parts: how many processes lie along the mesh's axis.
        index: which of them this one is.
        blocks: the weight's axis is first cut into this many blocks and each of them is split (strided sharding).
    """

    axis: int
    parts: int
    index: int
    blocks: int = 1


@dataclass(frozen=True)
class Part:
    """A block of a weight that is filled in one go: where it lies in the local tensor, and in the whole weight."""

    local: Window
    window: Window

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return math.prod(s.stop - s.start for s in self.local)


def owned(shape: tuple[int, ...], splits: Sequence[Split]) -> list[list[range]]:
    """For each axis, the ranges of global indices that a process holds; splits are applied from left to right.

    Example:
        >>> owned((10, 4), [Split(0, 3, 2), Split(1, 2, 0)])
        [[range(8, 10)], [range(0, 2)]]
        >>> owned((8,), [Split(0, 2, 1, blocks=2)])
        [[range(2, 4), range(6, 8)]]
    """
    held = [[range(n)] for n in shape]
    for split in splits:
        axis = split.axis
        blocks = [_chunk(held[axis], split.blocks, b) for b in range(split.blocks)]
        held[axis] = _joined(r for block in blocks for r in _chunk(block, split.parts, split.index))
    return held


def _chunk(ranges: list[range], parts: int, index: int) -> list[range]:
    """What `torch.chunk` gives: chunks of ceil(n / parts), the last ones smaller or empty."""
    size = -(-sum(len(r) for r in ranges) // parts)
    return _between(ranges, index * size, (index + 1) * size)


def _between(ranges: list[range], start: int, stop: int) -> list[range]:
    found, at = [], 0
    for r in ranges:
        low, high = max(start - at, 0), min(stop - at, len(r))
        if low < high:
            found.append(r[low:high])
        at += len(r)
    return found


def _joined(ranges: Iterator[range]) -> list[range]:
    joined: list[range] = []
    for r in ranges:
        if joined and joined[-1].stop == r.start:
            joined[-1] = range(joined[-1].start, r.stop)
        elif len(r):
            joined.append(r)
    return joined


def extents(held: list[list[range]]) -> tuple[int, ...]:
    """The shape of the local tensor."""
    return tuple(sum(len(r) for r in ranges) for ranges in held)


def parts_of(held: list[list[range]]) -> list[Part]:
    """The blocks that the local tensor is made of."""
    if 0 in extents(held):
        return []
    axes = []
    for ranges in held:
        at, places = 0, []
        for r in ranges:
            places.append((slice(at, at + len(r)), slice(r.start, r.stop)))
            at += len(r)
        axes.append(places)
    return [
        Part(tuple(local for local, _ in block), tuple(window for _, window in block))
        for block in itertools.product(*axes)
    ]


def flat_parts(shape: tuple[int, ...], start: int, stop: int) -> list[Part]:
    """The blocks that hold the numbers start … stop - 1 of a weight, counted flat; `local` counts from `start`, flat.

    Example:
        >>> [(p.local[0], p.window) for p in flat_parts((3, 4), 2, 8)]
        [(slice(0, 2, None), (slice(0, 1, None), slice(2, 4, None))), (slice(2, 6, None), (slice(1, 2, None), slice(0, 4, None)))]
    """
    if start >= stop:
        return []
    if not shape:
        return [Part((slice(0, 1),), ())]
    inner = math.prod(shape[1:])
    found: list[Part] = []

    def row(k: int, low: int, high: int) -> None:
        for part in flat_parts(shape[1:], low, high):
            at = k * inner + low - start
            local = slice(at + part.local[0].start, at + part.local[0].stop)
            found.append(Part((local,), (slice(k, k + 1), *part.window)))

    first, last = -(-start // inner), stop // inner  # whole rows
    if first > last:  # within one row
        row(last, start - last * inner, stop - last * inner)
        return found
    if start < first * inner:
        row(first - 1, start - (first - 1) * inner, inner)
    if first < last:
        local = slice(first * inner - start, last * inner - start)
        found.append(Part((local,), (slice(first, last), *(slice(0, n) for n in shape[1:]))))
    if last * inner < stop:
        row(last, 0, stop - last * inner)
    return found


def cut(part: Part, piece: int = PIECE) -> Iterator[Part]:
    """The block in pieces of at most `piece` numbers, each of whole rows where rows are that small (flat ones stay)."""
    if part.size <= piece or len(part.local) != len(part.window):
        yield part
        return
    axis = next(k for k, s in enumerate(part.local) if s.stop - s.start > 1)
    inner = math.prod(s.stop - s.start for s in part.local[axis + 1 :])
    step = max(1, piece // inner)
    local, window = part.local[axis], part.window[axis]
    for k in range(0, local.stop - local.start, step):
        stop = min(k + step, local.stop - local.start)
        yield from cut(
            Part(
                (*part.local[:axis], slice(local.start + k, local.start + stop), *part.local[axis + 1 :]),
                (*part.window[:axis], slice(window.start + k, window.start + stop), *part.window[axis + 1 :]),
            ),
            piece,
        )
