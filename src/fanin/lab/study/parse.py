"""Studies as TOML: read into a `Study` (and its small size), and written back."""

import dataclasses
import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fanin.errors import FaninTypeError, FaninValueError
from fanin.lab.study.optimizers import learning_rates
from fanin.lab.study.records import Expectation, Study, TrainingSettings
from fanin.lab.study.validate import check_study, first_seeds, is_number

# Key in [grid] → field of Study; every other key is a variable.
AXES = {
    "model": "models",
    "plan": "plans",
    "data": "data",
    "optimizer": "optimizers",
    "lr": "lrs",
    "batch_size": "batch_sizes",
    "seeds": "seeds",
}
TOP = ("name", "question", "answer", "references", "patience", "stacking", "grid", "training", "expect", "small")
SMALL = ("grid", "training", "references", "patience", "stacking")
SIZES = ("full", "small")
_TRAINING = tuple(f.name for f in dataclasses.fields(TrainingSettings))
_EXPECT = tuple(f.name for f in dataclasses.fields(Expectation))
CALLED = {  # what others call axes
    "learning_rate": "lr", "learning_rates": "lr", "optim": "optimizer", "dataset": "data", "datasets": "data",
    "batch": "batch_size", "bs": "batch_size",
}  # fmt: skip
LIKE_AN_AXIS = 0.75  # as similar as a variable's name must be to an axis that is missing, to be that axis misspelt


@dataclass(frozen=True)
class StudyFile:
    """A study file: the study at full size, and at the small one where the file has a [small] table.

    Attributes:
        full: as [grid] and [training] say.
        small: with what [small] changes; its name ends in "-small".
        source: the file, or the name of a shipped study.
    """

    full: Study
    small: Study | None
    source: str = ""


def read_study_file(path: str | Path) -> StudyFile:
    """The study in a TOML file.

    Raises:
        FaninValueError, FaninTypeError: it cannot be read, is no TOML, or says something that a study cannot be.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors put a mark before it
    except FileNotFoundError:
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*.toml")], 1)
        hint = f"; did you mean {path.parent / near[0]}?" if near else ""
        raise FaninValueError(f"the study file {path} does not exist{hint}") from None
    except UnicodeDecodeError:
        raise FaninValueError(f"the study file {path} is not text in UTF-8") from None
    except OSError as error:
        raise FaninValueError(f"the study file {path} cannot be read ({error.strerror})") from None
    return parse_study(text, str(path))


def parse_study(text: str, source: str = "the study") -> StudyFile:
    """The study that a TOML text says.

    Args:
        text: keys name, question, answer, references, patience, stacking; tables [grid], [training], [[expect]] and
            [small]. An [[expect]] with size = "full" or "small" is meant for that size alone.
        source: how errors call it.

    Raises:
        FaninValueError, FaninTypeError: it is no TOML, or says something that a study cannot be.

    Example:
        >>> file = parse_study('name = "s"\\n[grid]\\nmodel = "mlp"\\nseeds = 3\\n[small.grid]\\nseeds = 2')
        >>> file.full.seeds, file.small.name, file.small.seeds
        ((0, 1, 2), 's-small', (0, 1))
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FaninValueError(f"{source} is no TOML: {str(error)[:1].lower()}{str(error)[1:]}") from None
    try:
        return _study_file(content, source)
    except (FaninValueError, FaninTypeError) as error:
        raise type(error)(f"{source}: {error}") from error


def _study_file(content: dict[str, Any], source: str) -> StudyFile:
    _known(content, TOP, "the study")
    expectations = content.get("expect", [])
    if not isinstance(expectations, list) or not all(isinstance(e, dict) for e in expectations):
        raise FaninTypeError("expect must be a list of tables; write [[expect]] above each")
    full = _study({**content, "expect": _of_size(expectations, "full")})
    if "small" not in content:
        return StudyFile(full, None, source)
    small = _table(content, "small")
    _known(small, SMALL, "small")
    merged = {**content, **small, "name": f"{content['name']}-small", "expect": _of_size(expectations, "small")}
    for name in ("grid", "training"):
        merged[name] = {**_table(content, name), **_table(small, name, "small.")}
    try:
        return StudyFile(full, _study(merged), source)
    except (FaninValueError, FaninTypeError) as error:
        raise type(error)(f"small: {error}") from error


def _of_size(expectations: Iterable[dict[str, Any]], size: str) -> list[dict[str, Any]]:
    """The expectations that are meant for a size."""
    kept = []
    for number, expectation in enumerate(expectations, 1):
        own = expectation.get("size", size)
        if own not in SIZES:
            raise FaninValueError(f"expect {number}: size={own!r} must be 'full' or 'small'; left out, it is for both")
        if own == size:
            kept.append({name: value for name, value in expectation.items() if name != "size"})
    return kept


def _study(content: Mapping[str, Any]) -> Study:
    if "name" not in content:
        raise FaninValueError('it has no name; write name = "…" at the top')
    grid, training = _table(content, "grid"), _table(content, "training")
    _known(training, _TRAINING, "training")
    fields: dict[str, Any] = {
        name: content[name] for name in ("name", "question", "answer", "references", "patience", "stacking")
        if name in content
    }  # fmt: skip
    if isinstance(fields.get("answer"), str):
        fields["answer"] = fields["answer"].strip()
    fields |= _axes(grid)
    settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in training.items()}
    fields["training"] = TrainingSettings(**settings)
    fields["expectations"] = tuple(_expectation(e, number) for number, e in enumerate(content.get("expect", []), 1))
    return check_study(Study(**fields))


def _axes(grid: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `Study` from [grid]: one value or a list of them on each axis."""
    _check_misspelt(grid)
    if "model" not in grid:
        raise FaninValueError('grid has no model; write model = "mlp(depth=3)", say')
    found: dict[str, Any] = {field: _values(name, grid[name]) for name, field in AXES.items() if name in grid}
    if "seeds" in grid and not isinstance(grid["seeds"], list):
        found["seeds"] = first_seeds(grid["seeds"])
    found["variables"] = {name: _values(name, value) for name, value in grid.items() if name not in AXES}
    if "lr" not in grid and "optimizer" in grid:
        found["lrs"] = learning_rates(t for t in found["optimizers"] if "{" not in t) or Study.lrs
    return found


def _values(name: str, value: Any) -> tuple[Any, ...]:
    values = value if isinstance(value, list) else [value]
    if not values:
        raise FaninValueError(f"grid.{name} has no value; give one, or a list of them")
    for one in values:
        if not isinstance(one, str | int | float | bool):
            raise FaninTypeError(f"grid.{name} holds {one!r}, but must hold text, numbers, or true and false")
        if name not in AXES and isinstance(one, str) and is_number(one):
            raise FaninTypeError(f"grid.{name}={one!r} is a number written as text; write {one} without quotes")
    return tuple(values)


def _check_misspelt(grid: Mapping[str, Any]) -> None:
    """Raises where a variable looks like an axis that is missing, and no text names it."""
    texts = [t for v in grid.values() for t in (v if isinstance(v, list) else [v]) if isinstance(t, str)]
    for name in grid:
        if not re.fullmatch(r"[A-Za-z]\w*", name):
            raise FaninValueError(f"grid.{name} is no name of an axis; use letters, digits and _")
        if name in AXES or any(f"{{{name}}}" in text for text in texts):
            continue
        free = [axis for axis in AXES if axis not in grid]
        meant = [axis for axis in free if axis == CALLED.get(name.lower())]
        if near := meant or difflib.get_close_matches(name, free, 1, LIKE_AN_AXIS):
            raise FaninValueError(
                f"grid has {name!r}, which is neither an axis nor named in a text; did you mean {near[0]!r}?"
            )


def _expectation(content: dict[str, Any], number: int) -> Expectation:
    where = f"expect {number}"
    _known(content, (*_EXPECT, "size"), where)
    for name in ("says", "kind", "plan"):
        if name not in content:
            raise FaninValueError(f"{where} has no {name}")
    return Expectation(**content)


def _known(content: Mapping[str, Any], accepted: Iterable[str], where: str) -> None:
    """Raises for a key that is not accepted, and says the nearest."""
    accepted = tuple(accepted)
    for name in content:
        if name not in accepted:
            close = difflib.get_close_matches(name, accepted, 1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; accepted are {', '.join(accepted)}"
            raise FaninValueError(f"{where} has no key {name!r}{hint}")


def _table(content: Mapping[str, Any], name: str, prefix: str = "") -> dict[str, Any]:
    found = content.get(name, {})
    if not isinstance(found, dict):
        raise FaninTypeError(f"{prefix}{name} must be a table; write [{prefix}{name}] on a line of its own")
    return found
