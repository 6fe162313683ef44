"""Which layer asks an initializer for numbers, and for which of its weights.

Keras hands an initializer a shape and a dtype. The layer stands on Keras's stack of name scopes while it is built. Where
Keras only looks at a model to learn its shapes (a subclassed model without `build`), it makes the variables first and asks
for their numbers later: the variable then stands in Keras's list of those to fill, and its layer is one of those under the
layers on the call stack.
"""

import sys
from dataclasses import dataclass
from typing import Any

import keras

from fanin.plans.keras.layers import Meaning, meaning
from fanin.plans.keras.paths import is_automatic, variable_name

try:  # both stand in Keras since 3.0, outside of what it promises to keep
    from keras.src.backend.common.global_state import get_global_attribute
except ImportError:  # a Keras to come: then only `axes=` and the shape are known

    def get_global_attribute(name: str, default: Any = None, set_to_default: bool = False) -> Any:
        return default


# The attribute that holds an initializer → the weights that it may be for, in the order in which layers make them.
WEIGHTS = {
    "kernel_initializer": ("kernel",),
    "recurrent_initializer": ("recurrent_kernel",),
    "depthwise_initializer": ("depthwise_kernel", "kernel"),  # SeparableConv, DepthwiseConv
    "pointwise_initializer": ("pointwise_kernel",),
    "embeddings_initializer": ("embeddings", "reverse_embeddings"),
    "alpha_initializer": ("alpha",),
    "gamma_initializer": ("gamma",),
    "beta_initializer": ("beta",),
    "bias_initializer": ("bias",),
}


@dataclass(frozen=True)
class Asked:
    """The weight that is asked for.

    Attributes:
        layer: whose it is; None where Keras does not let on.
        attribute: its name there; empty where it is not known.
        meaning: what the layer says of it.
    """

    layer: keras.Layer | None
    attribute: str
    meaning: Meaning

    @property
    def name(self) -> str:
        """The weight's name in its layer, after the layer's own unless Keras made that up: "query.kernel", "kernel"."""
        own = "" if self.layer is None or is_automatic(self.layer, wrapped=True) else self.layer.name
        return ".".join(part for part in (own, self.attribute) if part)


def asked(initializer: Any, shape: tuple[int, ...]) -> Asked | None:
    """The weight that Keras asks an initializer for; None where no layer does."""
    variable = _waiting(initializer, shape)
    layer = None if variable is None else _owner(variable)
    if layer is not None:  # first: the scopes that are open then are those around the model that was looked at
        attribute = variable_name(layer, variable)
        return Asked(layer, attribute, meaning(layer, attribute, shape))
    stack = get_global_attribute("name_scope_stack") or []
    layer = next((scope.caller for scope in reversed(stack) if isinstance(scope.caller, keras.Layer)), None)
    if layer is not None:
        attribute = _attribute(layer, initializer, shape)
        return Asked(layer, attribute, meaning(layer, attribute, shape))
    return None if variable is None else Asked(None, "", Meaning("weight" if len(shape) > 1 else "other"))


def only_shape(initializer: Any, shape: tuple[int, ...]) -> bool:
    """Whether Keras looks at a model to learn its shapes and throws the numbers away: it asks for the true ones later."""
    return get_global_attribute("stateless_scope") is not None and _waiting(initializer, shape) is not None


def _attribute(layer: keras.Layer, initializer: Any, shape: tuple[int, ...]) -> str:
    """Which of its weights a layer is about to make: the first whose initializer this is and that is not there yet."""
    may_be = [
        name
        for holder, value in vars(layer).items()
        if value is initializer
        for name in WEIGHTS.get(holder, (holder.removesuffix("_initializer"),))
    ]
    there = {name: _weight(layer, name) for name in may_be}
    missing = [name for name in may_be if there[name] is None]
    again = [name for name in may_be if there[name] is not None and tuple(there[name].shape) == shape]
    fitting = [name for name in missing if meaning(layer, name, shape).axes is not None] if len(shape) > 1 else []
    return next(iter([*fitting, *missing, *again]), "")


def _weight(layer: keras.Layer, name: str) -> Any:
    held = vars(layer)
    return held.get(name, held.get(f"_{name}"))


def _waiting(initializer: Any, shape: tuple[int, ...]) -> Any:
    """The variable that Keras made without numbers and is about to fill."""
    made = get_global_attribute("uninitialized_variables") or []
    return next((v for v in made if getattr(v, "_initializer", None) is initializer and tuple(v.shape) == shape), None)


def _owner(variable: Any) -> keras.Layer | None:
    """The layer that holds a variable, under one of those on the call stack."""
    frame, seen = sys._getframe(1), set[int]()
    while frame is not None:
        found = frame.f_locals.get("self")
        if isinstance(found, keras.Layer) and id(found) not in seen:
            seen.add(id(found))
            for layer in found._flatten_layers():
                if any(v is variable for v in (*layer._trainable_variables, *layer._non_trainable_variables)):
                    return layer
        frame = frame.f_back
    return None
