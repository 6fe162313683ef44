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
        multiply: called as multiply(a, b, out), shapes (members, n, k), (members, k, m) and (members, n, m).
        quiet: a context in which infinite numbers are multiplied without a warning.
    """

    see: Callable[[Tensor], Operand]
    multiply: Callable[[Operand, Operand, Operand], Any]
    quiet: Callable[[], contextlib.AbstractContextManager[Any]]


TORCH = Products(Tensor.detach, lambda a, b, out: torch.bmm(a, b, out=out), contextlib.nullcontext)
NUMPY = Products(
    lambda tensor: tensor.detach().numpy(), lambda a, b, out: np.matmul(a, b, out), lambda: np.errstate(all="ignore")
)


def products_of(tensor: Tensor) -> Products:
    """What multiplies tensors of this kind."""
    plain = tensor.device.type == "cpu" and tensor.dtype in (torch.float32, torch.float64)
    return NUMPY if plain and blas.by_numpy() else TORCH
