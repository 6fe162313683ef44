"""Small models for the lab's tests; importable by name, since worker processes need that."""

import torch
from torch import nn


def small(hidden: int = 16) -> nn.Module:
    """64 → hidden → 10."""
    return nn.Sequential(nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 10))


def with_dropout() -> nn.Module:
    """The same with half of the hidden units dropped."""
    return nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 10))


def deep(depth: int = 10, width: int = 32) -> nn.Module:
    """A plain ReLU net that its own default weights make slow to learn."""
    hidden = [layer for _ in range(depth - 1) for layer in (nn.Linear(width, width), nn.ReLU())]
    return nn.Sequential(nn.Linear(64, width), nn.ReLU(), *hidden, nn.Linear(width, 10))


def convolutional() -> nn.Module:
    """Takes images (1, 8, 8) only."""
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 10))


def he(model: nn.Module) -> None:
    """An init as a user writes one."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)


def untouched(model: nn.Module) -> None:
    """An init that leaves the weights as they are, and draws random numbers in passing."""
    torch.rand(100)


def small_loss(out: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """A loss of a user's own."""
    return torch.nn.functional.cross_entropy(out, targets, label_smoothing=0.1)
