"""Twins of the biases that say how long a state is remembered."""

import torch
from torch import Tensor


def even_steps(shape: tuple[int, ...], axes: str | None, low: float, high: float, device: torch.device) -> Tensor:
    """From low to high in equal steps along the last axis."""
    step = torch.arange(shape[-1], device=device, dtype=torch.float64) / max(1, shape[-1] - 1)
    return (low + (high - low) * step).float().expand(shape)


def chrono_gates(
    shape: tuple[int, ...],
    axes: str,
    gates: float,
    keep: float,
    low: float,
    high: float,
    coupled: float,
    device: torch.device,
    generator: torch.Generator | None,
) -> Tensor:
    """Biases of all gates: log of a uniform time for the one that keeps, its negative for the input gate."""
    bias = torch.zeros(int(gates), shape[-1] // int(gates), device=device)
    times = torch.empty(bias.shape[1], device=device).uniform_(low, high, generator=generator)
    bias[int(keep)] = times.log()
    if coupled:
        bias[0] = -bias[int(keep)]
    return bias.reshape(shape)
