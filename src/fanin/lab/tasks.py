"""The kinds of task that a data set poses; apart from the records of results, which workers do not need."""

from typing import Literal

Task = Literal["classification", "regression", "language", "multilabel"]
