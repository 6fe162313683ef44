"""Metrics of predicted classes and labels: all of them follow from how often which class was taken for which."""

import numpy as np

from fanin.errors import FaninValueError
from fanin.lab.data import IGNORED


def confusion(outputs: np.ndarray, targets: np.ndarray, classes: int) -> np.ndarray:
    """Confusion matrix of a model's outputs.

    Args:
        outputs: logits, shape (n, classes), or of two classes (n,) or (n, 1).
        targets: class indices, shape (n,).
        classes: number of classes.

    Returns:
        int64, shape (classes, classes); row true class, column predicted class, as scikit-learn's `confusion_matrix`.

    Example:
        >>> confusion(np.array([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0]]), np.array([0, 1, 1]), 2).tolist()
        [[1, 0], [1, 1]]
    """
    return confusion_of_labels(predicted_classes(outputs, targets), targets, classes)


def confusion_of_labels(predicted: np.ndarray, targets: np.ndarray, classes: int) -> np.ndarray:
    """The same of predicted classes; what a model takes for a class that the data does not have is in no column."""
    known = predicted < classes
    places = targets[known] * classes + predicted[known]
    return np.bincount(places, minlength=classes * classes).reshape(classes, classes)


def predicted_classes(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The class of the largest logit; of one logit an example: 1 where it is above 0."""
    if outputs.ndim == targets.ndim or outputs.shape[-1] == 1:
        return (outputs.reshape(targets.shape) > 0).astype(np.int64)
    return outputs.argmax(-1)


def classification(predicted: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Accuracy, and macro averages of precision, recall and F1 over the classes that occur.

    A class that is never predicted has precision 0 (scikit-learn's `zero_division=0`).

    Args:
        predicted: class indices, shape (n,).
        targets: class indices, shape (n,).
    """
    same_shape(predicted, targets)
    return Counts.of_classes(predicted, targets).main()


def language(predicted: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Share of tokens that are predicted right; both arguments hold token ids of the same shape.

    Positions whose target is -100 do not count.
    """
    same_shape(predicted, targets)
    return {"accuracy": float(np.mean((predicted == targets)[targets != IGNORED]))}


def multilabel(predicted: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """F1 (macro and micro over the labels), share of examples with every label right, and share of labels that are wrong.

    Args:
        predicted: 0 or 1, shape (n, labels).
        targets: 0 or 1, the same shape.
    """
    same_shape(predicted, targets)
    counts = Counts.of_labels(predicted, targets)
    return {
        "f1": float(counts.f1.mean()),
        "f1_micro": counts.micro("f1"),
        "subset_accuracy": float(np.mean((predicted == targets).all(1))),
        "hamming": float(np.mean(predicted != targets)),
    }


class Counts:
    """True positives, false positives and false negatives, one a class or label.

    Args:
        hits, predicted, true: how often a class was predicted rightly, predicted, and there; shape (classes,).
        right: share of examples with the right class (NaN for labels).
    """

    def __init__(self, hits: np.ndarray, predicted: np.ndarray, true: np.ndarray, right: float = np.nan) -> None:
        self.hits, self.predicted, self.true, self.right = hits, predicted, true, right
        self.precision = _ratio(hits, predicted)
        self.recall = _ratio(hits, true)
        self.f1 = _ratio(2 * hits, predicted + true)

    @classmethod
    def of_classes(cls, predicted: np.ndarray, targets: np.ndarray, classes: int = 0) -> "Counts":
        """Of class indices, shape (n,)."""
        classes = max(classes, int(predicted.max(initial=0)) + 1, int(targets.max(initial=0)) + 1)
        hits = np.bincount(targets[predicted == targets], minlength=classes)
        seen, true = (np.bincount(y, minlength=classes) for y in (predicted, targets))
        return cls(hits, seen, true, float(np.mean(predicted == targets)))

    @classmethod
    def of_labels(cls, predicted: np.ndarray, targets: np.ndarray) -> "Counts":
        """Of zeros and ones, shape (n, labels)."""
        guess, true = predicted > 0.5, targets > 0.5
        return cls((guess & true).sum(0), guess.sum(0), true.sum(0))

    def main(self) -> dict[str, float]:
        """Accuracy, and precision, recall and F1 averaged over the classes that are predicted or there."""
        occurs = (self.predicted + self.true) > 0
        averages = {name: float(getattr(self, name)[occurs].mean()) for name in ("precision", "recall", "f1")}
        return {"accuracy": self.right, **averages}

    def micro(self, name: str) -> float:
        """Precision, recall or F1 of all classes' counts added up."""
        hits, predicted, true = (np.array([x.sum()]) for x in (self.hits, self.predicted, self.true))
        return float(getattr(Counts(hits, predicted, true), name)[0])

    def balanced_accuracy(self) -> float:
        """Mean recall of the classes that are there."""
        return float(self.recall[self.true > 0].mean())


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Part over whole, 0 where there is no whole."""
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def same_shape(predicted: np.ndarray, targets: np.ndarray) -> None:
    """Raises where the two cannot be compared one by one."""
    if predicted.shape != targets.shape:
        raise FaninValueError(f"predicted has shape {predicted.shape}, but targets have shape {targets.shape}")
