"""The memory that a draw writes to: each number has a place of its own, or nothing is written."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided

import fanin.torch
from fanin.distributions import Normal, Stack, Uniform
from fanin.draws import draw_distribution
from fanin.draws.memory import overlaps
from fanin.draws.torch import draw, fill_
from fanin.errors import FaninTypeError, FaninValueError
from fanin.plans import Entry, Need, Plan

W: dict[str, Any] = {"seed": 3, "name": "w"}


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-7, 7)), max_size=4), st.integers(1, 4))
def test_overlaps_is_what_counting_the_bytes_says(axes: list[tuple[int, int]], itemsize: int) -> None:
    shape, strides = tuple(n for n, _ in axes), tuple(step for _, step in axes)
    touched = np.zeros(500, dtype=int)
    for index in np.ndindex(*shape):
        at = 250 + sum(i * step for i, step in zip(index, strides, strict=True))
        touched[at : at + itemsize] += 1
    assert overlaps(shape, strides, itemsize) == bool((touched > 1).any())


@pytest.mark.parametrize("strides", [(4, 4), (0, 4), (8, 4), (-4, 4), (2, 24)])
def test_arrays_that_lie_over_themselves_are_refused(strides: tuple[int, int]) -> None:
    memory = np.zeros(200, dtype=np.float32)
    with pytest.raises(FaninValueError, match="several elements of out share one place in memory; give its copy"):
        draw_distribution(Normal(1.0), (4, 6), out=as_strided(memory[100:], (4, 6), strides), **W)
    assert not memory.any()


@pytest.mark.parametrize("strides", [(1, 1), (0, 1), (5, 1), (2, 2)])
@pytest.mark.parametrize("fill", [lambda t: fill_(t, Normal(1.0), **W), lambda t: fanin.torch.he_normal_(t, seed=0)])
def test_tensors_that_lie_over_themselves_are_refused(strides: tuple[int, int], fill: Any) -> None:
    memory = torch.zeros(100)
    with pytest.raises(FaninValueError, match="several elements of the tensor share one place in memory"):
        fill(memory.as_strided((4, 6), strides))
    assert not memory.any()


def test_a_model_whose_weight_lies_over_itself_is_refused() -> None:
    model = torch.nn.Module()
    model.w = torch.nn.Parameter(torch.zeros(100).as_strided((4, 6), (5, 1)))
    plan = Plan({"w": Entry(Normal(1.0))}, 0, {"w": Need((4, 6))})
    with pytest.raises(FaninValueError, match="w is a view whose elements share memory"):
        plan.apply(model)
    assert not model.w.any()


@pytest.mark.parametrize("law", [Normal(1.0), Stack((Normal(1.0), Uniform(1.0)), (2, 2), 0)])
def test_any_other_layout_is_filled(law: Any) -> None:
    whole = draw_distribution(law, (4, 6), **W)
    for strides in ((4, 16), (-24, 4), (400, -8), (4, 20), (12, 100)):
        memory = np.zeros(2000, dtype=np.float32)
        out = as_strided(memory[1000:], (4, 6), strides)
        assert np.array_equal(draw_distribution(law, (4, 6), out=out, **W), whole)
        assert np.count_nonzero(memory) == 24


@pytest.mark.parametrize("shape", [(2**62,), (2**61, 1, 2), (2**40, 2**21)])
def test_more_bytes_than_can_be_addressed(shape: tuple[int, ...]) -> None:
    for make in (draw_distribution, draw):
        with pytest.raises(FaninValueError, match=r"are more than can be addressed \(2\*\*63 bytes\); give a window="):
            make(Normal(1.0), shape, **W)
        assert make(Normal(1.0), shape, window=(slice(0, 2),) + (0,) * (len(shape) - 1), **W).shape == (2,)


def test_what_is_no_array_and_no_dtype() -> None:
    with pytest.raises(FaninTypeError, match=r"out=\[0\] cannot be used; give a NumPy array"):
        draw_distribution(Normal(1.0), (1,), out=[0], **W)  # type: ignore[arg-type]
    with pytest.raises(FaninTypeError, match="dtype='float32' cannot be used; give a torch.dtype"):
        draw(Normal(1.0), (1,), dtype="float32", **W)  # type: ignore[arg-type]
