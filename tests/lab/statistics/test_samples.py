"""Two methods without shared seeds: SciPy's numbers, and levels that hold."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from fanin.errors import FaninValueError
from fanin.lab.statistics import permutation_test, unpaired_verdict, welch_interval, welch_test

samples = st.lists(st.integers(0, 1000).map(lambda n: n / 1000), min_size=2, max_size=6)


@given(samples, samples)
def test_welch_is_scipys(a: list[float], b: list[float]) -> None:
    if len(set(a)) < 2 or len(set(b)) < 2:
        return
    got, expected = welch_test(a, b), scipy.stats.ttest_ind(a, b, equal_var=False)
    assert got.p == pytest.approx(expected.pvalue)
    interval, theirs = welch_interval(a, b), expected.confidence_interval(0.95)
    assert (interval.low, interval.high) == (pytest.approx(theirs.low), pytest.approx(theirs.high))


@settings(max_examples=20)
@given(samples, samples)
def test_the_permutation_test_is_scipys(a: list[float], b: list[float]) -> None:
    theirs = scipy.stats.permutation_test(
        (a, b), lambda x, y, axis: np.mean(x, axis) - np.mean(y, axis), vectorized=True, n_resamples=np.inf
    )
    sizes = np.abs(theirs.null_distribution)  # SciPy's own p doubles the smaller tail
    assert permutation_test(a, b).p == pytest.approx(np.mean(sizes >= abs(theirs.statistic) - 1e-12))


def test_random_ways_agree_with_all_of_them() -> None:
    x = np.random.default_rng(0).normal(0, 1, 24)
    random = permutation_test(x[:12] + 0.7, x[12:])  # 2.7 million ways
    t = welch_test(x[:12] + 0.7, x[12:])
    assert random.p == pytest.approx(t.p, abs=0.03)
    assert random == permutation_test(x[:12] + 0.7, x[12:])


@pytest.mark.parametrize("skewed", [False, True])
def test_false_alarms_come_no_oftener_than_promised(skewed: bool) -> None:
    rng = np.random.default_rng(1)
    x = rng.lognormal(0, 1, (800, 10)) if skewed else rng.normal(0, 1, (800, 10))
    alarms = np.mean([permutation_test(row[:5], row[5:]).p <= 0.05 for row in x])
    assert alarms <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 800)


def test_skewness_of_equal_sign_cancels_between_two_methods() -> None:
    skewed = np.exp(np.random.default_rng(2).normal(0, 1, 20))
    assert welch_interval(skewed, skewed[::-1] + 0.1).trusted
    assert not welch_interval(skewed, -skewed).trusted
    assert "it takes 8" in welch_interval([1.0, 2.0, 3.0], skewed).why


def test_a_verdict_without_pairs() -> None:
    a, b = [0.95, 0.96, 0.94, 0.95, 0.96], [0.90, 0.91, 0.92, 0.90, 0.91]
    assert unpaired_verdict(a, b).finding == "better"
    assert unpaired_verdict(a, b, larger_is_better=False).finding == "worse"
    assert unpaired_verdict(a, a).finding == "no difference shown"
    assert unpaired_verdict(a[:3], b[:3]).finding == "too few seeds to say"  # 2 of 20 ways: p is 0.1 at best
    v = unpaired_verdict(a, b)
    assert (v.wins, v.losses, v.paired) == (25, 0, False)
    assert 0 < v.detectable < 0.05


def test_arguments_are_checked() -> None:
    with pytest.raises(FaninValueError, match="b has 1 values, but must have at least 2"):
        welch_interval([1.0, 2.0], [1.0])
    assert math.isnan(welch_test([1.0], [1.0, 2.0]).p)
    assert welch_test([1.0, 1.0], [1.0, 1.0]).p == 1


def test_equal_values_do_not_differ_by_what_their_mean_rounds() -> None:
    for value in np.random.default_rng(0).uniform(0, 1, 200):
        for n, m in ((3, 10), (7, 4), (10, 6)):
            assert welch_test([value] * n, [value] * m).p == 1
            assert welch_interval([value] * n, [value] * m).value == 0
    assert welch_test([0.1] * 7, [0.2] * 3).p == 0
