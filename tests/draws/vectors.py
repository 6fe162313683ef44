"""The committed test vectors (tools/draw_vectors.py), for the tests of every backend."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from fanin.distributions import Distribution

_FILE = json.loads((Path(__file__).parent / "vectors.json").read_text(encoding="utf-8"))
SEED, NAME = _FILE["seed"], _FILE["name"]
VECTORS: list[dict[str, Any]] = _FILE["vectors"]


def label(vector: dict[str, Any]) -> str:
    """A name for a test's case."""
    law = vector["law"]
    numbers = [str(v) for v in law.values() if isinstance(v, int | float)]
    window = "" if vector["window"] is None else "-window"
    return f"{law['kind']}({','.join(numbers)})-{vector['dtype']}-{vector['bits']}{window}"


def arguments(vector: dict[str, Any]) -> tuple[Distribution, tuple[int, ...], dict[str, Any]]:
    """Law, shape, and what goes by name."""
    window = None if vector["window"] is None else tuple(slice(*part) for part in vector["window"])
    named = {"seed": SEED, "name": NAME, "window": window, "bits": vector["bits"]}
    return Distribution.from_dict(vector["law"]), tuple(vector["shape"]), named


def check(vector: dict[str, Any], values: np.ndarray[Any, Any]) -> None:
    """Assert that numbers, of the vector's dtype, are the vector's."""
    assert values.dtype.name == vector["dtype"]
    flat = np.ascontiguousarray(values).reshape(-1)
    if "near" in vector:
        found = flat[:: max(1, flat.size // 8)].astype(np.float64)
        assert np.abs(found - np.array(vector["near"])).max() <= 1e-6
        return
    raw = flat.view(f"u{flat.itemsize}").astype(f"<u{flat.itemsize}").tobytes()
    assert raw.hex().startswith(vector["first"])
    assert hashlib.blake2b(raw, digest_size=16).hexdigest() == vector["hash"]
