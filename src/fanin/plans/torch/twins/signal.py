"""Twins of the formulas of waves and of class frequencies."""

import math

import torch
from torch import Tensor


def windowed_dft(
    shape: tuple[int, ...],
    axes: str,
    side: float,
    scaling: float,
    periodic: float,
    a0: float,
    a1: float,
    a2: float,
    device: torch.device,
) -> Tensor:
    """A windowed Fourier transform over one channel: a wave for each output."""
    letters = [letter for letter in axes if letter in "oik"]
    frequencies, length = shape[letters.index("o")], shape[letters.index("k")]
    period = 2 * (frequencies - 1)
    time = torch.arange(length, device=device, dtype=torch.float64)
    angle = 2 * math.pi * time / max(1, length if periodic else length - 1)
    window = a0 - a1 * torch.cos(angle) + a2 * torch.cos(2 * angle) if length > 1 else torch.ones_like(angle)
    size = (window.square().sum().sqrt(), window.abs().sum(), torch.ones(()))[int(scaling)]
    turns = torch.outer(torch.arange(frequencies, device=device, dtype=torch.float64), time) % period
    wave = torch.cos(2 * math.pi * turns / period) if side == 0 else -torch.sin(2 * math.pi * turns / period)
    kernel = wave * window / size
    if letters.index("k") < letters.index("o"):
        kernel = kernel.T
    return kernel.reshape(shape).float()


def log_frequencies(shape: tuple[int, ...], axes: str | None, *counts: float, device: torch.device) -> Tensor:
    """log of each class's share."""
    return torch.tensor([math.log(count / math.fsum(counts)) for count in counts], device=device)


def pair_waves(position: Tensor, channel: Tensor, channels: int, base: float, halves: bool) -> Tensor:
    """Sine and cosine of the position, each pair of channels at a wavelength of its own."""
    half = channels // 2
    pair, odd = (channel % half, channel // half) if halves else (channel // 2, channel % 2)
    angle = position / base ** (2.0 * pair / channels)
    return torch.where(odd == 0, torch.sin(angle), torch.cos(angle))


def sinusoids(
    shape: tuple[int, ...],
    axes: str | None,
    base: float,
    halves: float,
    width: float,
    skip: float,
    device: torch.device,
) -> Tensor:
    """A table of positions; on a grid of this width, half of the channels tell the column and half the row."""
    position = torch.arange(shape[-2], device=device, dtype=torch.float64)[:, None] - skip
    channel, channels = torch.arange(shape[-1], device=device), shape[-1]
    if width:
        half = channels // 2
        column = pair_waves(position % width, channel % half, half, base, bool(halves))
        row = pair_waves(position // width, channel % half, half, base, bool(halves))
        made = torch.where(channel < half, column, row)
    else:
        made = pair_waves(position, channel, channels, base, bool(halves))
    return torch.where(position < 0, 0.0, made).float().expand(shape)
