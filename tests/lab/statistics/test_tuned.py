"""Methods at the learning rates of their choice: one method under two names is one."""

import math

import numpy as np
import pytest

from fanin.errors import FaninValueError
from fanin.lab.statistics import Tuned, choose_lr, null_study, tuned_verdicts


def method(rng: np.random.Generator, levels: dict[float, float], runs: int, noise: float = 0.01) -> Tuned:
    """Test scores of 0.9 + level ± 0.01; validation scores with `noise` of their own."""
    test = {lr: 0.9 + level + rng.normal(0, 0.01, runs) for lr, level in levels.items()}
    return Tuned({lr: v + rng.normal(0, noise, runs) for lr, v in test.items()}, test)


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.1])
@pytest.mark.parametrize("levels", [{0.1: 0.0}, {0.01: 0.0, 0.1: 0.0}, {0.01: -0.02, 0.1: 0.0, 1.0: -0.01}])
def test_one_method_under_two_names_shows_no_difference(levels: dict[float, float], noise: float) -> None:
    """The issue's null study: at least 94 %, also where validation is so noisy that the names choose differently."""
    study = null_study(method(np.random.default_rng(0), levels, 2000, noise), 10, replications=500)
    assert study.no_difference >= 0.94 - 2 * math.sqrt(0.06 * 0.94 / 500)
    assert study.better + study.worse + study.no_difference == pytest.approx(1)


def test_without_the_second_question_a_noisy_choice_looks_like_a_difference() -> None:
    study = null_study(
        method(np.random.default_rng(1), {0.01: -0.02, 0.1: 0.0, 1.0: -0.01}, 2000, 0.1), 10, replications=300
    )
    assert study.choices_differ > 0.3
    assert study.in_disguise > 0.2


def test_a_difference_that_is_there_is_shown_whatever_the_learning_rates() -> None:
    rng = np.random.default_rng(2)
    shown = []
    for _ in range(100):
        base = method(rng, {0.01: 0.0, 0.1: -0.005}, 10)
        other = method(rng, {0.01: 0.015, 0.1: 0.02}, 10)
        t = tuned_verdicts(base, [other])[0]
        shown.append(t.verdict.finding == "better")
    assert np.mean(shown) > 0.9


def test_a_learning_rate_in_disguise_is_found_out() -> None:
    steps = np.arange(10) / 1e4
    good, bad = 0.95 + steps, 0.90 + steps[::-1]
    tuned = Tuned({0.1: good, 1.0: bad}, {0.1: good, 1.0: bad})
    misled = Tuned({0.1: bad, 1.0: good}, {0.1: good + 1e-4 * (-1.0) ** np.arange(10), 1.0: bad})
    t = tuned_verdicts(misled, [tuned])[0]
    assert (t.lr, t.baseline_lr) == (0.1, 1.0)
    assert t.own_p < 0.01
    assert t.in_disguise
    assert t.verdict.finding == "no difference shown"


def test_learning_rates_that_the_loser_was_not_run_with_are_not_asked_about() -> None:
    up, down = [0.95, 0.951, 0.952, 0.953, 0.954, 0.955], [0.9] * 6
    t = tuned_verdicts(Tuned({1.0: down}, {1.0: down}), [Tuned({0.1: up}, {0.1: up})])[0]
    assert t.verdict.finding == "better"
    assert not t.in_disguise


def test_several_methods_are_corrected_together() -> None:
    up, down = [0.95, 0.951, 0.952, 0.953, 0.954, 0.955], [0.9] * 6
    base, better = Tuned({1.0: down}, {1.0: down}), Tuned({1.0: up}, {1.0: up})
    assert tuned_verdicts(base, [better])[0].verdict.finding == "better"
    assert {t.verdict.finding for t in tuned_verdicts(base, [better, better])} == {"too few seeds to say"}


def test_the_choice_is_the_best_mean() -> None:
    scores = {0.1: [0.9, 0.9], 0.01: [0.8, 0.99], 1.0: [math.nan, 1.0]}
    assert choose_lr(scores) == 0.1
    assert choose_lr(scores, larger_is_better=False) == 0.01
    assert choose_lr({0.1: [0.5], 0.01: [0.5]}) == 0.01


def test_a_study_is_the_same_for_the_same_seed() -> None:
    runs = method(np.random.default_rng(3), {0.1: 0.0}, 40)
    assert null_study(runs, 8, replications=50, seed=1) == null_study(runs, 8, replications=50, seed=1)


def test_arguments_are_checked() -> None:
    with pytest.raises(FaninValueError, match="must have one number of at least 20"):
        null_study(method(np.random.default_rng(0), {0.1: 0.0}, 19), 10)
    with pytest.raises(FaninValueError, match="validation has no learning rate"):
        choose_lr({})
    short = Tuned({0.1: [0.9] * 5}, {0.1: [0.9] * 5})
    with pytest.raises(FaninValueError, match=r"methods\[0\] has 5 test scores and the baseline 6"):
        tuned_verdicts(Tuned({0.1: [0.9] * 6}, {0.1: [0.9] * 6}), [short])
