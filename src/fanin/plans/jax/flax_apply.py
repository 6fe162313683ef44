"""A plan put into a Flax NNX model: everything is checked, then drawn, then set."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jax.sharding import NamedSharding, SingleDeviceSharding

from fanin.draws.backends import expect
from fanin.draws.jax import draw
from fanin.draws.jax_keys import seed_of
from fanin.plans import laws
from fanin.plans.jax.flax_edits import missing
from fanin.plans.jax.flax_params import Place, find_params
from fanin.plans.places import fitted
from fanin.plans.records import Entry, Plan


def apply_plan(plan: Plan, model: Any, seed: Any = None) -> Any:
    """Draw every entry into the model, in place, whole or not at all; returns the model.

    Parameters keep their dtype and sharding. Those of an abstract model (`nnx.eval_shape`) get values.

    Raises:
        FaninTypeError: it is no `nnx.Module`.
        FaninValueError: the plan does not fit the model: all that is wrong is listed, and nothing was changed.
    """
    places = find_params(model)
    lacking = missing(plan.architecture, model)
    chosen = fitted(plan, places, what="parameter", largest=_largest, lacking=lacking)
    key = plan.seed if seed is None else seed_of(seed)
    expect(sum(math.prod(place.shape) for _, _, place in chosen))
    values = [_drawn(name, entry, place, key) for name, entry, place in chosen]
    before = [place.param.get_raw_value() for _, _, place in chosen]
    try:
        for (_, _, place), value in zip(chosen, values, strict=True):
            place.param.set_raw_value(value)
    except BaseException:
        for (_, _, place), old in zip(chosen, before, strict=True):
            place.param.set_raw_value(old)
        raise
    return model


def _largest(place: Place) -> float | None:
    return float(jnp.finfo(place.dtype).max) if jnp.issubdtype(place.dtype, jnp.floating) else None


def _drawn(name: str, entry: Entry, place: Place, seed: int) -> Array:
    law, factor = laws.drawn(entry)
    old = place.param.get_raw_value()
    where = None if isinstance(old, Tracer) else getattr(old, "sharding", None)
    known = where if isinstance(where, NamedSharding | SingleDeviceSharding) else None
    exact = place.dtype if factor == 1 or place.dtype.itemsize > 2 else np.dtype(np.float32)  # rounded once
    value = draw(law, place.shape, seed=seed, name=name, dtype=exact, sharding=known)
    if factor != 1:
        value = (value * jnp.asarray(factor, value.dtype)).astype(place.dtype)
    return value if known is where else jax.device_put(value, where)
