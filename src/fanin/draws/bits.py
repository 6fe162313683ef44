"""Counter-based random bits: Philox4x32-10, addressed by element.

Word `i` of a stream is word `i % 4` of the Philox block whose key is the seed and whose counter is
(i // 4, hash of the name). So a number depends on seed, name and place only: not on the order in which weights are
drawn, not on how many are, not on which part of a weight is asked for. Two names under one seed use disjoint counters,
two seeds different permutations; nothing is mixed, so the seed may stay a traced number in frameworks that compile.

Paper: Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3".
"""

import functools
import hashlib
import operator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.errors import FaninTypeError, FaninValueError

Words = NDArray[np.uint32]

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
MASK = 0xFFFFFFFF


def philox4x32(counter: NDArray[Any], key: tuple[int, int]) -> Words:
    """Philox4x32-10 of many counters under one key.

    Args:
        counter: shape (4, n), words below 2³².
        key: two words below 2³².

    Returns:
        Shape (4, n), uint32.

    Example:
        >>> [f"{w:08x}" for w in philox4x32(np.zeros((4, 1)), (0, 0))[:, 0]]      # Random123's known answer
        ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    c0, c1, c2, c3 = np.array(counter, dtype=np.uint64, ndmin=2)
    return np.stack(_rounds(c0, c1, c2, c3, key)).astype(np.uint32)


def _rounds(c0: Any, c1: Any, c2: Any, c3: Any, key: tuple[int, int]) -> tuple[Any, Any, Any, Any]:
    """The ten rounds on four uint64 arrays that hold 32-bit words; the arrays given are overwritten."""
    k0, k1 = key
    m0, m1 = (np.uint64(m) for m in MULTIPLIERS)
    shift, mask = np.uint64(32), np.uint64(MASK)
    for _ in range(ROUNDS):
        c0 *= m0
        c2 *= m1
        c1 ^= c2 >> shift
        c1 ^= np.uint64(k0)
        c3 ^= c0 >> shift
        c3 ^= np.uint64(k1)
        c0 &= mask
        c2 &= mask
        c0, c1, c2, c3 = c1, c2, c3, c0
        k0, k1 = (k0 + WEYL[0]) & MASK, (k1 + WEYL[1]) & MASK
    return c0, c1, c2, c3


def check_seed(seed: Any) -> int:
    """The seed as an int of 64 bits; raises where it is not one."""
    try:
        number = operator.index(seed)
    except TypeError:
        number = None
    if number is None or isinstance(seed, bool):
        raise FaninTypeError(f"seed={seed!r} cannot be used; seed must be an integer from 0 to 2**64 - 1")
    if not 0 <= number < 2**64:
        raise FaninValueError(f"seed={seed!r} cannot be used; seed must be an integer from 0 to 2**64 - 1")
    return number


@functools.lru_cache(maxsize=65536)
def name_hash(name: str) -> int:
    """64 bits that stand for a name: BLAKE2b of its UTF-8 bytes, read as a little-endian number."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


@dataclass(frozen=True)
class Stream:
    """The endless row of 32-bit words that belongs to one seed and one name."""

    seed: int
    name: str

    def part(self, label: str) -> "Stream":
        """A stream of its own for one part of the weight (no weight's name holds the control character used)."""
        return Stream(self.seed, f"{self.name}\x1f{label}")

    def range(self, start: int, stop: int) -> Words:
        """Words start … stop - 1, shape (stop - start,)."""
        first, last = start // 4, -(-stop // 4)
        words = self._blocks(np.arange(first, last, dtype=np.uint64))
        return words.T.reshape(-1)[start - 4 * first : stop - 4 * first]

    def at(self, index: NDArray[np.uint64]) -> Words:
        """Words at any places: the shape of `index`."""
        flat = index.reshape(-1)
        words = self._blocks(flat >> np.uint64(2))
        return words[(flat & np.uint64(3)).astype(np.intp), np.arange(flat.size)].reshape(index.shape)

    def runs(self, starts: NDArray[np.uint64], length: int) -> Words:
        """`length` words from each start, shape (len(starts), length)."""
        first = starts >> np.uint64(2)
        lane = (starts & np.uint64(3)).astype(np.intp)
        count = -(-(length + 3) // 4)
        blocks = first[:, None] + np.arange(count, dtype=np.uint64)
        words = np.moveaxis(self._blocks(blocks.reshape(-1)).reshape(4, len(starts), count), 0, 2)
        return np.take_along_axis(words.reshape(len(starts), 4 * count), lane[:, None] + np.arange(length), axis=1)

    def _blocks(self, block: NDArray[np.uint64]) -> Words:
        """The four words of each block, shape (4, n)."""
        mask, shift = np.uint64(MASK), np.uint64(32)
        high = name_hash(self.name)
        c2, c3 = (np.full(block.shape, word, dtype=np.uint64) for word in (high & MASK, high >> 32))
        words = _rounds(block & mask, block >> shift, c2, c3, (self.seed & MASK, self.seed >> 32))
        return np.stack([word.astype(np.uint32) for word in words])
