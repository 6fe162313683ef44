"""Layers of features."""

import pytest
import torch
from tests.lab.zoo.tools import parameters
from torch import nn

from fanin.errors import FaninValueError
from fanin.lab.models.facts import Facts
from fanin.lab.models.mlp_torch import Residual, linear, mlp

DIGITS = Facts((64,), "vector", 10)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("depth", [1, 2, 5, 6])
def test_depth_counts_hidden_layers(depth: int, residual: bool) -> None:
    model = mlp(DIGITS, depth, 32, residual=residual, norm="layer")
    kinds = [type(m) for m in model.modules()]
    assert kinds.count(nn.Linear) == depth + 1
    assert kinds.count(nn.ReLU) == kinds.count(nn.LayerNorm) == depth


def test_a_residual_net_is_its_stem_and_head_where_branches_are_zero() -> None:
    model = mlp(DIGITS, 7, 32, residual=True)
    blocks = [m for m in model if isinstance(m, Residual)]
    assert len(blocks) == 3
    with torch.no_grad():
        for block in blocks:
            block.branch[-1].weight.zero_()
            block.branch[-1].bias.zero_()
    x = torch.randn(4, 64)
    assert torch.equal(model(x), model[-1](torch.relu(model[0](x))))


def test_a_model_without_hidden_layers_is_linear() -> None:
    model = linear(DIGITS)
    a, b = torch.randn(4, 64), torch.randn(4, 64)
    torch.testing.assert_close(model(a) + model(b), model(a + b) + model(torch.zeros(4, 64)))
    assert parameters(linear(DIGITS, bias=False)) == 640


def test_images_are_flattened_and_dropout_follows_each_activation() -> None:
    model = mlp(Facts((3, 8, 8), "image", 10), 3, dropout=0.5)
    assert isinstance(model[0], nn.Flatten)
    assert sum(isinstance(m, nn.Dropout) for m in model) == 3


def test_nothing_can_be_residual_without_hidden_layers() -> None:
    with pytest.raises(FaninValueError, match="depth=0"):
        mlp(DIGITS, 0, residual=True)
