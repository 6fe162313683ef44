"""Linear regression by gradient descent, against its closed form."""

from dataclasses import dataclass

import numpy as np

from fanin.errors import FaninValueError


@dataclass(frozen=True, eq=False)
class LinearFit:
    """Weights that full-batch gradient descent found, and how far they are from the closed form.

    Attributes:
        weights: shape (features, outputs).
        intercept: shape (outputs,).
        exact: weights of the closed form (of least norm, where several fit alike), the same shape.
        steps: of gradient descent.
        converged: whether the gradient fell below the tolerance.
        distance: norm of (weights - exact) over that of exact.
        condition: largest over smallest curvature among the directions that the inputs vary in. The error in the slowest
            direction shrinks by 1 - 1/condition a step.
    """

    weights: np.ndarray
    intercept: np.ndarray
    exact: np.ndarray
    steps: int
    converged: bool
    distance: float
    condition: float

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Outputs, shape (n, outputs), of inputs (n, features)."""
        return x @ self.weights + self.intercept


def linear_by_gradient_descent(x: np.ndarray, y: np.ndarray, steps: int = 20_000, tolerance: float = 1e-8) -> LinearFit:
    """Least squares by gradient descent from zero, with the step 1/L (L: the largest curvature), and solved directly.

    From zero the weights stay in the span of the inputs, so that both find the same solution also where many exist
    (Engl, Hanke & Neubauer 1996, ch. 6).

    Args:
        x: inputs, shape (n, features).
        y: targets, shape (n,) or (n, outputs).
        steps: at most so many.
        tolerance: the gradient's norm at which it stops, over the norm of the first gradient.

    Raises:
        FaninValueError: the two do not have the same number of examples, or there is none.

    Example:
        >>> x = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [2.0, 3.0]])
        >>> fit = linear_by_gradient_descent(x, 2 * x[:, 0] - x[:, 1] + 5)
        >>> fit.weights.ravel().round(6).tolist(), fit.intercept.round(6).tolist(), fit.distance < 1e-6
        ([2.0, -1.0], [5.0], True)
    """
    if len(x) != len(y) or not len(x):
        raise FaninValueError(
            f"x has {len(x)} examples and y has {len(y)}, but both must have the same number, at least one"
        )
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float).reshape(len(x), -1)
    x_mean, y_mean = x.mean(0), y.mean(0)
    centred, about = x - x_mean, y - y_mean
    curvature, toward = centred.T @ centred / len(x), centred.T @ about / len(x)
    exact = np.linalg.lstsq(centred, about, rcond=None)[0]
    eigenvalues = np.linalg.eigvalsh(curvature)
    largest = float(eigenvalues[-1])
    real = eigenvalues[eigenvalues > largest * len(eigenvalues) * np.finfo(float).eps]
    weights, taken, converged = np.zeros_like(toward), 0, largest <= 0
    stop = tolerance * float(np.linalg.norm(toward))
    while not converged and taken < steps:
        gradient = curvature @ weights - toward
        converged = bool(np.linalg.norm(gradient) <= stop)
        if not converged:
            weights -= gradient / largest
            taken += 1
    size = float(np.linalg.norm(exact))
    return LinearFit(
        weights=weights,
        intercept=y_mean - x_mean @ weights,
        exact=exact,
        steps=taken,
        converged=converged,
        distance=float(np.linalg.norm(weights - exact)) / size if size else 0.0,
        condition=largest / float(real[0]) if len(real) else 1.0,
    )
