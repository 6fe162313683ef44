"""Factories of the user's own: `module:factory`, `path/file.py:factory(depth=3)`."""

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fanin.errors import FaninValueError
from fanin.imports import described, find_attribute, is_model, load_module
from fanin.lab.data import DataSet
from fanin.lab.models.facts import Facts
from fanin.lab.models.table import ModelInfo
from fanin.lab.specs import Spec, check_arguments, parse_spec

FACTS = ("input_shape", "classes", "outputs", "vocabulary")  # parameters that are filled in from the data
SEED = "seed"  # given by the engine
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_SPEC = re.compile(r"(?P<place>[^(]+):(?P<name>[\w.]+)\s*(?P<arguments>\(.*\))?\s*", re.DOTALL)


@dataclass(frozen=True)
class OwnFactory:
    """A factory of the user's with its arguments filled in; gives a fresh model at each call; can be pickled.

    Attributes:
        spec: as the user wrote it.
        place: "package.module", or the absolute path of a file, so that other processes find it too.
        name: of the function in it.
        arguments: by name, those from the data among them.
    """

    spec: str
    place: str
    name: str
    arguments: tuple[tuple[str, Any], ...]

    def __call__(self) -> Any:
        return _function(self.spec, self.place, self.name)(**dict(self.arguments))


@dataclass(frozen=True)
class SeededFactory(OwnFactory):
    """A factory of the user's that takes the seed of the run."""

    def __call__(self, seed: int = 0) -> Any:
        return _function(self.spec, self.place, self.name)(**dict(self.arguments), seed=seed)


def is_own(spec: str) -> bool:
    """Whether a spec names a factory of the user's own rather than a model of the lab."""
    return isinstance(spec, str) and ":" in spec.partition("(")[0]


def own_info(spec: str) -> ModelInfo:
    """What is known of a factory of the user's own."""
    place, name, _ = _split(spec)
    about = inspect.getdoc(_function(spec, place, name)) or ""
    return ModelInfo(spec, about.partition("\n")[0], "", f"{place}:{name}", (), None, own=True)


def own_function(spec: str) -> Callable[..., Any]:
    """The function that a spec names."""
    place, name, _ = _split(spec)
    return _function(spec, place, name)


def own_parameters(spec: str) -> tuple[str, ...]:
    """Names of the arguments that a spec may give it: those that are not filled in from the data."""
    place, name, _ = _split(spec)
    return tuple(p for p in _parameters(_function(spec, place, name)) if p not in (*FACTS, SEED))


def own_factory(spec: str, data: DataSet, facts: tuple[Facts, ...]) -> OwnFactory:
    """The factory that a spec names, its parameters filled in from the spec and from the data.

    Raises:
        FaninValueError: it cannot be found, or does not take the arguments.
        TargetError: the user's module raised on import.
    """
    place, name, arguments = _split(spec)
    function = _function(spec, place, name)
    taken = _parameters(function)
    shape = facts[0].shape if facts else data.forms[0]
    outputs = facts[0].outputs if facts else data.classes
    known = {"input_shape": shape, "classes": data.classes, "outputs": outputs, "vocabulary": data.vocabulary}
    given = {key: value for key, value in known.items() if key in taken and key not in arguments.arguments}
    if not _takes_anything(function):
        left_out = () if SEED in arguments.arguments else (SEED,)
        named = Spec(spec.partition("(")[0], arguments.arguments)
        check_arguments(named, function, "model", skip=(*given, *left_out, *_rest(function)))
    kind = SeededFactory if SEED in taken and SEED not in arguments.arguments else OwnFactory
    return kind(spec, place, name, tuple({**given, **arguments.arguments}.items()))


def _split(spec: str) -> tuple[str, str, Spec]:
    """Place (a file as its absolute path), name in it, and arguments."""
    found = _SPEC.fullmatch(spec)
    if not found:
        raise FaninValueError(
            f"model={spec!r} does not parse; write module:factory or path/file.py:factory, with arguments as in module:factory(depth=3)"
        )
    place, name = found["place"].strip(), found["name"]
    if place.endswith(".py"):
        place = str(Path(place).resolve())
    last = name.rpartition(".")[2]
    return place, name, parse_spec(f"{last}{found['arguments'] or ''}", "model")


@functools.cache
def _function(spec: str, place: str, name: str) -> Callable[..., Any]:
    """The user's function; a file is run once in a process."""
    value = find_attribute(load_module(place, spec, "model"), name, spec, "model")
    if is_model(value):
        raise FaninValueError(f"model={spec!r} is a model, but must be a function that gives a fresh one at each call")
    if not callable(value):
        raise FaninValueError(f"model={spec!r} is {described(value)}, but must be a function that gives models")
    return value


def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    """Names of its parameters, those that stand for any others aside."""
    return tuple(name for name, p in _signature(function).items() if p.kind not in _VARIADIC)


def _takes_anything(function: Callable[..., Any]) -> bool:
    return any(p.kind is inspect.Parameter.VAR_KEYWORD for p in _signature(function).values())


def _rest(function: Callable[..., Any]) -> tuple[str, ...]:
    """The name of `*args`."""
    return tuple(name for name, p in _signature(function).items() if p.kind in _VARIADIC)


def _signature(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # a builtin without a signature
        return {}
