"""The runs of a study as a table: CSV, parquet, pandas; one row a run."""

import csv
import io
import math
import os
from pathlib import Path
from typing import Any

from fanin.errors import FaninError, FaninValueError
from fanin.files import write_atomically
from fanin.lab.analysis import axes
from fanin.lab.results import StudyResults

AXES = ("model", "plan", "data", "optimizer", "lr", "batch_size", "seed")
FIXED = ("study", "key", *AXES)
STATE = (
    "state", "diverged", "steps", "planned_steps", "reached_at", "reached_seconds", "seconds", "init_seconds", "attempts",
    "stacked", "error", "note", "curve",
)  # fmt: skip
TAKEN = (*FIXED, *STATE)  # a variable of such a name ("steps") has its column as "axis_steps"


def export_rows(results: StudyResults) -> list[dict[str, Any]]:
    """One dictionary a run, all with the same columns in the same order, None where a run has no value.

    The columns: what the run was (axes and variables of contexts and methods), its state, then "test.…" (metrics of the test
    part), "held.…" (of the held-out part) and "summary.…" (figures of the curve).
    """
    inner = {plan: axes.plan_variables(plan, results.study) for plan in {row.config.plan for row in results.rows}}
    variables = dict.fromkeys(
        name for row in results.rows for name in (*row.config.context, *inner[row.config.plan]) if name not in AXES
    )
    column = {name: f"axis_{name}" if name in TAKEN else name for name in variables}
    names = {
        part: dict.fromkeys(name for row in results.rows for name in getattr(row, part))
        for part in ("metrics", "held", "summary")
    }
    rows = []
    for row in results.rows:
        c = row.config
        values = {**inner[c.plan], **c.context}
        cells: dict[str, Any] = {"study": results.study.name, "key": row.key}
        cells |= {name: getattr(c, name) for name in AXES}
        cells |= {column[name]: values.get(name) for name in variables}
        cells |= {name: c.stacked if name == "stacked" else getattr(row, name) for name in STATE}
        for part, prefix in (("metrics", "test"), ("held", "held"), ("summary", "summary")):
            cells |= {f"{prefix}.{name}": getattr(row, part).get(name) for name in names[part]}
        rows.append(cells)
    return rows


def export_csv(results: StudyResults, file: str | os.PathLike[str]) -> Path:
    """Writes one row a run as CSV, whole or not at all; returns the path.

    Numbers have all their digits; NaN and infinity are "nan" and "inf", and a cell without a value is empty.

    Args:
        results: of the study.
        file: to write; replaced where it is there.

    Raises:
        FaninValueError: it cannot be written.
    """
    rows = export_rows(results)
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]) if rows else list(FIXED + STATE), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if value is None else value for name, value in row.items()} for row in rows)
    try:
        return write_atomically(file, out.getvalue())
    except OSError as error:
        raise FaninValueError(f"file={str(file)!r} cannot be written: {error.strerror}") from None


def export_parquet(results: StudyResults, file: str | os.PathLike[str]) -> Path:
    """Writes the same rows as parquet; returns the path.

    Raises:
        FaninError: pyarrow is not installed.
        FaninValueError: it cannot be written.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise FaninError("parquet needs pyarrow: pip install pyarrow, or export CSV") from None
    path = Path(file)
    beside = path.with_name(f".{path.name}.part")  # a reader never sees half a file
    try:
        parquet.write_table(pyarrow.Table.from_pylist(_columns_of_one_type(export_rows(results))), beside)
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise FaninValueError(f"file={str(file)!r} cannot be written: {error.strerror or error}") from None
    return path


def _columns_of_one_type(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows for parquet: an axis that holds words beside numbers or truths ("batch", False) as text."""
    rows = [_typed(row) for row in rows]
    kinds: dict[str, set[type]] = {}
    for row in rows:
        for name, value in row.items():
            if value is not None:
                kinds.setdefault(name, set()).add(float if type(value) is int else type(value))
    mixed = {name for name, found in kinds.items() if len(found) > 1}
    return (
        [{n: str(v) if n in mixed and v is not None else v for n, v in row.items()} for row in rows] if mixed else rows
    )


def _typed(row: dict[str, Any]) -> dict[str, Any]:
    """Numbers of metrics as float, since a column of parquet has one type."""
    return {n: float(v) if "." in n and isinstance(v, int) and not isinstance(v, bool) else v for n, v in row.items()}


def to_pandas(results: StudyResults) -> Any:
    """The same rows as a `pandas.DataFrame`; a missing number is NaN.

    Raises:
        FaninError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise FaninError("to_pandas needs pandas: pip install pandas") from None
    frame = pandas.DataFrame([_typed(row) for row in export_rows(results)])
    for name in frame.columns:
        if "." in name:
            frame[name] = frame[name].astype(float)
    return frame


def read_csv(file: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The rows of an exported CSV: numbers as numbers, empty cells as None; what `export_csv` wrote comes back equal."""
    with open(file, newline="", encoding="utf-8") as stream:
        return [{name: _value(name, text) for name, text in row.items()} for row in csv.DictReader(stream)]


def _value(name: str, text: str) -> Any:
    if text == "":
        return "" if name in ("error", "note", "curve") else None
    if text in ("True", "False"):
        return text == "True"
    if name in ("key", "study", "error", "note", "curve", "state", "plan", "model", "data", "optimizer"):
        return text
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return math.nan if text == "nan" else text
