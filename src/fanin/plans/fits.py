"""Whether distributions fit the weights that they are for, and each other."""

import math
from numbers import Integral

from fanin.distributions import Constant, Distribution, Mirrored, Stack, ZeroRows
from fanin.draws.memory import LIMIT


def shape_problems(distribution: Distribution, shape: tuple[int, ...]) -> tuple[str, ...]:
    """Why the distribution cannot fill a weight of this shape (empty where it can), one part of a sentence each."""
    if not all(isinstance(n, Integral) and n >= 0 for n in shape):
        return (f"the shape {shape} is not that of a weight: every extent must be a whole number of at least 0",)
    if math.prod(shape) >= LIMIT:
        return (f"the shape {shape} is not that of a weight: its numbers cannot be counted in 64 bits",)
    if isinstance(distribution, ZeroRows):
        wrong = [r for r in distribution.rows if not shape or not 0 <= r < shape[0]]
        text = (f"its zero rows {wrong} are not rows of a weight of shape {shape}",) if wrong else ()
        return text + shape_problems(distribution.base, shape)
    if isinstance(distribution, Stack):
        axis = distribution.axis
        if not 0 <= axis < len(shape) or sum(distribution.sizes) != shape[axis]:
            return (f"its blocks {distribution.sizes} do not add up to axis {axis} of the shape {shape}",)
        return tuple(
            problem
            for part, size in zip(distribution.parts, distribution.sizes, strict=True)
            for problem in shape_problems(part, (*shape[:axis], size, *shape[axis + 1 :]))
        )
    axes = getattr(distribution, "axes", None)
    if axes is not None and axes.shape != tuple(shape):
        return (f"its {type(distribution).__name__} is for the shape {axes.shape}, but the weight has {shape}",)
    return ()


def is_zero(distribution: Distribution) -> bool:
    """Whether the distribution gives nothing but zeros."""
    return isinstance(distribution, Constant) and distribution.value == 0


def paired_out(distribution: Distribution) -> int:
    """How many units the outputs are paired over (0 where they are not)."""
    return distribution.out.units if isinstance(distribution, Mirrored) and distribution.out is not None else 0


def paired_in(distribution: Distribution) -> int:
    """How many units the inputs are paired over (0 where they are not)."""
    return distribution.in_.units if isinstance(distribution, Mirrored) and distribution.in_ is not None else 0
