"""The hash of a tensor: a sum over its numbers, so that any part of it can be hashed alone and in any order.

Number i with the bits v counts as mix(v + key(i)), where key(i) is a random 64-bit word for each place and mix scatters
its bits; the sum is taken twice, of two different mixes, modulo 2^64 each: 128 bits. Places are global, so the sums of
the shards of a tensor add up to the sum of the whole. A hash against mistakes, not against forgery.

Bits are taken as they are: -0.0 is not 0.0, and two NaNs are equal where their bits are.
"""

import functools
import hashlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.plans.parts import Window

Bits = NDArray[Any]
U64 = NDArray[np.uint64]
Sums = tuple[int, int]  # both modulo 2^64
Kernel = Callable[[Bits, U64, int, U64], Sums]

TILE = 1 << 16  # places of one table of keys
MASK = 2**64 - 1
GOLDEN, FIRST, SECOND, THIRD = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93
UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
ROW = 1 << 12  # rows of a window that are at least this long are hashed one by one


def add(a: Sums, b: Sums) -> Sums:
    """The sums of two parts together."""
    return (a[0] + b[0]) & MASK, (a[1] + b[1]) & MASK


def digest(dtype: str, shape: tuple[int, ...], sums: Sums) -> str:
    """The hash of a whole tensor, 32 hexadecimal digits: type and shape are part of it."""
    text = f"fanin 1 {dtype} {'x'.join(map(str, shape))} {sums[0]:016x}{sums[1]:016x}"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def digest_of_all(tensors: dict[str, str]) -> str:
    """The hash of a model from those of its tensors, by name."""
    text = "".join(f"{name}\0{tensors[name]}\n" for name in sorted(tensors))
    return hashlib.blake2b(f"fanin 1\n{text}".encode(), digest_size=16).hexdigest()


def compiled() -> Kernel | None:
    """The sums compiled by numba, where it is installed and can be loaded."""
    try:
        from fanin.fingerprints.numba_sums import row_sums
    except ImportError:  # no numba, or one that does not fit the NumPy that is installed
        return None
    return row_sums


def window_sums(bits: Bits, shape: tuple[int, ...], window: Window, kernel: Kernel | None = None) -> Sums:
    """The sums of one window of a tensor of this shape.

    Args:
        bits: the window's numbers as unsigned integers (two or more of 8 bytes for wider numbers, in an axis of their own).
        shape: of the whole tensor.
        window: one slice an axis, with steps of 1.
        kernel: what `compiled` gives, or None to do it in NumPy.
    """
    if bits.ndim > len(window):
        shape, window = (*shape, bits.shape[-1]), (*window, slice(0, bits.shape[-1]))
    flat = np.ascontiguousarray(bits).reshape(-1)
    if not flat.size:
        return 0, 0
    ranges, sizes = [(s.start, s.stop) for s in window] or [(0, 1)], list(shape) or [1]
    while len(ranges) > 1 and ranges[-1] == (0, sizes[-1]):  # whole trailing axes: rows are longer
        n = sizes.pop()
        ranges.pop()
        ranges[-1], sizes[-1] = (ranges[-1][0] * n, ranges[-1][1] * n), sizes[-1] * n
    length = ranges[-1][1] - ranges[-1][0]
    starts = np.zeros(1, dtype=np.uint64)
    for (low, high), n in zip(ranges[:-1], sizes[:-1], strict=True):
        starts = (starts[:, None] * np.uint64(n) + np.arange(low, high, dtype=np.uint64)).reshape(-1)
    starts = starts * np.uint64(sizes[-1]) + np.uint64(ranges[-1][0])
    if kernel is not None:
        first, second = kernel(flat, starts, length, _table())
        return int(first), int(second)
    total = (0, 0)
    if length >= ROW:
        for k, start in enumerate(starts.tolist()):
            total = add(total, _run(flat[k * length : (k + 1) * length], start))
        return total
    rows = max(1, TILE // length)
    for k in range(0, len(starts), rows):
        places = (starts[k : k + rows, None] + np.arange(length, dtype=np.uint64)).reshape(-1)
        keys = _table()[(places & np.uint64(TILE - 1)).astype(np.intp)] + _scattered(places >> np.uint64(16))
        total = add(total, _sums(flat[k * length : k * length + len(places)], keys))
    return total


def _run(values: Bits, start: int) -> Sums:
    """The sums of numbers that follow each other from place `start`."""
    total, at = (0, 0), 0
    while at < len(values):
        low = (start + at) % TILE
        count = min(TILE - low, len(values) - at)
        keys = _table()[low : low + count] + _key(int((start + at) // TILE))
        total = add(total, _sums(values[at : at + count], keys))
        at += count
    return total


def _sums(values: Bits, keys: U64) -> Sums:
    """The two sums; keys are overwritten."""
    keys += values
    shifted = keys >> np.uint64(32)
    keys ^= shifted
    keys *= np.uint64(FIRST)
    np.right_shift(keys, np.uint64(29), out=shifted)
    keys ^= shifted
    first = int(keys.sum(dtype=np.uint64))
    keys *= np.uint64(SECOND)
    np.right_shift(keys, np.uint64(32), out=shifted)
    keys ^= shifted
    return first, int(keys.sum(dtype=np.uint64))


def _scattered(words: U64) -> U64:
    """splitmix64: a random-looking word for each word."""
    z = words * np.uint64(GOLDEN) + np.uint64(THIRD)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(FIRST)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(SECOND)
    return z ^ (z >> np.uint64(31))


@functools.lru_cache(maxsize=4096)
def _key(tile: int) -> np.uint64:
    return _scattered(np.array([tile], dtype=np.uint64))[0]


@functools.cache
def _table() -> U64:
    return _scattered(np.arange(TILE, dtype=np.uint64) + np.uint64(1 << 63))


def as_bits(values: NDArray[Any]) -> Bits:
    """Numbers of any type as unsigned integers of their size; wider ones than 8 bytes as several, in a last axis."""
    width = values.dtype.itemsize
    if not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    contiguous = np.ascontiguousarray(values).reshape(values.shape)
    if width in UNSIGNED:
        return contiguous.view(UNSIGNED[width])
    return contiguous.reshape(-1).view(np.uint64).reshape(*values.shape, math.ceil(width / 8))
