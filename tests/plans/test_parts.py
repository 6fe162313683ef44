"""Shards are what torch gives, blocks cover them once, and pieces cover blocks once."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fanin.plans.parts import Part, Split, cut, extents, flat_parts, owned, parts_of

SHAPES = st.lists(st.integers(0, 12), min_size=1, max_size=3).map(tuple)


@st.composite
def sharded(draw: st.DrawFn) -> tuple[tuple[int, ...], list[Split]]:
    """A shape, and how one process of a mesh of up to three axes holds it; axes may be split several times."""
    shape = draw(SHAPES)
    splits = []
    for _ in range(draw(st.integers(0, 3))):
        parts = draw(st.integers(1, 4))
        axis = draw(st.integers(0, len(shape) - 1))
        splits.append(Split(axis, parts, draw(st.integers(0, parts - 1)), draw(st.sampled_from([1, 1, 2, 3]))))
    return shape, splits


def torchs_own(shape: tuple[int, ...], splits: list[Split]) -> np.ndarray:
    """The same through torch's placements, on the numbers 0, 1, 2, …"""
    placements = pytest.importorskip("torch.distributed.tensor.placement_types")
    local = torch.arange(math.prod(shape)).reshape(shape)
    for s in splits:
        kind = placements.Shard(s.axis) if s.blocks == 1 else placements._StridedShard(s.axis, split_factor=s.blocks)
        local = kind._split_tensor(local, s.parts, with_padding=False)[0][s.index]
    return local.numpy()


@given(sharded())
def test_owned_is_what_torch_gives(case: tuple[tuple[int, ...], list[Split]]) -> None:
    shape, splits = case
    held = owned(shape, splits)
    wanted = torchs_own(shape, splits)
    assert extents(held) == wanted.shape
    numbers = np.arange(math.prod(shape)).reshape(shape)
    local = np.full(extents(held), -1)
    for part in parts_of(held):
        for piece in cut(part, 5):
            assert (local[piece.local] == -1).all(), "filled twice"
            local[piece.local] = numbers[piece.window]
    assert np.array_equal(local, wanted)


@given(SHAPES, st.integers(1, 30))
def test_pieces_are_small_and_contiguous(shape: tuple[int, ...], size: int) -> None:
    everything = tuple(slice(0, n) for n in shape)
    pieces = list(cut(Part(everything, everything), size)) if math.prod(shape) else []
    numbers = np.arange(math.prod(shape)).reshape(shape)
    found = [numbers[piece.window].reshape(-1) for piece in pieces]
    assert all(len(f) <= size for f in found)
    assert np.array_equal(np.concatenate([*found, np.empty(0, int)]), numbers.reshape(-1)), "in the order of a file"


@given(st.lists(st.integers(1, 5), max_size=4).map(tuple), st.data())
def test_flat_ranges_are_few_blocks(shape: tuple[int, ...], data: st.DataObject) -> None:
    size = math.prod(shape)
    start = data.draw(st.integers(0, size))
    stop = data.draw(st.integers(start, size))
    numbers = np.arange(size).reshape(shape)
    parts = flat_parts(shape, start, stop)
    flat = np.concatenate([np.empty(0, int), *(numbers[part.window].reshape(-1) for part in parts)])
    assert np.array_equal(flat, np.arange(start, stop))
    places = [p.local[0] for p in parts]
    assert [s.start for s in places] == [0, *(s.stop for s in places[:-1])][: len(places)]
    assert len(parts) <= max(1, 2 * len(shape) - 1)
