"""Reference learners that scikit-learn does not have in this form; all of them with its `fit` and `predict`."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from fanin.errors import FaninValueError
from fanin.lab.data import IGNORED
from fanin.lab.descent import linear_by_gradient_descent

CHUNK = 2000  # rows that a kernel machine predicts at once
MOST_ITERATIONS = 20_000  # of a linear machine: where no plane parts the classes it would go on for hours
MOST_COUNTS = 20_000_000  # entries of a table of n-grams


class Svm:
    """scikit-learn's SVC with its defaults, on a kernel that is computed as one matrix product (many times as fast).

    A linear machine warns where it stops before it has converged.

    Args:
        kernel: "linear" or "rbf".
    """

    def __init__(self, kernel: str) -> None:
        self.kernel = kernel

    def fit(self, x: Any, y: np.ndarray) -> "Svm":
        """Trains on inputs (n, features), dense or sparse, and class indices (n,)."""
        from sklearn.svm import SVC

        x = x.astype(float)
        squares = x.multiply(x).mean() if hasattr(x, "multiply") else np.mean(x * x)
        variance = float(squares - x.mean() ** 2)
        self.gamma = 1 / (x.shape[1] * variance) if variance > 0 else 1.0  # the default, "scale"
        self.x = x
        most = MOST_ITERATIONS if self.kernel == "linear" else -1
        self.machine = SVC(kernel="precomputed", max_iter=most).fit(self._products(x), y)
        self.classes_ = self.machine.classes_
        return self

    def predict(self, x: Any) -> np.ndarray:
        """Class indices, shape (n,)."""
        return np.concatenate([self.machine.predict(part) for part in self._parts(x)])

    def decision_function(self, x: Any) -> np.ndarray:
        """Scores of the classes, shape (n, classes), or of two classes (n,)."""
        return np.concatenate([self.machine.decision_function(part) for part in self._parts(x)])

    def _parts(self, x: Any) -> Iterator[np.ndarray]:
        return (self._products(x[i : i + CHUNK]) for i in range(0, x.shape[0], CHUNK))

    def _products(self, x: Any) -> np.ndarray:
        from sklearn.metrics.pairwise import linear_kernel, rbf_kernel

        x = x.astype(float)  # in float32 the products lose digits that the solver can see
        if self.kernel == "linear":
            return np.asarray(linear_kernel(x, self.x, dense_output=True))
        return rbf_kernel(x, self.x, gamma=self.gamma)


class Descent:
    """Linear regression by gradient descent; its note says how far it ends from the closed form."""

    notes: tuple[str, ...] = ()

    def fit(self, x: np.ndarray, y: np.ndarray) -> "Descent":
        """Trains on inputs (n, features) and targets (n,) or (n, outputs)."""
        self.found = linear_by_gradient_descent(x, y)
        self.notes = (f"{self.found.steps:,} steps, weights within {self.found.distance:.0e} of the closed form",)
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Outputs, shape (n, outputs)."""
        return self.found.predict(x)


class Components:
    """Inputs from their first principal components: the least error that a linear autoencoder can have.

    Baldi & Hornik, Neural Networks 1989.

    Args:
        count: of components.
    """

    def __init__(self, count: int) -> None:
        self.count = count

    def fit(self, x: np.ndarray, y: np.ndarray) -> "Components":
        """Trains on inputs (n, features)."""
        from sklearn.decomposition import PCA

        self.found = PCA(min(self.count, *x.shape), random_state=0).fit(x)
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Inputs again, as far as the components hold them."""
        return self.found.inverse_transform(self.found.transform(x))


class Ngram:
    """The next token from counts of what followed the last `order` ones in the training part, each count raised by one.

    Args:
        order: tokens looked back at: 1 is a bigram model, 2 a trigram model.
        classes: tokens that may be asked for; those of the training part, where there are more.
    """

    def __init__(self, order: int, classes: int = 0) -> None:
        self.order, self.classes = order, classes

    def fit(self, x: np.ndarray, y: np.ndarray) -> "Ngram":
        """Trains on ids (rows, positions) and the ids that are asked for there."""
        self.tokens = int(x.max()) + 2  # the last one stands for what is before the row
        classes = max(self.classes, int(y.max()) + 1)
        if self.tokens**self.order * classes > MOST_COUNTS:
            raise FaninValueError(f"a table of {self.order + 1}-grams of {self.tokens - 1} tokens is too large")
        counted = y != IGNORED
        places = self._context(x)[counted] * classes + y[counted]
        counts = np.bincount(places, minlength=self.tokens**self.order * classes).reshape(-1, classes) + 1.0
        self.logs = np.log(counts / counts.sum(1, keepdims=True)).astype(np.float32)
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The likeliest token at each position."""
        return self.logs.argmax(1)[self._context(x)]

    def log_chances(self, x: np.ndarray) -> np.ndarray:
        """Logarithms of the probabilities, shape (rows, positions, tokens)."""
        return self.logs[self._context(x)]

    def _context(self, x: np.ndarray) -> np.ndarray:
        x = np.minimum(x, self.tokens - 1)
        context = np.zeros_like(x)
        for back in range(self.order):
            before = np.full_like(x, self.tokens - 1)
            before[:, back:] = x[:, : x.shape[1] - back]
            context = context * self.tokens + before
        return context
