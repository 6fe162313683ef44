"""Rows for new tokens in a torch tensor, in place."""

from typing import Any

import torch
from torch import Tensor

from fanin.draws.new_rows import new_rows
from fanin.errors import FaninTypeError, FaninValueError


def check_rows(tensor: Any, old: Any) -> None:
    """Raise where it is no table, or has not so many rows."""
    if not isinstance(tensor, Tensor) or tensor.ndim != 2 or not tensor.is_floating_point():
        given = (
            f"{tensor.dtype} of shape {tuple(tensor.shape)}" if isinstance(tensor, Tensor) else type(tensor).__name__
        )
        raise FaninTypeError(
            f"new_rows_: tensor={given} cannot be used; give a floating-point table of shape (rows, width)"
        )
    if not isinstance(old, int) or isinstance(old, bool) or not 0 < old <= tensor.shape[0]:
        raise FaninValueError(
            f"new_rows_: old={old!r} cannot be used; it must be how many of the {tensor.shape[0]} rows have values, at least 1"
        )


def fill_new_rows(tensor: Any, old: int, *, seed: int, name: str = "", spread: float = 1e-9) -> Tensor:
    """See `fanin.torch.new_rows_`."""
    check_rows(tensor, old)
    with torch.no_grad():
        known = tensor[:old].detach().to("cpu", torch.float64).numpy()
        drawn = new_rows(known, tensor.shape[0] - old, seed=seed, name=name, spread=spread)
        tensor[old:] = torch.from_numpy(drawn).to(tensor)
    return tensor
