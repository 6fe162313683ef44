"""Metrics of regression: how far predictions are from what they should be."""

import numpy as np

from fanin.lab.metrics.labels import same_shape


def regression(predicted: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """The coefficient of determination (scikit-learn's `r2_score`), outputs weighted by their variance.

    Weighted, since one pixel that hardly varies on the test part would drown all others in a plain average.

    Args:
        predicted: shape (n,) or (n, outputs …).
        targets: the same shape.
    """
    same_shape(predicted, targets)
    return {"r2": r2(predicted, targets)}


def r2(predicted: np.ndarray, targets: np.ndarray) -> float:
    """1 - (sum of squared errors) / (sum of squared distances from the mean), over the outputs that vary.

    Of targets that do not vary at all: 1 where they are met exactly, else 0 (scikit-learn's convention).
    """
    true, guess = (x.reshape(len(x), -1).astype(float) for x in (targets, predicted))
    errors = ((true - guess) ** 2).sum(0)
    spread = ((true - true.mean(0)) ** 2).sum(0)
    varies = spread != 0
    if not varies.any():
        return 0.0 if errors.any() else 1.0
    return float(1 - errors[varies].sum() / spread[varies].sum())


def mse(predicted: np.ndarray, targets: np.ndarray) -> float:
    """Mean squared error."""
    return float(np.mean((predicted.astype(float) - targets) ** 2))


def rmse(predicted: np.ndarray, targets: np.ndarray) -> float:
    """Root of the mean squared error."""
    return mse(predicted, targets) ** 0.5


def mae(predicted: np.ndarray, targets: np.ndarray) -> float:
    """Mean absolute error."""
    return float(np.mean(np.abs(predicted.astype(float) - targets)))
