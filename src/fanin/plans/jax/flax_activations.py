"""Where a Flax NNX model computes its activations: functions that a `Sequential` calls, or that modules hold under a name.

What `__call__` calls by its own code is not seen.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flax import nnx

from fanin.activations import Activation
from fanin.errors import FaninError
from fanin.plans.declared import Followed
from fanin.plans.declared_edits import Site
from fanin.plans.jax.flax_params import PRIVATE
from fanin.plans.jax.flax_slots import NORMS
from fanin.reshaping import Reshaped

BETWEEN = (*NORMS, nnx.Dropout)  # modules that may stand between a layer and its activation


def sites(modules: Mapping[str, Any]) -> dict[str, Site]:
    """Every function that a module of the user's, or a `Sequential`, holds, by its path."""
    found: dict[str, Site] = {}
    for path, module in modules.items():
        before = f"{path}." if path else ""
        if isinstance(module, nnx.Sequential):
            found.update((f"{before}layers.{k}", _item(module.layers, k)) for k in _functions(module.layers))
        elif not type(module).__module__.startswith("flax."):
            for key, value in vars(module).items():
                if not key.startswith((PRIVATE, "fanin_")) and _is_function(value):
                    found[f"{before}{key}"] = _attribute(module, key)
                elif isinstance(value, nnx.List | list):
                    found.update((f"{before}{key}.{k}", _item(value, k)) for k in _functions(value))
    return found


def followed(modules: Mapping[str, Any]) -> dict[str, Followed]:
    """What each `Sequential` tells of the activation behind its layers: norms and dropout may stand between."""
    found: dict[str, Followed] = {}
    for path, module in modules.items():
        if not isinstance(module, nnx.Sequential):
            continue
        before, layers = f"{path}." if path else "", list(module.layers)
        for place, layer in enumerate(layers):
            if isinstance(layer, nnx.Module):
                after = next((k for k in range(place + 1, len(layers)) if not isinstance(layers[k], BETWEEN)), None)
                told = _told(layers, after, f"{before}layers.{after}", whole=not path)
                if told is not None:
                    found[f"{before}layers.{place}"] = told
    return found


def _told(layers: Sequence[Any], after: int | None, path: str, *, whole: bool) -> Followed | None:
    """What the callable behind a layer is: an activation, none (another layer, or the end of the model), or not known."""
    if after is None:
        return Followed() if whole else None
    function = layers[after]
    if isinstance(function, nnx.Module):
        return Followed() if hasattr(function, "kernel") else None
    if isinstance(function, Reshaped):
        return Followed(path, function.base)
    try:
        return Followed(path, Activation.of(function))
    except FaninError:  # a reshape, a pool, a softmax
        return None


def _is_function(value: Any) -> bool:
    return callable(value) and not isinstance(value, nnx.Module | nnx.Variable | nnx.Rngs | type)


def _functions(layers: Any) -> Iterator[int]:
    return (k for k, value in enumerate(layers) if _is_function(value))


def _item(layers: Any, place: int) -> Site:
    def put(function: Any) -> None:
        layers[place] = function

    return Site(layers[place], put)


def _attribute(module: Any, key: str) -> Site:
    return Site(getattr(module, key), lambda function: setattr(module, key, function))
