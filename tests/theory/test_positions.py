"""Padding as an op of its own, and what a convolution behind it meets at the border, against draws."""

from typing import Any

import pytest
import torch
from tests.theory.nets import against_draws, named
from torch import nn
from torch.nn import functional as F

from fanin import rules


class Padded(nn.Module):
    """A convolution, ReLU, a padding, and a convolution that pads nothing."""

    def __init__(self, pad: tuple[int, ...], options: dict[str, Any], stride: int = 1) -> None:
        super().__init__()
        self.pad, self.options = pad, options
        self.a, self.b = nn.Conv2d(16, 64, 3, padding=1, bias=False), nn.Conv2d(64, 64, 3, stride, bias=False)
        self.c = nn.Conv2d(64, 64, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.c(F.relu(self.b(F.pad(F.relu(self.a(x)), self.pad, **self.options))))


CASES = {
    "frame": ((1, 1, 1, 1), {}, 1),
    "one side": ((0, 1, 0, 1), {}, 2),
    "wide": ((3, 3, 2, 2), {}, 1),
    "reflect": ((1, 1, 1, 1), {"mode": "reflect"}, 1),
    "replicate": ((2, 2, 2, 2), {"mode": "replicate"}, 1),
    "circular": ((1, 1, 1, 1), {"mode": "circular"}, 1),
    "cropped": ((-1, 0, 0, 0), {}, 1),
    "rows of a number": ((0, 0, 1, 1), {"value": 2.0}, 1),
}


@pytest.mark.parametrize("case", CASES)
def test_padding_apart_is_followed_as_the_convolutions_own_is(case: str) -> None:
    """4 × 4 maps, where the border is most of the picture: within .1 forward, .25 back."""
    torch.manual_seed(0)
    found = against_draws(Padded(*CASES[case]), torch.randn(16, 16, 4, 4), {"*": rules.he_normal()}, draws=12)
    assert len(named(found, "conv")) == 3
    for point, measured, gradient in named(found, "conv"):
        assert point.log_second == pytest.approx(measured, abs=0.1), point
        assert point.log_gradient == pytest.approx(gradient, abs=0.25), point
