"""The model of `fanin demo`: 30 hidden layers of 128 ReLU units on the digits, with the weights that PyTorch gives it."""

import torch
from torch import nn

LAYERS, WIDTH = 30, 128


def deep_relu() -> nn.Module:
    """A plain network from (examples, 64) to (examples, 10)."""
    layers: list[nn.Module] = [nn.Linear(64, WIDTH), nn.ReLU()]
    for _ in range(LAYERS - 1):
        layers += [nn.Linear(WIDTH, WIDTH), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(WIDTH, 10))


def seeded(seed: int = 0) -> nn.Module:
    """The same network with weights of a fixed seed; the caller's random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return deep_relu()
