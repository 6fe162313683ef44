"""The memory of weights: two that share some are not drawn apart, and none is touched before all are known to take their numbers."""

from typing import Any

import pytest
import torch
from torch import nn

from fanin.distributions import Constant, Normal
from fanin.errors import FaninValueError
from fanin.plans import Entry, Need, Plan
from fanin.plans.torch import apply
from fanin.plans.torch.memory import overlapping


def model_and_plan(**weights: torch.Tensor) -> tuple[nn.Module, Plan]:
    model = nn.Module()
    for name, weight in weights.items():
        model.register_parameter(name, nn.Parameter(weight, requires_grad=False))
    needs = {name: Need(tuple(weight.shape)) for name, weight in weights.items()}
    return model, Plan({name: Entry(Normal(1.0)) for name in weights}, 1, needs)


def pairs(memory: torch.Tensor) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    return {
        "the same": (memory, memory.detach()),
        "a part": (memory, memory[3:5]),
        "edges": (memory[:4], memory[3:]),
        "columns": (memory[:, :4], memory[:, 3:]),
        "transposed": (memory.T, memory[2]),
        "diagonal": (memory.diagonal(), memory[:, 7]),
    }


@pytest.mark.parametrize("kind", list(pairs(torch.zeros(8, 8))))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_that_share_memory_are_refused(kind: str, dtype: torch.dtype) -> None:
    memory = torch.zeros(8, 8, dtype=dtype)
    a, b = pairs(memory)[kind]
    model, plan = model_and_plan(a=a, other=torch.zeros(3), b=b)
    with pytest.raises(FaninValueError, match="(a and b|b and a) share memory here, but the plan draws them apart"):
        plan.apply(model)
    assert not memory.any()


def test_views_of_one_memory_that_share_nothing_are_drawn() -> None:
    memory = torch.zeros(8, 8)
    parts = {"a": memory[:3], "b": memory[3:, ::2], "c": memory[3:, 1::2], "d": torch.zeros(()), "e": torch.zeros(0, 4)}
    model, plan = model_and_plan(**parts)
    alone, _ = model_and_plan(**{name: torch.zeros(part.shape) for name, part in parts.items()})
    plan.apply(model)
    plan.apply(alone)
    assert all(torch.equal(model.get_parameter(n), alone.get_parameter(n)) for n in parts)
    assert memory.all()


def test_many_are_told_apart_in_one_go() -> None:
    memory = torch.zeros(4000)
    rows = [(str(k), memory[2 * k : 2 * k + 2]) for k in range(2000)]
    assert overlapping(rows) == []
    found = overlapping([*rows, ("all", memory)])
    assert sorted(found) == sorted([("all", "0"), *((str(k), "all") for k in range(1, 2000))])


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fnuz, torch.float8_e5m2fnuz, torch.float8_e8m0fnu])
def test_types_that_are_not_drawn_are_found_before_anything_is(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a large model no old values are kept, so what shows only while it is drawn comes too late."""
    monkeypatch.setattr(apply, "KEPT", 0)
    model, plan = model_and_plan(a=torch.zeros(300, 200), b=torch.zeros(2, 3).to(dtype))
    with pytest.raises(FaninValueError, match=f"b is {str(dtype)[6:]}; the types that are drawn are float64"):
        plan.apply(model)
    assert not model.get_parameter("a").any()


def test_fake_tensors() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        model, plan = model_and_plan(a=torch.zeros(3, 4))
        with pytest.raises(FaninValueError, match="a is a fake one, without memory"):
            plan.apply(model)


def test_layouts_that_are_not_drawn() -> None:
    model, plan = model_and_plan(a=torch.zeros(300, 200), b=torch.eye(3).to_sparse())
    with pytest.raises(FaninValueError, match=r"b has the layout torch\.sparse_coo; only ordinary"):
        plan.apply(model)
    assert not model.get_parameter("a").any()
    with pytest.raises(FaninValueError, match="has the layout"):
        plan.edit({"b": Constant(0.0)}).apply(model)
