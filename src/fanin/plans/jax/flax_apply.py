"""A plan put into a Flax NNX model: everything is checked, then drawn, then set."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.core import Tracer
from jax.sharding import NamedSharding, SingleDeviceSharding

from fanin.draws.jax import draw
from fanin.errors import FaninValueError
from fanin.plans import laws
from fanin.plans.declared import unmet
from fanin.plans.jax.flax_params import Place, find_params
from fanin.plans.records import Entry, Plan

Chosen = list[tuple[str, Entry, Place]]


def apply_plan(plan: Plan, model: Any, seed: int | None = None) -> Any:
    """Draw every entry into the model, in place, whole or not at all; returns the model.

    Parameters keep their dtype and sharding. Those of an abstract model (`nnx.eval_shape`) get values.

    Raises:
        FaninTypeError: it is no `nnx.Module`.
        FaninValueError: the plan does not fit the model: all that is wrong is listed, and nothing was changed.
    """
    chosen = _checked(plan, find_params(model))
    key = plan.seed if seed is None else seed
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


def _checked(plan: Plan, places: tuple[Place, ...]) -> Chosen:
    known = {name: place for place in places for name in place.names}
    wrong: list[str] = []
    chosen: Chosen = []
    taken: dict[int, str] = {}
    for name, entry in plan.entries.items():
        place, need = known.get(name), plan.requires.get(name)
        if place is None:
            wrong.append(f"{name}: the model has no such parameter")
            continue
        if need is not None and need.shape != place.shape:
            wrong.append(f"{name}: its shape is {place.shape}, but the plan is for {need.shape}")
        elif not jnp.issubdtype(place.dtype, jnp.inexact):
            wrong.append(f"{name} has the dtype {place.dtype.name}, and only floating-point parameters are drawn")
        else:
            wrong += _value_problems(name, entry, place)
        if id(place.param) in taken:
            wrong.append(f"{name} and {taken[id(place.param)]} are one parameter here, but the plan draws them apart")
        taken.setdefault(id(place.param), name)
        wrong += [
            f"{other}: it is not the same parameter as {name} here, but the plan has tied them"
            for other in (need.names if need is not None else ())
            if known.get(other) is not place
        ]
        chosen.append((name, entry, place))
    wrong += unmet(plan, "Flax")
    if wrong:
        raise FaninValueError("the plan does not fit the model, and nothing was changed:\n  " + "\n  ".join(wrong))
    return chosen


def _value_problems(name: str, entry: Entry, place: Place) -> list[str]:
    law, factor = laws.drawn(entry)
    bound = laws.largest(law)
    if bound is not None and not bound * abs(factor) <= float(jnp.finfo(place.dtype).max):
        return [f"{name} would get numbers that are too large for {place.dtype.name}"]
    refused = laws.refused(law, place.shape, name)
    return [f"{name} could not be drawn: {refused}"] if refused else []


def _drawn(name: str, entry: Entry, place: Place, seed: int) -> Array:
    law, factor = laws.drawn(entry)
    old = place.param.get_raw_value()
    where = None if isinstance(old, Tracer) else getattr(old, "sharding", None)
    known = where if isinstance(where, NamedSharding | SingleDeviceSharding) else None
    value = draw(law, place.shape, seed=seed, name=name, dtype=place.dtype, sharding=known)
    if factor != 1:
        value = value * jnp.asarray(factor, value.dtype)
    return value if known is where else jax.device_put(value, where)
