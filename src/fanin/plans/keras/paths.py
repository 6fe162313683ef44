"""The weights of a Keras model: which there are, who owns them, and the path of each within the model.

Keras counts automatic names up in the whole process ("dense", "dense_1", …), so that a model that is built twice has other
names the second time. A path here depends on the model alone:

- a layer with a name that the user gave goes by it;
- in a `Sequential` or functional model, automatic names are counted from the model's first layer on, as in a fresh process;
- elsewhere (subclassed models and layers, wrappers, attention, recurrent layers) a layer without a name of its own goes by the
  attribute that holds it, with its index or key where that is a list or a dict.

Parts are joined by dots, and the model's own name is none of them: "encoder.dense_1.kernel".
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from fanin.errors import FaninTypeError, FaninValueError

ADAPTERS = ("lora_kernel_a", "lora_kernel_b", "lora_embeddings_a", "lora_embeddings_b")
QUANTISED = (
    "kernel",
    "embeddings",
    "reverse_embeddings",
    "quantized_kernel",
)  # what `layer.quantize` makes of a weight
Own = Callable[[keras.Layer], Iterator[tuple[Any, str]]]  # the variables of a layer, with their names there
AUTOMATIC_VARIABLE = re.compile(r"(\w+_)?variable(_\d+)?")


@dataclass
class Place:
    """One weight.

    Attributes:
        variable: the `keras.Variable`.
        owner: the layer that holds it first; the inner one where a layer holds what a layer in it has.
        attribute: its name there.
        module: the owner's path.
        names: every path to it; the first counts.
    """

    variable: Any
    owner: keras.Layer
    attribute: str
    module: str
    names: list[str] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.variable.shape)

    @property
    def dtype(self) -> str:
        return str(keras.backend.standardize_dtype(self.variable.dtype))


def find_weights(model: Any) -> tuple[Place, ...]:
    """Every weight of a model that is there to be trained, frozen and quantised ones too, once, in the model's order.

    Statistics (the moving mean of a batch norm), seeds and the two factors of a low-rank adapter are none.

    Raises:
        FaninTypeError: it is no `keras.Layer` or `keras.Model`.
        FaninValueError: it has layers that are not built.
    """
    return _found(model, _own)


def find_variables(model: Any) -> tuple[Place, ...]:
    """Likewise every variable of the model's layers: statistics and adapters, too, after a layer's weights."""
    return _found(model, _all)


def _found(model: Any, own: Own) -> tuple[Place, ...]:
    if not isinstance(model, keras.Layer):
        raise FaninTypeError(f"model={type(model).__name__} cannot be used; give a keras.Model or a keras.Layer")
    found: dict[int, Place] = {}
    unbuilt: list[str] = []
    _walk(model, "", found, unbuilt, set(), own)
    if unbuilt:
        shown = ", ".join(name or type(model).__name__ for name in unbuilt[:5]) + (", …" if len(unbuilt) > 5 else "")
        raise FaninValueError(
            f"model: {shown} has no weights yet; build the model first, by one batch or by model.build(input_shape)"
        )
    return tuple(found.values())


def _walk(
    layer: keras.Layer, path: str, found: dict[int, Place], unbuilt: list[str], above: set[int], variables: Own
) -> None:
    """A layer that stands at two places is walked twice: its weights have names of both."""
    if id(layer) in above:
        return
    children = list(labelled(layer))
    if not layer.built and not children and type(layer).build is not keras.Layer.build:  # one that makes weights
        unbuilt.append(path)
    own, theirs = list(variables(layer)), {id(v) for _, child in children for v, _ in variables(child)}
    _add(layer, path, [(v, attribute) for v, attribute in own if id(v) not in theirs], found)
    for label, child in children:
        _walk(child, f"{path}.{label}" if path else label, found, unbuilt, above | {id(layer)}, variables)
    # Such as the kernel that `SpectralNormalization` divides: the layer in it says what it means.
    _add(layer, path, [(v, attribute) for v, attribute in own if id(v) in theirs], found)


def _add(layer: keras.Layer, path: str, own: list[tuple[Any, str]], found: dict[int, Place]) -> None:
    for variable, attribute in own:
        place = found.setdefault(id(variable), Place(variable, layer, attribute, path))
        place.names.append(f"{path}.{attribute}" if path else attribute)


def _own(layer: keras.Layer) -> Iterator[tuple[Any, str]]:
    """The weights that a layer holds itself, with their names there."""
    # What `add_weight` made trainable, whether or not it is frozen now; Keras has no public list without the sublayers'.
    variables = list(layer._trainable_variables)
    if getattr(layer, "quantization_mode", None):  # the numbers of a quantised kernel are trained no more
        variables = [v for v in layer._non_trainable_variables if v.name in QUANTISED] + variables
    for variable in variables:
        if variable.name not in ADAPTERS:
            yield variable, variable_name(layer, variable)


def _all(layer: keras.Layer) -> Iterator[tuple[Any, str]]:
    """All variables that a layer holds itself, with their names there."""
    weights = list(_own(layer))
    yield from weights
    known = {id(v) for v, _ in weights}
    for variable in (*layer._trainable_variables, *layer._non_trainable_variables):
        if id(variable) not in known:
            yield variable, variable_name(layer, variable)


def variable_name(layer: keras.Layer, variable: Any) -> str:
    """A weight's name in its layer: its own, or the attribute that holds it where Keras made one up."""
    if not AUTOMATIC_VARIABLE.fullmatch(variable.name):
        return str(variable.name)
    held = next((key for key, value in _held(layer) if value is variable), "")
    every = (*layer._trainable_variables, *layer._non_trainable_variables)
    return held or f"variable_{[v is variable for v in every].index(True)}"


def labelled(layer: keras.Layer) -> Iterator[tuple[str, keras.Layer]]:
    """The layers right under one, each with its part of the path, in Keras's order."""
    children = {id(child): child for child in layer._flatten_layers(include_self=False, recursive=False)}
    if hasattr(layer, "_functional"):  # what a Sequential is run by; its layers are those of the graph
        children.pop(id(layer._functional), None)
    graph: list[keras.Layer] = []
    if isinstance(layer, keras.Sequential) or (isinstance(layer, keras.Model) and hasattr(layer, "operations")):
        graph = [child for child in layer.layers if not isinstance(child, keras.layers.InputLayer)]
    yield from zip(labels := _counted(graph, set()), graph, strict=True)
    among = {id(child) for child in graph}
    others = [c for c in children.values() if id(c) not in among and not isinstance(c, keras.layers.InputLayer)]
    keys = _keys(layer, others)
    taken = set(labels)
    for child, counted in zip(others, _counted(others, taken | set(keys.values())), strict=True):
        own = None if is_automatic(child, wrapped=True) else child.name
        label = next(name for name in (own, keys.get(id(child)), counted) if name is not None and name not in taken)
        taken.add(label)
        yield label, child


def _keys(layer: keras.Layer, children: list[keras.Layer]) -> dict[int, str]:
    """The attribute that holds each child; the shortest, where several do."""
    wanted, keys = {id(child) for child in children}, dict[int, str]()
    for key, value in _held(layer):
        if id(value) in wanted:
            keys[id(value)] = min(key, keys.get(id(value), key), key=lambda k: (k.count("."), len(k), k))
    return keys


def _counted(layers: list[keras.Layer], others: set[str]) -> list[str]:
    """Names of layers in one place: the users' own; automatic ones counted anew, without those that others have."""
    taken = others | {layer.name for layer in layers if not is_automatic(layer)}
    labels, counts = [], dict[str, int]()
    for layer in layers:
        if not is_automatic(layer):
            labels.append(layer.name)
            continue
        base = _snake(type(layer).__name__)
        while True:
            count = counts.get(base, 0)
            counts[base] = count + 1
            label = base if count == 0 else f"{base}_{count}"
            if label not in taken:
                break
        labels.append(label)
    return labels


def is_automatic(layer: keras.Layer, *, wrapped: bool = False) -> bool:
    """Whether a layer's name is one that Keras makes up; `wrapped`: also with something before it ("forward_lstm_3")."""
    before = r"(\w+_)?" if wrapped else ""
    return re.fullmatch(rf"{before}{_snake(type(layer).__name__)}(_\d+)?", layer.name) is not None


def _snake(name: str) -> str:
    """A class's name as Keras writes it in automatic names."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


# Where the backends keep what an attribute holds: PyTorch takes layers out of the attributes into `_modules`.
INSIDE = ("_modules",)
SKIPPED = {"_layers", "_operations", "_functional", "_parameters", "_trainable_variables", "_non_trainable_variables"}


def _held(layer: keras.Layer) -> Iterator[tuple[str, Any]]:
    """What a layer's attributes hold, lists and dicts opened: (attribute, or attribute.index, and value)."""
    held = vars(layer)
    for table in (held, *(held[key] for key in INSIDE if key in held)):
        for key, value in list(table.items()):
            if key not in SKIPPED and key not in INSIDE:
                yield from _opened(key.strip("_"), value)


def _opened(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        items: Iterator[tuple[Any, Any]] = iter(value.items())
    elif isinstance(value, list | tuple):
        items = iter(enumerate(value))
    else:
        yield key, value
        return
    for part, inside in items:
        if isinstance(inside, keras.Layer | keras.Variable | list | tuple | Mapping):
            yield from _opened(f"{key}.{part}", inside)
