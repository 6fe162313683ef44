"""Twins of the formulas whose values follow from the place: kernels, identities, Hadamard matrices."""

import math

import torch
from torch import Tensor


def axis_factors(shape: tuple[int, ...], axes: str) -> list[list[tuple[str, int]]]:
    """(letter, extent) of each factor of each axis, from a text such as "(s3o)ik"."""
    groups: list[str] = []
    inside = ""
    for letter in axes:
        if letter == "(":
            inside = " "
        elif letter == ")":
            groups, inside = [*groups, inside.strip()], ""
        elif inside:
            inside += letter
        else:
            groups.append(letter)
    found = []
    for group, size in zip(groups, shape, strict=True):
        factors: list[tuple[str, int]] = []
        for letter in group:
            if letter.isdigit():
                factors[-1] = (factors[-1][0], 10 * factors[-1][1] + int(letter))
            else:
                factors.append((letter, 0))
        known = math.prod(n for _, n in factors if n)
        found.append([(letter, n or size // known) for letter, n in factors])
    return found


def role_indices(shape: tuple[int, ...], axes: str, device: torch.device) -> dict[str, Tensor]:
    """Index of each place by letter: s (block), o (output), i (input), and k0, k1, … (taps); each broadcasts to the shape."""
    found: dict[str, Tensor] = {}
    taps = 0
    for axis, factors in enumerate(axis_factors(shape, axes)):
        place = torch.arange(shape[axis], device=device).reshape([-1 if k == axis else 1 for k in range(len(shape))])
        step = shape[axis]
        for letter, size in factors:
            step //= size
            index = place // step % size
            if letter == "k":
                found[f"k{taps}"] = index
                taps += 1
            else:
                role = "i" if letter == "v" else letter
                found[role] = found[role] * size + index if role in found else index
    return found


def role_size(shape: tuple[int, ...], axes: str, letter: str) -> int:
    """The product of the extents of a role."""
    return math.prod(n for factors in axis_factors(shape, axes) for role, n in factors if role == letter)


def tap_sizes(shape: tuple[int, ...], axes: str) -> list[int]:
    """The kernel's extents."""
    return [n for factors in axis_factors(shape, axes) for role, n in factors if role == "k"]


def triangle(shape: tuple[int, ...], axes: str, device: torch.device) -> Tensor:
    """Bilinear interpolation of each channel by itself."""
    at = role_indices(shape, axes, device)
    value = (at["o"] == at["i"]).float()
    for k, size in enumerate(tap_sizes(shape, axes)):
        middle = (size - 1) / 2 if size % 2 == 0 else size // 2
        value = value * (1.0 - (at[f"k{k}"] - middle).abs() / ((size + 1) // 2))
    return value.expand(shape)


def hadamard_signs(shape: tuple[int, ...], axes: str, device: torch.device) -> Tensor:
    """The signs of a Hadamard matrix on the centre tap, zeros elsewhere."""
    at = role_indices(shape, axes, device)
    shared = at["o"] & at["i"]
    for step in (32, 16, 8, 4, 2, 1):
        shared = shared ^ (shared >> step)
    signs = 1.0 - 2.0 * (shared & 1)
    for k, size in enumerate(tap_sizes(shape, axes)):
        signs = signs * (at[f"k{k}"] == size // 2)
    return signs.expand(shape)


def padded_identity(shape: tuple[int, ...], axes: str, device: torch.device) -> Tensor:
    """The identity from (input, tap) to output, repeated until the larger side is full."""
    at, sizes = role_indices(shape, axes, device), tap_sizes(shape, axes)
    column = at["i"]
    for k, size in enumerate(sizes):
        column = column * size + at[f"k{k}"]
    side = min(role_size(shape, axes, "o"), role_size(shape, axes, "i") * math.prod(sizes))
    return (at["o"] % side == column % side).float().expand(shape)
