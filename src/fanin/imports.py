"""Functions and models of the user's own code, found by name: `package.module:name` and `path/file.py:name`."""

import difflib
import importlib
import importlib.util
import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from fanin.errors import FaninError, FaninValueError

FORMS = "write package.module:factory or path/file.py:factory"


class TargetError(FaninValueError):
    """A target that cannot be used because the user's own code raised; `shown` is their traceback."""

    def __init__(self, message: str, shown: str = "") -> None:
        super().__init__(message)
        self.shown = shown


def load_module(place: str, text: str, what: str = "TARGET") -> ModuleType:
    """Imports a file or a module as `python` would: with the file's folder, or the current one, on the path.

    Args:
        place: "package.module", or the path of a file.
        text: the whole of what the user wrote.
        what: how errors call it.

    Raises:
        FaninValueError: there is no such file or module.
        TargetError: the user's own code raised.
    """
    try:
        if place.endswith(".py") or os.sep in place:
            return _load_file(place, what)
        return _import(place, text, what)
    except FaninError:
        raise
    except Exception as error:
        raise TargetError(f"{place} raised {summary(error)} when it was imported", own_traceback(error)) from error
    except SystemExit as error:
        raise TargetError(
            f"{place} called sys.exit({error.code!r}) when it was imported; put its main part under `if __name__ == '__main__'`"
        ) from None


def _load_file(place: str, what: str) -> ModuleType:
    path = Path(place)
    if not path.is_file():
        folder = path.parent if path.parent.is_dir() else None
        near = [str(p) for p in folder.glob("*.py")] if folder else []
        missing = (
            f"the file {place} does not exist"
            if folder or not path.parent.name
            else f"the folder {path.parent} does not exist"
        )
        raise FaninValueError(f"{what}: {missing}{hint(place, near)}")
    if path.suffix != ".py":
        raise FaninValueError(f"{what}: {place} is not a Python file (.py)")
    put_on_path(str(path.resolve().parent))
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


def _import(place: str, text: str, what: str) -> ModuleType:
    if not all(part.isidentifier() for part in place.split(".")):
        raise FaninValueError(f"{what}={text!r}: {place!r} is neither a file nor the name of a module; {FORMS}")
    put_on_path(os.getcwd())
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
        raise FaninValueError(f"{what}: there is no module {error.name}{file or hint(last, near)}") from None


def put_on_path(folder: str) -> None:
    """Lets what lies in a folder be imported, as `python` does with the current one."""
    if folder not in sys.path:
        sys.path.insert(0, folder)


def find_attribute(module: ModuleType, name: str, text: str, what: str = "TARGET") -> Any:
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
            raise FaninValueError(f"{what}: {owner} has no {part!r}{offered}")
        value = getattr(value, part)
    return value


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


def own_traceback(error: BaseException) -> str:
    """The traceback of an error, without the frames of fanin, of import and of how torch calls a module."""
    frames = traceback.extract_tb(error.__traceback__)
    hidden = (str(Path(__file__).parent), "<frozen importlib")
    inside = re.compile(r"importlib[/\\]__init__|torch[/\\](nn[/\\]modules[/\\]module|overrides)\.py")
    shown = [f for f in frames if not f.filename.startswith(hidden) and not inside.search(f.filename)]
    lines = ["Traceback (most recent call last):\n", *traceback.format_list(shown)] if shown else []
    return "".join([*lines, *traceback.format_exception_only(error)]).rstrip()


def summary(error: BaseException) -> str:
    """ "ValueError: no such size": the kind and first line of an error."""
    first = lines_of(error)
    return f"{type(error).__name__}: {first[0]}" if first else type(error).__name__


def lines_of(error: BaseException) -> list[str]:
    """What an error says, line by line, empty ones left out.

    One of the user's own may not be able to say anything, and names of files may hold what is no letter (PEP 383), which
    no database and no UTF-8 file takes.

    Example:
        >>> lines_of(ValueError("no such size\\n\\n  of 3")), lines_of(OSError("caf\\udce9.txt"))
        (['no such size', 'of 3'], ['caf\\\\udce9.txt'])
    """
    try:
        said = str(error).encode(errors="backslashreplace").decode()
    except Exception:
        return []
    return [line.strip() for line in said.splitlines() if line.strip()]


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
