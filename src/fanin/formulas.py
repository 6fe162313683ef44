"""Named functions that distributions refer to, so that a plan stays data: exact values, maps of numbers, whole builds.

- `formula`: the value at a place. `Formula("name", arguments)` draws it; only the window that is asked for is computed.
- `mapping`: a function of one number. `Mapped(base, "name", arguments)` draws the base through it.
- `builder`: a whole weight made of random numbers. `Built("name", axes, arguments)` draws it.

Each is registered where its rule stands, under the decorator; the name is that of the function. All are computed in float64
by NumPy, so that every framework gets the same numbers.
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from fanin.errors import FaninValueError

Array = NDArray[np.float64]
Places = tuple[NDArray[np.int64], ...]


class Source(Protocol):
    """Where a builder takes its random numbers from."""

    def __call__(self, label: str, shape: tuple[int, ...], law: str = "normal") -> Array:
        """Numbers of this shape, from a stream of their own for each label; `law` is "normal" (0, 1) or "uniform" (-1, 1)."""
        ...


# (places, shape, axes, *arguments) → values. `places` has one array of indices for each axis, as `numpy.ix_` gives them.
FORMULAS: dict[str, Callable[..., Any]] = {}
# (numbers, *arguments) → numbers
MAPPINGS: dict[str, Callable[..., Any]] = {}
# (axes, source, *arguments) → the whole weight
BUILDERS: dict[str, Callable[..., Any]] = {}

F = TypeVar("F", bound=Callable[..., Any])


def _registered(table: dict[str, Callable[..., Any]], what: str, function: F) -> F:
    name = function.__name__.strip("_")
    known = table.get(name)
    if known is not None and (known.__module__, known.__qualname__) != (function.__module__, function.__qualname__):
        raise FaninValueError(
            f"{what} {name!r} is defined already, in {known.__module__}; give the function another name"
        )
    table[name] = function
    return function


def formula(function: F) -> F:
    """Register f(places, shape, axes, *arguments) → values that broadcast to the window's shape, under its name."""
    return _registered(FORMULAS, "formula", function)


def mapping(function: F) -> F:
    """Register f(numbers, *arguments) → numbers of the same shape, under its name."""
    return _registered(MAPPINGS, "mapping", function)


def builder(function: F) -> F:
    """Register f(axes, source, *arguments) → a whole weight of the axes' shape, under its name."""
    return _registered(BUILDERS, "builder", function)
