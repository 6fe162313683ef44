"""Where a Keras model computes its activations: a layer's own `activation`, or a layer behind it that is one.

What stands behind a layer is told by the graph of a `Sequential` or functional model; what `call` calls by its own code is not seen.
"""

from collections.abc import Callable, Mapping
from typing import Any

import keras

from fanin.activations import Activation
from fanin.plans.declared import Followed
from fanin.plans.declared_edits import Site, make_edited
from fanin.plans.edited import FUNCTION
from fanin.plans.keras.layers import ACTING, NORMS, activation_of
from fanin.reshaping import Reshaped

WHOLE = tuple(  # layers that are an activation without weights, and hold no function of that name
    getattr(keras.layers, name) for name in ("ReLU", "LeakyReLU", "ELU")
)
BETWEEN = (*NORMS, keras.layers.Dropout, keras.layers.Flatten, keras.layers.Reshape)  # may stand before an activation
STEPS = 8  # of them


@keras.saving.register_keras_serializable(package="fanin")
class ReshapedActivation:
    """An activation reshaped by DKS or TAT, as a layer's `activation`; a configuration holds it.

    Attributes:
        spec: what `fanin.reshaping.Reshaped.parse` reads.
    """

    def __init__(self, spec: str) -> None:
        self.spec = spec
        self.function = Reshaped.parse(spec)

    def __call__(self, x: Any) -> Any:
        return self.function(x)

    def get_config(self) -> dict[str, Any]:
        return {"spec": self.spec}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ReshapedActivation":
        return cls(**config)


def sites(layers: Mapping[str, Any], edited: Callable[[type], type]) -> dict[str, Site]:
    """Every layer that puts its outputs through an activation, or is one, by its path."""
    found: dict[str, Site] = {}
    for path, layer in layers.items():
        if not path:
            continue
        if isinstance(layer, WHOLE):
            found[path] = Site(getattr(layer, FUNCTION, layer), _instead(layer, edited))
        elif isinstance(layer, (*ACTING, keras.layers.Activation)) and layer.activation is not keras.activations.linear:
            found[path] = Site(layer.activation, _within(layer))
    return found


def followed(layers: Mapping[str, Any]) -> dict[str, Followed]:
    """What the layers themselves and the graphs that they stand in tell of the activation behind each that multiplies."""
    paths = {id(layer): path for path, layer in layers.items()}
    found: dict[str, Followed] = {}
    for path, layer in layers.items():
        if isinstance(layer, ACTING):
            told = _own(layer, path) if layer.activation is not keras.activations.linear else _behind(layer, paths)
            if told is not None:
                found[path] = told
    return found


def _own(layer: Any, path: str) -> Followed:
    if isinstance(layer.activation, ReshapedActivation):
        return Followed(path, layer.activation.function.base)
    return Followed(path, activation_of(layer.activation))


def _behind(layer: Any, paths: Mapping[int, str]) -> Followed | None:
    """What the graph tells; None where the layer stands in none, or several layers take its output."""
    for _ in range(STEPS):
        after = {id(node.operation): node.operation for node in getattr(layer, "_outbound_nodes", ())}
        if len(after) != 1:
            return _end(layer, paths) if not after else None
        (layer,) = after.values()
        path = paths.get(id(layer), "")
        if isinstance(layer, WHOLE) and path:
            return Followed(path, getattr(getattr(layer, FUNCTION, None), "base", None) or _known(layer))
        if isinstance(layer, keras.layers.Activation) and path:
            return _own(layer, path)
        if not isinstance(layer, BETWEEN):
            return Followed() if isinstance(layer, (*ACTING, keras.layers.Add)) else None
    return None


def _end(layer: Any, paths: Mapping[int, str]) -> Followed | None:
    """At the end of the whole model there is no activation; a layer of a subclassed model stands in no graph."""
    inbound = getattr(layer, "_inbound_nodes", ())
    return Followed() if inbound and "." not in paths.get(id(layer), ".") else None


def _known(layer: Any) -> Activation | None:
    """Which activation a layer is."""
    match layer:
        case keras.layers.ReLU() if layer.max_value is None and not layer.threshold:
            return (
                Activation.named("leaky_relu", layer.negative_slope)
                if layer.negative_slope
                else Activation.named("relu")
            )
        case keras.layers.LeakyReLU():
            return Activation.named("leaky_relu", layer.negative_slope)
        case keras.layers.ELU():
            return Activation.named("elu", float(layer.alpha))
    return None


def _within(layer: Any) -> Callable[[Any], None]:
    def put(function: Reshaped) -> None:
        layer.activation = ReshapedActivation(function.spec)

    return put


def _instead(layer: Any, edited: Callable[[type], type]) -> Callable[[Any], None]:
    def put(function: Reshaped) -> None:
        make_edited(layer, edited)
        setattr(layer, FUNCTION, function)

    return put
