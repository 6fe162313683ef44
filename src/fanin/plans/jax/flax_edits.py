"""Edits of a Flax NNX model that a plan requires; see `fanin.jax.edit`."""

import functools
from typing import Any

import jax.numpy as jnp
from flax import nnx

from fanin.errors import FaninTypeError
from fanin.plans.declared_edits import Face, edit_modules, edited_class, lacking
from fanin.plans.jax.flax_params import find_params
from fanin.plans.jax.flax_slots import NORMS
from fanin.rules.requirement import Requirement

PRODUCTS = (nnx.Linear, nnx.LinearGeneral, nnx.Conv, nnx.ConvTranspose, nnx.Einsum, nnx.Embed)


@functools.cache  # one class for each kind, so that equal models have equal graphs
def _edited(kind: type) -> type:
    return edited_class(kind, "__call__", nnx.Embed, lambda parameter: parameter.get_value())


def _put(module: Any, name: str, shape: tuple[int, ...], value: float) -> None:
    places = find_params(module)
    setattr(module, name, nnx.Param(jnp.full(shape, value, places[0].dtype if places else jnp.float32)))


def _without(norm: Any) -> None:
    for name in [key for key, value in vars(norm).items() if isinstance(value, nnx.Variable)]:
        delattr(norm, name)


def _width(module: Any) -> int:
    found = getattr(module, "out_features", 0) or getattr(module, "num_features", 0)
    return found[-1] if isinstance(found, tuple) else int(found)


def _unfit(module: Any) -> str:
    return "" if callable(module) else f"{type(module).__name__} is not called itself"


FACE = Face(NORMS, PRODUCTS, _edited, _put, _without, _width, _unfit)


def modules_of(model: Any) -> dict[str, Any]:
    """Modules by their paths."""
    if not isinstance(model, nnx.Module):
        raise FaninTypeError(f"model={type(model).__name__} cannot be used; give a flax.nnx.Module")
    return {".".join(map(str, path)): module for path, module in nnx.iter_modules(model)}


def missing(needs: Any, model: Any) -> list[Requirement]:
    """The requirements that the model does not meet."""
    return lacking(needs, modules_of(model), FACE)


def edit_model(model: Any, needs: Any) -> Any:
    """See `fanin.jax.edit`."""
    edit_modules(needs, modules_of(model), FACE)
    return model
