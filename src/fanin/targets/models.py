"""TARGET: `package.module:factory`, `path/file.py:factory`, or `hf:DIR_OR_CONFIG.json`."""

import contextlib
import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fanin.errors import FaninError, FaninValueError
from fanin.imports import (
    TargetError,
    described,
    find_attribute,
    hint,
    is_model,
    load_module,
    needed_arguments,
    own_traceback,
    summary,
)

__all__ = ["Target", "TargetError", "hint", "load_function", "load_target", "needed_arguments", "own_traceback"]

FORMS = "write package.module:factory, path/file.py:factory or hf:DIR_OR_CONFIG.json"


@dataclass(frozen=True)
class Models:
    """Which models a command takes.

    Attributes:
        holds: whether a value is one.
        words: what they are, for messages.
    """

    holds: Callable[[Any], bool]
    words: str


TORCH = Models(is_model, "a torch.nn.Module")


@dataclass(frozen=True)
class Target:
    """What TARGET names: something that gives models.

    Attributes:
        text: as it was written.
        value: a model, or a callable without arguments that returns one.
        fresh: whether each call of `build` gives a new model (a factory) rather than the same one.
        models: which models are taken.
    """

    text: str
    value: Any
    fresh: bool
    models: Models = TORCH

    def build(self) -> Any:
        """The model; raises `TargetError` with the user's traceback where their code raises."""
        if not self.fresh:
            return self.value
        try:
            model = self.value()
        except FaninError:
            raise
        except Exception as error:
            raise TargetError(
                f"{self.text} raised {summary(error)} while it built the model", own_traceback(error)
            ) from error
        if not self.models.holds(model):
            raise FaninValueError(
                f"{self.text} returned {described(model)}, but must return a model ({self.models.words})"
            )
        return model


def load_target(text: str, models: Models = TORCH) -> Target:
    """The target that `text` names; nothing is built yet.

    Raises:
        FaninValueError: the text does not parse, the file, module or attribute does not exist, or is no model and no
            callable without arguments.
        TargetError: the user's own module raised on import.
    """
    if text.startswith("hf:"):
        return _hf(text)
    place, colon, name = text.rpartition(":")
    if not colon or not place or not name:
        if Path(text).is_dir():
            raise FaninValueError(f"TARGET={text!r} is a folder; {_in_folder(text, 'build')}")
        if text.endswith(".py") or Path(text).is_file():
            example = f"{text.rstrip(':')}:build"
            raise FaninValueError(
                f"TARGET={text!r} names a file but nothing in it; write {example} (a model, or a function that returns one)"
            )
        raise FaninValueError(f"TARGET={text!r} does not parse; {FORMS}")
    if Path(place).is_dir() and not _is_package(place):
        raise FaninValueError(f"TARGET: {place} is a folder; {_in_folder(place, name)}")
    if not all(part.isidentifier() for part in name.split(".")):
        raise FaninValueError(f"TARGET={text!r}: {name!r} is not a name in Python; {FORMS}")
    value = find_attribute(load_module(place, text), name, text)
    return _checked(text, value, models)


def _in_folder(folder: str, name: str) -> str:
    """What to write instead of a folder: one of its files, where there is one."""
    files = sorted(p.name for p in Path(folder).glob("*.py") if p.name != "__init__.py")
    return f"write {Path(folder, files[0] if files else 'model.py')}:{name}"


def _is_package(place: str) -> bool:
    """Whether a folder here is the name of a package, its own or one that is installed."""
    if not place.isidentifier() or Path(place, "__init__.py").is_file():
        return place.isidentifier()
    with contextlib.suppress(ImportError, ValueError):
        spec = importlib.util.find_spec(place)
        return spec is not None and spec.origin is not None
    return False


def load_function(text: str, option: str) -> Callable[..., Any]:
    """The callable that `module:name` or `file.py:name` names, for options such as `--loss`."""
    place, _, name = text.rpartition(":")
    if not place or not all(part.isidentifier() for part in name.split(".")):
        raise FaninValueError(
            f"{option}={text!r} does not parse; write package.module:function or path/file.py:function"
        )
    value = find_attribute(load_module(place, text), name, text)
    if not callable(value):
        raise FaninValueError(f"{option}={text!r} is {described(value)}, but must be a function")
    return value


def _checked(text: str, value: Any, models: Models) -> Target:
    if models.holds(value):
        return Target(text, value, fresh=False, models=models)
    if not callable(value):
        raise FaninValueError(
            f"TARGET={text!r} is {described(value)}, but must be a model ({models.words}) or a function that returns one"
        )
    needed = needed_arguments(value)
    if needed:
        raise FaninValueError(
            f"TARGET={text!r} needs the arguments {', '.join(needed)}; name a function without arguments that calls it "
            f"(def build(): return {text.rpartition(':')[2]}({', '.join(needed)}))"
        )
    return Target(text, value, fresh=True, models=models)


def _hf(text: str) -> Target:
    from fanin.targets.hf_torch import builder

    return Target(text, builder(text), fresh=True)
