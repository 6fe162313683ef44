"""Edits of a Keras model that a plan requires; see `fanin.keras.edit`."""

import functools
from typing import Any

import keras

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
from fanin.plans.keras.paths import labelled
from fanin.rules.requirement import Requirement

NORMS = tuple(
    getattr(keras.layers, name)
    for name in (
        "BatchNormalization",
        "LayerNormalization",
        "RMSNormalization",
        "GroupNormalization",
        "UnitNormalization",
    )
    if hasattr(keras.layers, name)
)
PRODUCTS = (
    keras.layers.Dense, keras.layers.EinsumDense, keras.layers.Embedding, keras.layers.Conv1D, keras.layers.Conv2D,
    keras.layers.Conv3D, keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose,
    keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D,
)  # fmt: skip


@functools.cache
def _edited(kind: Any) -> type:
    """The class of edited layers of a kind: it saves and loads what edits put in, too."""

    def save_own_variables(self: Any, store: Any) -> None:
        kind.save_own_variables(self, store)
        if len(store.keys()) < len(self._trainable_variables) + len(self._non_trainable_variables):
            for name, variable in _added(self).items():  # a layer that knows its own (Dense) has left these out
                store[name] = variable

    def load_own_variables(self: Any, store: Any) -> None:
        kind.load_own_variables(self, store)
        for name, variable in _added(self).items():
            if name in store:
                variable.assign(store[name])

    own = {f.__name__: f for f in (save_own_variables, load_own_variables)}
    return edited_class(kind, "call", keras.layers.Embedding, lambda variable: variable, **own)


def _added(layer: Any) -> dict[str, Any]:
    """The weights that edits put into a layer."""
    return {name: getattr(layer, name) for name in (SCALE, BIAS_IN, BIAS_OUT) if hasattr(layer, name)}


def layers_of(model: Any) -> dict[str, Any]:
    """Layers by their paths within the model."""
    if not isinstance(model, keras.Layer):
        raise FaninTypeError(f"model={type(model).__name__} cannot be used; give a keras.Model or a keras.Layer")
    found = {"": model}
    waiting = [("", model)]
    while waiting:
        path, layer = waiting.pop()
        for label, child in labelled(layer):
            here = f"{path}.{label}" if path else label
            found[here] = child
            waiting.append((here, child))
    return found


def missing(needs: Any, model: Any) -> list[Requirement]:
    """The requirements that the model does not meet."""
    return lacking(needs, layers_of(model), _lacks)


def edit_model(model: Any, needs: Any) -> Any:
    """See `fanin.keras.edit`."""
    for need, layer in to_edit(needs, layers_of(model), _lacks, _problem):
        if not hasattr(layer, EDITED):
            object.__setattr__(layer, "__class__", _edited(type(layer)))
        match need.kind:
            case "no_norm":
                layer.trainable = False
                setattr(layer, NORMLESS, True)
            case "op_scale":
                setattr(layer, FACTOR, float(need.value))
            case "scalar_biases":
                for name in (BIAS_IN, BIAS_OUT):
                    _put(layer, name, (), 0.0)
            case _:
                _put(layer, SCALE, () if need.kind == "branch_scalar" else (_width(layer),), need.value)
    return model


def _put(layer: Any, name: str, shape: tuple[int, ...], value: float) -> None:
    """A weight more in a layer that is built."""
    layer._tracker.unlock()  # as Keras's own `enable_lora` does
    try:
        setattr(layer, name, layer.add_weight(shape=shape, initializer=keras.initializers.Constant(value), name=name))
    finally:
        layer._tracker.lock()


def _lacks(need: Requirement, layer: Any) -> bool:
    return lacks(need, layer, NORMS)


def _problem(need: Requirement, layer: Any) -> str:
    """Why an edit cannot be made, in words; empty where it can."""
    if not layer.built:
        return "it has no weights yet; build the model first, by one batch or by model.build(input_shape)"
    if need.kind == "op_scale" and not isinstance(layer, PRODUCTS):
        return f"{type(layer).__name__} does more with this weight than multiply by it"
    if need.kind == "branch_vector" and not _width(layer):
        return f"{type(layer).__name__} does not say how many features it gives"
    if need.kind in ("branch_scalar", "branch_vector") and hasattr(layer, SCALE):
        return "it has another scale already"
    return ""


def _width(layer: Any) -> int:
    return int(getattr(layer, "units", 0) or getattr(layer, "filters", 0) or getattr(layer, "output_dim", 0))
