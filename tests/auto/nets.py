"""Models written in different ways, shared by the tests of the automatic choice."""

import itertools
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def mlp(widths: Sequence[int], act: Callable[[], nn.Module] = nn.ReLU, dropout: float = 0.0) -> nn.Sequential:
    """Linear layers with an activation between each two."""
    layers: list[nn.Module] = []
    for i, o in itertools.pairwise(widths[:-1]):
        layers += [nn.Linear(i, o), act()]
        if dropout:
            layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


class Functional(nn.Module):
    """The same net without `Linear` modules: `x @ W + b` with weights stored (in, out), any function between."""

    def __init__(self, widths: Sequence[int], f: Callable[[Tensor], Tensor], dropout: float = 0.0) -> None:
        super().__init__()
        pairs = list(itertools.pairwise(widths))
        self.matrices = nn.ParameterList([nn.Parameter(torch.randn(i, o) / i**0.5) for i, o in pairs])
        self.offsets = nn.ParameterList([nn.Parameter(torch.zeros(o)) for _, o in pairs])
        self.f, self.dropout = f, dropout

    def forward(self, x: Tensor) -> Tensor:
        last = len(self.matrices) - 1
        for k, (w, b) in enumerate(zip(self.matrices, self.offsets, strict=True)):
            x = x @ w + b
            if k < last:
                x = F.dropout(self.f(x), self.dropout, self.training)
        return x


class Branch(nn.Module):
    """x + branch(x), pre-norm or without norm."""

    def __init__(self, width: int, norm: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width) if norm else nn.Identity()
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(F.gelu(self.up(self.norm(x))))


def residual(width: int, branches: int, norm: bool = False) -> nn.Sequential:
    """A stem, residual branches, a head of ten classes."""
    return nn.Sequential(nn.Linear(64, width), *[Branch(width, norm) for _ in range(branches)], nn.Linear(width, 10))


def cnn(norm: bool = False) -> nn.Sequential:
    """A small image net: two convolutions, a pool, a flatten, two dense layers."""

    def after(c: int) -> list[nn.Module]:
        return [nn.BatchNorm2d(c), nn.ReLU()] if norm else [nn.ReLU()]

    return nn.Sequential(
        *[nn.Conv2d(1, 8, 3, padding=1), *after(8), nn.Conv2d(8, 16, 3, padding=1), *after(16)],
        *[nn.MaxPool2d(2), nn.Flatten(), nn.Linear(256, 32), nn.ReLU(), nn.Linear(32, 10)],
    )


class Recurrent(nn.Module):
    """A recurrent layer over the rows of an image, and a head on its last state."""

    def __init__(self, kind: Callable[..., nn.Module], hidden: int = 24) -> None:
        super().__init__()
        self.cell, self.head = kind(8, hidden, batch_first=True), nn.Linear(hidden, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cell(x)[0][:, -1])


def rms(x: Tensor) -> float:
    """Root mean square over all elements."""
    return float(x.detach().square().mean().sqrt())
