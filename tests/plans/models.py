"""Models and traces that the tests of plans share."""

from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrizations

from fanin.slots import Axes, Slot
from fanin.traces.records import Trace
from fanin.traces.torch import trace


def mlp(width: int = 8, depth: int = 3, classes: int = 4) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Linear(6, width), nn.ReLU()]
    for _ in range(depth - 1):
        layers += [nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, classes))


def traced(model: nn.Module, *inputs: torch.Tensor) -> Trace:
    return trace(model, inputs or (torch.randn(5, 6),))


def values(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in [*model.named_parameters(), *model.named_buffers()]}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


def trace_of(*slots: Slot) -> Trace:
    """A trace by hand that holds nothing but slots."""
    return Trace(
        framework="torch", model="Hand", parameters=0, ops=(), slots=slots, weights={}, residuals=(), inputs=(), loss=None,
        backward="none", training=True,
    )  # fmt: skip


def slot(name: str, axes: str = "oi", shape: tuple[int, ...] = (4, 3), **facts: Any) -> Slot:
    facts = {"role": "weight", "dtype": "float32", "names": (name,), **facts}
    return Slot(name=name, shape=shape, axes=Axes.parse(axes, shape) if axes else None, **facts)


class Text(nn.Module):
    """Embedding with padding, tied head, norm, positions, PReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.wte = nn.Embedding(11, 8, padding_idx=0)
        self.pos = nn.Parameter(torch.randn(7, 8))
        self.fc = nn.Linear(8, 8)
        self.act = nn.PReLU()
        self.norm = nn.LayerNorm(8)
        self.lm_head = nn.Linear(8, 11, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lm_head(self.norm(self.act(self.fc(self.wte(x) + self.pos[: x.shape[1]]))))


def text_trace(model: nn.Module | None = None) -> Trace:
    return traced(model or Text(), torch.randint(0, 11, (3, 7)))


def normed(norm: Any) -> nn.Sequential:
    """A net whose first and third layer go through a norm of their weights."""
    return nn.Sequential(norm(nn.Linear(6, 8)), nn.Tanh(), norm(nn.Linear(8, 8)), nn.Tanh(), nn.Linear(8, 4))


NORMS = {
    "parametrized weight norm": parametrizations.weight_norm,
    "parametrized spectral norm": parametrizations.spectral_norm,
    "hooked weight norm": nn.utils.weight_norm,
    "hooked spectral norm": nn.utils.spectral_norm,
}


class Block(nn.Module):
    """A residual block that an edit can put a scalar on: its branch ends with a module of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(torch.relu(self.up(x)))
