"""What rules see of a weight beyond its own op."""

import pytest
import torch
from torch import Tensor, nn

import fanin
from fanin.distributions import Constant
from fanin.plans.context import in_context
from fanin.traces.torch import trace


class Cross(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(16, 4, batch_first=True, kdim=12, vdim=20)

    def forward(self, x: Tensor) -> Tensor:
        return self.attend(x[..., :16], x[..., :12], x, need_weights=False)[0]


def test_separate_projections_of_fused_attention_are_query_key_and_value() -> None:
    slots = in_context(trace(Cross(), torch.randn(2, 5, 20)))
    parts = {name.rpartition(".")[2]: slot.parts for name, slot in slots.items() if slot.role == "weight"}
    assert parts == {"q_proj_weight": "query", "k_proj_weight": "key", "v_proj_weight": "value", "weight": None}


class Scan(nn.Module):
    """A branch with a skip of its own inside, as Mamba's D is, around two of its four weights."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.inner, self.step, self.out = (nn.Linear(8, 8) for _ in range(4))
        self.d = nn.Parameter(torch.ones(8))

    def forward(self, x: Tensor) -> Tensor:
        u = torch.tanh(self.into(x))
        return x + self.out(torch.tanh(self.step(torch.tanh(self.inner(u)))) + self.d * u)


def test_a_lone_skip_inside_of_a_branch_is_no_stream() -> None:
    net = nn.Sequential(nn.Linear(6, 8), Scan(), Scan(), nn.Linear(8, 3))
    slots = in_context(trace(net, torch.randn(4, 6)))
    places = {name: slot.residual for name, slot in slots.items() if name.startswith("2.") and slot.role == "weight"}
    assert {(place.branch, place.branches) for place in places.values() if place is not None} == {(1, 2)}
    assert [name for name, place in places.items() if place is not None and place.last] == ["2.out.weight"]
    assert slots["2.d"].residual is None


class Nested(nn.Module):
    """Blocks of blocks, as in super-resolution: the inner ones are a stream."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
        self.out = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for layer in self.inner:
            y = y + layer(torch.tanh(y))
        return x + self.out(torch.tanh(y))


def test_several_skips_inside_of_a_branch_are_a_stream() -> None:
    net = nn.Sequential(nn.Linear(6, 8), Nested(), Nested(), nn.Linear(8, 3))
    slots = in_context(trace(net, torch.randn(4, 6)))
    places = [slots[f"1.inner.{i}.weight"].residual for i in range(3)]
    assert [(p.branch, p.branches, p.last) for p in places if p is not None] == [
        (0, 3, True),
        (1, 3, True),
        (2, 3, True),
    ]


def test_a_norm_that_multiplies_by_one_plus_its_weight_stores_zeros() -> None:
    """As in Gemma: what rules say of a norm's scale is the factor, and a weight that the user names stores what is given."""
    pytest.importorskip("transformers")
    from transformers import GemmaConfig, GemmaForCausalLM

    config = GemmaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2,
        head_dim=8,
    )  # fmt: skip
    model, ids = GemmaForCausalLM(config), torch.arange(16).view(2, 8)
    name = "model.layers.0.input_layernorm.weight"
    beside = fanin.plan(model, ids, rules="he_normal").entries[name]
    assert (beside.distribution, beside.reason) == (
        Constant(0.0),
        "0, so that the factor is one, beside the weights of '*'",
    )
    preset = fanin.plan(model, ids, rules="llama").entries[name]
    assert (preset.distribution, preset.reason) == (Constant(0.0), "ones() in llama, less the 1 that the norm adds")
    assert fanin.plan(model, ids, rules={name: "ones()"}).entries[name].distribution == Constant(1.0)
