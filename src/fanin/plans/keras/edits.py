"""Edits of a Keras model that a plan requires; see `fanin.keras.edit`."""

import functools
from collections.abc import Mapping
from typing import Any

import keras

from fanin.errors import FaninTypeError
from fanin.plans.declared import einsum_axes
from fanin.plans.declared_edits import Face, Site, edit_modules, refusals
from fanin.plans.edited import BIAS_IN, BIAS_OUT, SCALE, SKIP, edited_class
from fanin.plans.keras.activations import sites
from fanin.plans.keras.layers import CONVOLUTIONS, DEPTHWISE, NORMS, TRANSPOSED
from fanin.plans.keras.paths import labelled

PRODUCTS = (
    keras.layers.Dense, keras.layers.EinsumDense, keras.layers.Embedding, *CONVOLUTIONS, *TRANSPOSED, *DEPTHWISE,
)  # fmt: skip

EPSILON = 1e-5  # of norms that are put in, as in torch


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
    return {name: getattr(layer, name) for name in (SCALE, BIAS_IN, BIAS_OUT, SKIP) if _is_weight(layer, name)}


def _is_weight(layer: Any, name: str) -> bool:
    return isinstance(getattr(layer, name, None), keras.Variable)  # a factor on a skip may be a number


def _put(layer: Any, name: str, shape: tuple[int, ...], value: float) -> None:
    """A weight more in a layer that is built."""
    layer._tracker.unlock()  # as Keras's own `enable_lora` does
    try:
        setattr(layer, name, layer.add_weight(shape=shape, initializer=keras.initializers.Constant(value), name=name))
    finally:
        layer._tracker.lock()


def _norm(layer: Any, name: str, features: int) -> None:
    """A norm more in a layer that is built."""
    norm = keras.layers.LayerNormalization(epsilon=EPSILON, name=name, dtype=layer.dtype_policy)
    norm.build((None, features))
    layer._tracker.unlock()
    try:
        setattr(layer, name, norm)
    finally:
        layer._tracker.lock()


def _without(norm: Any) -> None:
    norm.trainable = False  # its weights stay in the model


def _width(layer: Any) -> int:
    return int(getattr(layer, "units", 0) or getattr(layer, "filters", 0) or getattr(layer, "output_dim", 0))


def _inputs(layer: Any) -> tuple[int, ...]:
    if not layer.built or not isinstance(layer, keras.layers.Dense | keras.layers.EinsumDense):
        return ()
    kernel: Any = layer.kernel
    shape = tuple(int(size) for size in kernel.shape)
    if isinstance(layer, keras.layers.Dense):
        return shape[:1]
    summed = einsum_axes(layer.equation) or ""
    operand, _, second = layer.equation.replace(" ", "").partition("->")[0].partition(",")
    letters = "".join(letter for letter, role in zip(second, summed, strict=False) if role == "i")
    if not letters or not operand.endswith(letters):
        return ()
    return tuple(size for size, role in zip(shape, summed, strict=True) if role == "i")


def _unfit(layer: Any) -> str:
    if layer.built:
        return ""
    return "it has no weights yet; build the model first, by one batch or by model.build(input_shape)"


def _sites(layers: Mapping[str, Any]) -> dict[str, Site]:
    return sites(layers, _edited)


FACE = Face(
    "fanin.keras",
    (*NORMS, keras.layers.UnitNormalization),
    PRODUCTS,
    _edited,
    _put,
    _without,
    _width,
    _inputs,
    _norm,
    _sites,
    _unfit,
)


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


def missing(needs: Any, model: Any) -> tuple[str, ...]:
    """What to say of the requirements that the model does not meet, one sentence each."""
    return refusals(needs, layers_of(model), FACE)


def edit_model(model: Any, needs: Any) -> Any:
    """See `fanin.keras.edit`."""
    edit_modules(needs, layers_of(model), FACE)
    return model
