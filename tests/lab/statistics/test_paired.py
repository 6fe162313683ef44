"""Tests of pairs agree with SciPy's, keep their level, and equivalence is a claim of its own."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from fanin.errors import FaninTypeError, FaninValueError
from fanin.lab.statistics import equivalence, hodges_lehmann, paired_t, paired_test
from fanin.lab.statistics.paired import _rank_flip, paired_ps, signed_ranks

scores = st.integers(-1000, 1000).map(lambda n: n / 1000)


@given(st.lists(scores, min_size=2, max_size=12))
def test_paired_t_is_scipys(d: list[float]) -> None:
    if len(set(d)) < 2:
        return
    got, expected = paired_t(d), scipy.stats.ttest_1samp(d, 0)
    assert got.p == pytest.approx(expected.pvalue)
    assert got.statistic == pytest.approx(expected.statistic)


def test_paired_t_of_equal_differences_is_certain() -> None:
    assert paired_t([0.0, 0.0, 0.0]).p == 1
    assert paired_t([0.1, 0.1, 0.1]).p == 0
    assert math.isnan(paired_t([0.1]).p)


@pytest.mark.parametrize("n", [5, 6, 9, 16, 20])
def test_many_samples_at_once_are_tested_as_one_by_one(n: int) -> None:
    d = np.random.default_rng(n).normal(0.4, 1, (20, n)).round(2)
    alone = [paired_test(row).p for row in d]
    assert paired_ps(d) == pytest.approx(alone, nan_ok=True)


@given(st.lists(scores, min_size=7, max_size=9))
def test_an_infinite_difference_counts_by_its_rank(d: list[float]) -> None:
    endless, large = paired_test([*d, math.inf]), paired_test(signed_ranks(np.array([*d, 1e9])))
    assert endless.test == "signed-rank"
    assert endless.p == pytest.approx(large.p)


@given(st.lists(scores, min_size=1, max_size=10))
def test_hodges_lehmann_is_the_median_of_walsh_averages(d: list[float]) -> None:
    averages = [(a + b) / 2 for i, a in enumerate(d) for b in d[i:]]
    got = hodges_lehmann(d)
    assert got.value == pytest.approx(np.median(averages), abs=1e-12)
    assert got.low <= got.value <= got.high


@pytest.mark.parametrize("n", [6, 8, 10])
def test_hodges_lehmanns_interval_holds_what_the_signed_rank_test_does_not_refuse(n: int) -> None:
    d = np.random.default_rng(n).normal(0.3, 1, n)
    got = hodges_lehmann(d)
    for shift in np.linspace(-3, 3, 61):
        p = scipy.stats.wilcoxon(d - shift, method="exact").pvalue
        if p <= 1 - got.level + 1e-9:
            assert not got.low < shift < got.high
        if got.low < shift < got.high:
            assert p > 1 - got.level - 1e-9


@pytest.mark.parametrize("n", [3, 6, 10])
def test_hodges_lehmanns_level_is_what_it_covers(n: int) -> None:
    d = np.random.default_rng(n).normal(0, 1, (2000, n))
    found = [hodges_lehmann(row) for row in d]
    covers = np.mean([e.low <= 0 <= e.high for e in found])
    assert covers == pytest.approx(found[0].level, abs=3 * math.sqrt(0.19 / 2000))
    assert found[0].trusted == (n >= 6)


def test_one_odd_seed_moves_the_mean_and_not_the_typical_difference() -> None:
    d = [0.01, 0.02, 0.015, 0.01, 0.02, 0.9]
    assert np.mean(d) > 0.15
    assert hodges_lehmann(d).value < 0.03


@given(st.lists(scores, min_size=3, max_size=12), st.floats(0.01, 1))
def test_equivalence_is_the_90_percent_interval_inside_the_margin(d: list[float], margin: float) -> None:
    if len(set(d)) < 2:
        return
    got = equivalence(d, margin)
    assert got.equivalent == (-margin <= got.low and got.high <= margin)
    low = scipy.stats.ttest_1samp(d, -margin, alternative="greater").pvalue
    high = scipy.stats.ttest_1samp(d, margin, alternative="less").pvalue
    assert got.p == pytest.approx(max(low, high), abs=1e-9)


def test_no_difference_shown_is_not_equivalence() -> None:
    d = [0.1, -0.12, 0.09, -0.11, 0.1, -0.08]
    assert paired_test(d).p > 0.5
    assert not equivalence(d, 0.05).equivalent


def test_methods_at_the_margin_are_called_equivalent_no_oftener_than_promised() -> None:
    d = np.random.default_rng(0).normal(0.01, 0.01, (2000, 8))
    assert np.mean([equivalence(row, 0.01).equivalent for row in d]) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 2000)


def test_arguments_are_checked() -> None:
    with pytest.raises(FaninValueError, match="margin=0 must be finite and above 0"):
        equivalence([1.0, 2.0], 0)
    with pytest.raises(FaninTypeError, match="margin='small' is a str"):
        equivalence([1.0, 2.0], "small")  # type: ignore[arg-type]
    with pytest.raises(FaninValueError, match="differences has 1 values, but must have at least 2"):
        equivalence([1.0], 0.1)
    with pytest.raises(FaninValueError, match="alpha=1.5 must lie between 0 and 1"):
        equivalence([1.0, 2.0], 0.1, alpha=1.5)


@pytest.mark.parametrize("n", [17, 20, 40])
@pytest.mark.parametrize("wins", range(6))
def test_ties_do_not_make_a_few_wins_a_difference(n: int, wins: int) -> None:
    """All that differs, differs one way: 2 of 2^wins patterns of signs are as far off, whatever the number of ties."""
    d = np.array([0.01 * (i + 1) for i in range(wins)] + [0.0] * (n - wins))
    assert paired_test(d).p == pytest.approx(min(1.0, 2.0 ** (1 - wins)))
    assert paired_ps(d[None])[0] == pytest.approx(paired_test(d).p)


@pytest.mark.parametrize("n", [17, 19, 22, 30, 50])
def test_differences_of_one_size_are_a_sign_test(n: int) -> None:
    for wins in range(n // 2, n + 1):
        d = np.array([0.01] * wins + [-0.01] * (n - wins))
        expected = scipy.stats.binomtest(wins, n).pvalue
        assert paired_test(d).p == pytest.approx(expected)
        assert paired_ps(d[None])[0] == pytest.approx(expected)


@given(st.lists(st.integers(-4, 4), min_size=6, max_size=12))
def test_counting_ways_is_listing_patterns(d: list[int]) -> None:
    ranks = signed_ranks(np.array(d, dtype=float))
    signs = np.array(list(itertools.product((1, -1), repeat=len(d))))
    expected = np.mean(np.abs(signs @ np.abs(ranks)) >= abs(ranks.sum()) - 1e-9)
    assert _rank_flip(ranks) == pytest.approx(expected)
