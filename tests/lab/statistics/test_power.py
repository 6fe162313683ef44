"""Power comes true in simulation, before a run and after."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.power import TTestPower
from tests.lab.statistics.populations import POPULATIONS, Population

from fanin.errors import FaninValueError
from fanin.lab.statistics import (
    detectable_difference,
    permutation_test,
    power,
    seeds_needed,
    simulated_power,
    smallest_p,
)
from fanin.lab.statistics.paired import paired_ps
from fanin.lab.statistics.power import _t_power


@given(st.floats(0.1, 1.2), st.integers(3, 40))  # statsmodels has NaN for much larger ones
def test_the_noncentral_t_is_statsmodels(effect: float, n: int) -> None:
    ours = _t_power(effect * math.sqrt(n), n - 1, 0.05)
    assert ours == pytest.approx(TTestPower().power(effect, n, 0.05), abs=1e-6)


@pytest.mark.parametrize("n", [6, 7, 10, 13, 20, 30])
@pytest.mark.parametrize("effect", [0.5, 0.8, 1.2])
def test_the_prediction_comes_true(n: int, effect: float) -> None:
    d = np.random.default_rng(n).normal(effect, 1, (2000 if n < 13 else 600, n))
    assert np.mean(paired_ps(d) <= 0.05) == pytest.approx(power(effect, 1.0, n), abs=0.06)


@pytest.mark.parametrize("comparisons", [2, 4])
def test_it_comes_true_for_several_comparisons(comparisons: int) -> None:
    d = np.random.default_rng(0).normal(1.0, 1, (2000, 10))
    seen = np.mean(paired_ps(d) <= 0.05 / comparisons)
    assert seen == pytest.approx(power(1.0, 1.0, 10, comparisons=comparisons), abs=0.05)


def test_it_comes_true_without_pairs() -> None:
    x = np.random.default_rng(1).normal(0, 1, (500, 10))
    seen = np.mean([permutation_test(v[:5] + 2, v[5:]).p <= 0.05 for v in x])
    assert seen == pytest.approx(power(2.0, 1.0, 5, paired=False), abs=0.1)


@pytest.mark.parametrize("effect", [0.4, 0.8, 1.5])
@pytest.mark.parametrize("comparisons", [1, 3])
def test_the_number_of_seeds_is_the_smallest_that_is_enough(effect: float, comparisons: int) -> None:
    found = seeds_needed(effect, 1.0, comparisons=comparisons)
    assert found.seeds is not None
    assert found.power >= 0.8
    assert all(power(effect, 1.0, n, comparisons=comparisons) < 0.8 for n in range(2, min(found.seeds, 64)))


def test_many_seeds_are_found_too_and_more_than_most_are_not() -> None:
    assert seeds_needed(0.1, 1.0).seeds == pytest.approx(
        7.85 / 0.01 * math.pi / 3, rel=0.02
    )  # (1.96 + 0.84)² / effect²
    none = seeds_needed(0.001, 1.0, most=50)
    assert none.seeds is None
    assert none.power < 0.1


def test_a_small_pilot_asks_for_more() -> None:
    small, large = seeds_needed(0.01, 0.01, pilot=3), seeds_needed(0.01, 0.01, pilot=100)
    assert small.cautious is not None
    assert large.cautious is not None
    assert small.seeds == large.seeds
    assert small.cautious > large.cautious >= (large.seeds or 0)


def test_the_cautious_number_is_enough_four_times_in_five() -> None:
    rng = np.random.default_rng(2)
    enough = []
    for std in rng.normal(0, 1, (400, 6)).std(1, ddof=1):
        seeds = seeds_needed(1.0, std, pilot=6).cautious
        enough.append(power(1.0, 1.0, seeds or 10_000) >= 0.78)
    assert np.mean(enough) >= 0.8 - 3 * 0.02


@given(st.integers(6, 40), st.sampled_from([1, 2, 5]))
def test_the_detectable_difference_has_just_the_wanted_power(n: int, comparisons: int) -> None:
    least = detectable_difference(0.02, n, comparisons=comparisons)
    if least == math.inf:
        assert smallest_p(n) * comparisons > 0.05
    else:
        assert power(least, 0.02, n, comparisons=comparisons) == pytest.approx(0.8, abs=1e-6)


def test_five_seeds_detect_nothing() -> None:
    assert power(100.0, 1.0, 5) == 0
    assert detectable_difference(1.0, 5) == math.inf
    assert detectable_difference(0.0, 5) == 0


def test_a_pilot_of_two_humps_predicts_what_the_formula_does_not() -> None:
    rng = np.random.default_rng(3)
    humps = np.where(rng.random((1000, 20)) < 0.5, 1.0, -1.0) + rng.normal(0, 0.1, (1000, 20))
    seen = np.mean(paired_ps(humps + 0.8) <= 0.05)
    formula, pilot = power(0.8, 1.0, 20), simulated_power(humps.ravel()[:200], 0.8, 20, replications=500)
    assert abs(formula - seen) > 0.2
    assert abs(pilot - seen) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("population", POPULATIONS, ids=lambda population: population.name)
def test_from_a_pilot_of_thirty_it_comes_true_within_ten_points(population: Population) -> None:
    """Of methods whose scores differ by a shift, on average over pilots: where the formula is off by up to thirty."""
    rng = np.random.default_rng(0)
    pool = population.draw(rng, (100_000,)) - population.draw(rng, (100_000,))
    pool = (pool - pool.mean()) / pool.std()
    for n, effect in ((6, 0.8), (20, 0.5), (30, 0.5)):
        seen = float(np.mean(paired_ps(rng.choice(pool, (3000, n)) + effect) <= 0.05))
        pilots = rng.choice(pool, (200, 30))  # humps are off by 8 points, with a standard error of .8 of these
        predicted = [simulated_power(p, effect, n, symmetric=True, replications=200) for p in pilots]
        assert abs(float(np.mean(predicted)) - seen) < 0.1, (n, effect)


def test_a_symmetric_pilot_is_drawn_with_its_mirror_image() -> None:
    pilot = [0.0, 0.0, 0.0, 0.0, 0.0, 6.0]  # centred: five of -1, one of 5
    assert simulated_power(pilot, 0.9, 6, symmetric=True) < simulated_power(pilot, 1.1, 6, symmetric=True)
    assert simulated_power(pilot, 0.5, 6) != simulated_power(pilot, 0.5, 6, symmetric=True)


def test_arguments_are_checked() -> None:
    with pytest.raises(FaninValueError, match="std=0 must be finite and above 0"):
        power(1.0, 0, 10)
    with pytest.raises(FaninValueError, match="difference=0 must be the smallest difference that would matter"):
        seeds_needed(0, 1.0)
    with pytest.raises(FaninValueError, match="difference=nan must be finite"):
        power(math.nan, 1.0, 10)
    with pytest.raises(FaninValueError, match="pilot=1 must be at least 2"):
        seeds_needed(1.0, 1.0, pilot=1)
    with pytest.raises(FaninValueError, match="comparisons=0 must be at least 1"):
        power(1.0, 1.0, 10, comparisons=0)


def test_simulated_power_of_a_metric_that_goes_in_steps_does_not_hang_on_where_the_steps_lie() -> None:
    """Accuracies on 450 examples: moved by less than a step, ties would become wins (or losses), and power .4 or .9 for .8."""
    step = 1 / 450
    pilot = np.round(np.random.default_rng(0).normal(0.0003, 0.008, 200) / step) * step
    size = detectable_difference(float(pilot.std(ddof=1)), 200)
    found = [simulated_power(pilot, difference, 200) for difference in (size, -size)]
    assert found == pytest.approx([0.8, 0.8], abs=0.1)
