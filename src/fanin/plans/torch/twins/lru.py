"""Twins of the linear recurrent unit's ring."""

import torch
from torch import Tensor


def ring_decay(square: Tensor) -> Tensor:
    """log ν of |λ| = exp(-ν), from |λ|²."""
    return (-0.5 * square.double().clamp(1e-12, 1 - 1e-12).log()).log().to(square.dtype)


def log_angle(phase: Tensor) -> Tensor:
    """log θ."""
    return phase.clamp(min=1e-12).log()


def ring_norms(
    shape: tuple[int, ...],
    axes: str,
    low: float,
    high: float,
    part: float,
    device: torch.device,
    generator: torch.Generator | None,
) -> Tensor:
    """log ν (part 0), or ½ log(1 - |λ|²) (part 1), of |λ|² uniform from low to high."""
    square = torch.empty(shape, device=device, dtype=torch.float64).uniform_(low, high, generator=generator)
    if part:
        return (0.5 * torch.log1p(-square.clamp(1e-12, 1 - 1e-12))).float()
    return ring_decay(square).float()
