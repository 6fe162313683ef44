"""A plan for a Flax NNX model from rules."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flax import nnx

from fanin.draws.jax_keys import seed_of
from fanin.plans.declared import declared_plan
from fanin.plans.jax.flax_activations import followed
from fanin.plans.jax.flax_edits import modules_of
from fanin.plans.jax.flax_params import find_params
from fanin.plans.jax.flax_slots import model_slots
from fanin.plans.places import as_real
from fanin.plans.records import Plan
from fanin.slots import Axes


def plan_model(
    model: Any,
    rules: Any,
    *,
    seed: Any = 0,
    axes: Mapping[str, str | Axes] | None = None,
    branches: Any = None,
    drawn: bool = False,
) -> Plan:
    """See `fanin.jax.plan`; `drawn`: the plan is put into this model at once, so that it may not leave integers out."""
    slots = model_slots(model, axes)
    made = declared_plan(
        as_real(slots) if drawn else slots,
        rules,
        seed=seed_of(seed),
        framework="jax",
        model=type(model).__name__,
        branches=branches,
        followed=followed(modules_of(model)),
    )
    return replace(made, notes=(*made.notes, *_notes(model)))


def _notes(model: Any) -> list[str]:
    """What of the model stands between a parameter and its effect, or is left out."""
    notes = []
    adapters = [place.names[0] for place in find_params(model) if isinstance(place.owner, nnx.LoRA)]
    if adapters:
        notes.append(f"{', '.join(adapters)} keep their values: an adapter starts from a product that is zero")
    for path, module in nnx.iter_modules(model):
        if isinstance(module, nnx.WeightNorm | nnx.SpectralNorm):
            name = ".".join(map(str, path)) or "the model"
            notes.append(
                f"the scale within {name} is fixed by {type(module).__name__}: the plan decides the direction only"
            )
    return notes
