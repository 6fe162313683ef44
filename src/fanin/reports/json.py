"""Reports as JSON: a documented face for programs, and the whole record beside it, so that a report can be read again.

The document, version 1 (numbers that JSON has no word for are the strings "nan", "inf" and "-inf"):

    {"version": 1,
     "target": "model.py:net",
     "ok": false,                                    nothing at or above "warning"
     "findings": [{"code", "slug", "severity",       "error", "warning" or "info"; the most severe first
                   "where": [names],                 of weights or modules, the most telling first
                   "message", "why",                 English sentences
                   "measured": {name: number}, "expected": {name: number},
                   "fix": {"text", "edits": {weight: distribution}}}],
     "slots": [{"name", "names", "shape", "dtype", "role", "op", "module", "depth", "fan_in", "fan_out", "axes",
                "activation", "chain", "residual", "trainable", "std", "mean", "grad_rms"}],
     "signals": [{"op", "kind", "name", "module", "depth", "weights", "shape", "rms", "mean", "std", …}],
     "curves": [{"title", "where", "depth", "measured", "predicted", "low", "high"}],
     "notes": [sentences], "seconds": wall time of the check,
     "fix": {"before": [findings], "left": [findings], "undone": [{"name", "reason"}], "plan": …},     of `fanin fix` alone
     "record": …,                                    the full `Report`, as its records write themselves, but with
     "tables": [[numbers]],                          each custom activation's table once: in the record stands its index
     "digest": "…"}                                  SHA-256 of everything else

Fields may be added under version 1; none is renamed or taken away without a new version.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from fanin.checks.report import Report
from fanin.errors import FaninValueError
from fanin.records import encode
from fanin.reports.files import write_file
from fanin.slots import Slot
from fanin.traces.records import WeightFacts

VERSION = 1


def document(report: Report, fixed: Any = None) -> dict[str, Any]:
    """A report as JSON-ready data (see this module's head for the fields); with `fixed`, of what the fix left."""
    trace = report.trace
    tables: list[list[float]] = []
    record = _without_tables(report.to_dict(), tables, {})
    data: dict[str, Any] = {
        "version": VERSION,
        "target": report.target,
        "ok": report.ok,
        "findings": [f.to_dict() for f in report.findings],
        "slots": [_slot(slot, trace.weights.get(slot.name)) for slot in trace.slots],
        "signals": [
            {
                "op": op.index,
                "kind": op.kind,
                "name": op.name,
                "module": op.module,
                "depth": op.depth,
                "weights": list(op.weights),
                "shape": list(op.shape),
                **op.signal.to_dict(),
            }
            for op in trace.ops
            if op.signal is not None
        ],
        "curves": [curve.to_dict() for curve in report.curves],
        "notes": list(trace.notes),
        "seconds": report.seconds,
        "record": record,
        "tables": tables,
    }
    if fixed is not None:
        data["fix"] = {
            "before": [f.to_dict() for f in fixed.before.findings],
            "left": [f.to_dict() for f in fixed.left],
            "undone": [{"name": name, "reason": reason} for name, reason in fixed.undone],
            "plan": fixed.plan.to_dict(),
        }
    return {**data, "digest": _digest(data)}


def dumps(report: Report, fixed: Any = None) -> str:
    """A report as JSON text, one line, in the fields that this module's head documents."""
    return json.dumps(document(report, fixed), allow_nan=False, separators=(",", ":"))


def loads(text: str | bytes) -> Report:
    """The report that `dumps` wrote.

    Raises:
        FaninValueError: the text is no JSON, no report, of another version, cut off or changed; nothing is half-read.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise FaninValueError(f"the report is damaged: it is not JSON ({error})") from None
    if not isinstance(data, dict) or "version" not in data or "findings" not in data:
        raise FaninValueError("the report is not one of fanin's: it has no version and findings")
    if data["version"] != VERSION:
        raise FaninValueError(f"the report has version {data['version']!r}, but this fanin reads version {VERSION}")
    if data.get("digest") != _digest({k: v for k, v in data.items() if k != "digest"}):
        raise FaninValueError(
            "the report is damaged: its contents do not fit its digest; write it again with --format json"
        )
    return Report.from_dict(_with_tables(data.get("record"), data.get("tables", [])))


def save(report: Report, path: str | Path) -> Path:
    """Writes a report to a JSON file, whole or not at all."""
    return write_file(path, dumps(report) + "\n")


def load(path: str | Path) -> Report:
    """The report in a JSON file; raises `FaninValueError` where it is missing or damaged."""
    try:
        return loads(Path(path).read_bytes())
    except OSError as error:
        raise FaninValueError(f"{path} cannot be read: {error.strerror}") from None
    except FaninValueError as error:
        raise FaninValueError(f"{path}: {error}") from None


def _slot(slot: Slot, facts: WeightFacts | None) -> dict[str, Any]:
    return {
        "name": slot.name,
        "names": list(slot.names or (slot.name,)),
        "shape": list(slot.shape),
        "dtype": slot.dtype,
        "role": slot.role,
        "op": slot.op,
        "module": slot.module,
        "depth": slot.depth,
        "fan_in": slot.axes.fan_in if slot.axes else None,
        "fan_out": slot.axes.fan_out if slot.axes else None,
        "axes": slot.axes.spec if slot.axes else None,
        "activation": str(slot.activation) if slot.activation else None,
        "chain": {"id": slot.chain.id, "position": slot.chain.position, "length": slot.chain.length}
        if slot.chain
        else None,
        "residual": encode(slot.residual),
        "trainable": slot.trainable,
        "std": encode(facts.std) if facts else None,
        "mean": encode(facts.mean) if facts else None,
        "grad_rms": encode(facts.grad_rms) if facts else None,
    }


def _without_tables(data: Any, tables: list[list[float]], known: dict[tuple[float, ...], int]) -> Any:
    """The same data with the index into `tables` in place of each custom activation's table (1201 numbers)."""
    if isinstance(data, dict):
        rest = {k: _without_tables(v, tables, known) for k, v in data.items() if k != "table"}
        if isinstance(data.get("table"), list):
            key = tuple(data["table"])
            if key not in known:
                known[key] = len(tables)
                tables.append(data["table"])
            return rest | {"table": known[key]}
        return rest | ({"table": data["table"]} if "table" in data else {})
    return [_without_tables(v, tables, known) for v in data] if isinstance(data, list) else data


def _with_tables(data: Any, tables: list[list[float]]) -> Any:
    """What `_without_tables` was given."""
    if isinstance(data, dict):
        whole = {k: _with_tables(v, tables) for k, v in data.items()}
        if type(index := data.get("table")) is int and 0 <= index < len(tables):
            whole["table"] = tables[index]
        return whole
    return [_with_tables(v, tables) for v in data] if isinstance(data, list) else data


def _digest(data: dict[str, Any]) -> str:
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
