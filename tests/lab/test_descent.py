"""Gradient descent on least squares: it ends at the closed form, at the pace that theory gives."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from fanin.errors import FaninValueError
from fanin.lab.data import load
from fanin.lab.descent import linear_by_gradient_descent


def test_both_find_what_scikit_learn_finds() -> None:
    data = load("diabetes")
    fit = linear_by_gradient_descent(data.train_inputs, data.train_targets, steps=50_000, tolerance=1e-10)
    theirs = LinearRegression().fit(data.train_inputs.astype(float), data.train_targets.astype(float))
    assert fit.converged
    assert fit.distance < 1e-6
    assert np.allclose(fit.exact.ravel(), theirs.coef_.ravel(), atol=1e-9)
    assert np.allclose(fit.predict(data.test_inputs), theirs.predict(data.test_inputs), atol=1e-6)


@pytest.mark.parametrize("steps", [1, 10, 100])
def test_the_error_shrinks_by_one_less_one_over_the_condition_a_step(steps: int) -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(200, 5)) * np.array([1, 0.7, 0.5, 0.3, 0.2])
    y = x @ generator.normal(size=(5, 2)) + generator.normal(size=(200, 2))
    fit = linear_by_gradient_descent(x, y, steps=steps, tolerance=0)
    assert fit.steps == steps
    assert not fit.converged
    assert 0 < fit.distance <= (1 - 1 / fit.condition) ** steps


def test_of_many_solutions_it_is_the_least() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(10, 30)), generator.normal(size=10)
    fit = linear_by_gradient_descent(x, y, tolerance=1e-12)
    assert fit.distance < 1e-8
    assert np.allclose(fit.predict(x).ravel(), y, atol=1e-8)
    assert np.allclose(fit.weights, np.linalg.pinv(x - x.mean(0)) @ (y - y.mean())[:, None], atol=1e-8)


def test_inputs_that_do_not_vary_leave_the_mean() -> None:
    fit = linear_by_gradient_descent(np.ones((5, 2)), np.arange(5.0))
    assert fit.steps == 0
    assert np.allclose(fit.predict(np.zeros((1, 2))), 2)
    for x, y in ((np.ones((5, 2)), np.ones(4)), (np.ones((0, 2)), np.ones(0))):
        with pytest.raises(FaninValueError, match="the same number, at least one"):
            linear_by_gradient_descent(x, y)
