"""What the choice is for: deep plain nets that learn digits, told nothing but the model and a batch."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import fanin

from .nets import Functional, mlp

pytestmark = pytest.mark.slow

NETS: dict[str, tuple[Callable[[], nn.Module], float]] = {
    "ReLU × 30, modules": (lambda: nn.Sequential(nn.Flatten(), mlp([64] + [128] * 30 + [10])), 0.96),
    "ReLU × 30, functions, width 97": (lambda: Functional([64] + [97] * 30 + [10], F.relu), 0.95),
    "by hand × 20, narrowing": (
        lambda: Functional([64, 200, *range(180, 48, -8), 10], lambda z: z * torch.sigmoid(1.3 * z)),
        0.95,
    ),
    "SELU × 30": (lambda: Functional([64] + [128] * 30 + [10], F.selu), 0.95),
    "tanh × 30": (lambda: Functional([64] + [128] * 30 + [10], torch.tanh), 0.95),
    "sigmoid × 30": (lambda: Functional([64] + [128] * 30 + [10], torch.sigmoid), 0.92),
    "ReLU × 10, dropout": (lambda: Functional([64] + [128] * 10 + [10], F.relu, dropout=0.1), 0.95),
}


class Flat(nn.Module):
    """The net on flattened images."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.flatten(1))


@pytest.mark.parametrize("name", NETS)
def test_a_deep_plain_net_learns_digits(name: str) -> None:
    factory, least = NETS[name]
    result = fanin.compare(
        lambda: Flat(factory()), ["fanin"], "digits", seeds=[0, 1], epochs=15, lr=0.003, optimizer="sgd", evaluations=1,
        validation=0, progress=False,
    )  # fmt: skip
    scores = [run.metrics["accuracy"] for run in result.results]
    assert len(scores) == 2
    assert sum(scores) / 2 >= least
