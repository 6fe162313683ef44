"""LSUV: every layer's output has unit variance on the batch, whatever way the layer is written."""

import pytest
import torch
from tests.lab import models
from torch import nn
from torch.nn import functional as F

from fanin.lab.lsuv_torch import lsuv


class _Functional(nn.Module):
    """Layers without modules: stored both ways round, applied by `@`, linear and einsum."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(20, 16))
        self.b = nn.Parameter(torch.randn(12, 16))
        self.c = nn.Parameter(torch.randn(12, 8))

    def hidden(self, x: torch.Tensor) -> list[torch.Tensor]:
        one = x @ self.a
        two = F.linear(F.gelu(one), self.b)
        return [one, two, torch.einsum("bi,io->bo", two.relu(), self.c)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.hidden(x)[-1]


def test_every_layer_of_functional_code_gets_unit_variance_and_orthogonal_weights() -> None:
    model, x = _Functional(), 3 * torch.randn(64, 20) + 1
    assert lsuv(model, lambda: model(x)) == []
    for out in model.hidden(x):
        assert float(out.detach().var()) == pytest.approx(1, abs=0.02)
    gram = model.b.detach() @ model.b.detach().T
    assert torch.allclose(gram / gram[0, 0], torch.eye(12), atol=1e-5)


def test_modules_convolutions_and_biases() -> None:
    model, x = models.convolutional(), torch.randn(32, 1, 8, 8)
    lsuv(model, lambda: model(x))
    outputs = [model[0](x), model(x)]
    for out in outputs:
        assert float(out.detach().var()) == pytest.approx(1, abs=0.02)
    assert not model[0].bias.any()
    assert not model[3].bias.any()


def test_depth_keeps_the_signal() -> None:
    model, x = models.deep(30), torch.randn(64, 64)
    lsuv(model, lambda: model(x))
    assert float(model(x).detach().var()) == pytest.approx(1, abs=0.05)


def test_a_layer_that_cannot_be_rescaled_is_named() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    assert lsuv(model, lambda: model(torch.zeros(8, 4))) == ["0.weight", "1.weight"]


def test_draws_come_from_the_state_at_hand() -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        model = models.small()
        lsuv(model, lambda: model(torch.ones(8, 64) * torch.arange(8.0)[:, None]))
        return model[0].weight.detach()

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))
