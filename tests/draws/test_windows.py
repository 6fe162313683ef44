"""Any window of any distribution, drawn alone, is that window of the whole: bit for bit, products of matrices to 1e-6."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.draws.laws import exact, laws, windows

from fanin.distributions import Distribution, Normal, Uniform
from fanin.draws import draw_distribution
from fanin.draws.windows import TILE, collapse, pieces, resolve, starts, take, tiles
from fanin.errors import FaninError


@settings(max_examples=300)
@given(st.data(), laws(), st.sampled_from(["float16", "float32", "float64"]))
def test_a_window_is_that_window_of_the_whole(
    data: Any, case: tuple[Distribution, tuple[int, ...]], dtype: str
) -> None:
    law, shape = case
    whole = draw_distribution(law, shape, seed=5, name="w", dtype=dtype)
    assert whole.shape == shape
    assert np.isfinite(whole).all()
    window = data.draw(windows(shape))
    part = draw_distribution(law, shape, seed=5, name="w", dtype=dtype, window=window)
    assert part.shape == whole[window].shape
    if exact(law):
        assert part.tobytes() == np.ascontiguousarray(whole[window]).tobytes()
    else:  # every orthogonal law here has entries of at most 2
        error = {"float64": 1e-14, "float32": 1e-6, "float16": 2e-3}[dtype]
        assert abs(part.astype(float) - whole[window]).max(initial=0) <= error


@pytest.mark.parametrize(
    "window",
    [
        (slice(None, None, 3),),
        (slice(5, 900, 7), slice(None)),
        (slice(None), slice(17, 230)),
        (slice(None, None, -1), slice(200, 3, -2)),
        (999,),
        (slice(300, 301), slice(1, 2)),
    ],
)
def test_windows_larger_than_a_tile(window: tuple[Any, ...]) -> None:
    law, shape = Normal(1.0), (1000, 257)
    assert np.prod(shape) > 3 * TILE
    whole = draw_distribution(law, shape, seed=0, name="w")
    assert np.array_equal(draw_distribution(law, shape, seed=0, name="w", window=window), whole[window])


def test_a_window_of_a_huge_weight_costs_the_window_only() -> None:
    """Element-addressable: a corner of a weight with 10¹⁵ elements, at once."""
    shape = (10**8, 10**7)
    corner = draw_distribution(Uniform(1.0), shape, seed=0, name="w", window=(slice(-3, None), slice(-4, None)))
    again = draw_distribution(Uniform(1.0), shape, seed=0, name="w", window=(-1, slice(-2, None)))
    assert corner.shape == (3, 4)
    assert np.array_equal(corner[-1, -2:], again)


@given(st.data(), st.lists(st.integers(0, 6), min_size=1, max_size=4).map(tuple))
def test_resolved_ranges_are_numpys_own_indexing(data: Any, shape: tuple[int, ...]) -> None:
    window = data.draw(windows(shape))
    whole = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    ranges, picked = resolve(window, shape)
    assert np.array_equal(take(whole, ranges).squeeze(picked) if picked else take(whole, ranges), whole[window])
    merged, sizes = collapse(ranges, shape)
    assert starts(merged, sizes).tolist() == whole[window].reshape(-1).tolist()


def test_tiles_cover_the_window_once() -> None:
    ranges = (range(3), range(2 * TILE + 5), range(2))
    covered = 0
    for place, piece in tiles(ranges):
        assert place.start == covered
        assert 0 < place.stop - place.start == np.prod([len(r) for r in piece]) <= TILE
        covered = place.stop
    assert covered == np.prod([len(r) for r in ranges])


@pytest.mark.parametrize(
    ("window", "message"),
    [
        (slice(0, 9), "9 is outside of axis 0, which has 4 elements"),
        ((slice(None), slice(-6, None)), "-6 is outside of axis 1, which has 5 elements"),
        ((0, 0, 0), "names 3 axes, but the shape"),
        ((4,), "4 is outside of axis 0, which has 4 elements"),
        (("a",), "'a' cannot be used; give a slice of whole numbers, or one whole number, an axis"),
        (True, "True cannot be used; give a slice of whole numbers"),
        (Ellipsis, "Ellipsis cannot be used; give a slice of whole numbers"),
        ((slice(0, 4, 0),), r"slice\(0, 4, 0\) cannot be used; its step must not be 0"),
        ((slice(1.5, 3),), r"slice\(1.5, 3, None\) cannot be used; give a slice of whole numbers"),
        ((slice(0, 3, "2"),), "cannot be used; give a slice of whole numbers"),
    ],
)
def test_bad_windows_are_named(window: Any, message: str) -> None:
    with pytest.raises(FaninError, match=message):
        draw_distribution(Normal(1.0), (4, 5), seed=0, name="w", window=window)


@pytest.mark.parametrize("step", [2**63, 2**70, -(2**70), 10])
def test_steps_beyond_the_weight_pick_one(step: int) -> None:
    whole = draw_distribution(Normal(1.0), (4, 5), seed=0, name="w")
    part = draw_distribution(
        Normal(1.0), (4, 5), seed=0, name="w", window=(slice(None, None, step), slice(1, None, step))
    )
    assert np.array_equal(part, whole[::step, 1::step])


@pytest.mark.parametrize("shape", [(2**64, 0), (2**32, 2**32, 0), (2**62, 2), (0, 2**63)])
def test_shapes_whose_size_overflows(shape: tuple[int, ...]) -> None:
    with pytest.raises(FaninError, match=r"a weight has fewer than 2\*\*63 numbers"):
        draw_distribution(Normal(1.0), shape, seed=0, name="w")


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([-2, 1, 3])), max_size=3), st.integers(1, 40))
def test_pieces_cover_a_window_once(axes: list[tuple[int, int]], size: int) -> None:
    ranges = tuple(range(0, n * step, step) for n, step in axes)
    seen = np.zeros([len(r) for r in ranges], dtype=int)
    for where, part in pieces(ranges, size):
        assert [r[s] for r, s in zip(ranges, where, strict=True)] == list(part)
        assert seen[where].size <= size
        seen[where] += 1
    assert (seen == 1).all()
