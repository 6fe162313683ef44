"""Edits of a Flax NNX model that a plan requires; see `fanin.jax.edit`."""

import functools
from typing import Any

import jax.numpy as jnp
from flax import nnx

from fanin.errors import FaninTypeError
from fanin.plans.declared_edits import (
    BIAS_IN,
    BIAS_OUT,
    EDITED,
    FACTOR,
    NORMLESS,
    SCALE,
    edited_class,
    lacking,
    lacks,
    to_edit,
)
from fanin.plans.jax.flax_params import find_params
from fanin.plans.jax.flax_slots import NORMS
from fanin.rules.requirement import Requirement

PRODUCTS = (nnx.Linear, nnx.LinearGeneral, nnx.Conv, nnx.ConvTranspose, nnx.Einsum, nnx.Embed)


@functools.cache  # one class for each kind, so that equal models have equal graphs
def _edited(kind: type) -> type:
    return edited_class(kind, "__call__", nnx.Embed, lambda parameter: parameter.get_value())


def modules_of(model: Any) -> dict[str, Any]:
    """Modules by their paths."""
    if not isinstance(model, nnx.Module):
        raise FaninTypeError(f"model={type(model).__name__} cannot be used; give a flax.nnx.Module")
    return {".".join(map(str, path)): module for path, module in nnx.iter_modules(model)}


def missing(needs: Any, model: Any) -> list[Requirement]:
    """The requirements that the model does not meet."""
    return lacking(needs, modules_of(model), _lacks)


def edit_model(model: Any, needs: Any) -> Any:
    """See `fanin.jax.edit`."""
    for need, module in to_edit(needs, modules_of(model), _lacks, _problem):
        if not hasattr(module, EDITED):
            object.__setattr__(module, "__class__", _edited(type(module)))
        match need.kind:
            case "no_norm":
                for name in [key for key, value in vars(module).items() if isinstance(value, nnx.Variable)]:
                    delattr(module, name)
                setattr(module, NORMLESS, True)
            case "op_scale":
                setattr(module, FACTOR, float(need.value))
            case "scalar_biases":
                for name in (BIAS_IN, BIAS_OUT):
                    setattr(module, name, nnx.Param(jnp.zeros((), _dtype(module))))
            case _:
                shape = () if need.kind == "branch_scalar" else (_width(module),)
                setattr(module, SCALE, nnx.Param(jnp.full(shape, need.value, _dtype(module))))
    return model


def _lacks(need: Requirement, module: Any) -> bool:
    return lacks(need, module, NORMS)


def _problem(need: Requirement, module: Any) -> str:
    """Why an edit cannot be made, in words; empty where it can."""
    if not callable(module):
        return f"{type(module).__name__} is not called itself"
    if need.kind == "op_scale" and not isinstance(module, PRODUCTS):
        return f"{type(module).__name__} does more with this weight than multiply by it"
    if need.kind == "branch_vector" and not _width(module):
        return f"{type(module).__name__} does not say how many features it gives"
    if need.kind in ("branch_scalar", "branch_vector") and hasattr(module, SCALE):
        return "it has another scale already"
    return ""


def _width(module: Any) -> int:
    found = getattr(module, "out_features", 0) or getattr(module, "num_features", 0)
    return found[-1] if isinstance(found, tuple) else int(found)


def _dtype(module: Any) -> Any:
    places = find_params(module)
    return places[0].dtype if places else jnp.float32
