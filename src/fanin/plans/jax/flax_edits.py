"""Edits of a Flax NNX model that a plan requires; see `fanin.jax.edit`."""

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import nnx

from fanin.errors import FaninTypeError
from fanin.plans.declared_edits import BIAS_IN, BIAS_OUT, FACTOR, SCALE, lacking, to_edit
from fanin.plans.jax.flax_params import find_params
from fanin.plans.jax.flax_slots import NORMS
from fanin.rules.requirement import Requirement

NORMLESS, EDITED = "fanin_normless", "fanin_edited"
PRODUCTS = (nnx.Linear, nnx.LinearGeneral, nnx.Conv, nnx.ConvTranspose, nnx.Einsum, nnx.Embed)


@functools.cache
def _edited(kind: type) -> type:
    """The class of edited modules of a kind: one for each, so that equal models have equal graphs.

    It has one base and no slots: the class of a module that is there can be changed to one of the same layout only.
    """

    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        return _around(self, functools.partial(kind.__call__, self), args, kwargs)

    said = {name: getattr(kind, name) for name in ("__module__", "__qualname__", "__doc__")}
    return type(kind)(kind.__name__, (kind,), {**said, EDITED: True, "__call__": __call__})


def _around(module: Any, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A module's own call with what was put in around it."""
    if getattr(module, NORMLESS, False):
        return args[0]
    factor, lookup = getattr(module, FACTOR, None), isinstance(module, nnx.Embed)
    first = args[0]
    if factor is not None and not lookup:
        first = first * factor
    if hasattr(module, BIAS_IN):
        first = first + getattr(module, BIAS_IN).get_value()
    given = call(first, *args[1:], **kwargs)
    out = given[0] if isinstance(given, tuple) else given
    if factor is not None and lookup:
        out = out * factor
    if hasattr(module, SCALE):
        out = out * getattr(module, SCALE).get_value()
    if hasattr(module, BIAS_OUT):
        out = out + getattr(module, BIAS_OUT).get_value()
    return (out, *given[1:]) if isinstance(given, tuple) else out


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
    match need.kind:
        case "no_norm":
            return isinstance(module, NORMS) and not getattr(module, NORMLESS, False)
        case "op_scale":
            return abs(getattr(module, FACTOR, 1.0) - need.value) > 1e-9 * abs(need.value)
        case "branch_scalar" | "branch_vector":
            scale = getattr(module, SCALE, None)
            return scale is None or (scale.get_value().ndim == 0) != (need.kind == "branch_scalar")
        case "scalar_biases":
            return not hasattr(module, BIAS_IN)
    return True


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
