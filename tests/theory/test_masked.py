"""Gradients along a residual stream through ReLUs, which pass where later ReLUs let them pass."""

import numpy as np
import pytest
import torch
from tests.theory.nets import against_draws
from torch import nn
from torch.nn import functional as F

from fanin import rules
from fanin.theory import masked

WIDTH, BLOCKS = 512, 24


class Reflected(nn.Module):
    """x ← ReLU(x + W x), over and over: a random walk that is reflected at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(BLOCKS))
        self.head = nn.Linear(WIDTH, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = F.relu(x + layer(x))
        return self.head(x)


@pytest.mark.slow
def test_a_gradient_that_came_through_later_activations_passes_more_easily() -> None:
    """Taken as unrelated to the later ones, each ReLU of 24 stops an eighth too much: the first block's gradient was e^-2.8 off."""
    x = torch.randn(32, WIDTH, generator=torch.Generator().manual_seed(0))
    found = against_draws(Reflected(), x, {"*": rules.normal(0.4 / WIDTH**0.5)}, draws=8)
    sums = [(p.log_gradient, gradient) for p, _, gradient in found if p.kind == "add"]
    assert len(sums) == BLOCKS
    assert max(abs(a - b) for a, b in sums) < 0.1
    first, last = sums[0], sums[-1]
    assert abs((first[0] - last[0]) - (first[1] - last[1])) < 0.08


def test_gradients_that_meet_are_weighted_with_their_size() -> None:
    one, two = np.array([2.0, 0.0]), np.array([0.5, 1.5])
    assert masked.merged(3.0, one, 1.0, two).tolist() == [1.625, 0.375]
    assert masked.merged(3.0, one, 1.0, None).tolist() == [1.75, 0.25]
    assert masked.merged(3.0, None, 1.0, None) is None
    assert masked.merged(0.0, one, 0.0, two) is None
