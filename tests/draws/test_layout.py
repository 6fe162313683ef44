"""Blocks of (stack, out, in, field) hold each weight's elements where the op that consumes it finds them."""

import numpy as np
import pytest
from hypothesis import given
from tests.draws.laws import all_axes

from fanin.draws.layout import block_shape, centre, from_blocks, to_blocks, with_sizes
from fanin.slots import Axes


@given(all_axes())
def test_layouts_are_undone(axes: Axes) -> None:
    weight = np.arange(np.prod(axes.shape)).reshape(axes.shape)
    blocks = to_blocks(weight, axes)
    assert blocks.shape == block_shape(axes)
    assert np.array_equal(from_blocks(blocks, axes), weight)


def test_a_fused_projection_stacks_its_blocks() -> None:
    weight = np.arange(12 * 4).reshape(12, 4)
    assert np.array_equal(to_blocks(weight, Axes.parse("(s3o)i", (12, 4)))[1, :, :, 0], weight[4:8])


def test_a_transposed_layout_is_transposed() -> None:
    weight = np.arange(12).reshape(3, 4)
    assert np.array_equal(to_blocks(weight, Axes.parse("io", (3, 4)))[0, :, :, 0], weight.T)


@pytest.mark.parametrize(
    ("spec", "shape", "expected"),
    [("oikk", (1, 1, 3, 5), 1 * 5 + 2), ("oik", (1, 1, 4), 2), ("oi", (2, 2), 0), ("(ki)o", (3, 3), 0)],
)
def test_the_centre_is_half_of_each_axis(spec: str, shape: tuple[int, ...], expected: int) -> None:
    axes = Axes.parse(spec if spec != "(ki)o" else "(k1i)o", shape)
    assert centre(axes) == expected


@given(all_axes())
def test_other_sizes_keep_stack_and_field(axes: Axes) -> None:
    stack, _, _, field = block_shape(axes)
    assert block_shape(with_sizes(axes, 7, 3)) == (stack, 7, 3, field)
