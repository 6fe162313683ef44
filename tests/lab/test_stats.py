"""The statistics agree with SciPy's, and have the properties that their definitions promise."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from fanin.errors import FaninValueError
from fanin.lab.statistics import holm, kaplan_meier, paired_test, t_interval
from fanin.lab.stats import steps_to_target

values = st.floats(-100, 100, allow_subnormal=False)
scores = st.integers(-1000, 1000).map(lambda n: n / 1000)  # differences of accuracies: ties happen
p_values = st.floats(0, 1)


@given(st.lists(values, min_size=2, max_size=12), st.sampled_from([0.8, 0.95, 0.99]))
def test_t_interval_is_scipys(x: list[float], level: float) -> None:
    got = t_interval(x, level)
    spread = np.std(x, ddof=1) / math.sqrt(len(x))
    assert got.mean == pytest.approx(np.mean(x), abs=1e-9)
    if spread > 1e-9:
        low, high = scipy.stats.t.interval(level, len(x) - 1, loc=np.mean(x), scale=spread)
        assert (got.low, got.high) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))


def test_t_interval_covers_the_mean_as_often_as_it_says() -> None:
    draws = np.random.default_rng(0).normal(3.0, 2.0, (4000, 5))
    intervals = [t_interval(list(row)) for row in draws]
    covered = np.mean([i.low <= 3 <= i.high for i in intervals])
    assert abs(covered - 0.95) < 3 * math.sqrt(0.95 * 0.05 / 4000)


def test_one_value_has_no_interval_and_an_infinite_one_makes_none_up() -> None:
    one, endless = t_interval([2.0]), t_interval([1.0, math.inf])
    assert one.mean == 2
    assert math.isnan(one.low)
    assert math.isnan(one.std)
    assert endless.mean == math.inf
    assert math.isnan(endless.high)
    assert math.isnan(t_interval([]).mean)


@given(st.lists(scores, min_size=6, max_size=9))
def test_sign_flip_p_is_scipys_permutation_test(x: list[float]) -> None:
    found = paired_test(x)
    p, test = found.p, found.test
    expected = scipy.stats.permutation_test(
        (np.asarray(x), np.zeros(len(x))),
        lambda a, b, axis: np.sum(a - b, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
    ).pvalue
    assert test == "sign-flip"
    assert p == pytest.approx(expected, abs=1e-12)


@given(st.lists(scores, min_size=6, max_size=10), st.permutations(range(10)))
def test_paired_p_ignores_order_and_direction(x: list[float], order: list[int]) -> None:
    p = paired_test(x).p
    assert paired_test([-v for v in x]).p == pytest.approx(p)
    assert paired_test([x[i] for i in order if i < len(x)]).p == pytest.approx(p)
    assert 2 / 2 ** len(x) <= p + 1e-12 <= 1 + 2e-12


def test_many_pairs_use_the_signed_rank_test_of_scipy() -> None:
    x = np.random.default_rng(1).normal(0.3, 1.0, 30)
    found = paired_test(list(x))
    p, test = found.p, found.test
    assert test == "wilcoxon"
    assert p == pytest.approx(scipy.stats.wilcoxon(x).pvalue)
    nothing = paired_test([0.0] * 30)
    assert (nothing.p, nothing.test) == (1.0, "wilcoxon")


def test_false_alarms_come_no_oftener_than_promised() -> None:
    draws = np.random.default_rng(2).normal(0, 1, (2000, 8))
    alarms = np.mean([paired_test(list(row)).p <= 0.05 for row in draws])
    assert alarms <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 2000)


def test_too_few_pairs_have_no_p() -> None:
    assert math.isnan(paired_test([1.0] * 5).p)
    assert paired_test([1.0] * 6).p == pytest.approx(2 / 64)
    assert math.isnan(paired_test([1.0] * 6 + [math.nan]).p)


@given(st.lists(p_values, max_size=8))
def test_holm_lies_between_raw_and_bonferroni_and_keeps_the_order(ps: list[float]) -> None:
    adjusted = holm(ps)
    for p, q in zip(ps, adjusted, strict=True):
        assert p <= q + 1e-15 <= min(1, p * len(ps)) + 1e-9
    ranked = [q for _, q in sorted(zip(ps, adjusted, strict=True))]
    assert ranked == sorted(ranked)


def test_holm_by_hand_and_with_a_test_that_could_not_be_done() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx((0.03, 0.06, 0.06))
    got = holm([0.01, math.nan, 0.04])
    assert math.isnan(got[1])
    assert (got[0], got[2]) == pytest.approx((0.02, 0.04))


@given(st.lists(st.tuples(st.integers(1, 30), st.booleans()), min_size=1, max_size=15))
def test_kaplan_meier_is_scipys(runs: list[tuple[int, bool]]) -> None:
    times, reached = [t for t, _ in runs], [r for _, r in runs]
    censored = scipy.stats.CensoredData(uncensored=[t for t, r in runs if r], right=[t for t, r in runs if not r])
    curve = scipy.stats.ecdf(censored).sf
    found = kaplan_meier(times, reached)
    for time, share in zip(found.times, found.share, strict=True):
        assert share == pytest.approx(float(curve.evaluate(time)), abs=1e-12)


@given(st.lists(st.one_of(st.none(), st.integers(0, 100)), min_size=1, max_size=12))
def test_steps_to_target_counts_the_censored_in(reached: list[int | None]) -> None:
    got = steps_to_target(0.9, reached, 100)
    kept = sorted(100 if r is None else r for r in reached)
    assert got.restricted_mean == pytest.approx(np.mean(kept))  # all are censored at one horizon
    assert got.reached == sum(r is not None for r in reached)
    half = math.ceil(len(reached) / 2)
    arrived = sorted(r for r in reached if r is not None)
    assert got.median == (arrived[half - 1] if len(arrived) >= half else None)


def test_leaving_the_censored_out_would_flatter() -> None:
    got = steps_to_target(0.9, [10, None, None, None], 100)
    assert got.median is None
    assert got.restricted_mean == pytest.approx(77.5)


def test_arguments_are_checked() -> None:
    with pytest.raises(FaninValueError, match="level"):
        t_interval([1.0, 2.0], 1.5)
    with pytest.raises(FaninValueError, match="times has 1 values and reached 2"):
        kaplan_meier([1], [True, False])
