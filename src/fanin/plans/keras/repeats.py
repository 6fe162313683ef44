"""Layers that one seed gave equal numbers, which nobody sees: the layer's automatic name is no part of a stream.

Two layers without names of their own, or the query projections of two attentions, ask for the same weight ("kernel",
"query.kernel"), and with an integer for a seed they get the same numbers, as from Keras's own initializers. So the second one
to do so warns, once for each weight's name and shape. A copy of a model, or one from a file, gets equal numbers on purpose:
its layers have the names and paths of the first one's, which no two layers of one model share. A model that a function builds
twice looks like two layers of one model while both are alive.
"""

import warnings
from typing import Any
from weakref import WeakValueDictionary

import keras

from fanin.distributions import Constant, Distribution
from fanin.plans.keras.paths import is_automatic

Drawn = tuple[Distribution, tuple[int, ...], int, str]  # law, shape, seed, name: equal ones have equal numbers

_DRAWN: WeakValueDictionary[Drawn, keras.Layer] = WeakValueDictionary()  # → the layer that drew them, while it lives
_SAID: set[Drawn] = set()


def note(initializer: Any, law: Distribution, shape: tuple[int, ...], name: str, layer: keras.Layer) -> None:
    """Remember what a layer draws with an integer for a seed; warns where another layer has drawn the same."""
    if isinstance(law, Constant):  # equal whatever the seed
        return
    drawn = law, shape, int(initializer.seed), name
    other = _DRAWN.setdefault(drawn, layer)
    if other is not layer and drawn not in _SAID and not _is_copy(layer, other):
        _SAID.add(drawn)
        warnings.warn(
            f"{initializer!r} with seed={initializer.seed} gives {name!r} of the layers {_path(other)!r} and {_path(layer)!r} equal "
            "numbers; where both are in one model, give each initializer a seed of its own, or draw the whole model by "
            "fanin.keras.init_",
            stacklevel=3,
        )


def _is_copy(layer: keras.Layer, other: keras.Layer) -> bool:
    """Whether two layers cannot be in one model: Keras makes up a name once, and no two layers there have one path."""
    return _path(layer) == _path(other) or (layer.name == other.name and is_automatic(layer))


def _path(layer: keras.Layer) -> str:
    return layer.path or layer.name  # there is a path from when the layer is built
