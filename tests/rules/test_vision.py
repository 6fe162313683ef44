"""timm's modes on a small vision transformer."""

import math

import pytest
import torch
from torch import nn

import fanin
from fanin import rules
from fanin.errors import FaninValueError

D = 48


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(D), nn.LayerNorm(D)
        self.qkv, self.proj = nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.mlp = nn.Sequential(nn.Linear(D, 4 * D), nn.GELU(), nn.Linear(4 * D, D))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (t.unflatten(-1, (4, -1)).transpose(1, 2) for t in self.qkv(self.norm1(x)).chunk(3, -1))
        mixed = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + self.proj(mixed)
        return x + self.mlp(self.norm2(x))


class Vit(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, D, 4, stride=4)
        self.cls_token, self.pos_embed = nn.Parameter(torch.zeros(1, 1, D)), nn.Parameter(torch.zeros(1, 5, D))
        self.block, self.norm, self.head = Block(), nn.LayerNorm(D), nn.Linear(D, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), tokens], 1) + self.pos_embed
        return self.head(self.norm(self.block(tokens))[:, 0])


def filled(mode: str, **given) -> Vit:
    torch.manual_seed(0)
    model, batch = Vit(), torch.randn(2, 3, 8, 8)
    rule = rules.vit(mode, **given)
    return fanin.plan(model, batch, rules={"*": rule, "*.bias": rule, "cls_token": rule}).apply(model, seed=0)


def bound(weight: torch.Tensor) -> float:
    return float(weight.detach().abs().max())


def test_timm():
    model = filled("timm")
    for weight in (model.block.qkv.weight, model.block.mlp[2].weight, model.head.weight, model.pos_embed):
        assert float(weight.detach().std()) == pytest.approx(0.02, rel=0.12)
    assert bound(model.cls_token) < 1e-5
    assert bound(model.patches.weight) == pytest.approx(1 / math.sqrt(48), rel=0.01)
    assert not model.block.mlp[0].bias.any()
    assert (model.norm.weight == 1).all()


def test_jax_and_its_head():
    model = filled("jax", head_bias=-math.log(10))
    assert not model.head.weight.any()
    assert torch.allclose(model.head.bias, torch.tensor(-math.log(10)))
    assert 0 < bound(model.block.mlp[0].bias) < 1e-5
    assert not model.block.qkv.bias.any()
    assert float(model.patches.weight.detach().std()) == pytest.approx(1 / math.sqrt(48), rel=0.05)
    assert bound(model.block.mlp[0].weight) == pytest.approx(math.sqrt(6 / (5 * D)), rel=0.01)


@pytest.mark.parametrize("mode", ["jax", "moco"])
def test_queries_keys_and_values_are_three_weights(mode):
    model = filled(mode)
    for block in model.block.qkv.weight.reshape(3, D, D):
        assert bound(block) == pytest.approx(math.sqrt(6 / (2 * D)), rel=0.01)


def test_reset_is_pytorchs_own_scale():
    model = filled("reset")
    assert bound(model.block.proj.weight) == pytest.approx(1 / math.sqrt(D), rel=0.01)
    assert bound(model.block.mlp[2].weight) == pytest.approx(1 / math.sqrt(4 * D), rel=0.01)


def test_bad_arguments():
    with pytest.raises(FaninValueError, match="mode='flax' is not known; accepted are 'timm'"):
        rules.vit("flax")
