"""Products of Householder reflectors: orthonormal, Haar distributed, the same whichever part is made and however."""

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fanin.distributions import Distribution
from fanin.draws import compose, householder
from fanin.draws.bits import Stream
from fanin.draws.householder import PANEL, count, orthonormal, place
from fanin.draws.householder_numpy import NumpyOps
from fanin.draws.numpy import NUMPY

STREAM = Stream(3, "w")
SHAPES = [(1, 1), (5, 5), (PANEL, PANEL), (PANEL + 1, PANEL), (3, 2 * PANEL), (130, 200), (400, 390), (900, 40)]


def numpy_fill(law: Distribution, shape: tuple[int, ...], stream: Stream, ranges: Any, out: np.ndarray) -> None:
    compose.fill(law, shape, stream, ranges, out, 32, NUMPY)


def made(
    shape: tuple[int, int],
    dtype: str = "float32",
    blocks: range = range(1),
    rows: Any = None,
    columns: Any = None,
    stream: Stream = STREAM,
) -> np.ndarray:
    """Parts of matrices of this shape; all rows, all columns where nothing is said."""
    rows, columns = (
        np.arange(n) if at is None else np.asarray(at) for n, at in zip(shape, (rows, columns), strict=True)
    )
    return orthonormal(NumpyOps(dtype, numpy_fill), stream, blocks, shape, rows, columns)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("dtype", "error"), [("float32", 1.5e-6), ("float64", 1e-14), ("complex64", 1.5e-6), ("complex128", 1e-14)]
)
def test_the_shorter_side_is_orthonormal(shape: tuple[int, int], dtype: str, error: float) -> None:
    q = made(shape, dtype)[0]
    short = q if shape[0] <= shape[1] else q.T
    assert q.dtype == dtype
    assert abs(short @ short.conj().T - np.eye(min(shape))).max() < error


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("single", "double"), [("float32", "float64"), ("complex64", "complex128")])
def test_float32_is_within_4e_7_of_float64(shape: tuple[int, int], single: str, double: str) -> None:
    assert abs(made(shape, single) - made(shape, double)).max() < 4e-7


@settings(max_examples=60)
@given(st.data(), st.sampled_from(SHAPES), st.sampled_from(["float32", "float64", "complex64"]))
def test_any_rows_and_columns_are_those_of_the_whole(data: Any, shape: tuple[int, int], dtype: str) -> None:
    rows, columns = (
        sorted(data.draw(st.sets(st.integers(0, n - 1), min_size=1, max_size=9)))
        if data.draw(st.booleans())
        else list(range(n))
        for n in shape
    )
    part = made(shape, dtype, rows=rows, columns=columns)[0]
    assert abs(part - made(shape, dtype)[0][np.ix_(rows, columns)]).max() < (1e-13 if dtype == "float64" else 5e-7)


@pytest.mark.parametrize("shape", [(7, 7), (100, 30), (30, 100), (140, 140)])
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_many_at_once_are_each_one_alone(shape: tuple[int, int], dtype: str) -> None:
    together = made(shape, dtype, range(2, 6))
    alone = [made(shape, dtype, range(b, b + 1))[0] for b in range(2, 6)]
    assert abs(together - np.stack(alone)).max() < 3e-7
    assert len({q.tobytes() for q in alone}) == 4


@pytest.mark.parametrize("part", [{"rows": range(0, 300, 2)}, {"columns": range(5, 305)}, {"rows": range(7, 300)}])
@pytest.mark.parametrize("limits", [(1000, 50), (1 << 20, 256)])
@pytest.mark.parametrize("blocks", [range(1), range(1, 4)])
def test_a_strip_may_be_cut(
    part: dict[str, Any], limits: tuple[int, int], blocks: range, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Strips cut to bound memory make the numbers that uncut ones make, however many Gaussians are drawn at once."""
    shape = (310, 310)
    whole = made(shape, blocks=blocks)[:, part.get("rows", slice(None))][:, :, part.get("columns", slice(None))]
    monkeypatch.setattr(householder, "STRIP", limits[0])
    monkeypatch.setattr(householder, "NARROW", limits[1])
    monkeypatch.setattr(householder, "AT_ONCE", 1000)
    assert abs(made(shape, blocks=blocks, **part) - whole).max() < 5e-7


def test_empty_matrices_are_empty() -> None:
    assert made((0, 5)).shape == (1, 0, 5)
    assert made((5, 0)).shape == (1, 5, 0)
    assert made((5, 5), blocks=range(0)).shape == (0, 5, 5)
    assert made((5, 5), rows=[]).shape == (1, 0, 5)


@given(st.integers(1, 400), st.integers(1, 400))
def test_panels_lie_behind_each_other(n: int, m: int) -> None:
    """No word is used by two panels, and none is left over."""
    n, m = max(n, m), min(n, m)
    end = 0
    for k in range(0, m, PANEL):
        assert place(n, k) == end
        end += min(PANEL, m - k) * (n - k)
    assert count(n, m) == end


def test_numbers_are_for_ever() -> None:
    """Fixed numbers: a plan saved today must give the same weights in every later version, on every machine."""
    w = made((3, 3), "float64", stream=Stream(1, "w"))[0]
    x = NumpyOps("float64", numpy_fill).gaussians(Stream(1, "w"), 0, 9).reshape(3, 3)
    first = x[0] / np.linalg.norm(x[0])  # Stewart: the first column is its reflector's Gaussians, normalised
    assert np.allclose(w[:, 0], first)
    assert np.sign(w[:, 2] @ np.cross(w[:, 0], w[:, 1])) == np.sign(np.linalg.det(w))


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("n", [2, 3, 8])
def test_traces_are_haars(n: int, dtype: str) -> None:
    """E|tr Q|² = 1 and E|tr Q²|² = 3 (real, n ≥ 4) or 2 (complex): Diaconis & Shahshahani 1994. QR without signs has others."""
    q = made((n, n), dtype, range(20_000))
    noise = 5 / len(q) ** 0.5
    trace = np.trace(q, axis1=1, axis2=2)
    assert abs(trace.mean()) < noise
    assert (abs(trace) ** 2).mean() == pytest.approx(1, abs=3 * noise)
    if n == 8:
        second = np.trace(q @ q, axis1=1, axis2=2)
        assert (abs(second) ** 2).mean() == pytest.approx(3 if dtype == "float32" else 2, abs=9 * noise)


def test_every_column_is_uniform_on_the_sphere() -> None:
    """An entry of a point uniform on the sphere in n dimensions: its square is Beta(1/2, (n - 1) / 2)."""
    n = 6
    q = made((n, n), "float64", range(5000))
    for i, j in [(0, 0), (0, 5), (5, 0), (3, 2), (5, 5)]:
        assert stats.kstest(q[:, i, j] ** 2, stats.beta(0.5, (n - 1) / 2).cdf).pvalue > 1e-4
        assert abs(np.sign(q[:, i, j]).mean()) < 5 / 5000**0.5


def test_eigenvalues_of_unitary_matrices_are_uniform_and_repel() -> None:
    q = made((4, 4), "complex128", range(4000))
    angles = np.sort(np.angle(np.linalg.eigvals(q)), axis=1)
    assert stats.kstest(angles.ravel(), stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 1e-4
    gaps = np.diff(angles, axis=1).ravel() * 4 / (2 * np.pi)
    assert (gaps < 0.1).mean() < 0.01  # a tenth of the mean gap: 9.5 % if they were independent


def test_large_matrices_have_gaussian_entries_and_fair_determinants() -> None:
    q = made((700, 700))[0]
    assert stats.kstest(q.ravel()[::7] * 700**0.5, "norm").pvalue > 1e-4
    signs = [np.linalg.slogdet(made((70, 70), stream=Stream(seed, "w"))[0])[0] for seed in range(200)]
    assert abs(sum(signs)) < 5 * 200**0.5


def test_threads_do_not_matter() -> None:
    """Up to the order of BLAS's sums."""
    code = (
        "import sys; import numpy as np; from fanin.draws import draw_distribution as d; from fanin.distributions import "
        "Orthogonal; from fanin.slots import Axes; law = Orthogonal(Axes.parse('oi', (500, 600)));"
        "sys.stdout.buffer.write(d(law, (500, 600), seed=0, name='w').tobytes())"
    )
    drawn = []
    for threads in ("1", "2"):
        environment = os.environ | {"OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=environment)
        drawn.append(np.frombuffer(run.stdout, dtype=np.float32))
    assert drawn[0].size == 300_000
    assert abs(drawn[0] - drawn[1]).max() < 5e-7
