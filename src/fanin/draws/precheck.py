"""What a draw would refuse, found before it writes: a weight, or a model, is drawn whole or not at all."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fanin.distributions import (
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
    Orthogonal,
    Permutations,
    Sparse,
    Stack,
    TruncatedNormal,
    Uniform,
    ZeroRows,
)
from fanin.draws import host
from fanin.draws.bits import Stream
from fanin.draws.compose import Backend, Shape, check_axes, check_rows, check_zeros, stack_parts
from fanin.draws.largest import EXACT
from fanin.draws.layout import block_shape
from fanin.draws.mirrored import halves
from fanin.draws.recipe import recipe
from fanin.draws.windows import check_axis, check_shape, pieces
from fanin.errors import FaninTypeError, FaninValueError

COMPOSITES = (Stack, ZeroRows, Sparse, Mirrored, Centred)  # they write more than once
COMMON = (Normal, TruncatedNormal, Uniform)  # asked about most, and made of nothing else
AT_ONCE = 1 << 18  # numbers of a formula that are computed in one go


def leaves(law: Distribution, shape: Shape, stream: Stream, bits: int = 32) -> Iterator[tuple[Distribution, Shape]]:
    """The distributions that a weight is made of, each with the shape that it is drawn in.

    Raises:
        FaninValueError, FaninTypeError: the law cannot be drawn in this shape, whatever the numbers are.
    """
    check_axes(law, shape, stream)
    nothing = (range(0),) * len(shape)
    match law:
        case Stack(parts=parts, sizes=sizes, axis=axis):
            stack_parts(law, shape, stream, tuple(map(range, shape)))
            for part, n in zip(parts, sizes, strict=True):
                yield from leaves(part, (*shape[:axis], n, *shape[axis + 1 :]), stream, bits)
            return
        case ZeroRows(base=base):
            check_rows(law, shape, stream)
            yield from leaves(base, shape, stream, bits)
            return
        case Sparse(base=base):
            check_zeros(law, shape, stream)
            yield from leaves(base, shape, stream, bits)
            return
        case Mirrored(base=base) | Centred(base=base):
            blocks = halves(law)[2] if isinstance(law, Mirrored) else block_shape(law.axes)
            axes = getattr(base, "axes", None)
            yield from leaves(base, blocks if axes is None else axes.shape, stream, bits)
            return
        case Permutations(axis=axis):
            check_axis(axis, shape, "Permutations")
        case Formula():
            host.values(law, shape, stream, nothing, bits)  # its arguments and axes; its numbers: `check_formulas`
        case Mapped(base=base, function=function, arguments=arguments):
            for _ in leaves(base, shape, stream, bits):
                pass  # drawn in float64, whatever the weight's own format is
            with np.errstate(all="ignore"):
                host.found("mapping", function)(np.empty((0,) * len(shape)), *arguments)
        case Built(function=function):
            host.found("builder", function)
        case Constant() | Identity() | Orthogonal() | DeltaOrthogonal():
            pass
        case _:
            if recipe(law, bits=bits) is None:
                raise FaninTypeError(
                    f"{type(law).__name__} cannot be drawn; known are the records of fanin.distributions"
                )
    yield law, shape


def check(law: Distribution, shape: Shape, stream: Stream, out: Any, bits: int, to: Backend) -> None:
    """Raise what a later part of the law would raise when an earlier one is written already.

    Args:
        law: what is drawn.
        shape: of the whole weight.
        stream: of the weight.
        out: where it will be written.
        bits: random bits a number.
        to: the backend that `out` belongs to.
    """
    if not isinstance(law, COMPOSITES):
        return
    for part, _ in leaves(law, shape, stream, bits):
        if isinstance(part, Constant) and not math.isfinite(to.rounded(part.value, out)):
            raise FaninValueError(f"Constant: value={part.value!r} is too large for {to.name(out)}")


def check_whole(law: Distribution, shape: int | Sequence[int], name: str, dtype: str) -> None:
    """Raise where whole numbers (of `Integers`, of `Permutations`) are larger than this format holds exactly.

    Faces and plans ask this; `draw_distribution` rounds.

    Example:
        >>> check_whole(Permutations(), (3, 1000), "w", "bfloat16")
        Traceback (most recent call last):
        ...
        fanin.errors.FaninValueError: Permutations gives whole numbers up to 999, but bfloat16 holds those up to 256 only
    """
    if dtype not in EXACT or isinstance(law, COMMON):
        return
    for part, sizes in leaves(law, check_shape(shape), Stream(0, name)):
        match part:
            case Integers(low=low, high=high):
                last = max(abs(low), abs(high - 1))
            case Permutations(axis=axis):
                last = sizes[axis] - 1
            case _:
                continue
        if last > EXACT[dtype]:
            raise FaninValueError(
                f"{type(part).__name__} gives whole numbers up to {last}, but {dtype} holds those up to {EXACT[dtype]} only"
            )


def check_formulas(law: Distribution, shape: Shape, stream: Stream) -> None:
    """Raise where a formula in the law gives numbers that are not finite anywhere in the weight: all of them are computed."""
    for part, sizes in leaves(law, shape, stream):
        if isinstance(part, Formula):
            for _, ranges in pieces(tuple(map(range, sizes)), AT_ONCE):
                host.values(part, sizes, stream, ranges)


def certain(law: Distribution) -> bool:
    """Whether no number of it can be refused while it is drawn, once `leaves` and `largest` have nothing to say.

    Not so for functions of numbers: what they give is known when they are computed.
    """
    match law:
        case Stack(parts=parts):
            return all(map(certain, parts))
        case ZeroRows(base=base) | Sparse(base=base) | Mirrored(base=base) | Centred(base=base):
            return certain(base)
    return not isinstance(law, host.HOSTED)
