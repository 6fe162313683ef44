"""Numbers that theory is given: real ones, or a sentence that says which is none."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fanin.errors import FaninTypeError

MOST_WHOLE = 10**9  # layers or tokens


def real(name: str, value: Any) -> float:
    """A number of Python's or NumPy's, or an array or tensor of one, as a float (infinite beyond 64 bits).

    Raises:
        FaninTypeError: it is none.
    """
    if isinstance(value, int | float | np.integer | np.floating) or getattr(value, "ndim", None) == 0:
        try:
            return float(value)
        except OverflowError:
            return float("inf") if value > 0 else float("-inf")
        except (TypeError, ValueError):  # an array of one text, say
            pass
    raise FaninTypeError(f"{name}={value!r} is not usable; it must be a number")


def reals(name: str, values: Any) -> list[float]:
    """Several of them."""
    if not isinstance(values, Sequence | np.ndarray) or isinstance(values, str | bytes) or np.ndim(values) == 0:
        raise FaninTypeError(f"{name}={values!r} is not usable; it must be a list of numbers")
    return [real(name, value) for value in values]
