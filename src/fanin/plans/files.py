"""Plans as files: JSON with a format and a version, written whole or not at all, refused when damaged."""

import json
import os
from pathlib import Path
from typing import Any, NoReturn

from fanin.errors import FaninTypeError, FaninValueError
from fanin.files import write_atomically
from fanin.plans.records import Plan

FORMAT = "fanin-plan"
VERSION = 1


def save(plan: Plan, path: str | os.PathLike[str]) -> None:
    """Write the plan to `path` as JSON; raises `FaninValueError` where the file cannot be written."""
    _check_path(path)
    try:
        write_atomically(path, dumps(plan))
    except OSError as error:
        raise FaninValueError(f"{path} cannot be written: {error.strerror}") from None


def load(path: str | os.PathLike[str]) -> Plan:
    """The plan that `save` wrote.

    Raises:
        FaninValueError: there is no such file, it is damaged or cut short, it is no plan, or of another version.
    """
    _check_path(path)
    try:
        text = Path(path).read_bytes().decode("utf-8")
    except OSError as error:
        raise FaninValueError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise FaninValueError(f"{path} is not a plan: it is not text; give a file that plan.save() wrote") from None
    return loads(text, str(path))


def _check_path(path: Any) -> None:
    if not isinstance(path, str | os.PathLike):
        raise FaninTypeError(f"path={path!r} cannot be used; give the name of a file")


def dumps(plan: Plan) -> str:
    """The plan as the text of a file."""
    return (
        json.dumps(
            {"format": FORMAT, "version": VERSION, **plan.to_dict()}, indent=1, ensure_ascii=False, allow_nan=False
        )
        + "\n"
    )


def loads(text: str, where: str = "the plan") -> Plan:
    """The plan from the text of a file; `where` names the file in messages."""
    try:
        data = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        reason = f"{error.msg} at line {error.lineno}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise FaninValueError(f"{where} is damaged or cut short: it is not JSON ({reason})") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise FaninValueError(
            f'{where} is not a plan: it lacks "format": "{FORMAT}"; give a file that plan.save() wrote'
        )
    version = data.get("version")
    if version != VERSION or isinstance(version, bool):
        raise FaninValueError(f"{where} is a plan of version {version!r}, but this fanin reads version {VERSION}")
    try:
        plan = Plan.from_dict({k: v for k, v in data.items() if k not in ("format", "version")})
    except (FaninValueError, RecursionError) as error:
        raise FaninValueError(f"{where} is damaged: {error}") from None
    lacking = [name for name in plan.entries if name not in plan.requires]
    if lacking or len(plan.entries) != len(plan.requires):
        lost = lacking or [name for name in plan.requires if name not in plan.entries]
        raise FaninValueError(
            f"{where} is damaged: entries and requires do not name the same weights ({', '.join(lost)})"
        )
    return plan


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"the number {name}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        twice = sorted({key for key, _ in pairs if [k for k, _ in pairs].count(key) > 1})
        raise ValueError(f"{twice[0]!r} is there twice")
    return data
