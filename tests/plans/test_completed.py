"""What rules are told of the whole model."""

import pytest
import torch
from tests.plans.models import slot
from tests.plans.presets.nets import ResNet, Transformer, ids, images
from torch import nn

import fanin
from fanin import rules
from fanin.plans.completed import completed, stream_width
from fanin.traces.torch import trace

MUP = rules.mup(base_width=16)


def ratios(model: nn.Module, batch: torch.Tensor, rule=MUP) -> dict[str, tuple[float, float]]:
    watched = trace(model, batch)
    made = {s.name: completed(rule, s, watched).arguments for s in watched.slots}
    return {name: (a["in_ratio"], a["out_ratio"]) for name, a in made.items()}


def test_widths_are_those_of_the_stream() -> None:
    """A feed-forward of 4 d, the embedding, the head and biases: all of them are as many times as wide as the model."""
    assert set(ratios(Transformer(width=32), ids()).values()) == {(2.0, 2.0)}
    assert set(ratios(ResNet(width=16), images()).values()) == {(1.0, 1.0)}


def test_what_was_given_stays() -> None:
    assert set(ratios(Transformer(width=32), ids(), rules.mup(base_width=16, in_ratio=3)).values()) == {(3.0, 2.0)}


def test_without_a_stream_each_weight_has_its_own_fans() -> None:
    net = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 3))
    assert set(ratios(net, torch.randn(2, 4)).values()) == {(None, None)}
    assert stream_width(trace(net, torch.randn(2, 4)), slot("0.weight")) is None


class Towers(nn.Module):
    """Two streams of different width."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow, self.wide = ResNet(8, 2), ResNet(32, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.narrow(x) * self.wide(x)


def test_streams_of_different_width_count_for_their_own_branches() -> None:
    found = ratios(Towers(), images())
    assert found["narrow.blocks.0.conv1.weight"] == (0.5, 0.5)
    assert found["wide.blocks.0.conv1.weight"] == (2.0, 2.0)
    assert found["wide.head.weight"] == (None, None)


@pytest.mark.parametrize("rules_", ["mup(base_width=32)", {"*": "mup(base_width=32)"}, "mup-sgd(base_width=32)"])
def test_at_its_base_width_a_transformer_trains_at_one_rate(rules_) -> None:
    plan = fanin.plan(Transformer(width=32), ids(), rules=rules_)
    assert {entry.lr_scale for entry in plan.entries.values()} == {1.0}


def test_twice_as_wide() -> None:
    plan = fanin.plan(Transformer(width=64), ids(), rules="mup(base_width=32)")
    slow = {name for name, entry in plan.entries.items() if entry.lr_scale == 0.5}
    assert slow == {
        name for name in plan.entries if name.endswith("weight") and "norm" not in name and name != "embed.weight"
    }
    assert {entry.lr_scale for name, entry in plan.entries.items() if name not in slow} == {1.0}


def test_layers_of_an_embedding_are_those_of_the_model() -> None:
    watched = trace(Transformer(layers=3), ids())
    table = next(s for s in watched.slots if s.name == "embed.weight")
    assert completed(rules.t_fixup(), table, watched).arguments["layers"] == 3.0
    assert completed(rules.he_normal(), table, watched) == rules.he_normal()
