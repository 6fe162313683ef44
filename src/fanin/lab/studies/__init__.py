"""The studies that ship, as study files beside this one, and studies found by what the command line names."""

import difflib
import functools
import json
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

from fanin.errors import FaninError, FaninTypeError, FaninValueError
from fanin.imports import TargetError, described, find_attribute, load_module, own_traceback, summary
from fanin.lab.store.study_file import NAME, read_study
from fanin.lab.study.parse import StudyFile, parse_study, read_study_file
from fanin.lab.study.records import Bindings, Study
from fanin.lab.study.validate import check_study, first_seeds

FORMS = "accepted are a study of `fanin lab list`, a .toml file, file.py:name and module:name of a Study, or textbook"
SUITE = "textbook"  # all of them, at small size


@dataclass(frozen=True, eq=False)
class Found:
    """A study, and the objects that it names.

    Attributes:
        study: at the size that was asked for.
        bindings: objects of the user's own.
        source: what it was found by, where its objects have to be found again; "" where it names none.
    """

    study: Study
    bindings: Bindings = field(default_factory=dict)
    source: str = ""


def names() -> tuple[str, ...]:
    """The studies that ship, in the order of the alphabet.

    Example:
        >>> "xavier-he-depth" in names()
        True
    """
    files = (file.name for file in resources.files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml")))


@functools.cache
def shipped(name: str) -> StudyFile:
    """A study that ships.

    Raises:
        FaninValueError: there is none of that name; the nearest is said.

    Example:
        >>> shipped("xavier-he-depth").small.name
        'xavier-he-depth-small'
    """
    if name not in names():
        raise FaninValueError(f"STUDY={name!r} is unknown; {FORMS}{_near(name)}")
    return parse_study(resources.files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8"), name)


def find_study(text: str, small: bool = False, seeds: int | None = None) -> Found:
    """The study that a text names.

    Args:
        text: the name of one that ships, a .toml file, the study.json of a folder, or "file.py:name" / "module:name" of a
            `Study`, of what `make_study` gives, or of a function that returns either.
        small: at its small size.
        seeds: so many seeds, from 0, instead of its own.

    Raises:
        FaninValueError, FaninTypeError: there is none, it has no small size, or it is no study.
        TargetError: the user's module raised.
    """
    found = _named(text, small)
    study = found.study if seeds is None else replace(found.study, seeds=first_seeds(seeds))
    return replace(found, study=check_study(study))


def _named(text: str, small: bool) -> Found:
    if text.endswith(".toml"):
        return Found(_sized(read_study_file(text), small))
    if text == SUITE:
        raise FaninValueError(
            f"STUDY={text!r} is all studies at once, which `fanin lab run` takes alone; name one of them"
        )
    if not text.endswith(".json") and ":" not in text:
        if Path(text).is_dir() and text not in names():
            raise FaninValueError(f"STUDY={text!r} is a folder; `fanin lab resume {text}` goes on with the study in it")
        return Found(_sized(shipped(text), small))
    if small:
        raise FaninValueError(f"--small: {text} has no small size; study files have one, in a [small] table")
    if text.endswith(".json"):
        return Found(_written(Path(text)))
    return _of_python(text)


def _sized(file: StudyFile, small: bool) -> Study:
    if not small:
        return file.full
    if file.small is None:
        raise FaninValueError(f"--small: {file.source} has no small size; write one in a [small] table")
    return file.small


def _written(path: Path) -> Study:
    """The study of a folder's study.json, or of any file of its form."""
    if path.name == NAME:
        return read_study(path.parent)
    try:
        return Study.from_dict(json.loads(path.read_text(encoding="utf-8")).get("study"))
    except OSError as error:
        raise FaninValueError(f"the study file {path} cannot be read ({error.strerror})") from None
    except (ValueError, AttributeError, FaninError):
        raise FaninValueError(f"the study file {path} is not the definition of a study") from None


def _of_python(text: str) -> Found:
    place, _, name = text.rpartition(":")
    if not place or not name:
        raise FaninValueError(f"STUDY={text!r} does not parse; write file.py:name or module:name")
    value: Any = find_attribute(load_module(place, text, "STUDY"), name, text, "STUDY")
    if not isinstance(value, Study | tuple) and callable(value):
        try:
            value = value()
        except FaninError:
            raise
        except (Exception, SystemExit) as error:
            raise TargetError(f"{text} raised {summary(error)} when it was called", own_traceback(error)) from error
    if isinstance(value, Study):
        return Found(value)
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], Study) and isinstance(value[1], dict):
        return Found(value[0], value[1], _anchored(place, name))
    raise FaninTypeError(
        f"STUDY={text!r} is {described(value)}, but must be a Study, what make_study gives, or a function that returns one"
    )


def _anchored(place: str, name: str) -> str:
    """The same, with the absolute path of a file, so that it is found from everywhere."""
    return f"{Path(place).resolve() if place.endswith('.py') else place}:{name}"


def _near(name: str) -> str:
    close = difflib.get_close_matches(name, [*names(), SUITE], 1)
    return f"; did you mean {close[0]!r}?" if close else ""
