"""Models and jobs for the tests of the engine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fanin.lab.jobs import Job
from fanin.lab.study import RunConfig, RunRow, TrainingSettings
from fanin.lab.torch.job import run_job
from fanin.lab.worker import parts_of


def chain() -> nn.Module:
    """A plain chain: stacked without `vmap`."""
    return nn.Sequential(nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 10))


class Skip(nn.Module):
    """A residual net with a norm and buffers: stacked by `vmap`."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.inner = nn.Linear(64, 12, bias=False), nn.BatchNorm1d(12), nn.Linear(12, 12)
        self.head = nn.Linear(12, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.norm(self.first(x)).relu()
        return self.head(h + self.inner(h).relu())


def dropping() -> nn.Module:
    """Random while it trains: cannot be stacked."""
    return nn.Sequential(nn.Linear(64, 12), nn.ReLU(), nn.Dropout(0.5), nn.Linear(12, 10))


class Shifting(nn.Module):
    """Changes its inputs, in place or not; random while it trains, so that it is never stacked."""

    def __init__(self, in_place: bool = True) -> None:
        super().__init__()
        self.in_place, self.rest = in_place, dropping()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.rest(x.add_(0.5) if self.in_place else x + 0.5)


def shifted() -> nn.Module:
    return Shifting(in_place=False)


class Counting(nn.Module):
    """Keeps a count and a mean that its `state_dict` does not hold."""

    mean: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.rest, self.count = dropping(), 0
        self.register_buffer("mean", torch.zeros(64), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.count += 1
            self.mean.mul_(0.9).add_(x.detach().mean(0), alpha=0.1)
        return self.rest((x - self.mean) * (1 + 0.01 * self.count))


def grasping(outputs: np.ndarray, targets: np.ndarray) -> float:
    """A metric that changes what it is given."""
    outputs[:], targets[:] = 0, 0
    return 1.0


def exploding(model: nn.Module) -> None:
    """An init that diverges at once."""
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(1e38)


def raising(model: nn.Module) -> None:
    """An init that cannot be done."""
    raise RuntimeError("no such layer")


def choosy(outputs: np.ndarray, targets: np.ndarray) -> float:
    """A metric that refuses large outputs."""
    if np.abs(outputs).max() > 20:
        raise ValueError("outputs beyond twenty")
    return 1.0


def large(model: nn.Module) -> None:
    """An init whose outputs are large and finite."""
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(1000.0)


BINDINGS: dict[str, Any] = {
    "chain": chain,
    "skip": Skip,
    "dropping": dropping,
    "shifting": Shifting,
    "shifted": shifted,
    "counting": Counting,
    "grasping": grasping,
    "exploding": exploding,
    "raising": raising,
    "choosy": choosy,
    "large": large,
}


def config(
    model: str = "chain",
    plan: str = "default",
    *,
    data: str = "digits:256",
    optimizer: str = "sgd(momentum=0.9)",
    lr: float = 0.03,
    seed: int = 0,
    stacked: bool = False,
    **training: Any,
) -> RunConfig:
    """A short run."""
    settings = TrainingSettings(**{"steps": 20, "evaluations": 4, **training})
    return RunConfig(model, plan, data, optimizer, lr, 32, seed, settings, stacked)


def job_of(configs: Sequence[RunConfig], folder: Path | None = None, attempt: int = 0) -> Job:
    """One job of these runs, with keys k0, k1, …"""
    return Job(0, tuple(f"k{i}" for i in range(len(configs))), tuple(configs), attempt, str(folder or ""))


def rows(configs: Sequence[RunConfig], folder: Path | None = None, attempt: int = 0) -> tuple[RunRow, ...]:
    """The rows of one job of these runs."""
    return run_job(job_of(configs, folder, attempt), parts_of(configs[0], BINDINGS), lambda share: None)


def row(one: RunConfig, folder: Path | None = None) -> RunRow:
    """The row of one run."""
    return rows([one], folder)[0]
