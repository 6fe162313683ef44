"""The parameters of a Flax NNX model: which there are, who owns them, under which names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from flax import nnx

from fanin.errors import FaninTypeError

PRIVATE = "_pytree__"  # what NNX keeps beside a module's own attributes


@dataclass
class Place:
    """One parameter.

    Attributes:
        param: the `nnx.Param`.
        owner: the module that holds it first, or the `Embed` among several; None where a bare list or dict does.
        attribute: its name there.
        module: the owner's path.
        parent: the module around the owner, and the owner's name there.
        names: every path to it, parts joined by dots; the first counts.
    """

    param: Any
    owner: Any
    attribute: str
    module: str
    parent: tuple[Any, str]
    names: list[str] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.param.get_value().shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.param.get_value().dtype)


def find_params(model: Any, kind: type[nnx.Variable[Any]] = nnx.Param) -> tuple[Place, ...]:
    """Every `nnx.Param` (or other kind of variable) of a model once, in the order in which the modules set their attributes.

    Raises:
        FaninTypeError: it is no `nnx.Module`.
    """
    if not isinstance(model, nnx.Module):
        raise FaninTypeError(f"model={type(model).__name__} cannot be used; give a flax.nnx.Module")
    found: dict[int, Place] = {}
    _walk(model, (), (None, ""), found, set(), kind)
    return tuple(found.values())


def _walk(
    node: Any, path: tuple[str, ...], parent: tuple[Any, str], found: dict[int, Place], above: set[int], kind: Any
) -> None:
    """A module that stands at two places is walked twice: its parameters have names of both."""
    if id(node) in above:
        return
    owner = node if isinstance(node, nnx.Module) else None
    for key, child in _children(node):
        here = (*path, str(key))
        if isinstance(child, kind):
            place = found.setdefault(id(child), Place(child, owner, str(key), ".".join(path), parent))
            place.names.append(".".join(here))
            if isinstance(owner, nnx.Embed) and not isinstance(
                place.owner, nnx.Embed
            ):  # of tied ones it says what axes mean
                place.owner, place.attribute, place.module, place.parent = owner, str(key), ".".join(path), parent
        else:
            around = (owner, str(key)) if owner is not None else parent
            _walk(child, here, around, found, above | {id(node)}, kind)


def _children(node: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(node, nnx.List | list | tuple):
        yield from enumerate(node)
    elif isinstance(node, Mapping):
        yield from node.items()
    elif isinstance(node, nnx.Pytree):
        yield from ((key, child) for key, child in vars(node).items() if not key.startswith(PRIVATE))
