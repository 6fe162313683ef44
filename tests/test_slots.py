"""Axes say what a weight's axes mean; fans come from them."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from tests.draws.laws import all_axes

from fanin.activations import Activation
from fanin.errors import FaninTypeError, FaninValueError
from fanin.slots import Axes, ChainLink, Pairing, ResidualPlace, Slot

# spec, shape, fan_in, fan_out
FANS = [
    ("oi", (256, 128), 128, 256),
    ("io", (256, 128), 256, 128),  # GPT-2's Conv1D: stored (in, out)
    ("oikk", (64, 32, 3, 5), 32 * 15, 64 * 15),
    ("kkio", (3, 5, 32, 64), 32 * 15, 64 * 15),  # JAX and Keras
    ("(s8o)ikk", (64, 1, 3, 3), 9, 8 * 9),  # 8 groups
    ("(s64o)ikk", (64, 1, 3, 3), 9, 9),  # depthwise: PyTorch says fan_out 576
    ("(s3o)i", (192, 64), 64, 64),  # fused q, k, v
    ("(s4o)i", (4 * 32, 16), 16, 32),  # gates of an LSTM
    ("sio", (8, 512, 2048), 512, 2048),  # stacked experts: PyTorch says fan_in 1,048,576
    ("vo", (1000, 64), 1, 64),  # embedding: one row is looked up
    ("o(s2i)", (10, 20), 10, 10),
]


@pytest.mark.parametrize(("spec", "shape", "fan_in", "fan_out"), FANS)
def test_fans(spec: str, shape: tuple[int, ...], fan_in: int, fan_out: int) -> None:
    axes = Axes.parse(spec, shape)
    assert (axes.fan_in, axes.fan_out) == (fan_in, fan_out)
    assert axes.shape == shape


def test_strides_share_the_taps_out() -> None:
    """A transposed convolution of stride 2 × 2 and 4 × 4 taps: 4 taps meet in an output, all 16 leave an input."""
    axes = Axes.parse("iokk", (64, 256, 4, 4), in_taps=1 / 4)
    assert (axes.fan_in, axes.fan_out) == (64 * 4, 256 * 16)


@given(all_axes())
def test_a_spec_is_read_back(axes: Axes) -> None:
    assert Axes.parse(axes.spec, axes.shape) == axes


@given(all_axes())
def test_json_is_read_back(axes: Axes) -> None:
    assert Axes.from_dict(json.loads(json.dumps(axes.to_dict()))) == axes


@given(all_axes())
def test_roles_multiply_to_the_whole(axes: Axes) -> None:
    roles = ("out", "in", "field", "stack", "lookup")
    assert math.prod(axes.size(role) for role in roles) == math.prod(axes.shape)


@pytest.mark.parametrize(
    ("spec", "shape", "message"),
    [
        ("oi", (3,), r"names 2 axes, but the shape \(3,\) has 1"),
        ("ox", (3, 3), "has the letter 'x'; accepted are o, i, k, s, v"),
        ("o i", (3, 3), "does not parse"),
        ("(s3o", (3,), "does not parse"),
        ("", (), "does not parse"),
        ("(s3o)i", (10, 4), "the group 's3o' does not divide an axis of 10 elements"),
        ("(so)i", (10, 4), "does not divide an axis"),
        ("(s2o3)i", (10, 4), "does not divide an axis"),
        ("(s0o)i", (10, 4), "does not divide an axis"),
        ("(3s)i", (3, 4), "does not parse at '3s'"),
        ("()i", (3, 4), "does not parse"),
    ],
)
def test_specs_that_do_not_fit_are_named(spec: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(FaninValueError, match=message):
        Axes.parse(spec, shape)


@pytest.mark.parametrize("spec", [3, None, ["o", "i"], ("o", "i"), b"oi"])
def test_specs_that_are_no_text_are_named(spec: Any) -> None:
    with pytest.raises(FaninTypeError, match="axes=.* cannot be used; give a text such as 'oi'"):
        Axes.parse(spec, (3, 4))


def test_axes_of_another_shape_do_not_fit() -> None:
    axes = Axes.parse("oi", (3, 4))
    assert axes.fitting((3, 4)) is axes
    with pytest.raises(FaninValueError, match=r"axes='oi' are of the shape \(3, 4\), but the weight has \(4, 3\)"):
        axes.fitting((4, 3))


@pytest.mark.parametrize(("position", "place"), [(0, "first"), (1, "inner"), (2, "last")])
def test_places_in_a_chain(position: int, place: str) -> None:
    assert ChainLink("w", position, 3).place == place


def test_a_whole_slot_survives_json() -> None:
    slot = Slot(
        "layer.weight",
        (12, 4),
        "float32",
        "weight",
        names=("layer.weight", "tied.weight"),
        op="linear",
        op_index=3,
        axes=Axes.parse("(s3o)i", (12, 4)),
        activation=Activation.named("leaky_relu", 0.2),
        residual=ResidualPlace(1, 4, last=True),
        chain=ChainLink("first", 1, 3, before=Activation.named("relu"), in_pairing=Pairing(4, inner=2)),
        parts="qkv",
    )
    assert Slot.from_dict(json.loads(json.dumps(slot.to_dict()))) == slot
    assert slot.size == 48
