"""A stream that meets itself again is one stream with a factor, forward and back."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import fanin
from fanin import rules
from fanin.plans import Plan
from fanin.plans.torch.edits import edit
from fanin.theory import predict
from fanin.traces.torch import trace


class Post(nn.Module):
    """Post-norm blocks x ← norm(x + F(x)), or streams without norms."""

    def __init__(self, width: int = 128, norms: bool = True) -> None:
        super().__init__()
        self.first = nn.Linear(32, width)
        self.up = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(4))
        self.down = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(4))
        self.norms = nn.ModuleList(nn.LayerNorm(width) if norms else nn.Identity() for _ in range(4))
        self.head = nn.Linear(width, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for up, down, norm in zip(self.up, self.down, self.norms, strict=True):
            x = norm(x + down(torch.relu(up(x))))
        return self.head(x)


class ByHand(Post):
    """Half of the stream comes back with the branch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for up, down in zip(self.up, self.down, strict=True):
            x = x + (down(torch.relu(up(x))) + 0.5 * x)
        return self.head(x)


def gaps(model: nn.Module, batch: torch.Tensor, plan: Plan, draws: int = 12) -> tuple[float, float]:
    """Largest gaps of ln sizes behind the adds, predicted against measured: signals, gradients."""
    seen = trace(model, batch, torch.arange(len(batch)) % 4, nn.functional.cross_entropy)
    adds = [op.index for op in seen.ops if op.kind == "add"]
    curve = {p.index: p for p in predict(seen, plan).curve}
    sizes = []
    for seed in range(draws):
        plan.apply(model, seed=seed)
        again = trace(model, batch, torch.arange(len(batch)) % 4, nn.functional.cross_entropy)
        sizes.append([(again.ops[k].signal.rms ** 2, again.ops[k].signal.grad_rms ** 2) for k in adds])
    logs = np.log(np.mean(sizes, axis=0))
    predicted = np.array([(curve[k].log_second, curve[k].log_gradient) for k in adds])
    return tuple(np.abs(predicted - logs).max(axis=0).tolist())


@pytest.mark.parametrize("rule", ["deepnorm", "admin"])
@pytest.mark.parametrize("norms", [True, False])
def test_a_factor_on_the_skip_that_the_edit_puts_in(rule: str, norms: bool) -> None:
    torch.manual_seed(0)
    model, batch = Post(norms=norms), torch.randn(64, 32)
    plan = fanin.plan(model, batch, rules=rule)
    model = edit(model, plan, batch)
    signal, gradient = gaps(model, batch, plan)
    assert signal < 0.15
    assert gradient < 0.3


def test_a_stream_by_hand_grows_by_nine_quarters_a_block() -> None:
    torch.manual_seed(0)
    model, batch = ByHand(), torch.randn(64, 32)
    plan = fanin.plan(model, batch, rules={"*": rules.lecun_normal(), "down.*": rules.zeros()})
    signal, gradient = gaps(model, batch, plan)
    assert signal < 0.1 and gradient < 0.2
    plan.apply(model, seed=0)
    seen = trace(model, batch)
    states = predict(seen).states  # with the laws that the stored weights have
    adds = [states[op.index].q for op in seen.ops if op.kind == "add" and len(set(op.inputs)) == 2][1::2]
    assert np.log(adds[-1] / adds[0]) == pytest.approx(3 * math.log(2.25), abs=1e-6)
