"""Activations that are written for JAX arrays, as functions of NumPy arrays, evaluated in 64 bits."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LEAST = 2048  # JAX compiles once a shape, so arrays are filled up to a few lengths


def of_arrays(f: Callable[[Any], Any]) -> Callable[[Array], Array]:
    """The same function of a NumPy array (n,); 64-bit numbers are switched on for the call alone."""

    def on_array(z: Array) -> Array:
        size = max(LEAST, 1 << (len(z) - 1).bit_length())
        filled = np.zeros(size)
        filled[: len(z)] = z
        with jax.enable_x64(True):
            return np.asarray(f(jax.numpy.asarray(filled)))[: len(z)]

    return on_array
