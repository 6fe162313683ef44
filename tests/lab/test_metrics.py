"""Scores are scikit-learn's, and say what they should in cases that can be done by hand."""

import numpy as np
import pytest
import sklearn.metrics

from fanin.errors import FaninValueError
from fanin.lab import metrics


def test_classification_is_scikit_learns_macro_average() -> None:
    generator = np.random.default_rng(0)
    y, guess = generator.integers(0, 5, 200), generator.integers(0, 5, 200)
    got = metrics.classification(guess, y)
    assert got["f1"] == pytest.approx(sklearn.metrics.f1_score(y, guess, average="macro"))
    assert got["accuracy"] == pytest.approx(np.mean(y == guess))


def test_a_class_that_is_never_predicted_counts_as_nothing() -> None:
    got = metrics.classification(np.zeros(4, dtype=int), np.array([0, 0, 1, 1]))
    assert got == pytest.approx({"accuracy": 0.5, "precision": 0.25, "recall": 0.5, "f1": 1 / 3})


def test_r2_is_one_for_the_truth_and_zero_for_the_mean() -> None:
    y = np.random.default_rng(0).normal(size=(50, 2, 3))
    assert metrics.regression(y, y)["r2"] == pytest.approx(1)
    assert metrics.regression(np.broadcast_to(y.mean(0), y.shape), y)["r2"] == pytest.approx(0)


def test_one_flat_output_does_not_drown_the_others() -> None:
    y = np.random.default_rng(0).normal(size=(50, 2))
    y[:, 1] *= 1e-6
    assert metrics.regression(y + np.array([0, 1e-5]), y)["r2"] > 0.99


def test_every_task_has_its_names_and_its_score() -> None:
    for task, names in metrics.NAMES.items():
        assert metrics.SCORE[task] in names
        assert set(names) <= set(metrics.HIGHER_IS_BETTER)


def test_shapes_must_agree() -> None:
    with pytest.raises(FaninValueError, match=r"predicted has shape \(3,\)"):
        metrics.language(np.zeros(3), np.zeros(4))
