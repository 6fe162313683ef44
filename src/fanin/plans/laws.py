"""What a plan must know of distributions before it draws: how they scale, how they are cut, what a draw would refuse.

A distribution that these tables do not know is still drawn: it is scaled after it is drawn, and never cut into pieces.
"""

import dataclasses
import functools
import math

from fanin.distributions import (
    Bernoulli,
    Built,
    Centred,
    Constant,
    DeltaOrthogonal,
    Distribution,
    Formula,
    Identity,
    Integers,
    Mapped,
    Mirrored,
    Normal,
    NormalBetween,
    Orthogonal,
    Signs,
    Sparse,
    Stack,
    TruncatedNormal,
    Uniform,
    ZeroRows,
)
from fanin.draws.bits import Stream
from fanin.draws.precheck import check_formulas, check_whole
from fanin.errors import FaninError
from fanin.plans.records import Entry

# Distributions whose element i is a function of its own random bits: any window costs no more than its size.
ELEMENTWISE = (Normal, NormalBetween, TruncatedNormal, Uniform, Signs, Bernoulli, Integers, Constant, Formula)


def times(law: Distribution, factor: float) -> Distribution | None:
    """The distribution of `factor` (> 0) times the numbers, None where this kind cannot say it."""
    match law:
        case Normal() | TruncatedNormal():
            return dataclasses.replace(law, std=law.std * factor, mean=law.mean * factor)
        case NormalBetween():
            return NormalBetween(law.std * factor, law.low * factor, law.high * factor, law.mean * factor)
        case Uniform():
            return Uniform(law.bound * factor, law.mean * factor)
        case Constant() | Bernoulli():
            return dataclasses.replace(law, value=law.value * factor)
        case Signs():
            return Signs(law.scale * factor)
        case Identity() | Orthogonal() | DeltaOrthogonal() | Formula() | Built():
            return dataclasses.replace(law, gain=law.gain * factor)
        case Mirrored() | Centred() | ZeroRows() | Sparse():
            base = times(law.base, factor)
            return None if base is None else dataclasses.replace(law, base=base)
        case Stack():
            parts = [times(part, factor) for part in law.parts]
            known = tuple(part for part in parts if part is not None)
            return dataclasses.replace(law, parts=known) if len(known) == len(parts) else None
    return None


def drawn(entry: Entry) -> tuple[Distribution, float]:
    """What an entry draws with its multiplier in it, and the factor that is left to multiply the drawn numbers with.

    The factor is 1 (or -1: a distribution has no sign) wherever the kind can be scaled, so that nothing is rounded twice.
    """
    size = abs(entry.multiplier)
    if entry.multiplier == 1:
        return entry.distribution, 1.0
    if size == 0:
        return Constant(0.0), 1.0
    scaled = times(entry.distribution, size)
    if scaled is None:
        return entry.distribution, entry.multiplier
    return scaled, math.copysign(1.0, entry.multiplier)


def elementwise(law: Distribution) -> bool:
    """Whether any window of it can be drawn at the cost of that window."""
    match law:
        case Stack(parts=parts):
            return all(elementwise(part) for part in parts)
        case ZeroRows(base=base) | Mapped(base=base):
            return elementwise(base)
    return isinstance(law, ELEMENTWISE)


def refused(law: Distribution, shape: tuple[int, ...], name: str, dtype: str = "", factor: float = 1.0) -> str | None:
    """Why the draw would refuse this distribution for a weight of this shape; None where it would not, or is not known to.

    All numbers of formulas are computed for it, once for each law and shape. Whole numbers times a factor are not whole:
    these are rounded as others are.
    """
    kept = dtype if abs(factor) == 1 else ""
    if _drawable(law, shape, kept):
        return None
    return _refusal(law, shape, kept, name)


@functools.lru_cache(maxsize=4096)
def _drawable(law: Distribution, shape: tuple[int, ...], dtype: str) -> bool:
    """Asked once for all weights of one law and shape, and all applications of a plan."""
    return _refusal(law, shape, dtype, "w") is None


def _refusal(law: Distribution, shape: tuple[int, ...], dtype: str, name: str) -> str | None:
    try:
        check_formulas(law, shape, Stream(0, name))
        check_whole(law, shape, name, dtype)
    except FaninError as error:
        return str(error)
    return None
