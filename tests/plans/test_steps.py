"""Which biases make step sizes."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fanin.plans.steps import step_biases
from fanin.traces.torch import trace


class Steps(nn.Module):
    """A selective scan without its scan: steps that a decay multiplies."""

    def __init__(self, apart: bool) -> None:
        super().__init__()
        self.into, self.out = nn.Linear(6, 8, bias=not apart), nn.Linear(8, 3)
        self.free = nn.Parameter(torch.zeros(8)) if apart else None
        self.decay = nn.Parameter(torch.zeros(8))

    def forward(self, x: Tensor) -> Tensor:
        step = self.into(x) if self.free is None else self.into(x) + self.free
        step = F.softplus(step).clamp(max=10)[..., None].transpose(-1, -2)
        return self.out((step * -self.decay.exp()).exp()[:, 0])


@pytest.mark.parametrize(("apart", "name"), [(True, "free"), (False, "into.bias")])
def test_a_bias_whose_softplus_a_decay_multiplies(apart: bool, name: str) -> None:
    """As a parameter of its own (Mamba-2) and as that of a layer (Mamba); the other biases are ordinary ones."""
    assert step_biases(trace(Steps(apart), torch.randn(4, 6))) == {name}


def test_a_softplus_between_layers_is_an_activation() -> None:
    net = nn.Sequential(nn.Linear(6, 8), nn.Softplus(), nn.Linear(8, 8), nn.Softplus(), nn.Linear(8, 3))
    assert not step_biases(trace(net, torch.randn(4, 6)))
