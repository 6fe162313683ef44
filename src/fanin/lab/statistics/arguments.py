"""Arguments of the statistics, checked: numbers become arrays of float64, everything else becomes one clear sentence."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fanin.errors import FaninTypeError, FaninValueError

Values = Sequence[float] | np.ndarray
Scores = np.ndarray | Sequence[Sequence[float]] | Mapping[Any, Values]  # a matrix (runs × cells), or cell → scores


def numbers(name: str, values: Any, least: int = 0, *, finite: bool = False) -> np.ndarray:
    """`values` as an array of shape (n,), n at least `least`."""
    try:
        x = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise FaninTypeError(f"{name}={_short(values)} must be a list of numbers") from None
    if x.ndim != 1:
        raise FaninValueError(f"{name} has {x.ndim} axes, but must be one list of numbers")
    if x.size < least:
        raise FaninValueError(f"{name} has {x.size} values, but must have at least {least}")
    if finite and not np.isfinite(x).all():
        raise FaninValueError(f"{name} has a value that is not finite ({x[~np.isfinite(x)][0]}), but must have none")
    return x


def columns(name: str, scores: Any) -> list[np.ndarray]:
    """A score matrix (runs × cells), or a dictionary cell → scores of its runs, as one array a cell."""
    if isinstance(scores, Mapping):
        cells = [(f"{name}[{key!r}]", cell) for key, cell in scores.items()]
    else:
        try:
            matrix = np.asarray(scores, dtype=float)
        except (TypeError, ValueError):
            raise FaninTypeError(
                f"{name}={_short(scores)} must be a matrix of numbers (runs × cells), or a dictionary cell → scores"
            ) from None
        if matrix.ndim != 2:
            raise FaninValueError(f"{name} has {matrix.ndim} axes, but must be a matrix (runs × cells)")
        cells = [(f"{name}[:, {i}]", cell) for i, cell in enumerate(matrix.T)]
    if not cells:
        raise FaninValueError(f"{name} has no cell, but must have at least one")
    return [numbers(label, cell, least=1, finite=True) for label, cell in cells]


def share(name: str, value: Any) -> float:
    """`value` if it lies strictly between 0 and 1: a level, an alpha, a power."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating):
        raise FaninTypeError(f"{name}={value!r} is a {type(value).__name__}, but must be a number")
    if not 0 < value < 1:
        raise FaninValueError(f"{name}={value} must lie between 0 and 1")
    return float(value)


def positive(name: str, value: Any, *, zero: bool = False) -> float:
    """`value` if it is finite and above 0 (or 0, where `zero`)."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating | np.integer):
        raise FaninTypeError(f"{name}={value!r} is a {type(value).__name__}, but must be a number")
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise FaninValueError(f"{name}={value} must be finite and {'at least' if zero else 'above'} 0")
    return float(value)


def count(name: str, value: Any, least: int = 0) -> int:
    """`value` if it is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise FaninTypeError(f"{name}={value!r} is a {type(value).__name__}, but must be a whole number")
    if value < least:
        raise FaninValueError(f"{name}={value} must be at least {least}")
    return int(value)


def one_of(name: str, value: Any, accepted: Sequence[str]) -> None:
    """Raises unless `value` is one of the words `accepted`."""
    if value not in accepted:
        raise FaninValueError(f"{name}={value!r} must be one of {', '.join(map(repr, accepted))}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
