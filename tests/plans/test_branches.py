"""Residual branches as users tell them."""

from typing import Any

import pytest

from fanin.activations import Activation
from fanin.errors import FaninError
from fanin.plans.branches import on_branches, told_branches
from fanin.slots import Axes, Slot

GELU = Activation.named("gelu")


def slot(name: str, role: Any = "weight", **known: Any) -> Slot:
    axes = Axes.parse("io", (4, 4)) if role == "weight" else None
    shape = (4, 4) if role == "weight" else (4,)
    return Slot(name, shape, "float32", role, module=name.rpartition(".")[0], axes=axes, **known)


SLOTS = [
    slot("stem.kernel"),
    *(
        slot(f"blocks.{k}.{name}", role)
        for k in range(2)
        for name, role in (
            ("norm1.scale", "norm_scale"), ("norm2.scale", "norm_scale"), ("attn.q.kernel", "weight"), ("attn.out.kernel", "weight"),
            ("attn.out.bias", "bias"), ("mlp.down.kernel", "weight"), ("mlp.up.kernel", "weight"), ("post.scale", "norm_scale"),
        )
    ),
    slot("head.kernel"),
]  # fmt: skip


def places(branches: Any) -> dict[str, tuple[int, bool]]:
    placed = on_branches(SLOTS, told_branches(branches, SLOTS))
    return {s.name: (s.residual.branch, s.residual.last) for s in placed if s.residual is not None}


def test_modules_that_are_whole_branches_and_ones_that_are_called_one_after_the_other() -> None:
    found = places(["blocks.*.attn", ("*.norm2", "*.mlp.up", "*.mlp.down")])
    assert found == {
        f"blocks.{k}.{name}": (2 * k + branch, last)
        for k in range(2)
        for name, branch, last in (
            ("attn.q.kernel", 0, False), ("attn.out.kernel", 0, True), ("mlp.up.kernel", 1, False), ("mlp.down.kernel", 1, True)
        )
    }  # fmt: skip


def test_the_order_of_calls_counts_not_that_of_the_model() -> None:
    branches = told_branches([("*.mlp.up", "*.mlp.down")], SLOTS)
    assert [b.last for b in branches] == ["blocks.0.mlp.down.kernel", "blocks.1.mlp.down.kernel"]
    assert branches[0].modules == ("blocks.0.mlp.up", "blocks.0.mlp.down")


def test_a_norm_behind_the_last_weight_ends_the_branch() -> None:
    slots = on_branches(SLOTS, told_branches([("*.attn", "*.post")], SLOTS))
    placed = {s.name: s.residual for s in slots if s.residual is not None}
    assert placed["blocks.0.post.scale"].last
    assert placed["blocks.1.attn.out.kernel"].normed
    assert "blocks.0.norm1.scale" not in placed


def test_the_activation_of_the_layer_before_is_what_an_input_came_through() -> None:
    slots = [slot("up.kernel", activation=GELU), slot("down.kernel")]
    up, down = on_branches(slots, told_branches([("up", "down")], slots))
    assert (up.input_activation, down.input_activation) == (None, GELU)


@pytest.mark.parametrize(
    ("branches", "words"),
    [
        ("blocks.*.nothing", "matches no module with weights"),
        ([("*.attn", "stem")], "match equally many modules, but '.*attn' 2, 'stem' 1"),
        ("*.norm1", "blocks.0.norm1 have no weight that multiplies"),
        (["*.attn", "*.attn.out"], "is on two of them"),
        (3, "branches=3 cannot be used"),
        ([3], "cannot be used; accepted are"),
        ([()], "cannot be used; accepted are"),
    ],
)
def test_bad_input(branches: Any, words: str) -> None:
    with pytest.raises(FaninError, match=words):
        told_branches(branches, SLOTS)
