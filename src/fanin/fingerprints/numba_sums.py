"""The sums of `hashing`, compiled by numba: the same words, ten times as fast."""

from typing import Any

import numpy as np
from numba import njit

from fanin.draws.numba_cache import kept
from fanin.fingerprints.hashing import FIRST, GOLDEN, SECOND, THIRD, TILE

U = np.uint64


@njit(inline="always")
def _scattered(word: Any) -> Any:
    z = word * U(GOLDEN) + U(THIRD)
    z = (z ^ (z >> U(30))) * U(FIRST)
    z = (z ^ (z >> U(27))) * U(SECOND)
    return z ^ (z >> U(31))


@kept(nogil=True)
def row_sums(values: Any, starts: Any, length: Any, table: Any) -> Any:
    """The two sums over rows of this length that lie one behind the other in `values`, and start at these places."""
    first, second = U(0), U(0)
    for row in range(len(starts)):
        done = 0
        while done < length:
            place = starts[row] + U(done)
            low = int(place & U(TILE - 1))
            count = min(TILE - low, length - done)
            key = _scattered(place >> U(16))
            begin = row * length + done
            for k in range(count):
                h = U(values[begin + k]) + (table[low + k] + key)
                h ^= h >> U(32)
                h *= U(FIRST)
                h ^= h >> U(29)
                first += h
                h *= U(SECOND)
                second += h ^ (h >> U(32))
            done += count
    return first, second
