"""Twins of Mamba's step sizes and decays."""

import torch
from torch import Tensor


def softplus_inverse_of_exp(x: Tensor, floor: float) -> Tensor:
    """y with log(1 + e^y) = max(e^x, floor)."""
    step = x.exp().clamp(min=floor)
    return step + (-torch.expm1(-step)).log()


def natural_log(x: Tensor) -> Tensor:
    """log x."""
    return x.log()


def log_of_place(shape: tuple[int, ...], axes: str | None, device: torch.device) -> Tensor:
    """log(1 + index along the last axis)."""
    return torch.arange(1, shape[-1] + 1, device=device).float().log().expand(shape)
