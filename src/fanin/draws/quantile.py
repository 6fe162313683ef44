"""The normal quantile in integers: from a random index to z in fixed point, the same bits on every machine.

An index c of 32 bits stands for the middle of its cell, Φ(z) = (c + ½) / 2³², so z is finite, grows with c, and the
distribution is exactly symmetric. With the sign taken off, the odd number u = 2 t + 1 is 2³³ times the tail's
probability. Its leading one is the octave, the next seven bits are the interval of the octave, the bits below are a
fraction x of the interval; in it z = c0 - x (c1 - x c2), from a table (tools/quantile_tables.py). Only multiplications of
32-bit numbers, shifts and one read are used, so that every framework can do it. z is within 8e-9 of the quantile.

Indices of 64 bits have a table of their own, of degree 7 (error below 1e-16).
"""

import functools
import math
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.draws.bits import MASK, Words

UNIT32 = 28  # z is a multiple of 2^-28
REACH = 6.34  # no z of 32 bits lies further out
UNIT64 = 59  # of 2^-59; the largest is 9.1
SUBS64 = 5  # bits of the interval within an octave


@functools.cache
def table(name: str) -> NDArray[np.uint64]:
    """A committed table, read-only: normal32 of shape (4096,), normal64 of shape (2048, 8)."""
    with resources.files("fanin.draws").joinpath("tables", f"{name}.npy").open("rb") as file:
        entries = np.load(file)
    entries.setflags(write=False)
    return entries


def normal_index(index: Words) -> NDArray[np.int32]:
    """z in units of 2^-28 of 32-bit indices, shape (n,). In place where it can: memory is what limits it."""
    flip = (index.view(np.int32) >> 31).view(np.uint32)  # all ones in the upper half
    u = index ^ flip
    u <<= np.uint32(1)
    u |= np.uint32(1)
    place = u.astype(np.float64).view(np.uint64)  # exact: exponent = octave, mantissa = interval and fraction
    entry = table("normal32").take(((place >> np.uint64(45)) - np.uint64(1023 << 7)).view(np.int64))
    place >>= np.uint64(13)
    place &= np.uint64(MASK)
    slope = entry >> np.uint64(52)
    slope *= place
    slope >>= np.uint64(21)
    np.subtract(entry >> np.uint64(20), slope, out=slope)
    slope &= np.uint64(MASK)
    slope *= place
    slope >>= np.uint64(43)
    entry -= slope
    z = entry.astype(np.uint32)
    z &= np.uint32(0x7FFFFFFF)
    np.invert(flip, out=flip)
    z ^= flip
    z -= flip
    return z.view(np.int32)


def normal_index64(index: NDArray[np.uint64]) -> NDArray[np.int64]:
    """z in units of 2^-59 of 64-bit indices, any shape."""
    upper = index >> np.uint64(63)
    u = np.where(upper, ~index, index) << np.uint64(1) | np.uint64(1)
    zeros = _leading_zeros(u)
    level = u << zeros
    row = ((np.uint64(63) - zeros) << np.uint64(SUBS64)) | (level >> np.uint64(63 - SUBS64)) & np.uint64(2**SUBS64 - 1)
    x = level << np.uint64(1 + SUBS64)
    c = table("normal64")[row.astype(np.intp)]
    z = c[..., 7]
    for k in range(6, -1, -1):
        z = c[..., k] - multiply_high(z, x)
    z = z.astype(np.int64)
    return np.where(upper, z, -z)


def multiply_high(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The upper 64 bits of products of 64-bit numbers."""
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    a0, a1, b0, b1 = a & low, a >> half, b & low, b >> half
    cross = a1 * b0 + (a0 * b0 >> half)
    return a1 * b1 + (cross >> half) + (a0 * b1 + (cross & low) >> half)


def _leading_zeros(u: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Of numbers that are not zero. A conversion of 64 bits would round up: the upper half alone is exact."""
    halves = (u >> np.uint64(32), u)
    exponent = [h.astype(np.float64).view(np.uint64) >> np.uint64(52) for h in (halves[0], u & np.uint64(0xFFFFFFFF))]
    bias = np.uint64(1023)
    return np.where(halves[0] > 0, np.uint64(31) + bias - exponent[0], np.uint64(63) + bias - exponent[1])


def normal(words: Words) -> NDArray[np.float64]:
    """z ~ N(0, 1) as float64, one 32-bit word a number."""
    return normal_index(words) * np.float64(2.0**-UNIT32)


def truncated_std(cut: float) -> float:
    """The standard deviation of N(0, 1) given |z| ≤ cut: sqrt(1 - 2 c φ(c) / (2 Φ(c) - 1)).

    Example:
        >>> round(truncated_std(2.0), 4)
        0.8796
    """
    c = float(cut)
    if c < 0.1:  # the closed form cancels here: the first four terms of both integrals
        above = c**2 * (1 / 3 - c**2 / 10 + c**4 / 56 - c**6 / 432)
        return math.sqrt(above / (1 - c**2 / 6 + c**4 / 40 - c**6 / 336))
    density = math.exp(-0.5 * c * c) / math.sqrt(2 * math.pi)
    return math.sqrt(1 - 2 * c * density / math.erf(c / math.sqrt(2)))


@functools.lru_cache(maxsize=256)
def moments_between(low: float, high: float) -> tuple[float, float]:
    """The mean and the standard deviation of N(0, 1) given low < z < high, by quadrature.

    The closed form loses its digits in narrow and far intervals; here they are where the density is.

    Example:
        >>> [round(moment, 4) for moment in moments_between(-2.0, 2.0)]
        [0.0, 0.8796]
        >>> [round(moment, 4) for moment in moments_between(0.0, math.inf)]      # √(2/π), √(1 - 2/π)
        [0.7979, 0.6028]
    """
    near = min(max(0.0, low), high)  # where the density is largest
    reach = min(9.0, 40.0 / max(abs(near), 1.0))  # beyond it is less than 1e-17 of that
    a, b = max(low, near - reach), min(high, near + reach)
    nodes, weights = np.polynomial.legendre.leggauss(200)
    z = 0.5 * (b - a) * nodes + 0.5 * (a + b)
    share = weights * np.exp(-0.5 * (z - near) * (z + near))
    share /= share.sum()
    mean = float(share @ (z - near))
    spread = float(share @ (z - near - mean) ** 2)
    return 0.0 if low == -high else near + mean, math.sqrt(spread)


def cell(z: float, bits: int) -> Any:
    """How many cells of the index lie wholly below z: the first index whose middle is at or above z."""
    if z <= 0:
        return math.ceil(math.ldexp(0.5 * math.erfc(-z / math.sqrt(2)), bits) - 0.5)
    return 2**bits - math.floor(math.ldexp(0.5 * math.erfc(z / math.sqrt(2)), bits) + 0.5)
