"""What a run is scored by. Classification by scikit-learn's own definitions, so that figures agree with the field's."""

import numpy as np

from fanin.errors import FaninValueError

NAMES = {
    "classification": ("accuracy", "precision", "recall", "f1", "loss"),
    "language": ("accuracy", "loss"),
    "regression": ("r2", "loss"),
}
SCORE = {"classification": "accuracy", "language": "accuracy", "regression": "r2"}
HIGHER_IS_BETTER = {"accuracy": True, "precision": True, "recall": True, "f1": True, "r2": True, "loss": False}


def classification(predicted: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Accuracy, and macro averages of precision, recall and F1 over the classes that occur.

    A class that is never predicted has precision 0 (scikit-learn's `zero_division=0`).

    Args:
        predicted: class indices, shape (n,).
        targets: class indices, shape (n,).
    """
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    _same_shape(predicted, targets)
    scores = precision_recall_fscore_support(targets, predicted, average="macro", zero_division=0)  # type: ignore[arg-type]
    precision, recall, f1, _ = scores
    accuracy = accuracy_score(targets, predicted)
    return {"accuracy": float(accuracy), "precision": float(precision), "recall": float(recall), "f1": float(f1)}


def language(predicted: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Share of tokens that are predicted right; both arguments hold token ids of the same shape."""
    _same_shape(predicted, targets)
    return {"accuracy": float(np.mean(predicted == targets))}


def regression(predicted: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """The coefficient of determination (scikit-learn's `r2_score`), outputs weighted by their variance.

    Weighted, since one pixel that hardly varies on the test part would drown all others in a plain average.

    Args:
        predicted: shape (n,) or (n, outputs …).
        targets: the same shape.
    """
    from sklearn.metrics import r2_score

    _same_shape(predicted, targets)
    true, guess = (x.reshape(len(x), -1) for x in (targets, predicted))
    return {"r2": float(r2_score(true, guess, multioutput="variance_weighted"))}


def _same_shape(predicted: np.ndarray, targets: np.ndarray) -> None:
    if predicted.shape != targets.shape:
        raise FaninValueError(f"predicted has shape {predicted.shape}, but targets have shape {targets.shape}")
