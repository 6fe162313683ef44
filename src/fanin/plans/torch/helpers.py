"""The functions that plain code needs besides torch's own; `to_python` copies in the text of those that it uses."""

import torch
from torch import Tensor


def orthogonal(rows: int, columns: int, device: torch.device, generator: torch.Generator | None) -> Tensor:
    """A random matrix with orthonormal columns (or rows, where it is wide), uniform over all of them."""
    tall = torch.randn(max(rows, columns), min(rows, columns), device=device, generator=generator)
    q, r = torch.linalg.qr(tall)
    q = q * torch.where(r.diagonal() < 0, -1.0, 1.0)  # makes the choice of QR unique, and so the law uniform
    return q if rows >= columns else q.T


def centre_tap(matrix: Tensor, taps: int, centre: int) -> Tensor:
    """A kernel that is this matrix on its centre tap and zero on the others (taps in the last dimension)."""
    kernel = matrix.new_zeros(*matrix.shape, taps)
    kernel[..., centre] = matrix
    return kernel


def less_mean(weight: Tensor, dim: int) -> Tensor:
    """The weight less its mean over this dimension."""
    return weight - weight.mean(dim, keepdim=True)


def paired(half: Tensor, dim: int, units: int, outer: int = 1, inner: int = 1, alone: Tensor | None = None) -> Tensor:
    """(half, -half) along a dimension that becomes (outer, units, inner); a unit left over gets `alone`, or zeros."""
    before, after = half.shape[:dim], half.shape[dim + 1 :]
    split = half.reshape(*before, outer, units // 2, inner, *after)
    parts = [split, -split]
    if units % 2:
        one = (*before, outer, 1, inner, *after)
        parts.append(half.new_zeros(one) if alone is None else alone.reshape(one))
    return torch.cat(parts, dim + 1).reshape(*before, outer * units * inner, *after)
