"""Distributions that NumPy computes for every framework, in float64: formulas, maps of numbers, whole builds.

They are small (biases, tables, kernels), or made once; what matters is that they are the same everywhere.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin import formulas
from fanin.distributions import Built, Distribution, Formula, Mapped, Normal, Uniform
from fanin.draws.bits import Stream
from fanin.draws.windows import Ranges
from fanin.errors import FaninValueError
from fanin.formulas import Places
from fanin.slots import Axes

Array = NDArray[Any]
Shape = tuple[int, ...]
HOSTED = (Formula, Mapped, Built)
LAWS: dict[str, Distribution] = {"normal": Normal(1.0), "uniform": Uniform(1.0)}


def values(law: Formula | Mapped | Built, shape: Shape, stream: Stream, ranges: Ranges, bits: int = 32) -> Array:
    """The numbers of a window, float64, of the ranges' lengths.

    Raises:
        FaninValueError: the named function is not known, or gives another shape or numbers that are not finite.
    """
    match law:
        case Formula(function=name, arguments=arguments, axes=axes, gain=gain):
            made = gain * _at(name, _places(ranges), shape, axes, arguments)
        case Mapped(base=base, function=name, arguments=arguments):
            drawn = drawn_double(base, shape, stream, ranges, bits)
            with np.errstate(all="ignore"):
                made = np.asarray(found("mapping", name)(drawn, *arguments), dtype=np.float64)
        case Built():
            made = _whole(law, stream)[np.ix_(*map(list, ranges))] if ranges else _whole(law, stream)
    wanted = tuple(map(len, ranges))
    if made.shape != wanted:
        raise FaninValueError(
            f"{law.function!r} gave the shape {made.shape} for {stream.name!r}, but it must be {wanted}"
        )
    if not np.isfinite(made).all():
        raise FaninValueError(f"{law.function!r} gave numbers that are not finite for {stream.name!r}")
    return made


def drawn_double(law: Distribution, shape: Shape, stream: Stream, ranges: Ranges, bits: int = 32) -> Array:
    """A window of any distribution, in float64."""
    from fanin.draws.compose import fill  # which takes distributions apart, and comes here for these
    from fanin.draws.numpy import NUMPY

    out = np.empty(tuple(map(len, ranges)), dtype=np.float64)
    fill(law, shape, stream, ranges, out, bits, NUMPY)
    return out


def found(what: str, name: str) -> Callable[..., Any]:
    """The function of this kind and name; the rules, beside which they stand, are loaded first where it is not there yet."""
    table = {"formula": formulas.FORMULAS, "mapping": formulas.MAPPINGS, "builder": formulas.BUILDERS}[what]
    if name not in table:
        from fanin import rules

        rules.load_all()
    if name not in table:
        raise FaninValueError(f"{what} {name!r} is not known; known are {', '.join(sorted(table)) or 'none'}")
    return table[name]


def _at(name: str, places: Places, shape: Shape, axes: Axes | None, arguments: tuple[float, ...]) -> Array:
    """The values of a formula on a window, as a whole array."""
    made = np.asarray(found("formula", name)(places, shape, axes, *arguments), dtype=np.float64)
    return np.broadcast_to(made, tuple(p.size for p in places))


def _places(ranges: Ranges) -> tuple[NDArray[np.int64], ...]:
    return np.ix_(*(np.arange(r.start, r.stop, r.step, dtype=np.int64) for r in ranges)) if ranges else ()


def _whole(law: Built, stream: Stream) -> Array:
    """The whole weight, built from the streams of its own name, or of the name that it shares."""
    shared = stream if law.stream is None else Stream(stream.seed, law.stream)

    def source(label: str, shape: Shape, law: str = "normal") -> Array:
        return drawn_double(LAWS[law], shape, shared.part(label), tuple(range(n) for n in shape))

    made = np.asarray(found("builder", law.function)(law.axes, source, *law.arguments), dtype=np.float64)
    if made.shape != law.axes.shape:
        raise FaninValueError(f"{law.function!r} built the shape {made.shape}, but the axes have {law.axes.shape}")
    return law.gain * made
