"""numba's kernels draw what NumPy draws, bit for bit: every law, format, window, array and number of threads."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.draws.laws import windows

from fanin.distributions import (
    Bernoulli,
    Distribution,
    Integers,
    Normal,
    NormalBetween,
    Signs,
    TruncatedNormal,
    Uniform,
)
from fanin.draws import draw_distribution, elementwise
from fanin.draws.bits import Stream
from fanin.draws.recipe import recipe
from fanin.draws.threads import set_threads
from fanin.draws.windows import resolve
from fanin.errors import FaninValueError

ml_dtypes = pytest.importorskip("ml_dtypes", reason="NumPy has no bfloat16 of its own")
numba_fill = pytest.importorskip("fanin.draws.numba_fill", reason="needs numba: pip install 'fanin[fast]'")

FORMATS = (np.float32, np.float64, np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2)
CASES = 600  # of each of the properties below

scales = st.sampled_from([0.0, 1.0, 0.02]) | st.floats(1e-8, 1e8)
means = st.sampled_from([0.0, 1.0, -0.5]) | st.floats(-1e5, 1e5)
elementwise_laws = st.one_of(
    st.builds(Normal, scales, means),
    st.builds(Normal, scales),
    st.builds(Uniform, scales, means),
    st.builds(Uniform, scales),
    st.builds(TruncatedNormal, scales, st.floats(1e-3, 9.0), means),
    st.builds(
        lambda s, a, w, m: NormalBetween(s, a, a + w, m), st.floats(0.1, 3), st.floats(-3, 3), st.floats(0.1, 9), means
    ),
    st.builds(Signs, st.floats(-2, 2)),
    st.builds(Bernoulli, st.floats(0, 1), st.floats(-2, 2)),
    st.builds(lambda low, n: Integers(low, low + n), st.integers(-(2**29), 2**29), st.integers(1, 2**28)),
)
formats = st.sampled_from(FORMATS)
seeds = st.integers(0, 2**64 - 1)


@pytest.fixture(autouse=True)
def all_threads() -> Any:
    """What a test sets does not stay."""
    yield
    set_threads(None)


def both(law: Distribution, shape: tuple[int, ...], window: Any, dtype: Any, seed: int, lay: Any = None) -> None:
    """Draw by numba and by NumPy, and compare."""
    ranges, _ = resolve(window, shape)
    try:
        made = recipe(law, double=dtype is np.float64)
    except FaninValueError:  # an interval that is too far out
        assume(False)
        raise
    assert made is not None
    stream = Stream(seed, "w")
    expected = np.full([len(r) for r in ranges], 7.0, dtype=dtype)
    found = expected.copy()
    with np.errstate(over="ignore"):
        elementwise.fill(made, shape, stream, ranges, expected)
        view = found if lay is None else lay(found)
        if numba_fill.fill(made, shape, stream, ranges, view):
            assert view.tobytes() == expected.tobytes()


@settings(max_examples=CASES)
@given(st.data(), elementwise_laws, st.lists(st.integers(0, 60), max_size=3), formats, seeds)
def test_windows(data: Any, law: Distribution, sizes: list[int], dtype: Any, seed: int) -> None:
    """Rectangular, strided, reversed and empty windows of small weights."""
    shape = tuple(sizes)
    both(law, shape, data.draw(windows(shape)), dtype, seed)


@settings(max_examples=CASES)
@given(elementwise_laws, st.integers(0, 2**62), st.integers(0, 3000), formats, seeds)
def test_runs(law: Distribution, start: int, length: int, dtype: Any, seed: int) -> None:
    """Contiguous parts of huge weights, starting and ending anywhere in a tile."""
    both(law, (2**63 - 1,), slice(start, start + length), dtype, seed)


@settings(max_examples=CASES)
@given(elementwise_laws, st.integers(1, 40), st.integers(1, 1500), st.integers(0, 700), formats, seeds)
def test_rows(law: Distribution, rows: int, length: int, before: int, dtype: Any, seed: int) -> None:
    """Column blocks: rows of any length from anywhere, tiles shared or not."""
    both(law, (rows, before + length + 3), (slice(None), slice(before, before + length)), dtype, seed)


@settings(max_examples=CASES // 3)
@given(elementwise_laws, st.integers(1, 50), st.integers(1, 90), st.integers(0, 3), formats)
def test_arrays_of_any_strides(law: Distribution, rows: int, columns: int, kind: int, dtype: Any) -> None:
    lay = [
        lambda a: np.asfortranarray(a),
        lambda a: np.zeros((rows, 2 * columns), a.dtype)[:, ::2],
        lambda a: a[::-1, ::-1],
        lambda a: np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape),  # not aligned
    ][kind]
    both(law, (rows, columns), None, dtype, 3, lay)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("law", [Normal(0.02), TruncatedNormal(1.0, 2.0, 1.0), Uniform(0.5)])
def test_threads_do_not_change_a_bit(law: Distribution, dtype: Any) -> None:
    for shape, window in (((700_001,), slice(77, None)), ((1500, 600), (slice(1, None), slice(20, 580)))):
        drawn = []
        for threads in (1, 2, 3, 8):
            set_threads(threads)
            part = draw_distribution(law, shape, seed=1, name="w", window=window, dtype=dtype)
            made, ranges = recipe(law, double=dtype is np.float64), resolve(window, shape)[0]
            assert made is not None
            found = np.zeros_like(part)
            numba_fill.fill(made, shape, Stream(1, "w"), ranges, found)
            drawn += [part.tobytes(), found.tobytes()]
        assert len(set(drawn)) == 1


@settings(max_examples=CASES // 3)
@given(elementwise_laws, st.lists(st.integers(1, 40), max_size=3), formats, seeds, st.text(max_size=5))
def test_the_short_way_draws_the_same(law: Distribution, sizes: list[int], dtype: Any, seed: int, name: str) -> None:
    """Small whole weights have a way of their own; what it refuses, it leaves alone."""
    out = np.full(sizes, 7.0, dtype=dtype)
    with np.errstate(over="ignore"):
        try:
            expected = draw_distribution(
                law, tuple(sizes), seed=seed, name=name, dtype=dtype
            )  # allocates: the long way
        except FaninValueError:
            return
    taken = numba_fill.fill_whole(law, tuple(sizes), seed, name, 32, out)
    assert out.tobytes() == (expected if taken else np.full(sizes, 7.0, dtype=dtype)).tobytes()


@pytest.mark.parametrize(
    "change",
    [{"seed": -1}, {"seed": 2**64}, {"seed": 1.0}, {"name": b"w"}, {"shape": (3, 4)}, {"shape": [12]}, {"bits": 64}],
)
def test_the_short_way_refuses(change: dict[str, Any]) -> None:
    out = np.zeros(12, np.float32)
    given = {"law": Normal(1.0), "shape": (12,), "seed": 0, "name": "w", "bits": 32, "out": out} | change
    assert not numba_fill.fill_whole(**given)
    out.setflags(write=False)
    assert not numba_fill.fill_whole(Normal(1.0), (12,), 0, "w", 32, out)
    assert not out.any()


def test_every_octave_and_interval_of_the_quantile() -> None:
    """All 4,096 entries of the table are reached by the arithmetic that finds them in float32, at both of their ends."""
    octave, interval = np.meshgrid(np.arange(32, dtype=np.uint64), np.arange(128, dtype=np.uint64), indexing="ij")
    wide = (np.uint64(1) << octave) << np.uint64(7)
    first = (wide + (interval << octave)) >> np.uint64(7)
    last = np.maximum(first, (wide + ((interval + np.uint64(1)) << octave) - np.uint64(1)) >> np.uint64(7))
    for u in (first | np.uint64(1), last | np.uint64(1)):
        u = u[(u >> octave) == 1].astype(np.uint32)
        exact = (u.astype(np.float64).view(np.uint64) >> np.uint64(45)) - np.uint64(1023 << 7)
        cleared = (u & ~(u >> np.uint32(9))).astype(np.float32).view(np.uint32)
        assert np.array_equal((cleared >> np.uint32(16)) - np.uint32(127 << 7), exact)


PROGRAM = """
import sys
import numpy as np
{before}
from fanin.distributions import Normal
from fanin.draws import draw_distribution, numba_kernels, prepare
prepare()
out = np.zeros(1000, np.float32)
draw_distribution(Normal(1.0), (1000,), seed=0, name="w", out=out)
draw_distribution(Normal(1.0), (1000,), seed=0, name="w", window=slice(0, 1000), out=out)
stats = [kernel.stats for kernel in (numba_kernels.fill, numba_kernels.fill_whole)]
print(sum(sum(s.cache_hits.values()) for s in stats), sum(sum(s.cache_misses.values()) for s in stats), out.tobytes().hex()[:64])
"""


def run(before: str = "", **environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before=before)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | environment,
    )
    return done.stdout.split()


@pytest.mark.slow
def test_machine_code_is_kept(tmp_path: Path) -> None:
    """The second process compiles nothing, and one that may write nowhere compiles for itself."""
    first, second = (run(NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2))
    nowhere = run("from numba.core import caching; caching.CacheImpl._locator_classes = []")
    assert (first[:2], second[:2]) == (["0", "2"], ["2", "0"])
    assert first[2] == second[2] == nowhere[2]
    assert nowhere[0] == "0"
