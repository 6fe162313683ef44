"""Makes the tables of the integer quantile: src/fanin/draws/tables/{normal32,normal64}.npy.

    python tools/quantile_tables.py        (needs mpmath; about a minute)

A tail index u (odd, 32 or 64 bits) stands for the probability p = u / 2^(bits + 1) of the upper half of a Gaussian. Its
leading one says the octave, the bits below it the sub-interval, the rest is a fraction x of it. Within a sub-interval

    z(x) = c0 - x (c1 - x (c2 - ...)),        every c ≥ 0, because the derivatives of z(p) alternate in sign,

is fitted at Chebyshev nodes, which is within a few per cent of the best polynomial, and rounded to the fixed point.

- normal32: 32 octaves x 128 intervals, quadratic, unit 2^-28. One 64-bit word an entry, so that a draw reads memory once:
  c2 in bits 52 ... 63, c1 in bits 31 ... 51, c0 in bits 0 ... 30. The evaluation reads c1 with the eleven top bits of c0
  below it as if they were its fraction (that saves a mask), so c1 is fitted with them there.
- normal64: 64 octaves x 32 intervals, degree 7, unit 2^-59, eight 64-bit words an entry.
"""

from pathlib import Path

import mpmath
import numpy as np
from mpmath import mp, mpf

FOLDER = Path(__file__).parent.parent / "src" / "fanin" / "draws" / "tables"


def upper_quantile(p: mpf) -> mpf:
    """z with P(Z > z) = p, for 0 < p ≤ 1/2."""
    z = mpmath.sqrt(2) * mpmath.erfinv(1 - 2 * p) if p > mpf("1e-3") else mpmath.sqrt(-2 * mpmath.log(p))
    for _ in range(60):  # Newton on the logarithm of the tail, which is nearly a parabola
        tail = mpmath.erfc(z / mpmath.sqrt(2)) / 2
        step = mpmath.log(tail / p) * tail * mpmath.sqrt(2 * mpmath.pi) * mpmath.exp(z * z / 2)
        z += step
        if abs(step) < mpf(2) ** -90:
            return z
    raise RuntimeError(f"no convergence at p = {p}")


def interval(bits: int, octave: int, sub: int, subs: int, nodes: list[mpf]) -> list[mpf]:
    """z at the nodes (fractions of the interval)."""
    return [upper_quantile(mpf(2) ** (octave - bits - 1) * (1 + (sub + x) / subs)) for x in nodes]


def chebyshev(count: int) -> list[mpf]:
    return [(1 + mpmath.cos((2 * k + 1) * mp.pi / (2 * count))) / 2 for k in range(count)]


def fit(nodes: list[mpf], values: list[mpf]) -> list[mpf]:
    """Coefficients, lowest first, of the polynomial through the points."""
    matrix = mpmath.matrix([[x**k for k in range(len(nodes))] for x in nodes])
    return list(mpmath.lu_solve(matrix, mpmath.matrix(values)))


def entry32(octave: int, sub: int) -> int:
    """One entry of normal32."""
    unit, nodes, fine = mpf(2) ** 28, chebyshev(3), [mpf(k) / 16 for k in range(17)]
    z = [v * unit for v in interval(32, octave, sub, 128, nodes)]
    c2 = int(mpmath.nint(fit(nodes, z)[2]))
    return _best_pair(c2, fine, [v * unit for v in interval(32, octave, sub, 128, fine)])


def _best_pair(c2: int, fine: list[mpf], wanted: list[mpf]) -> int:
    """The entry whose evaluation in integers, rounding included, strays least from the quantile."""
    rest = [float(w - c2 * x * x) for x, w in zip(fine, wanted, strict=True)]
    slope, top = np.polyfit([float(x) for x in fine], rest, 1)
    fractions = [min(int(x * 2**32), 2**32 - 1) for x in fine]
    best = None
    for c0 in range(int(top) - 2, int(top) + 2):
        for c1 in range(int(-slope) - 2, int(-slope) + 2):
            word = (c2 << 52) | (c1 << 31) | c0
            worst = max(abs(evaluate32(word, x) - float(w)) for x, w in zip(fractions, wanted, strict=True))
            if best is None or worst < best[0]:
                best = (worst, word)
    assert best is not None
    assert best[1] < 2**64
    return best[1]


def evaluate32(word: int, x: int) -> int:
    """What a draw computes of an entry and a fraction x / 2^32; z in units of 2^-28."""
    a = ((word >> 20) - (((word >> 52) * x) >> 21)) & 0xFFFFFFFF
    return (word - ((a * x) >> 43)) & 0x7FFFFFFF


def row64(octave: int, sub: int) -> list[int]:
    """One row of normal64."""
    unit, nodes = mpf(2) ** 59, chebyshev(8)
    c = fit(nodes, [v * unit for v in interval(64, octave, sub, 32, nodes)])
    row = [int(mpmath.nint(v)) * (-1) ** k for k, v in enumerate(c)]
    assert all(0 <= v < 2**63 for v in row)
    return row


if __name__ == "__main__":
    mp.prec = 120
    FOLDER.mkdir(exist_ok=True)
    entries = [entry32(octave, sub) for octave in range(32) for sub in range(128)]
    np.save(FOLDER / "normal32.npy", np.array(entries, dtype=np.uint64))
    rows = [row64(octave, sub) for octave in range(64) for sub in range(32)]
    np.save(FOLDER / "normal64.npy", np.array(rows, dtype=np.uint64))
