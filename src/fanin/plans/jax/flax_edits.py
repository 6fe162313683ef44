"""Edits of a Flax NNX model that a plan requires; see `fanin.jax.edit`."""

import functools
from typing import Any

import jax.numpy as jnp
from flax import nnx

from fanin.errors import FaninTypeError
from fanin.plans.declared_edits import Face, edit_modules, refusals
from fanin.plans.edited import edited_class
from fanin.plans.jax.flax_activations import sites
from fanin.plans.jax.flax_params import find_params
from fanin.plans.jax.flax_slots import NORMS

PRODUCTS = (nnx.Linear, nnx.LinearGeneral, nnx.Conv, nnx.ConvTranspose, nnx.Einsum, nnx.Embed)
EPSILON = 1e-5  # of norms that are put in, as in torch


def _value(parameter: Any) -> Any:
    return parameter.get_value() if isinstance(parameter, nnx.Variable) else parameter


@functools.cache  # one class for each kind, so that equal models have equal graphs
def _edited(kind: type) -> type:
    return edited_class(kind, "__call__", nnx.Embed, _value)


def _dtype(module: Any) -> Any:
    places = find_params(module)
    return places[0].dtype if places else jnp.float32


def _put(module: Any, name: str, shape: tuple[int, ...], value: float) -> None:
    setattr(module, name, nnx.Param(jnp.full(shape, value, _dtype(module))))


def _norm(module: Any, name: str, features: int) -> None:
    setattr(module, name, nnx.LayerNorm(features, epsilon=EPSILON, param_dtype=_dtype(module), rngs=nnx.Rngs(0)))


def _without(norm: Any) -> None:
    for name in [key for key, value in vars(norm).items() if isinstance(value, nnx.Variable)]:
        delattr(norm, name)


def _width(module: Any) -> int:
    found = getattr(module, "out_features", 0) or getattr(module, "num_features", 0)
    return found[-1] if isinstance(found, tuple) else int(found)


def _inputs(module: Any) -> tuple[int, ...]:
    if isinstance(module, nnx.Linear):
        return (module.in_features,)
    if not isinstance(module, nnx.LinearGeneral) or module.batch_axis:
        return ()
    axes, count = tuple(module.axis), len(module.axis)
    return tuple(module.in_features) if axes == tuple(range(-count, 0)) else ()


def _unfit(module: Any) -> str:
    return "" if callable(module) else f"{type(module).__name__} is not called itself"


FACE = Face("fanin.jax", NORMS, PRODUCTS, _edited, _put, _without, _width, _inputs, _norm, sites, _unfit)


def modules_of(model: Any) -> dict[str, Any]:
    """Modules by their paths."""
    if not isinstance(model, nnx.Module):
        raise FaninTypeError(f"model={type(model).__name__} cannot be used; give a flax.nnx.Module")
    return {".".join(map(str, path)): module for path, module in nnx.iter_modules(model)}


def missing(needs: Any, model: Any) -> tuple[str, ...]:
    """What to say of the requirements that the model does not meet, one sentence each."""
    return refusals(needs, modules_of(model), FACE)


def edit_model(model: Any, needs: Any) -> Any:
    """See `fanin.jax.edit`."""
    edit_modules(needs, modules_of(model), FACE)
    return model
