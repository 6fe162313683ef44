"""The numbers of a Keras model on any backend: weights and statistics, by the names that plans have for them."""

from typing import Any

import keras
import numpy as np

from fanin.fingerprints.files import whole
from fanin.fingerprints.hashing import as_bits
from fanin.fingerprints.records import Held
from fanin.plans.keras.paths import find_variables
from fanin.plans.parts import Part


def model_tensors(model: Any) -> list[Held]:
    """Every variable of the model's layers, once; not those of the optimizer, of metrics and of random states."""
    held = []
    for place in find_variables(model):
        held.append(_held(place.names[0], place.variable, place.dtype).called(tuple(place.names[1:])))
    return held


def _held(name: str, variable: Any, dtype: str) -> Held:
    value, shape = variable.value, tuple(variable.shape)
    match keras.backend.backend():
        case "jax":
            from fanin.fingerprints.jax import array_held

            return array_held(name, value)
        case "torch":
            from fanin.fingerprints.torch import whole_tensor

            return whole_tensor(name, value.detach())

    def read(part: Part) -> Any:
        return as_bits(np.asarray(keras.ops.convert_to_numpy(value[part.window])))

    return Held(name, dtype, shape, whole(shape), read)
