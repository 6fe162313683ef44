"""Functions of the user's, called on NumPy arrays: as they are, with a framework's tensors, or number by number.

An activation maps each number by itself, to a real one. Whether a function does is found by asking it twice: for many numbers
at once, and for a part of them in another order.
"""

import importlib
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.errors import FaninError, FaninValueError

Array = NDArray[np.float64]

# Framework → the file that hands a function its tensors. Looked at only where the framework is loaded already.
ADAPTERS = {"torch": "fanin.activations_torch", "jax": "fanin.activations_jax"}
LAYERS = "fanin.activations_keras"  # Keras's layers are called through the framework under them

# Of the points at which a function is asked, those asked again: backwards, not centred, without the ends, every seventh, so
# that means, largest values, sums and orders of the part are others than those of the whole; and one number alone.
PART, ALONE = slice(907, 38, -7), slice(733, 734)


def values(f: Callable[[Any], Any], z: Array) -> Array:
    """The values of an elementwise function.

    Args:
        f: a function of NumPy arrays, of tensors, or of one number.
        z: the points, more than 907.

    Raises:
        FaninValueError: it is none, gives other than finite real numbers, or depends on more than each number alone.
    """
    failures: list[Exception] = []
    for run in callers(f):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # such as Keras's of a softmax over one number
                y, *again = (np.asarray(run(x.copy())) for x in (z, z[PART], z[ALONE]))
            if any(part.dtype.kind == "c" for part in (y, *again)):
                raise FaninValueError(f"nonlinearity={f!r} gave complex numbers; it must map each number to a real one")
            y, *again = (part.astype(np.float64) for part in (y, *again))
        except FaninError:
            raise
        except Exception as error:  # a user's function may raise anything
            failures.append(error)
            continue
        if y.shape != z.shape:
            raise FaninValueError(
                f"nonlinearity={f!r} gave shape {y.shape} for numbers of shape {z.shape}; it must map each number to one number"
            )
        if not np.isfinite(y).all():
            where = np.flatnonzero(~np.isfinite(y))
            raise FaninValueError(
                f"nonlinearity={f!r} gave non-finite values at {len(where)} of {len(z)} numbers on [-12, 12] (f({z[where[0]]:g}) is "
                f"{y[where[0]]:g}); it must map each number to a finite one"
            )
        for part, where in zip(again, (PART, ALONE), strict=True):
            if part.shape != z[where].shape or not np.allclose(part, y[where], rtol=1e-4, atol=1e-6):
                hint = "; call .eval() on a module that draws in training" if getattr(f, "training", False) else ""
                raise FaninValueError(
                    f"nonlinearity={f!r} is not elementwise: what it gives for a number depends on the others, or on chance{hint}"
                )
        return y
    failure = _telling(f, failures)
    raise FaninValueError(
        f"nonlinearity={f!r} raised {type(failure).__name__} ({str(failure).partition(chr(10))[0]}); "
        "it must be a function of a NumPy array, of a tensor or of one number"
    ) from failure


def _telling(f: Callable[[Any], Any], failures: list[Exception]) -> Exception:
    """Of what the ways of `callers` raised, what tells most: with the tensors of f's own framework, or with NumPy's arrays."""
    home = str(getattr(f, "__module__", None)).partition(".")[0]
    loaded = [framework for framework in ADAPTERS if framework in sys.modules]
    return failures[1 + loaded.index(home) if home in loaded else 0]


def callers(f: Callable[[Any], Any]) -> Iterator[Callable[[Array], Any]]:
    """Ways to call a function on an array: as it is, with a tensor, and number by number."""
    f = prepared(f)
    yield f
    yield from framework_callers(f)
    yield np.vectorize(f, otypes=[np.float64])


def framework_callers(f: Callable[[Any], Any], double: bool = False) -> Iterator[Callable[[Array], Any]]:
    """Ways to call a function with a tensor; `double`: with 64-bit copies of its own parameters, if it has some."""
    for framework, adapter in ADAPTERS.items():
        if framework in sys.modules:
            room = importlib.import_module(adapter)
            yield room.of_arrays(room.in_double(f) if double and hasattr(room, "in_double") else f)


def prepared(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A layer of Keras as one that computes in 64 bits; every other function as it is."""
    return importlib.import_module(LAYERS).in_double(f) if "keras" in sys.modules else f


def resolution(kind: np.dtype[Any]) -> float:
    """Relative rounding of real numbers of a type; those of another count as Python's."""
    return float(np.finfo(kind).eps) if kind.kind == "f" else float(np.finfo(np.float64).eps)
