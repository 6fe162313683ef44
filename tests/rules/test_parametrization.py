"""Parametrizations: deviation and learning rate by width, and what the op must do."""

import math

import pytest
import torch
from torch import nn

import fanin
from fanin import rules
from fanin.distributions import Normal
from fanin.errors import FaninError
from fanin.plans import mup_rules, plan_from_rules
from fanin.slots import Axes, Slot
from fanin.traces.torch import trace


def weight(out: int, into: int, depth: int = 2, **known) -> Slot:
    return Slot("w", (out, into), "float32", "weight", axes=Axes.parse("oi", (out, into)), depth=depth, **known)


HIDDEN = weight(1024, 1024)
OUTPUT = weight(10, 1024, head=True)
INPUT = weight(1024, 32, depth=1)
TABLE = Slot("e", (50, 1024), "float32", "embedding", axes=Axes.parse("vo", (50, 1024)), depth=1)
STATE = Slot("h", (1024, 1024), "float32", "recurrent", axes=Axes.parse("oi", (1024, 1024)), depth=1)
POSITION = Slot("p", (1, 7, 1024), "float32", "position", depth=1)
TOKEN = Slot("c", (1024,), "float32", "position", depth=1)
BIAS = Slot("b", (1024,), "float32", "bias", axes=Axes.parse("o", (1024,)), depth=2)


@pytest.mark.parametrize(("slot", "std", "adam", "sgd"), [
    (HIDDEN, 1 / 32, 1 / 16, 1),
    (OUTPUT, 1 / 32 / 4, 1 / 16, 1 / 16),
    (INPUT, 1 / math.sqrt(32), 1, 16),
    (TABLE, 1, 1, 16),
    (STATE, 1 / 32, 1 / 16, 1),
    (POSITION, 1, 1, 16),
    (TOKEN, 1, 1, 16),
])  # fmt: skip
def test_table_3_of_tensor_programs_5(slot: Slot, std: float, adam: float, sgd: float) -> None:
    """16 times as wide as the base: deviations and learning rates against those of the standard parametrization."""
    rule = rules.mup(base_width=64)
    assert rule(slot).std == pytest.approx(std)  # type: ignore[attr-defined]
    assert rule.lr_scale(slot) == pytest.approx(adam)
    assert rules.mup(base_width=64, optimizer="sgd").lr_scale(slot) == pytest.approx(sgd)
    assert rules.mup(base_width=64, optimizer="sgd").lr_scale(BIAS) == pytest.approx(16)


def test_at_the_base_width_it_is_the_standard_parametrization() -> None:
    for slot in (weight(64, 64), weight(10, 64, head=True), weight(64, 32, depth=1)):
        assert rules.mup(base_width=64)(slot) == rules.standard()(slot)
        assert rules.mup(base_width=64).lr_scale(slot) == 1


def test_a_deviation_of_ones_own() -> None:
    rule = rules.mup(base_width=64, std=0.02)
    assert [rule(s).std for s in (HIDDEN, OUTPUT, INPUT)] == pytest.approx([0.02 / 4, 0.02 / 16, 0.02])  # type: ignore[attr-defined]


def test_u_mup() -> None:
    """The output of each op starts at size 1, and one step of Adam moves it by the learning rate, at any width."""
    for width in (64, 1024):
        slot, rule = weight(width, width), rules.umup()
        (need,) = rule.requires(slot)
        assert rule(slot) == Normal(1.0)
        assert width * need.value**2 == pytest.approx(1)
        assert width * need.value * rule.lr_scale(slot) == pytest.approx(1)  # aligned: every input pushes the same way
    assert rules.umup().requires(OUTPUT)[0].value == 1 / 1024
    assert rules.umup().lr_scale(OUTPUT) == 1
    assert rules.umup().lr_scale(TABLE) == rules.umup().lr_scale(POSITION) == pytest.approx(1 / 32)
    assert rules.umup().requires(STATE)[0].value == rules.ntk().requires(STATE)[0].value == 1 / 32


def model(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(8, width), nn.ReLU(), nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, 3)
    )


def test_by_comparison_with_a_base_model() -> None:
    """The ratios come from the two models, so a layer of 4 d counts as m times as wide and not as 4 m."""
    x = torch.randn(4, 8)
    found = mup_rules(trace(model(32), x), trace(model(8), x))
    kinds = {name: rule.arguments["kind"] for name, rule in found.items()}
    assert kinds == {
        "0.weight": "input",
        "0.bias": "vector",
        "2.weight": "hidden",
        "2.bias": "vector",
        "4.weight": "output",
        "4.bias": "fixed",
    }
    plan = plan_from_rules(trace(model(32), x), found)
    assert {name: e.lr_scale for name, e in plan.entries.items() if e.lr_scale != 1} == {
        "2.weight": 0.25,
        "4.weight": 0.25,
    }
    with pytest.raises(FaninError, match="do not have the same weights: 4.bias, 4.weight"):
        mup_rules(trace(model(32), x), trace(model(8)[:4], x))


def test_optimizer_groups() -> None:
    """Every parameter once, with its own learning rate; AdamW's lr · weight_decay is the same for all matrices."""
    net, x = model(32), torch.randn(4, 8)
    plan = fanin.plan(net, x, rules="mup(base_width=8)")
    groups = plan.param_groups(net, lr=0.1, weight_decay=0.5, betas=(0.9, 0.95))
    optimizer = torch.optim.AdamW(groups)
    listed = [p for g in optimizer.param_groups for p in g["params"]]
    assert {id(p) for p in listed} == {id(p) for p in net.parameters()}
    assert len(listed) == len(list(net.parameters()))
    by = {id(p): g for g in optimizer.param_groups for p in g["params"]}
    assert by[id(net[2].weight)]["lr"] == pytest.approx(0.1 / 4)
    assert by[id(net[0].weight)]["lr"] == pytest.approx(0.1)
    assert all(g["betas"] == (0.9, 0.95) for g in groups)
    assert {round(g["lr"] * g["weight_decay"], 12) for g in groups if g["weight_decay"]} == {0.05}
    with pytest.raises(FaninError, match="lr=-1 cannot be used"):
        plan.param_groups(net, lr=-1)
    with pytest.raises(FaninError, match="weights that the model does not have"):
        plan.param_groups(nn.Linear(2, 2), lr=1)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: rules.mup(base_width=0), "base_width=0 cannot be used"),
    (lambda: rules.mup(base_width=8, optimizer="lion"), "optimizer='lion' is not known"),
    (lambda: rules.mup(base_width=8, kind="head"), "kind='head' is not known"),
    (lambda: rules.ntk(gain=0), "gain=0 cannot be used"),
    (lambda: rules.standard()(Slot("w", (3, 4), "float32", "weight")), "needs to know what the axes"),
])  # fmt: skip
def test_what_cannot_be_used_is_named(make, message: str) -> None:
    with pytest.raises(FaninError, match=message):
        make()
