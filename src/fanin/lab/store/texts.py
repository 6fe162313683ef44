"""Rows as the database holds them: text with a checksum."""

import json
import math
import zlib
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

from fanin.lab.store.curves import Extent
from fanin.lab.study.records import RunConfig
from fanin.lab.study.rows import RunRow
from fanin.records import encode

_FIELDS = tuple(field.name for field in fields(RunRow) if field.name != "config")
LOST = "its row in the store is damaged; the run is done again when the study is resumed"


def config_text(config: RunConfig) -> str:
    """A config as one line of JSON."""
    return _line(config.to_dict())


def row_text(row: RunRow) -> str:
    """A row as one line of JSON, without its config, which has a column of its own."""
    return _line({name: encode(getattr(row, name)) for name in _FIELDS})


def checksum(key: str, config: str, row: str, extent: Extent) -> int:
    """CRC-32 of all that a finished run's row says."""
    return zlib.crc32("\n".join((key, config, row, str(extent.length), str(extent.crc))).encode())


def config_of(text: str) -> RunConfig:
    """The config that `config_text` wrote."""
    return RunConfig.from_dict(json.loads(text))


def row_of(key: str, config: str, row: str, extent: Extent, crc: int, attempts: int) -> RunRow:
    """The row that was committed; a pending one, with a note, where it is not what was committed."""
    if row and checksum(key, config, row, extent) == crc:
        return RunRow.from_dict({**json.loads(row), "config": json.loads(config)})
    return replace(RunRow(key, config_of(config), attempts=attempts), note=LOST if row else "")


def metrics_of(row: RunRow) -> Iterator[tuple[str, str, str, float | None]]:
    """The lines of the table `metrics`; what is no number is NULL there."""
    for part, values in (("test", row.metrics), ("held", row.held), ("summary", row.summary)):
        for name, value in values.items():
            yield row.key, part, name, value if math.isfinite(value) else None


def _line(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
