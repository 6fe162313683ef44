"""The numbers of a Flax NNX model: its parameters and statistics, by the names that plans have for them."""

from typing import Any

import numpy as np
from flax import nnx

from fanin.errors import FaninValueError
from fanin.fingerprints.files import whole
from fanin.fingerprints.hashing import as_bits
from fanin.fingerprints.jax import array_held, is_numbers, is_promised
from fanin.fingerprints.records import Held
from fanin.plans.jax.flax_params import find_params
from fanin.plans.parts import Part

PASSING = (nnx.RngState, nnx.Intermediate, nnx.Cache)  # what no checkpoint keeps, or what is no weight


def model_tensors(model: Any) -> list[Held]:
    """Every variable that holds numbers, once; random states, intermediate values and caches are left out.

    Raises:
        FaninValueError: a parameter or a statistic has no values (`nnx.eval_shape`).
    """
    held = []
    for place in find_params(model, nnx.Variable):
        value, name = place.param.get_raw_value(), place.names[0]
        if isinstance(place.param, PASSING):
            continue
        if is_numbers(value):
            one = array_held(name, value)
        elif isinstance(value, np.ndarray | np.generic):
            array = np.asarray(value)
            one = Held(name, array.dtype.name, array.shape, whole(array.shape), _reader(array))
        elif isinstance(place.param, nnx.Param) or is_promised(value):
            raise FaninValueError(f"{name} is a {type(value).__name__} and has no values")
        else:
            continue
        held.append(one.called(tuple(place.names[1:])))
    return held


def _reader(array: Any) -> Any:
    def read(part: Part) -> Any:
        return as_bits(array[part.window])

    return read
