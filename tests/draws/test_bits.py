"""Philox gives the published words, and a stream gives the same words however it is asked for them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanin.draws.bits import Stream, check_seed, name_hash, philox4x32, words_of_seeds
from fanin.errors import FaninError

# Random123 (D. E. Shaw Research), tests/kat_vectors: counter, key, answer.
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_known_answers(counter: str, key: str, answer: str) -> None:
    k0, k1 = words(key)
    found = philox4x32(np.array(words(counter))[:, None], (k0, k1))
    assert found.dtype == np.uint32
    assert found[:, 0].tolist() == words(answer)


def test_counters_do_not_meet() -> None:
    """Many counters at once give what each gives alone."""
    counters = np.random.default_rng(0).integers(0, 2**32, (4, 50))
    together = philox4x32(counters, (7, 9))
    alone = [philox4x32(counters[:, k : k + 1], (7, 9))[:, 0] for k in range(50)]
    assert np.array_equal(together, np.stack(alone, axis=1))


def test_a_stream_is_philox_of_seed_place_and_name() -> None:
    """The documented layout: key = seed, counter = (block, plane and hash of the name); a tile is 4 lanes of 64 words."""
    seed, name, tile = 0x0123456789ABCDEF, "fc1.weight", 2**35 + 5
    high = name_hash(name)
    for plane in (0, 1):
        words = Stream(seed, name, plane).range(256 * tile, 256 * tile + 256).reshape(4, 64)
        for j in (0, 1, 63):
            block = 64 * tile + j
            counter = [block & 0xFFFFFFFF, block >> 32 | plane << 29, high & 0xFFFFFFFF, high >> 32]
            expected = philox4x32(np.array(counter)[:, None], (seed & 0xFFFFFFFF, seed >> 32))[:, 0]
            assert words[:, j].tolist() == expected.tolist()


@given(st.integers(0, 2**40), st.integers(0, 600))
def test_a_range_is_its_elements(start: int, length: int) -> None:
    stream = Stream(3, "w")
    index = np.arange(start, start + length, dtype=np.uint64)
    assert np.array_equal(stream.range(start, start + length), stream.at(index))


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=5), st.integers(1, 300))
def test_runs_are_their_elements(starts: list[int], length: int) -> None:
    stream = Stream(3, "w")
    first = np.array(starts, dtype=np.uint64)
    index = first[:, None] + np.arange(length, dtype=np.uint64)
    assert np.array_equal(stream.runs(first, length), stream.at(index))


def test_seed_name_and_part_each_make_another_stream() -> None:
    streams = [Stream(0, "a"), Stream(1, "a"), Stream(2**63, "a"), Stream(0, "b"), Stream(0, "a").part("0")]
    drawn = {tuple(stream.range(0, 8).tolist()) for stream in streams}
    assert len(drawn) == len(streams)


def test_numbers_are_for_ever() -> None:
    """Fixed numbers: a plan saved today must give the same weights in every later version, on every machine."""
    assert name_hash("fc1.weight") == 0x2FF720685851010A
    expected = [0x41E7638D, 0x5860F9A0, 0xEB4C1830, 0xD5C3D74F]
    assert Stream(1, "fc1.weight").range(0, 4).tolist() == expected


@pytest.mark.parametrize("bit", range(32))
def test_every_bit_is_fair(bit: int) -> None:
    ones = int(((Stream(11, "w").range(0, 1 << 16) >> np.uint32(bit)) & 1).sum())
    assert abs(ones - (1 << 15)) < 5 * 128  # five standard deviations


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "0", None, True])
def test_a_bad_seed_is_named(seed: object) -> None:
    with pytest.raises(FaninError, match=r"seed=.* must be an integer from 0 to 2\*\*64 - 1"):
        check_seed(seed)


def test_numpy_integers_are_seeds() -> None:
    assert check_seed(np.uint64(2**64 - 1)) == 2**64 - 1


@pytest.mark.parametrize("count", [1, 63, 256, 1000])
def test_the_words_of_several_seeds_are_those_of_their_streams(count: int) -> None:
    seeds = [0, 1, 2**32 + 5, 2**64 - 1]
    together = words_of_seeds(np.array(seeds, dtype=np.uint64), "w", count)
    assert np.array_equal(together, [Stream(seed, "w").range(0, count) for seed in seeds])
