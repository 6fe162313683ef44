"""The share of diverged runs: no true share is covered more than two points too seldom."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from statsmodels.stats.proportion import proportion_confint

from fanin.errors import FaninTypeError, FaninValueError
from fanin.lab.statistics import wilson
from fanin.lab.statistics.shares import share_ends, wilson_ends, worst_coverage


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("n", [1, 3, 5, 10, 30, 100])
def test_every_true_share_is_covered(n: int, level: float) -> None:
    low, high = share_ends(np.arange(n + 1) / n, n, level)
    p = np.linspace(0, 1, 2001)[:, None]
    covers = np.sum(binom.pmf(np.arange(n + 1), n, p) * ((low <= p) & (p <= high)), axis=1)
    assert covers.min() >= level - min(0.02, 0.4 * (1 - level)) - 1e-6
    assert worst_coverage(low, high) <= covers.min() + 1e-9


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_textbooks_is_statsmodels_and_lies_inside(case: tuple[int, int]) -> None:
    happened, n = case
    book, ours = wilson(happened, n, textbook=True), wilson(happened, n)
    expected = proportion_confint(happened, n, alpha=0.05, method="wilson")
    assert (book.low, book.high) == (pytest.approx(expected[0], abs=1e-12), pytest.approx(expected[1], abs=1e-12))
    assert ours.low <= book.low <= book.value <= book.high <= ours.high
    assert ours.high - ours.low < 1.2 * (book.high - book.low)
    mirrored = wilson(n - happened, n)
    assert (1 - mirrored.high, 1 - mirrored.low) == (pytest.approx(ours.low), pytest.approx(ours.high))


def test_the_textbooks_falls_to_84_percent_and_says_so() -> None:
    ends = wilson_ends(np.arange(31) / 30, 30, 0.95)
    assert worst_coverage(*ends) < 0.85
    assert "covered at 0.8" in wilson(1, 30, textbook=True).why
    assert wilson(500, 1000, textbook=True).trusted


def test_no_runs_have_no_share() -> None:
    w = wilson(0, 0)
    assert math.isnan(w.value)
    assert not w.trusted


def test_arguments_are_checked() -> None:
    with pytest.raises(FaninValueError, match="happened=4 must be at most runs=3"):
        wilson(4, 3)
    with pytest.raises(FaninValueError, match="happened=-1 must be at least 0"):
        wilson(-1, 3)
    with pytest.raises(FaninTypeError, match=r"runs=3.5 is a float"):
        wilson(1, 3.5)  # type: ignore[arg-type]
