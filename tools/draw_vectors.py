"""Makes the test vectors of the draws: tests/draws/vectors.json.

    python tools/draw_vectors.py

Every distribution, number format and width of random words, a window far out in a weight of 2^35 numbers and one with
steps. A vector is the first numbers as hexadecimal bytes (little-endian, as they lie in memory) and BLAKE2b of all of them.
Matrix families are equal to 1e-6 only, so their numbers are given in decimals. The file changes only when the definition
of the numbers does, which breaks every plan that was saved: say so in the changelog.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from fanin.distributions import (
    Bernoulli,
    Built,
    Centred,
    Constant,
    DeltaOrthogonal,
    Distribution,
    Formula,
    Identity,
    Integers,
    Mapped,
    Mirrored,
    Normal,
    NormalBetween,
    Orthogonal,
    Permutations,
    Signs,
    Sparse,
    Stack,
    TruncatedNormal,
    Uniform,
    ZeroRows,
)
from fanin.draws.dtypes import DTYPES
from fanin.draws.numpy import draw_distribution
from fanin.slots import Axes, Pairing

FILE = Path(__file__).parent.parent / "tests" / "draws" / "vectors.json"
SEED, NAME = 0x0123456789ABCDEF, "fc1.weight"
SHAPE = (60, 80)
FAR = (
    (2**20, 2**15 + 3),
    [[2**20 - 40, 2**20, 1], [2**14 + 1, 2**14 + 101, 1]],
)  # shape; start, stop, step of each axis
STEPS = ((70, 50, 9), [[65, 1, -3], [2, 50, 1], [0, 9, 4]])
FIRST = 4

FINE: list[Distribution] = [
    Normal(1.0),
    Normal(0.02, 0.5),
    Uniform(0.125),
    Uniform(0.1, -3.0),
    TruncatedNormal(0.02),
    TruncatedNormal(1.0, 0.7, -1.0),
    NormalBetween(1.0, -0.5, 3.0, 0.25),
]
COARSE: list[Distribution] = [
    NormalBetween(1.0, 4.5, 7.0),  # so little of the Gaussian that words of 64 bits are taken
    Signs(0.3),
    Bernoulli(0.25, 3.0),
    Integers(-5, 11),
    Constant(0.3),
    Permutations(0),
    Permutations(-1),
    Sparse(Normal(0.1, 2.0), 13, 0),
    Stack((Normal(1.0), Constant(2.0), Uniform(1.0)), (20, 8, 32)),
    ZeroRows(Normal(1.0), (0, 59)),
]
HALF = Axes.parse("oi", (30, 80))
MATRICES: list[Distribution] = [
    Orthogonal(Axes.parse("oi", SHAPE), 1.5),
    DeltaOrthogonal(Axes.parse("oi", SHAPE), 1.0, True),
    Identity(Axes.parse("oi", SHAPE), 0.5),
    Mirrored(Orthogonal(HALF), Axes.parse("oi", SHAPE), out=Pairing(60)),
    Centred(Normal(1.0), Axes.parse("oi", SHAPE)),
    # Named functions: NumPy's exp and sin may differ in the last bit between machines.
    Formula("legs_transition"),
    Mapped(Uniform(0.5, 1.0), "natural_log"),
    Built("disjoint_halves", Axes.parse("oi", SHAPE), (0.0,)),
]


def cases() -> list[dict[str, Any]]:
    """What is drawn for each vector: the arguments, as JSON holds them."""
    whole = {"shape": list(SHAPE), "window": None}
    found = [
        {"law": law.to_dict(), "dtype": dtype, "bits": bits, **whole}
        for bits, laws in ((32, [*FINE, *COARSE]), (64, FINE))
        for law in laws
        for dtype in DTYPES
    ]
    for shape, window in (FAR, STEPS):
        found += [
            {"law": law.to_dict(), "dtype": "float32", "bits": bits, "shape": list(shape), "window": window}
            for law in (FINE[0], FINE[2], FINE[4])
            for bits in (32, 64)
        ]
    found += [{"law": law.to_dict(), "dtype": "float32", "bits": 32, **whole} for law in MATRICES]
    return found


def vector(values: np.ndarray[Any, Any], *, exact: bool) -> dict[str, Any]:
    """What is kept of numbers."""
    flat = np.ascontiguousarray(values).reshape(-1)
    if not exact:
        return {"near": [float(x) for x in flat[:: max(1, flat.size // 8)].astype(np.float64)]}
    raw = flat.view(f"u{flat.itemsize}").astype(f"<u{flat.itemsize}").tobytes()
    return {"first": raw[: FIRST * flat.itemsize].hex(), "hash": hashlib.blake2b(raw, digest_size=16).hexdigest()}


def drawn(case: dict[str, Any]) -> np.ndarray[Any, Any]:
    """The numbers of a case, by NumPy."""
    window = None if case["window"] is None else tuple(slice(*part) for part in case["window"])
    return draw_distribution(
        Distribution.from_dict(case["law"]),
        tuple(case["shape"]),
        seed=SEED,
        name=NAME,
        window=window,
        dtype=case["dtype"],
        bits=case["bits"],
    )


if __name__ == "__main__":
    matrices = [law.to_dict() for law in MATRICES]
    lines = [json.dumps(case | vector(drawn(case), exact=case["law"] not in matrices)) for case in cases()]
    text = ",\n".join(lines)
    FILE.write_text(f'{{"seed": {SEED}, "name": "{NAME}", "vectors": [\n{text}\n]}}\n', encoding="utf-8")
    print(f"{len(lines)} vectors, {FILE.stat().st_size} bytes")
