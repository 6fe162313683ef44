"""Counter-based random bits: Philox4x32-10, addressed by element.

A stream's words come in tiles of 256: word `i` is word `lane` of Philox block `64 tile + j`, where
i = 256 tile + 64 lane + j. So 64 blocks computed side by side, by vector instructions or by the threads of a GPU, give
four rows that are stored as they are. The block's key is the seed, its counter (block number, hash of the name). A
number depends on seed, name and place only: not on the order in which weights are drawn, not on how many are, not on
which part of a weight is asked for. Two names under one seed use disjoint counters, two seeds different permutations;
nothing is mixed, so the seed may stay a traced number in frameworks that compile.

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
LANES, SIDE = 4, 64  # a tile: four lanes of 64 words
TILE_WORDS = LANES * SIDE
PLANE_BIT = 29  # words further down a plane than 2^63 do not exist, so three bits of the counter are free


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


def _rounds(c0: Any, c1: Any, c2: Any, c3: Any, key: tuple[Any, Any]) -> tuple[Any, Any, Any, Any]:
    """The ten rounds on four uint64 arrays that hold 32-bit words; the arrays given are overwritten.

    The key is two words, or two uint64 arrays of them that broadcast with the counters.
    """
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
    """The endless row of 32-bit words that belongs to one seed and one name.

    Attributes:
        plane: 0 … 7, which of eight such rows: plane 1 holds the lower halves of 64-bit words.
    """

    seed: int
    name: str
    plane: int = 0

    def part(self, label: str) -> "Stream":
        """A stream of its own for one part of the weight (no weight's name holds the control character used)."""
        return Stream(self.seed, f"{self.name}\x1f{label}", self.plane)

    @property
    def key(self) -> tuple[int, int]:
        """Philox's key: the seed's lower and upper word."""
        return self.seed & MASK, self.seed >> 32

    @property
    def counter(self) -> tuple[int, int, int]:
        """Words 1 (what is added to the block's upper word), 2 and 3 of every block's counter."""
        name = name_hash(self.name)
        return self.plane << PLANE_BIT, name & MASK, name >> 32

    def range(self, start: int, stop: int) -> Words:
        """Words start … stop - 1, shape (stop - start,)."""
        first, last = start // TILE_WORDS, -(-stop // TILE_WORDS)
        whole = _in_order(self._blocks(np.arange(first * SIDE, last * SIDE, dtype=np.uint64)))
        return whole[start - first * TILE_WORDS : stop - first * TILE_WORDS]

    def at(self, index: NDArray[np.uint64]) -> Words:
        """Words at any places: the shape of `index`."""
        flat = index.reshape(-1)
        blocks = (flat >> np.uint64(8) << np.uint64(6)) | (flat & np.uint64(SIDE - 1))
        lanes = (flat >> np.uint64(6)) & np.uint64(LANES - 1)
        words = self._blocks(blocks)
        return words[lanes.astype(np.intp), np.arange(flat.size)].reshape(index.shape)

    def runs(self, starts: NDArray[np.uint64], length: int) -> Words:
        """`length` words from each start, shape (len(starts), length)."""
        if length < TILE_WORDS // 2:
            return self.at(starts[:, None] + np.arange(length, dtype=np.uint64))
        return np.stack([self.range(int(first), int(first) + length) for first in starts])

    def _blocks(self, block: NDArray[np.uint64]) -> Words:
        """The four words of each block, shape (4, n)."""
        return _blocks(block, self.counter, self.key)


def _blocks(block: NDArray[np.uint64], counter: tuple[int, int, int], key: tuple[Any, Any]) -> Words:
    """The four words of each block, shape (4, …); of a key see `_rounds`."""
    upper, *name = counter
    c2, c3 = (np.full(block.shape, word, dtype=np.uint64) for word in name)
    words = _rounds(block & np.uint64(MASK), (block >> np.uint64(32)) | np.uint64(upper), c2, c3, key)
    return np.stack([word.astype(np.uint32) for word in words])


def _in_order(words: Words) -> Words:
    """Words of whole tiles, shape (4, …, blocks), in the order of the stream, shape (…, words)."""
    lanes, *several, blocks = words.shape
    tiles = np.moveaxis(words.reshape(lanes, *several, blocks // SIDE, SIDE), 0, -2)
    return tiles.reshape(*several, lanes * blocks)


def words_of_seeds(seeds: NDArray[np.uint64], name: str, count: int) -> Words:
    """Words 0 … count - 1 of a name's stream under each of several seeds, shape (seeds, count)."""
    block = np.arange(-(-count // TILE_WORDS) * SIDE, dtype=np.uint64)
    key = (seeds[:, None] & np.uint64(MASK), seeds[:, None] >> np.uint64(32))
    every = np.broadcast_to(block, (len(seeds), len(block)))
    return _in_order(_blocks(every, Stream(0, name).counter, key))[:, :count]
