"""The integer quantile: how far it is from Φ⁻¹, everywhere, and that it is symmetric and grows."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special, stats

from fanin.draws import quantile
from fanin.draws.bits import Stream

TOOL = Path(__file__).parents[2] / "tools" / "quantile_tables.py"
ENDS = np.array([0, 1, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1], dtype=np.uint32)
STATED_ERROR = 8e-9  # in draws/quantile.py


def test_the_ends_are_finite_and_symmetric() -> None:
    z = quantile.normal(ENDS)
    assert np.array_equal(z, -z[::-1])
    assert 6.33 < z[-1] < 6.34
    assert abs(z[2:4]).max() <= 2.0**-quantile.UNIT32


def test_the_error_is_what_is_stated() -> None:
    """In all 4096 intervals of the table: their ends, and a thousand random places in each."""
    starts = np.array([(128 + sub) << octave for octave in range(32) for sub in range(128)], dtype=np.uint64)
    width = np.array([1 << octave for octave in range(32) for _ in range(128)], dtype=np.uint64)
    inside = np.random.default_rng(0).integers(0, 2**63, (len(starts), 1000), dtype=np.uint64) % width[:, None]
    u = np.concatenate([starts[:, None] + inside, starts[:, None], (starts + width - np.uint64(1))[:, None]], axis=1)
    index = (u >> np.uint64(8)).astype(np.uint32)  # u = 2 t + 1 at octave 31, and its leading bits below
    z = quantile.normal(index)
    assert abs(z - special.ndtri((index + 0.5) / 2**32)).max() < STATED_ERROR


@pytest.mark.slow
def test_the_error_is_what_is_stated_at_every_index_of_the_tail() -> None:
    for first in range(0, 2**26, 2**22):  # beyond 2.2 deviations, where an error weighs most
        index = np.arange(first, first + 2**22, dtype=np.uint32)
        assert abs(quantile.normal(index) - special.ndtri((index + 0.5) / 2**32)).max() < STATED_ERROR


@given(st.integers(0, 2**32 - 1))
def test_an_index_and_its_mirror_image_are_opposite(index: int) -> None:
    pair = np.array([index, 2**32 - 1 - index], dtype=np.uint32)
    assert quantile.normal_index(pair).sum() == 0


@given(st.lists(st.integers(0, 2**32 - 1), min_size=2, max_size=50))
def test_it_grows(indices: list[int]) -> None:
    z = quantile.normal_index(np.array(sorted(indices), dtype=np.uint32)).astype(np.int64)
    assert (np.diff(z) >= -4).all()  # two neighbouring intervals may differ by their rounding


@given(st.integers(0, 2**64 - 1))
def test_the_wide_quantile_inverts_the_distribution(index: int) -> None:
    mpmath = pytest.importorskip("mpmath", reason="mpmath has Φ to more digits than float64")
    with mpmath.workprec(160):
        z = int(quantile.normal_index64(np.array([index], dtype=np.uint64))[0])
        share = mpmath.ncdf(mpmath.mpf(z) / 2**quantile.UNIT64)
        density = mpmath.npdf(mpmath.mpf(z) / 2**quantile.UNIT64)
        assert abs(share - (mpmath.mpf(index) + 0.5) / 2**64) < density * mpmath.mpf("1e-16")


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_the_upper_half_of_a_product(a: int, b: int) -> None:
    found = quantile.multiply_high(np.array([a], dtype=np.uint64), np.array([b], dtype=np.uint64))
    assert int(found[0]) == a * b >> 64


@pytest.mark.parametrize("entry", [0, 129, 1000, 2048, 3000, 4095])
def test_the_committed_table_is_the_generated_one(entry: int) -> None:
    pytest.importorskip("mpmath", reason="the generator needs mpmath")
    spec = importlib.util.spec_from_file_location("quantile_tables", TOOL)
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    with tool.mpmath.workprec(120):
        assert tool.entry32(entry // 128, entry % 128) == int(quantile.table("normal32")[entry])
        row = entry // 2
        assert tool.row64(row // 32, row % 32) == quantile.table("normal64")[row].tolist()


def test_normal_is_normal() -> None:
    assert stats.kstest(quantile.normal(Stream(0, "w").range(0, 200_000)), "norm").pvalue > 1e-3


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("z", [-9.0, -2.0, -1e-3, 0.0, 0.7, 2.0, 6.0, 9.0])
def test_a_cell_is_the_first_at_or_above(z: float, bits: int) -> None:
    index = quantile.cell(z, bits)
    mid = [(k + 0.5) / 2**bits for k in (index - 1, index)]
    share = special.ndtr(z) if z <= 0 else 1 - special.ndtr(-z)
    slack = 1e-15
    assert mid[0] < share + slack
    assert mid[1] >= share - slack


@pytest.mark.parametrize("cut", [1e-4, 0.0999, 0.1001, 0.5, 2.0, 5.0, 60.0])
def test_truncated_std_is_the_integral(cut: float) -> None:
    edge = min(cut, 12.0)
    mass = integrate.quad(stats.norm.pdf, -edge, edge, epsabs=0)[0]
    moment = integrate.quad(lambda x: x * x * stats.norm.pdf(x), -edge, edge, epsabs=0)[0]
    assert quantile.truncated_std(cut) == pytest.approx((moment / mass) ** 0.5, rel=1e-9)
