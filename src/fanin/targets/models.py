"""TARGET: `package.module:factory`, `path/file.py:factory`, or `hf:DIR_OR_CONFIG.json`."""

import contextlib
import difflib
import importlib
import importlib.util
import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from fanin.errors import FaninError, FaninValueError

FORMS = "write package.module:factory, path/file.py:factory or hf:DIR_OR_CONFIG.json"


class TargetError(FaninValueError):
    """A target that cannot be used because the user's own code raised; `shown` is their traceback."""

    def __init__(self, message: str, shown: str = "") -> None:
        super().__init__(message)
        self.shown = shown


@dataclass(frozen=True)
class Target:
    """What TARGET names: something that gives models.

    Attributes:
        text: as it was written.
        value: a model, or a callable without arguments that returns one.
        fresh: whether each call of `build` gives a new model (a factory) rather than the same one.
    """

    text: str
    value: Any
    fresh: bool

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
        if not is_model(model):
            raise FaninValueError(
                f"{self.text} returned {described(model)}, but must return a model (a torch.nn.Module)"
            )
        return model


def load_target(text: str) -> Target:
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
    return _checked(text, value)


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


def load_module(place: str, text: str) -> ModuleType:
    """Imports a file or a module as `python` would: with the file's folder, or the current one, on the path."""
    try:
        if place.endswith(".py") or os.sep in place:
            return _load_file(place)
        return _import(place, text)
    except FaninError:
        raise
    except Exception as error:
        raise TargetError(f"{place} raised {summary(error)} when it was imported", own_traceback(error)) from error
    except SystemExit as error:
        raise TargetError(
            f"{place} called sys.exit({error.code!r}) when it was imported; put its main part under `if __name__ == '__main__'`"
        ) from None


def _load_file(place: str) -> ModuleType:
    path = Path(place)
    if not path.is_file():
        folder = path.parent if path.parent.is_dir() else None
        near = [str(p) for p in folder.glob("*.py")] if folder else []
        missing = (
            f"the file {place} does not exist"
            if folder or not path.parent.name
            else f"the folder {path.parent} does not exist"
        )
        raise FaninValueError(f"TARGET: {missing}{hint(place, near)}")
    if path.suffix != ".py":
        raise FaninValueError(f"TARGET: {place} is not a Python file (.py)")
    _put_on_path(str(path.resolve().parent))
    name = path.stem if path.stem.isidentifier() and path.stem not in sys.modules else f"_fanin_target_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look a module up by its name
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _import(place: str, text: str) -> ModuleType:
    if not all(part.isidentifier() for part in place.split(".")):
        raise FaninValueError(f"TARGET={text!r}: {place!r} is neither a file nor the name of a module; {FORMS}")
    _put_on_path(os.getcwd())
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is None or not (place == error.name or place.startswith(f"{error.name}.")):
            raise  # something that the user's module imports is missing: their traceback says what
        parent, _, last = error.name.rpartition(".")
        near = (
            [p.stem for p in Path(parent.replace(".", os.sep)).glob("*.py")]
            if not parent or Path(parent).is_dir()
            else []
        )
        file = f"; for the file write {last}.py:{text.rpartition(':')[2]}" if Path(f"{place}.py").is_file() else ""
        raise FaninValueError(f"TARGET: there is no module {error.name}{file or hint(last, near)}") from None


def _put_on_path(folder: str) -> None:
    if folder not in sys.path:
        sys.path.insert(0, folder)


def find_attribute(module: ModuleType, name: str, text: str) -> Any:
    """The attribute `name` (dots allowed) of a module; suggests what is near where there is none."""
    value: Any = module
    for i, part in enumerate(name.split(".")):
        if not hasattr(value, part):
            near = [n for n in vars(value) if not n.startswith("_")] if hasattr(value, "__dict__") else []
            offered = hint(part, near)
            if not offered:
                models = [
                    n for n in near if is_model(getattr(value, n)) or (inspect.isfunction(getattr(value, n)) and i == 0)
                ]
                offered = f"; it has {', '.join(models[:8])}" if models else "; it has no functions or models"
            owner = ".".join([text.rpartition(":")[0], *name.split(".")[:i]])
            raise FaninValueError(f"TARGET: {owner} has no {part!r}{offered}")
        value = getattr(value, part)
    return value


def _checked(text: str, value: Any) -> Target:
    if is_model(value):
        return Target(text, value, fresh=False)
    if not callable(value):
        raise FaninValueError(
            f"TARGET={text!r} is {described(value)}, but must be a model (a torch.nn.Module) or a function that returns one"
        )
    needed = needed_arguments(value)
    if needed:
        raise FaninValueError(
            f"TARGET={text!r} needs the arguments {', '.join(needed)}; name a function without arguments that calls it "
            f"(def build(): return {text.rpartition(':')[2]}({', '.join(needed)}))"
        )
    return Target(text, value, fresh=True)


def needed_arguments(function: Callable[..., Any]) -> list[str]:
    """Names of the arguments that a call cannot do without."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [p.name for p in parameters if p.kind in kinds and p.default is inspect.Parameter.empty]


def is_model(value: Any) -> bool:
    """Whether a value is a model of a framework that is loaded (a class of models is not)."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def _hf(text: str) -> Target:
    from fanin.targets.hf_torch import builder

    return Target(text, builder(text), fresh=True)


def own_traceback(error: BaseException) -> str:
    """The traceback of an error, without the frames of fanin, of import and of how torch calls a module."""
    frames = traceback.extract_tb(error.__traceback__)
    hidden = (str(Path(__file__).parents[1]), "<frozen importlib")
    inside = re.compile(r"importlib[/\\]__init__|torch[/\\](nn[/\\]modules[/\\]module|overrides)\.py")
    shown = [f for f in frames if not f.filename.startswith(hidden) and not inside.search(f.filename)]
    lines = ["Traceback (most recent call last):\n", *traceback.format_list(shown)] if shown else []
    return "".join([*lines, *traceback.format_exception_only(error)]).rstrip()


def summary(error: BaseException) -> str:
    """ "ValueError: no such size": the kind and first line of an error."""
    first = str(error).strip().splitlines()
    return f"{type(error).__name__}: {first[0]}" if first else type(error).__name__


def described(value: Any) -> str:
    """ "None", "the class Net", "a list", for error messages."""
    if value is None:
        return "None"
    if inspect.isclass(value):
        return f"the class {value.__name__}"
    if inspect.ismodule(value):
        return f"the module {value.__name__}"
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def hint(name: str, near: list[str]) -> str:
    """ "; did you mean …?", or nothing."""
    close = difflib.get_close_matches(name, near, 1, 0.6)
    return f"; did you mean {close[0]}?" if close else ""
