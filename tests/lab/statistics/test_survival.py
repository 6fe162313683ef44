"""Time to a target: curves, bands and tests are lifelines', and the band covers where the usual one does not."""

import math

import lifelines
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines.statistics import multivariate_logrank_test
from lifelines.utils import restricted_mean_survival_time
from scipy.stats import binom

from fanin.errors import FaninValueError
from fanin.lab.statistics import kaplan_meier, log_rank, t_interval

runs = st.lists(st.tuples(st.integers(1, 20), st.booleans()), min_size=2, max_size=25)


@settings(max_examples=15)
@given(runs)
def test_curve_and_log_log_band_are_lifelines(case: list[tuple[int, bool]]) -> None:
    times, reached = [t for t, _ in case], [r for _, r in case]
    got = kaplan_meier(times, reached, band="log-log")
    fit = lifelines.KaplanMeierFitter().fit(times, reached)
    band = fit.confidence_interval_survival_function_
    for time, share, low, high in zip(got.times, got.share, got.low, got.high, strict=True):
        assert share == pytest.approx(float(fit.predict(time)), abs=1e-12)
        if share > 0:  # lifelines has NaN there
            assert low == pytest.approx(float(band.iloc[:, 0].loc[time]), abs=1e-9)
            assert high == pytest.approx(float(band.iloc[:, 1].loc[time]), abs=1e-9)
    assert got.median.value == fit.median_survival_time_
    table = fit.event_table.loc[list(got.times)]
    assert list(got.at_risk) == table["at_risk"].tolist()
    assert list(got.events) == table["observed"].tolist()


@settings(max_examples=15)
@given(runs)
def test_the_restricted_mean_is_lifelines(case: list[tuple[int, bool]]) -> None:
    times, reached = [t for t, _ in case], [r for _, r in case]
    got = kaplan_meier(times, reached, horizon=15)
    fit = lifelines.KaplanMeierFitter().fit(times, reached)
    assert got.restricted_mean.value == pytest.approx(float(restricted_mean_survival_time(fit, t=15)))


@settings(max_examples=15)
@given(st.lists(runs, min_size=2, max_size=4))
def test_the_log_rank_test_is_lifelines(groups: list[list[tuple[int, bool]]]) -> None:
    if not any(r for g in groups for _, r in g):
        return
    got = log_rank(*[([t for t, _ in g], [r for _, r in g]) for g in groups])
    times = [t for g in groups for t, _ in g]
    names = [i for i, g in enumerate(groups) for _ in g]
    expected = multivariate_logrank_test(times, names, [r for g in groups for _, r in g])
    assert got.statistic == pytest.approx(expected.test_statistic, abs=1e-6)
    assert got.p == pytest.approx(expected.p_value, abs=1e-6)


@given(st.lists(st.integers(1, 99), min_size=2, max_size=12))
def test_without_censoring_the_restricted_mean_has_students_interval(times: list[int]) -> None:
    got = kaplan_meier(times, [True] * len(times), horizon=100).restricted_mean
    assert got.value == pytest.approx(np.mean(times))
    t = t_interval(times)
    assert got.low == pytest.approx(max(0, t.low), abs=1e-6)
    assert got.high == pytest.approx(min(100, t.high), abs=1e-6)


@pytest.mark.parametrize("n", [3, 5, 10, 30])
def test_the_band_covers_at_every_share_where_the_log_log_band_does_not(n: int) -> None:
    """With one horizon the runs on their way are a binomial count, and the coverage can be summed up exactly."""
    worst = {}
    for band in ("rothman", "log-log"):
        ends = []
        for there in range(n + 1):  # runs that have arrived by the time in question
            s = kaplan_meier([*range(1, there + 1), *[n + 1] * (n - there)], [i < there for i in range(n)], band=band)
            ends.append((s.low[-1], s.high[-1]) if there else (s.low_before, 1.0))
        low, high = np.array(ends).T
        p = np.linspace(0.05, 0.95, 181)[:, None]
        chance = binom.pmf(np.arange(n + 1), n, 1 - p)
        worst[band] = np.sum(chance * ((low <= p) & (p <= high)), axis=1).min()
    assert worst["rothman"] >= 0.93 - 1e-6
    assert worst["log-log"] < 0.92


@pytest.mark.parametrize("n", [6, 10])
def test_the_medians_interval_covers(n: int) -> None:
    t = np.random.default_rng(n).exponential(1, (250, n))
    found = [kaplan_meier(np.minimum(row, 2), row <= 2).median for row in t]
    assert all(e.trusted for e in found)
    assert np.mean([e.low <= math.log(2) <= e.high for e in found]) >= 0.93 - 0.045


def test_runs_that_never_arrive_are_kept_in() -> None:
    s = kaplan_meier([10, 99, 99, 99], [True, False, False, False], horizon=100)
    assert s.median.value == math.inf
    assert s.restricted_mean.value == pytest.approx(0.25 * 10 + 0.75 * 100)
    assert (s.runs, s.reached) == (4, 1)


def test_a_median_that_no_run_reached_lies_beyond_the_last_time_watched() -> None:
    median = kaplan_meier([50] * 10, [False] * 10).median
    assert (median.low, median.high) == (50, math.inf)


def test_few_runs_warn() -> None:
    s = kaplan_meier([1, 2, 3, 4, 5], [True] * 5)
    assert "5 runs cannot cover a median at 0.95" in s.median.why
    assert "it takes 8" in s.restricted_mean.why
    assert kaplan_meier(range(1, 11), [True] * 10).restricted_mean.trusted


def test_the_log_rank_test_raises_few_false_alarms() -> None:
    t = np.random.default_rng(0).exponential(1, (300, 2, 10))
    alarms = [log_rank(*[(np.minimum(g, 1.5), g <= 1.5) for g in row]).p <= 0.05 for row in t]
    assert np.mean(alarms) <= 0.05 + 0.038


def test_arguments_are_checked() -> None:
    with pytest.raises(FaninValueError, match="times has 2 values and reached 1"):
        kaplan_meier([1, 2], [True])
    with pytest.raises(FaninValueError, match="times has the value -1, but must have none below 0"):
        kaplan_meier([-1, 2], [True, True])
    with pytest.raises(FaninValueError, match="horizon=0 must be finite and above 0"):
        kaplan_meier([1, 2], [True, True], horizon=0)
    with pytest.raises(FaninValueError, match="band='normal' must be one of"):
        kaplan_meier([1, 2], [True, True], band="normal")
    with pytest.raises(FaninValueError, match="groups has 1 groups"):
        log_rank(([1], [True]))
