"""study.json: the definition of a study as it is run, for people and for whoever opens the folder."""

import contextlib
import json
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from fanin.errors import FaninValueError
from fanin.files import write_atomically
from fanin.lab.store.schema import SCHEMA, newer
from fanin.lab.study.records import Study

NAME = "study.json"


def holds_study(folder: Path) -> bool:
    """Whether there is a definition in `folder`, or what may be one; raises `FaninValueError` where nobody may look."""
    with _looked_into(folder):
        return (folder / NAME).exists()


def other_files(folder: Path) -> list[str]:
    """Names of what is in a folder, beside what a driver leaves there that was killed before it had made its study.

    Raises:
        FaninValueError: nobody may look into it.
    """
    with _looked_into(folder):
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return [name for name in names if name not in (NAME, "lock") and not name.startswith(f".{NAME}.")]


@contextlib.contextmanager
def _looked_into(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FaninValueError(f"folder={str(folder)!r} cannot be read ({error.strerror})") from None


def write_study(folder: Path, study: Study) -> None:
    """Writes the definition, whole or not at all."""
    content = {"fanin": metadata.version("fanin"), "schema": SCHEMA, "study": study.to_dict()}
    write_atomically(folder / NAME, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_study(folder: Path) -> Study:
    """The definition in `folder`.

    Raises:
        FaninValueError: there is none, it is of a newer schema, or it is damaged.
    """
    path = folder / NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        schema = content["schema"]
    except (FileNotFoundError, NotADirectoryError):
        raise FaninValueError(
            f"folder={str(folder)!r} holds no study (it has no {NAME}); fanin lab run STUDY --out DIR makes one"
        ) from None
    except OSError as error:
        raise FaninValueError(f"folder={str(folder)!r}: its {NAME} cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError):
        raise FaninValueError(f"folder={str(folder)!r}: its {NAME} is not the definition of a study") from None
    if not isinstance(schema, int) or schema > SCHEMA:
        raise FaninValueError(newer(folder, schema))
    try:
        return Study.from_dict(content.get("study"))
    except FaninValueError as error:
        raise FaninValueError(f"folder={str(folder)!r}: its {NAME} does not fit ({error})") from None
