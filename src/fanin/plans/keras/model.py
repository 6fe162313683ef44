"""Slots, plans and their application for a whole Keras model."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras

from fanin.distributions import Constant, Stack
from fanin.draws.bits import check_seed
from fanin.draws.keras import draw
from fanin.draws.largest import LARGEST
from fanin.errors import FaninValueError
from fanin.plans import laws
from fanin.plans.declared import declared_plan
from fanin.plans.keras.activations import followed
from fanin.plans.keras.edits import layers_of, missing
from fanin.plans.keras.layers import meaning
from fanin.plans.keras.paths import Place, find_weights
from fanin.plans.places import as_real, fitted, given_axes
from fanin.plans.records import Entry, Plan
from fanin.slots import Axes, Slot, SlotRole

ATTENTION = (keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention)
PARTS = ("query", "key", "value")  # layers of an attention whose names say what they are
BESIDE = "zeros beside "  # how `plans.matching` begins its reason for a bias that no rule is about


def model_slots(model: Any, axes: Mapping[str, str | Axes] | None = None) -> tuple[Slot, ...]:
    """See `fanin.keras.slots`."""
    places = find_weights(model)
    given, layers = given_axes(axes, places, "weight"), layers_of(model)
    return tuple(_slot(place, given.get(place.names[0]), layers) for place in places)


def _slot(place: Place, given: str | Axes | None, layers: Mapping[str, Any]) -> Slot:
    shape, name = place.shape, place.names[0]
    found = meaning(place.owner, place.attribute, shape)
    if given is not None:
        axes = given if isinstance(given, Axes) else Axes.parse(given, shape)
        if axes.shape != shape:
            raise FaninValueError(f"axes: those of {name!r} have the shape {axes.shape}, but it has {shape}")
        role: SlotRole = found.role if found.role == "recurrent" else "embedding" if axes.spec == "vo" else "weight"
        found = replace(found, role=role, axes=axes)
    module = place.module
    kernel = f"{module}.kernel" if module else "kernel"
    around, _, child = module.rpartition(".")
    projection = (
        child if found.role == "weight" and child in PARTS and isinstance(layers.get(around), ATTENTION) else None
    )
    return Slot(
        name=name,
        names=tuple(place.names) if len(place.names) > 1 else (),
        shape=shape,
        dtype=place.dtype,
        role=found.role,
        module=module,
        module_type=type(place.owner).__name__,
        axes=found.axes,
        parts=found.parts or projection,
        hidden=found.hidden,
        activation=found.activation,
        trainable=bool(place.variable.trainable),
        weight=kernel if found.role == "bias" and hasattr(place.owner, "kernel") else None,
    )


def plan_model(
    model: Any,
    rules: Any,
    *,
    seed: int = 0,
    axes: Mapping[str, str | Axes] | None = None,
    branches: Any = None,
    drawn: bool = False,
) -> Plan:
    """See `fanin.keras.plan`; `drawn`: the plan is put into this model at once, so that it may not leave integers out."""
    places, slots, seed = find_weights(model), model_slots(model, axes), check_seed(seed)
    made = declared_plan(
        as_real(slots) if drawn else slots,
        rules,
        seed=seed,
        framework="keras",
        model=type(model).__name__,
        branches=branches,
        followed=followed(layers_of(model)),
    )
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
    places = find_weights(model)
    lacking = missing(plan.architecture, model)
    chosen = fitted(plan, places, what="weight", largest=_largest, lacking=lacking)
    key = plan.seed if seed is None else check_seed(seed)
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


def _largest(place: Place) -> float | None:
    return LARGEST.get(place.dtype)


def _drawn(name: str, entry: Entry, place: Place, seed: int) -> Any:
    law, factor = laws.drawn(entry)
    layout = getattr(place.variable.value, "sharding", None)  # JAX's arrays have one
    exact = place.dtype if factor == 1 or place.dtype == "float64" else "float32"  # rounded once
    value = draw(law, place.shape, seed=seed, name=name, dtype=exact, layout=layout)
    return value if factor == 1 else keras.ops.cast(value * factor, place.dtype)
