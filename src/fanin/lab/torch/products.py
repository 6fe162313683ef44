"""Batched matrix products into memory that is kept: by torch or by NumPy, see `fanin.lab.blas`."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fanin.lab import blas

Operand = Any  # what the library multiplies: a tensor, or an array in the tensor's memory


@dataclass(frozen=True)
class Products:
    """A library's products.

    Attributes:
        see: gives a tensor as the library takes it, in the same memory.
        multiply: called as multiply(a, b, out), shapes (members, n, k), (members, k, m) and (members, n, m); of two factors one may
            have fewer entries, which the members then use in turns: entry i is that of members i, i + entries, ….
        quiet: a context in which infinite numbers are multiplied without a warning.
    """

    see: Callable[[Tensor], Operand]
    multiply: Callable[[Operand, Operand, Operand], Any]
    quiet: Callable[[], contextlib.AbstractContextManager[Any]]


def of_members(tensor: Tensor, members: int) -> Tensor:
    """A copy with one entry a member of what has fewer, which the members use in turns; as it is where nobody shares."""
    return tensor if len(tensor) == members else tensor.repeat(members // len(tensor), *[1] * (tensor.dim() - 1))


def _by_torch(a: Tensor, b: Tensor, out: Tensor) -> None:
    torch.bmm(of_members(a, len(out)), of_members(b, len(out)), out=out)


def _by_numpy(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    if len(a) != len(b):  # a view with an axis more; what has one turn only is used in all of them
        few = min(len(a), len(b))
        a, b, out = (t.reshape(-1, few, *t.shape[1:]) for t in (a, b, out))
    np.matmul(a, b, out)


TORCH = Products(Tensor.detach, _by_torch, contextlib.nullcontext)
NUMPY = Products(lambda tensor: tensor.detach().numpy(), _by_numpy, lambda: np.errstate(all="ignore"))


def products_of(tensor: Tensor) -> Products:
    """What multiplies tensors of this kind."""
    plain = tensor.device.type == "cpu" and tensor.dtype in (torch.float32, torch.float64)
    return NUMPY if plain and blas.by_numpy() else TORCH
