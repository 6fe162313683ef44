"""FiLM and its like: what multiplies a signal by 1 + s starts with a small s, what multiplies it outright does not."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fanin.auto import plan
from fanin.auto.modulation import SMALL

from .nets import rms


class Film(nn.Module):
    """silu((1 + s) · Wx + t), with s and t made of a condition; or s · Wx + t."""

    def __init__(self, one: float) -> None:
        super().__init__()
        self.net, self.film, self.head = nn.Linear(20, 32), nn.Linear(6, 64), nn.Linear(32, 10)
        self.one = one

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        s, t = self.film(condition).chunk(2, dim=-1)
        scale = s + self.one if self.one else s
        return self.head(F.silu(self.net(x) * scale + t))


def test_scales_around_one_start_near_one() -> None:
    x, condition = torch.randn(64, 20), torch.randn(64, 6)
    for one, size in ((1.0, SMALL), (0.0, 1.0)):
        model = Film(one)
        plan(model, (x, condition)).apply(model)
        assert abs(rms(model.film(condition)) / size - 1) < 0.25
