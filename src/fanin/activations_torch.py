"""Activations that are written for torch tensors, as functions of NumPy arrays."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fanin.errors import FaninValueError

Array = NDArray[np.float64]


def of_arrays(f: Callable[[Any], Any]) -> Callable[[Array], Array]:
    """The same function of a NumPy array; a module is called with tensors of its own parameters' type and device.

    Raises:
        FaninValueError: a `PReLU` whose slopes differ: it is several functions.
    """
    f = _with_one_slope(f) if isinstance(f, torch.nn.PReLU) else f
    own = next(f.parameters(), None) if isinstance(f, torch.nn.Module) else None

    def on_array(z: Array) -> Array:
        x = torch.from_numpy(np.ascontiguousarray(z))
        with torch.no_grad():
            y = f(x if own is None else x.to(own.device, own.dtype))
        return (y if y.is_complex() else y.double()).cpu().numpy()

    return on_array


def _with_one_slope(f: torch.nn.PReLU) -> Callable[[Any], Any]:
    """A `PReLU` as a function of tensors of any shape."""
    slopes = f.weight.detach().double().unique()
    if len(slopes) != 1:
        raise FaninValueError(
            f"nonlinearity={f!r} has slopes from {slopes.min():g} to {slopes.max():g}, and a gain is of one function; "
            "give one of them, as in fanin.activations.Activation.named('prelu', 0.25)"
        )
    slope = float(slopes[0])
    return lambda z: torch.where(z > 0, z, slope * z)


def in_double(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The same function with its own parameters, if it is a module with some, as 64-bit numbers; the module is copied."""
    if isinstance(f, torch.nn.Module) and next(f.parameters(), None) is not None:
        return copy.deepcopy(f).double()
    return f
