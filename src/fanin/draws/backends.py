"""Which backend fills NumPy arrays: numba's kernels, where numba is installed and worth loading, else NumPy itself.

Loading numba takes about as long as NumPy takes for thirty million numbers, so a few are drawn without it. The bits are
the same.
"""

import functools
import warnings
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.distributions import Distribution
from fanin.draws import elementwise
from fanin.draws.bits import Stream
from fanin.draws.recipe import Recipe, Source
from fanin.draws.recipe import recipe as recipe_of
from fanin.draws.threads import set_threads
from fanin.draws.windows import TILE, Ranges

WORTH_IT = 1 << 24  # numbers, in all draws of this process, before numba is loaded
HINT = (
    "Draws are done by NumPy alone, because {reason}. With numba they are 10 to 20 times faster on each core, "
    "with the same bits: pip install 'fanin[fast]'"
)


class State:
    """What this process draws with."""

    drawn = 0  # numbers drawn without numba
    engine: ModuleType | None = None  # numba's kernels, once loaded
    hinted = False


def fill(recipe: Recipe, shape: tuple[int, ...], stream: Stream, ranges: Ranges, out: NDArray[Any]) -> None:
    """Write the elements that the ranges name into `out`, which has one axis for each range."""
    if State.engine is None:
        expect(out.size)
    if State.engine is None or not State.engine.fill(recipe, shape, stream, ranges, out):
        elementwise.fill(recipe, shape, stream, ranges, out)


def fill_seeds(law: Distribution, seeds: Sequence[int], name: str, outs: Sequence[NDArray[Any] | None]) -> bool:
    """Draw all of a small weight under several seeds at once; False, with nothing done, where one by one is as good."""
    first = outs[0] if outs else None
    if State.engine is not None or first is None or not 0 < first.size <= TILE:
        return False
    made = recipe_of(law, double=first.dtype.name == "float64")
    if made is None or made.bits != 32 or made.source is Source.CONSTANT:
        return False
    alike = [o for o in outs if o is not None and o.shape == first.shape and o.dtype == first.dtype and o.flags.carray]
    if len(alike) < len(outs):
        return False
    expect(first.size * len(outs))
    elementwise.fill_seeds(made, name, np.array(seeds, dtype=np.uint64), alike)
    return True


def prepare(threads: int | None = None) -> str:
    """Load the fastest backend now, not once many numbers have been drawn, and say how many threads draws may use.

    Args:
        threads: at most this many; None: one for each processor that the process may run on.

    Returns:
        "numba" or "numpy": what draws numbers from now on. The bits are the same.

    Raises:
        FaninTypeError, FaninValueError: `threads` is not an integer of at least 1.

    Example:
        >>> prepare() in ("numba", "numpy")
        True
    """
    set_threads(threads)
    State.engine, _ = _numba()
    return "numpy" if State.engine is None else "numba"


def expect(numbers: int) -> None:
    """Say that so many numbers are about to be drawn: a backend that is worth it for them is loaded before the first."""
    State.drawn += numbers
    if State.engine is None and State.drawn >= WORTH_IT:
        State.engine, problem = _numba()
        if State.engine is None and not State.hinted:
            State.hinted = True
            warnings.warn(HINT.format(reason=problem), stacklevel=6)


@functools.cache
def _numba() -> tuple[ModuleType | None, str]:
    """The backend; or none, and why."""
    try:
        from fanin.draws import numba_fill
    except ModuleNotFoundError:
        return None, "numba is not installed"
    except ImportError as error:  # a numba that does not fit the NumPy that is installed, for one
        return None, f"numba cannot be loaded ({error})"
    return numba_fill, ""
