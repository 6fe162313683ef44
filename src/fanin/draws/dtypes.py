"""Which number formats a draw can make."""

import functools
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fanin.distributions import Centred, DeltaOrthogonal, Distribution, Mirrored, Orthogonal
from fanin.errors import FaninTypeError

NATIVE = ("float64", "float32", "float16")
EXTENDED = ("bfloat16", "float8_e4m3fn", "float8_e5m2")  # NumPy has them from ml_dtypes
DTYPES = NATIVE + EXTENDED
COMPLEX = ("complex64", "complex128")  # of orthogonal weights, which are then unitary


def numpy_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """The NumPy dtype of that name, or that dtype itself.

    Raises:
        FaninTypeError: a dtype that draws do not make, or one that needs `ml_dtypes`, which is not installed.
    """
    return _of_dtype(dtype) if isinstance(dtype, np.dtype) else _of_any(dtype)


def law_dtype(dtype: DTypeLike, law: Distribution) -> np.dtype[Any]:
    """Likewise; complex numbers, too, where the distribution is made of orthogonal matrices alone.

    Raises:
        FaninTypeError: as `numpy_dtype`.
    """
    name = _name(dtype)
    if name not in COMPLEX:
        return numpy_dtype(dtype)
    base = law.base if isinstance(law, Mirrored | Centred) else law
    if not isinstance(base, Orthogonal | DeltaOrthogonal):
        raise FaninTypeError(
            f"dtype={name!r} cannot be used for {type(base).__name__}; complex are orthogonal weights only, accepted are "
            + ", ".join(DTYPES)
        )
    return np.dtype(name)


def name_for_rules(dtype: DTypeLike) -> str:
    """The name of a dtype, as a rule is told it: complex ones are refused when the rule has said what is drawn.

    Raises:
        FaninTypeError: as `numpy_dtype`.
    """
    name = _name(dtype)
    return name if name in COMPLEX else numpy_dtype(dtype).name


def _name(dtype: Any) -> str | None:
    return dtype if isinstance(dtype, str) else getattr(dtype, "name", None) or getattr(dtype, "__name__", None)


def _of_any(dtype: DTypeLike) -> np.dtype[Any]:
    name = _name(dtype)
    if name in NATIVE:
        return np.dtype(name)
    if name in EXTENDED:
        try:
            import ml_dtypes
        except ImportError:
            raise FaninTypeError(
                f"dtype={name!r} needs the package ml_dtypes in NumPy; install it, or draw float32 and cast"
            ) from None
        return np.dtype(getattr(ml_dtypes, name))
    try:
        kind = np.dtype(dtype)
    except TypeError:
        kind = None
    if kind is None or kind.name not in DTYPES:
        raise FaninTypeError(f"dtype={dtype!r} cannot be used; accepted are {', '.join(DTYPES)}")
    return kind


_of_dtype = functools.lru_cache(maxsize=64)(_of_any)  # the name of a dtype takes NumPy microseconds
