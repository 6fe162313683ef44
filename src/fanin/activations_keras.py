"""Activations that are layers of Keras, as layers that compute in 64 bits."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from fanin.errors import FaninValueError


def in_double(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A layer without weights of its own as another of the same kind, with a policy of 64 bits; anything else as it is.

    A layer casts what it is given to the type of its policy, float32 by default, so seven digits would be left. `PReLU` is
    taken by its slope where all of its slopes are the same.

    Raises:
        FaninValueError: a `PReLU` whose slopes differ.
    """
    if not isinstance(f, keras.Layer):
        return f
    if isinstance(f, keras.layers.PReLU):
        return _with_one_slope(f)
    if type(f).build is not keras.Layer.build:  # a layer with weights: another one would draw its own
        return f
    try:
        return type(f).from_config({**f.get_config(), "dtype": "float64"})
    except Exception:  # a layer of the user's need not have a configuration; then its own bits are what there is
        return f


def _with_one_slope(layer: Any) -> Callable[[Any], Any]:
    if not layer.built:
        raise FaninValueError(f"nonlinearity={layer!r} has no slope yet; build the layer first")
    held: Any = keras.ops.convert_to_numpy(layer.alpha)
    slopes = np.unique(held)
    if len(slopes) != 1:
        raise FaninValueError(
            f"nonlinearity={layer!r} has slopes from {slopes.min():g} to {slopes.max():g}, and a gain is of one function; "
            "give one of them, as in fanin.activations.Activation.named('prelu', 0.25)"
        )
    return lambda z: np.where(z > 0, z, float(slopes[0]) * z)
