"""The append-only files of curve points, one an attempt at a run: a line of JSON a point."""

import json
import math
import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

from fanin.errors import FaninValueError
from fanin.lab.study.rows import CurvePoint


def read_curve(path: Path, length: int | None = None) -> tuple[CurvePoint, ...]:
    """The points of a file, or of its first `length` bytes; a last line that is still being written is left out.

    Returns:
        () where there is no such file, or none that can be read.
    """
    try:
        with open(path, "rb") as file:
            content = file.read() if length is None else file.read(length)
    except OSError:
        return ()
    points = []
    for line in content.split(b"\n")[:-1]:  # what stands behind the last line's end is no whole line
        try:
            points.append(CurvePoint.from_dict(json.loads(line)))
        except (ValueError, FaninValueError):
            break  # what stands behind damage is not believed either
    return tuple(points)


def lines_of(points: Iterable[CurvePoint]) -> bytes:
    """The lines of these points."""
    return "".join(map(_line, points)).encode()


def _line(point: CurvePoint) -> str:
    values = tuple(vars(point).values())
    if _KINDS.issuperset(map(type, values)) and math.isfinite(sum(values)):  # `json` writes the same in twice the time
        return _FINITE % values
    return json.dumps(point.to_dict()) + "\n"


_KINDS = frozenset({int, float})
_FINITE = "{" + ", ".join(f'"{field.name}": %r' for field in fields(CurvePoint)) + "}\n"


@dataclass(frozen=True)
class Extent:
    """How much of a file counts, and what it must be.

    Attributes:
        length: in bytes.
        crc: of these bytes (CRC-32).
    """

    length: int = 0
    crc: int = 0


def settle(path: Path) -> Extent:
    """Brings a file that a worker is done with to the disk, and says what it holds.

    Raises:
        OSError: it is not there, or the disk cannot take it.
    """
    with open(path, "r+b") as file:  # Windows brings only a file that may be written to the disk
        os.fsync(file.fileno())
        content = file.read()
    return Extent(len(content), zlib.crc32(content))


def settle_folder(folder: Path) -> None:
    """Brings the names of a folder's new files to the disk."""
    if os.name == "nt":  # has no such call, and needs none
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def is_whole(path: Path, extent: Extent) -> bool:
    """Whether the file still holds what was committed."""
    try:
        with open(path, "rb") as file:
            content = file.read(extent.length)
    except OSError:
        return False
    return len(content) == extent.length and zlib.crc32(content) == extent.crc
