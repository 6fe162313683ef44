"""Twins of HiPPO's matrix, of its normal-plus-low-rank form and of S4D's diagonal states."""

import math

import torch
from torch import Tensor


def row_and_column(shape: tuple[int, ...], axes: str | None, device: torch.device) -> tuple[Tensor, Tensor]:
    """Index of the output and of the input of each place; the last two axes where nothing else is said."""
    places = torch.meshgrid(*(torch.arange(n, device=device) for n in shape), indexing="ij")
    if axes is None:
        return places[-2], places[-1]
    letters: list[list[tuple[str, int]]] = []
    inside, open_ = "", False
    for letter in axes:
        if letter in "()":
            open_ = letter == "("
            if not open_:
                letters.append(_group(inside))
            inside = ""
        elif open_:
            inside += letter
        else:
            letters.append([(letter, 0)])
    found = {"o": torch.zeros_like(places[0]), "i": torch.zeros_like(places[0])}
    for place, factors, size in zip(places, letters, shape, strict=True):
        known = math.prod(n for _, n in factors if n)
        step = size
        for role, n in factors:
            extent = n or size // known
            step //= extent
            if role in found:
                found[role] = found[role] * extent + place // step % extent
    return found["o"], found["i"]


def _group(text: str) -> list[tuple[str, int]]:
    """(letter, extent) of a group such as "s3o"."""
    found: list[tuple[str, int]] = []
    for letter in text:
        if letter.isdigit():
            found[-1] = (found[-1][0], 10 * found[-1][1] + int(letter))
        else:
            found.append((letter, 0))
    return found


def legs_transition(shape: tuple[int, ...], axes: str | None, device: torch.device) -> Tensor:
    """HiPPO-LegS by output (row) and input (column)."""
    row, column = row_and_column(shape, axes, device)
    below = ((2.0 * row + 1.0) * (2.0 * column + 1.0)).sqrt()
    return -torch.where(row > column, below, torch.where(row == column, row + 1.0, 0.0))


def legs_input(shape: tuple[int, ...], axes: str | None, device: torch.device) -> Tensor:
    """√(2n + 1) along the last axis."""
    return (2.0 * torch.arange(shape[-1], device=device) + 1.0).sqrt().expand(shape)


def legs_waves(pairs: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Frequencies of HiPPO-LegS's normal part, falling, and the low-rank vector in its basis."""
    index = torch.arange(2 * pairs, dtype=torch.float64)
    low_rank = (index + 0.5).sqrt()
    root = (2.0 * index + 1.0).sqrt()
    matrix = -(torch.outer(root, root).tril(-1) + torch.diag(index + 1.0))
    skew = matrix + torch.outer(low_rank, low_rank) + 0.5 * torch.eye(2 * pairs, dtype=torch.float64)
    found, vectors = torch.linalg.eigh(-1j * skew)
    order = torch.argsort(-found)[:pairs]
    sizes = (vectors[:, order].conj().T @ low_rank.to(vectors.dtype)).abs()
    return found[order].to(device), sizes.to(device)


def diagonal_states(shape: tuple[int, ...], axes: str | None, kind: float, part: float, device: torch.device) -> Tensor:
    """One part (0 log of the decay, 1 minus the decay, 2 frequency) of S4D's eigenvalues: 0 lin, 1 inv, 2 real, 3 legs."""
    pairs = shape[-1]
    index = torch.arange(pairs, device=device, dtype=torch.float64)
    if part == 2:
        if kind == 0:
            made = math.pi * index
        elif kind == 1:
            made = 2 * pairs / math.pi * (2 * pairs / (2 * index + 1) - 1)
        elif kind == 3:
            made = legs_waves(pairs, device)[0]
        else:
            made = torch.zeros_like(index)
    else:
        decay = index + 1.0 if kind == 2 else torch.full_like(index, 0.5)
        made = decay.log() if part == 0 else -decay
    return made.float().expand(shape)


def legs_vectors(
    shape: tuple[int, ...], axes: str | None, which: float, complex_: float, device: torch.device
) -> Tensor:
    """S4's P (0) or B (1); with a last axis for real and imaginary parts the latter are zero."""
    pairs = shape[-2] if complex_ else shape[-1]
    made = legs_waves(pairs, device)[1] * (math.sqrt(2.0) if which else 1.0)
    if complex_:
        made = torch.stack([made, torch.zeros_like(made)], -1)
    return made.float().expand(shape)
