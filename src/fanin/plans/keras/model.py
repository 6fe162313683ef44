"""Slots, plans and their application for a whole Keras model."""

from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import keras

from fanin.distributions import Constant, Stack
from fanin.draws.dtypes import DTYPES
from fanin.draws.keras import draw
from fanin.errors import FaninTypeError, FaninValueError
from fanin.plans import laws
from fanin.plans.declared import declared_plan, unmet
from fanin.plans.keras.layers import meaning
from fanin.plans.keras.paths import Place, find_weights
from fanin.plans.records import Entry, Plan
from fanin.slots import Axes, Slot, SlotRole

# The largest number of each format; 3.4e38 for float32 and bfloat16.
LARGEST = {"float64": 1.7976931348623157e308, "float16": 65504.0, "float8_e4m3fn": 448.0, "float8_e5m2": 57344.0}
BESIDE = "zeros beside "  # how `plans.matching` begins its reason for a bias that no rule is about


def model_slots(model: Any, axes: Mapping[str, str | Axes] | None = None) -> tuple[Slot, ...]:
    """See `fanin.keras.slots`."""
    places = find_weights(model)
    given = _given(axes, places)
    return tuple(_slot(place, given.get(place.names[0])) for place in places)


def _given(axes: Any, places: tuple[Place, ...]) -> dict[str, str | Axes]:
    if axes is None:
        return {}
    if not isinstance(axes, Mapping) or not all(isinstance(k, str) for k in axes):
        raise FaninTypeError(f"axes={axes!r} cannot be used; give a mapping such as {{'*.w': 'io'}}")
    found: dict[str, str | Axes] = {}
    for pattern, spec in axes.items():
        names = [p.names[0] for p in places if any(fnmatchcase(name, pattern) for name in p.names)]
        if not names:
            raise FaninValueError(f"axes: {pattern!r} matches no weight of the model")
        found.update((name, spec) for name in names)
    return found


def _slot(place: Place, given: str | Axes | None) -> Slot:
    shape, name = place.shape, place.names[0]
    found = meaning(place.owner, place.attribute, shape)
    if given is not None:
        axes = given if isinstance(given, Axes) else Axes.parse(given, shape)
        if axes.shape != shape:
            raise FaninValueError(f"axes: those of {name!r} have the shape {axes.shape}, but it has {shape}")
        role: SlotRole = found.role if found.role == "recurrent" else "embedding" if axes.spec == "vo" else "weight"
        found = replace(found, role=role, axes=axes)
    module = name.removesuffix(place.attribute).rstrip(".")
    kernel = f"{module}.kernel" if module else "kernel"
    return Slot(
        name=name,
        names=tuple(place.names) if len(place.names) > 1 else (),
        shape=shape,
        dtype=place.dtype,
        role=found.role,
        module=module,
        module_type=type(place.owner).__name__,
        axes=found.axes,
        parts=found.parts,
        hidden=found.hidden,
        activation=found.activation,
        trainable=bool(place.variable.trainable),
        weight=kernel if found.role == "bias" and hasattr(place.owner, "kernel") else None,
    )


def plan_model(model: Any, rules: Any, *, seed: int = 0, axes: Mapping[str, str | Axes] | None = None) -> Plan:
    """See `fanin.keras.plan`."""
    places = find_weights(model)
    made = declared_plan(model_slots(model, axes), rules, seed=seed, framework="keras", model=type(model).__name__)
    entries = {name: _with_forget_bias(name, entry, places) for name, entry in made.entries.items()}
    return replace(made, entries=entries, notes=(*made.notes, *_notes(places)))


def _with_forget_bias(name: str, entry: Entry, places: tuple[Place, ...]) -> Entry:
    """An LSTM's bias that no rule is about: zeros, with ones at the forget gate where the layer asks for them."""
    owner = next((p.owner for p in places if p.names[0] == name and p.attribute == "bias"), None)
    if not getattr(owner, "unit_forget_bias", False) or not entry.reason.startswith(BESIDE):
        return entry
    units = int(getattr(owner, "units", 0) or getattr(owner, "filters", 0))
    law = Stack((Constant(0.0), Constant(1.0), Constant(0.0)), (units, units, 2 * units))  # gates i, f, c, o
    return replace(entry, distribution=law, reason=f"{entry.reason}, ones at the forget gate (unit_forget_bias)")


def _notes(places: tuple[Place, ...]) -> list[str]:
    """What of the model stands between a weight and its effect."""
    adapted = [p.names[0] for p in places if getattr(p.owner, "lora_enabled", False) and len(p.shape) > 1]
    if not adapted:
        return []
    return [
        f"the adapters beside {', '.join(adapted)} keep their values: an adapter starts from a product that is zero"
    ]


def apply_plan(plan: Plan, model: Any, seed: int | None = None) -> Any:
    """Draw every entry into the model, in place, whole or not at all; returns the model. Weights keep dtype and sharding.

    Raises:
        FaninTypeError: it is no Keras model.
        FaninValueError: the plan does not fit the model: all that is wrong is listed, and nothing was changed.
    """
    chosen = _checked(plan, find_weights(model))
    key = plan.seed if seed is None else seed
    values = [_drawn(name, entry, place, key) for name, entry, place in chosen]
    before = [keras.ops.copy(place.variable.value) for _, _, place in chosen]
    try:
        for (_, _, place), value in zip(chosen, values, strict=True):
            place.variable.assign(value)
    except BaseException:
        for (_, _, place), old in zip(chosen, before, strict=True):
            place.variable.assign(old)
        raise
    return model


Chosen = list[tuple[str, Entry, Place]]


def _checked(plan: Plan, places: tuple[Place, ...]) -> Chosen:
    known = {name: place for place in places for name in place.names}
    wrong: list[str] = []
    chosen: Chosen = []
    taken: dict[int, str] = {}
    for name, entry in plan.entries.items():
        place, need = known.get(name), plan.requires.get(name)
        if place is None:
            wrong.append(f"{name}: the model has no such weight")
            continue
        if need is not None and need.shape != place.shape:
            wrong.append(f"{name}: its shape is {place.shape}, but the plan is for {need.shape}")
        elif place.dtype not in DTYPES:
            wrong.append(f"{name} has the dtype {place.dtype}, and only floating-point weights are drawn")
        else:
            wrong += _value_problems(name, entry, place)
        if id(place.variable) in taken:
            wrong.append(f"{name} and {taken[id(place.variable)]} are one weight here, but the plan draws them apart")
        taken.setdefault(id(place.variable), name)
        wrong += [
            f"{other}: it is not the same weight as {name} here, but the plan has tied them"
            for other in (need.names if need is not None else ())
            if known.get(other) is not place
        ]
        chosen.append((name, entry, place))
    wrong += unmet(plan, "Keras")
    if wrong:
        raise FaninValueError("the plan does not fit the model, and nothing was changed:\n  " + "\n  ".join(wrong))
    return chosen


def _value_problems(name: str, entry: Entry, place: Place) -> list[str]:
    law, factor = laws.drawn(entry)
    bound = laws.largest(law)
    if bound is not None and not bound * abs(factor) <= LARGEST.get(place.dtype, 3.4e38):
        return [f"{name} would get numbers that are too large for {place.dtype}"]
    refused = laws.refused(law, place.shape, name)
    return [f"{name} could not be drawn: {refused}"] if refused else []


def _drawn(name: str, entry: Entry, place: Place, seed: int) -> Any:
    law, factor = laws.drawn(entry)
    layout = getattr(place.variable.value, "sharding", None)  # JAX's arrays have one
    value = draw(law, place.shape, seed=seed, name=name, dtype=place.dtype, layout=layout)
    return value if factor == 1 else value * factor
