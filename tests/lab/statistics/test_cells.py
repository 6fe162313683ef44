"""A cell with diverged runs: three honest figures instead of one mixture."""

import math

import numpy as np
import pytest

from fanin.errors import FaninValueError
from fanin.lab.statistics import given_convergence, mean_interval, wilson
from fanin.lab.statistics.means import t_ends


def test_the_metric_is_of_the_converged_and_the_share_of_all() -> None:
    values = [0.91, 0.92, 0.1, 0.93, 0.92, 0.91, 0.92, 0.93, 0.92, 0.1]
    bad = [v == 0.1 for v in values]
    cell = given_convergence(values, bad)
    assert cell.metric == mean_interval([v for v in values if v != 0.1])
    assert cell.diverged == wilson(2, 10)
    assert cell.median.value == 0.92


def test_what_a_diverged_run_scores_does_not_matter() -> None:
    bad = [True, False, False, False, False, False]
    cells = [given_convergence([v, 0.9, 0.91, 0.92, 0.93, 0.94], bad) for v in (0.1, 0.99, math.nan)]
    assert cells[0] == cells[1] == cells[2]


def test_larger_losses_are_worse() -> None:
    cell = given_convergence([9.0, 0.3, 0.2], [True, False, False], larger_is_better=False)
    assert cell.median.value == 0.3
    assert cell.median.high == math.inf


def test_a_cell_of_diverged_runs_only_has_no_metric() -> None:
    cell = given_convergence([0.1, 0.1], [True, True])
    assert math.isnan(cell.metric.value)
    assert cell.metric.why == "no run converged"
    assert cell.diverged.value == 1
    assert cell.median.value == -math.inf


def test_the_mixture_has_no_honest_interval_as_the_issue_says() -> None:
    """41 % at five seeds with 10 % diverged; the plain bootstrap of a cell that never diverges ~70 % at 3, ~84 % at 5."""
    rng = np.random.default_rng(0)
    x = np.where(rng.random((20_000, 5)) < 0.1, 0.1, rng.normal(0.9, 0.01, (20_000, 5)))
    low, high = t_ends(x, 0.95)
    assert np.mean((low <= 0.82) & (high >= 0.82)) == pytest.approx(0.41, abs=0.02)
    for n, expected in ((3, 0.70), (5, 0.84)):
        x = rng.normal(0, 1, (3000, n))
        means = np.stack([x[:, rng.integers(0, n, n)].mean(1) for _ in range(400)], axis=1)
        low, high = np.quantile(means, [0.025, 0.975], axis=1)
        assert np.mean((low <= 0) & (high >= 0)) == pytest.approx(expected, abs=0.04)


def test_arguments_are_checked() -> None:
    with pytest.raises(FaninValueError, match="values has 2 values and diverged 1"):
        given_convergence([1.0, 2.0], [True])
