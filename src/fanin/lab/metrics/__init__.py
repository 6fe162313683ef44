"""What a run is scored by: scikit-learn's and torchmetrics' definitions, in NumPy alone, so that scoring costs no import.

`score` is the one entry for outputs of a model; `classification`, `language`, `multilabel` and `regression` score
predictions that are made already.
"""

from fanin.lab.metrics.constant import constant
from fanin.lab.metrics.distances import regression
from fanin.lab.metrics.labels import classification, confusion, confusion_of_labels, language, multilabel
from fanin.lab.metrics.scores import (
    HIGHER_IS_BETTER,
    NAMES,
    SCORE,
    available,
    check,
    compared,
    higher_is_better,
    reaches,
    score,
)

__all__ = [
    "HIGHER_IS_BETTER",
    "NAMES",
    "SCORE",
    "available",
    "check",
    "classification",
    "compared",
    "confusion",
    "confusion_of_labels",
    "constant",
    "higher_is_better",
    "language",
    "multilabel",
    "reaches",
    "regression",
    "score",
]
