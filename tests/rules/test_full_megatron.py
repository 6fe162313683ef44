"""OLMo's `full_megatron`: every kind of weight of a traced language model gets the deviation that OLMo's code gives it."""

import math

import pytest
import torch
from tests.rules.slots import drawn, slot
from torch import nn

import fanin
from fanin import rules
from fanin.draws.quantile import truncated_std
from fanin.errors import FaninError
from fanin.slots import Slot

D, VOCAB, LAYERS = 64, 300, 3
LEFT = 0.98658  # of the deviation, between ±3 sigmas


class Model(nn.Module):
    """Pre-norm blocks with an attention without heads, as small as it can be."""

    def __init__(self, tied: bool) -> None:
        super().__init__()
        self.wte = nn.Embedding(VOCAB, D)
        self.blocks = nn.ModuleList(nn.ModuleDict({
            "norm": nn.LayerNorm(D), "att_proj": nn.Linear(D, 3 * D), "attn_out": nn.Linear(D, D),
            "ff_norm": nn.LayerNorm(D), "ff_proj": nn.Linear(D, 4 * D), "ff_out": nn.Linear(4 * D, D),
        }) for _ in range(LAYERS))  # fmt: skip
        self.norm, self.head = nn.LayerNorm(D), nn.Linear(D, VOCAB, bias=False)
        if tied:
            self.head.weight = self.wte.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.wte(tokens)
        for b in self.blocks:
            q, k, v = b["att_proj"](b["norm"](x)).chunk(3, -1)
            x = x + b["attn_out"](nn.functional.scaled_dot_product_attention(q, k, v))
            x = x + b["ff_out"](nn.functional.gelu(b["ff_proj"](b["ff_norm"](x))))
        return self.head(self.norm(x))


@pytest.mark.parametrize("tied", [False, True])
def test_every_weight_of_a_language_model(tied: bool) -> None:
    model = Model(tied)
    tokens = torch.randint(0, VOCAB, (4, 12), generator=torch.Generator().manual_seed(0))
    fanin.plan(model, tokens, rules=rules.full_megatron(std=0.03)).apply(model, seed=0)
    wanted = {"wte": 0.03, "head": 0.03 if tied else D**-0.5, "att_proj": 0.03, "ff_proj": 0.03}
    wanted |= dict.fromkeys(("attn_out", "ff_out"), 0.03 / math.sqrt(2 * LAYERS))
    for name, weight in model.named_parameters(remove_duplicate=False):
        kind, _, leaf = name.rpartition(".")
        kind = kind.rpartition(".")[2]
        if "norm" in kind or leaf == "bias":
            assert (weight == float("norm" in kind and leaf == "weight")).all()
            continue
        std = wanted[kind]
        assert float(weight.detach().std()) == pytest.approx(LEFT * std, rel=4 / weight.numel() ** 0.5), name
        assert 2.7 * std < float(weight.detach().abs().max()) <= 3 * std * (1 + 1e-6), name


def test_the_cut_and_the_number_of_branches() -> None:
    last = slot("oi", (300, 400))
    rule = rules.full_megatron(std=0.02, cut=2.0, branches=64, last=True)
    w = drawn(rule, last)
    assert abs(w).max() <= 2 * 0.02 / 8
    assert w.std() == pytest.approx(truncated_std(2.0) * 0.02 / 8, rel=0.01)
    assert rule.promises(last)[0].value == pytest.approx(truncated_std(2.0) * 0.02 / 8)


def test_but_for_the_cut_and_the_head_it_is_gpt2s() -> None:
    for given in ({}, {"branches": 12.0, "last": True}):
        law = rules.full_megatron(**given)(slot("oi", (30, 40)))
        assert law.std == rules.gpt2_residual(**given)(slot("oi", (30, 40))).std  # type: ignore[attr-defined]
    assert rules.full_megatron(head=True)(slot("io", (64, 1000))).std == 1 / 8  # type: ignore[attr-defined]
    assert not drawn(rules.full_megatron(std=0.0), slot("oi", (4, 4))).any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda s: rules.full_megatron(last=True)(s), "full_megatron cannot tell how many residual branches"),
        (lambda s: rules.full_megatron(head=True)(Slot("w", (4, 4), "float32", "weight")), "axes of 'w'"),
        (lambda s: rules.full_megatron(cut=0), "cut=0 cannot be used"),
        (lambda s: rules.full_megatron(head=1), "head=1 cannot be used"),
    ],
)
def test_what_cannot_be_used_is_named(make, message: str) -> None:
    with pytest.raises(FaninError, match=message):
        make(slot("oi", (4, 4)))
