"""Verdicts: what is said, when nothing can be said, and how often it is wrong."""

import math

import numpy as np
import pytest

from fanin.errors import FaninValueError
from fanin.lab.statistics import verdict, verdicts

UP = [0.04, 0.05, 0.03, 0.04, 0.06, 0.05, 0.04, 0.05]


def test_the_four_findings() -> None:
    assert verdict(UP).finding == "better"
    assert verdict([-d for d in UP]).finding == "worse"
    assert verdict([0.01, -0.02, 0.02, -0.01, 0.005, -0.01]).finding == "no difference shown"
    assert verdict(UP[:5]).finding == "too few seeds to say"


def test_a_smaller_loss_is_better() -> None:
    v = verdict([-d for d in UP], larger_is_better=False)
    assert v.finding == "better"
    assert (v.wins, v.ties, v.losses) == (8, 0, 0)
    assert v.difference.value < 0  # in the metric's own sign


def test_whether_seeds_are_too_few_depends_on_the_number_of_comparisons() -> None:
    six, seven = UP[:6], UP[:7]
    assert verdict(six).finding == "better"
    assert {v.finding for v in verdicts([six, six])} == {"too few seeds to say"}
    assert {v.finding for v in verdicts([seven, seven])} == {"better"}
    assert {v.finding for v in verdicts([UP, six])} == {"better"}  # Holm: the stronger one goes first


def test_the_numbers_beside_the_finding() -> None:
    v = verdict([0.02, 0.03, 0.01, 0.0, 0.02, -0.01, 0.03, 0.02], margin=0.1)
    assert (v.wins, v.ties, v.losses) == (6, 1, 1)
    assert v.difference.value == pytest.approx(0.015)
    assert v.difference.low < v.typical < v.difference.high
    assert v.equivalence is not None
    assert v.equivalence.equivalent
    assert 0.01 < v.detectable < 0.03
    assert v.p_adjusted == v.test.p


def test_equal_runs_show_no_difference() -> None:
    v = verdict([0.0] * 10)
    assert v.finding == "no difference shown"
    assert v.test.p == 1
    assert v.detectable == 0


def test_infinite_losses_are_results() -> None:
    v = verdict([math.inf] * 4 + [0.1, 0.2, 0.3], larger_is_better=False)
    assert v.finding == "worse"
    assert v.difference.value == math.inf
    assert not v.difference.trusted


def test_more_than_sixteen_pairs_keep_their_direction() -> None:
    d = np.random.default_rng(0).normal(0.02, 0.01, 20)
    assert verdict(d).finding == "better"
    assert verdict(-d).finding == "worse"
    assert verdict(d).test.test == "wilcoxon"


@pytest.mark.parametrize("n", [6, 10])
def test_one_false_alarm_among_several_comparisons_is_rare(n: int) -> None:
    rng = np.random.default_rng(n)
    base = rng.normal(0, 1, (200, 1, n))
    d = rng.normal(0, 1, (200, 3, n)) - base  # three methods against one baseline
    alarms = [any(v.finding in ("better", "worse") for v in verdicts(list(row))) for row in d]
    assert np.mean(alarms) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 200)


def test_arguments_are_checked() -> None:
    with pytest.raises(FaninValueError, match=r"comparisons\[1\] has a difference that is NaN"):
        verdicts([UP, [math.nan] * 8])
    with pytest.raises(FaninValueError, match=r"comparisons\[0\] has 0 values"):
        verdict([])
    with pytest.raises(FaninValueError, match="alpha=0 must lie between 0 and 1"):
        verdict(UP, alpha=0)
