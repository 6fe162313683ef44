"""Recipes: how a number of an elementwise distribution is made of its random word, in whole numbers.

    value = (float(k) × scale),   k = (z >> shift) + offset,

z being an integer that the word gives (see `Source`). A mean, or the lower end of an interval, is the integer `offset`:
never a sum of floating-point numbers, which one compiler fuses with the multiplication and another does not. What is left
to floating point is one conversion, one multiplication and, below float32, one cast, all correctly rounded. Each
backend computes a recipe in its own way; the bits are the same.

| dtype | k is converted to | times |
|---|---|---|
| float64 | float64 | scale |
| float32 | float32 | scale rounded to float32 |
| float16, bfloat16, float8 | float32 | the same, then cast (to nearest, ties to even) |

Recipes of 64 bits are computed in float64 and rounded to float32 at the end.
"""

import dataclasses
import enum
import functools
import math
from dataclasses import dataclass

from fanin.distributions import (
    Bernoulli,
    Distribution,
    Integers,
    Normal,
    NormalBetween,
    Signs,
    TruncatedNormal,
    Uniform,
)
from fanin.draws.quantile import REACH, UNIT32, UNIT64, cell, truncated_std
from fanin.errors import FaninValueError

ENOUGH = 2**20  # cells: an interval of the quantile with fewer is drawn with 64 bits


class Source(enum.IntEnum):
    """What z is, of a word w of b bits (w below 2^b)."""

    UNIFORM = 0  # w as a signed number, made odd: symmetric and never zero; unit 2^(1-b) of the bound
    NORMAL = 1  # the quantile of the index low + (w × span >> b), held between `least` and `most`; unit 2^-28 or 2^-59
    SIGN = 2  # 1 where the top bit is set, else -1
    BELOW = 3  # 1 where w < span, else 0
    INTEGER = 4  # w × span >> b
    CONSTANT = 5  # 1


@dataclass(frozen=True)
class Recipe:
    """The numbers that a backend needs (see the module's text).

    Attributes:
        source: how z comes from the word.
        scale: what k is multiplied by.
        shift: how many low bits of z are dropped, so that z and the offset fit together.
        offset: what is added.
        low: NORMAL: first index.
        span: NORMAL: count of indices (2^b: all of them); BELOW, INTEGER: see `Source`.
        least: NORMAL: smallest z.
        most: NORMAL: largest z.
        bits: 32 or 64, of a word.
    """

    source: Source
    scale: float
    shift: int = 0
    offset: int = 0
    low: int = 0
    span: int = 2**32
    least: int = -(2**31)
    most: int = 2**31 - 1
    bits: int = 32

    @property
    def whole(self) -> bool:
        """Whether z is the plain quantile: no part of the index is cut off."""
        return self.span == 2**self.bits


def recipe(law: Distribution, *, bits: int = 32, double: bool = False) -> Recipe | None:
    """The recipe of an elementwise distribution, None for any other.

    Args:
        law: what to draw.
        bits: random bits a number, 32 or 64. Intervals with fewer than 2^20 cells of 32 bits are drawn with 64.
        double: the numbers are wanted as float64, so k may have 53 bits instead of 31.

    Raises:
        FaninValueError: a truncation interval that holds too little probability for 64 bits, too.
    """
    return _recipe(law, bits, double)


@functools.lru_cache(maxsize=4096)  # laws that are equal have one recipe: so no zero keeps its sign
def _recipe(law: Distribution, bits: int, double: bool) -> Recipe | None:
    match law:
        case Normal(std, mean):
            return _placed(Source.NORMAL, std, mean, bits, double)
        case Uniform(bound, mean):
            return _placed(Source.UNIFORM, bound, mean, bits, double)
        case TruncatedNormal(std, cut, mean):
            return _between(std / truncated_std(cut), mean, -cut, cut, bits, double)
        case NormalBetween(std, low, high, mean):
            if std == 0:
                return _placed(Source.NORMAL, 0.0, min(max(mean, low), high), bits, double)
            return _between(std, mean, (low - mean) / std, (high - mean) / std, bits, double)
        case Signs(scale):
            return Recipe(Source.SIGN, scale + 0.0)
        case Bernoulli(probability, value):
            span = round(math.ldexp(probability, 32))
            if span in (0, 2**32):
                return Recipe(Source.CONSTANT, value + 0.0 if span else 0.0)
            return Recipe(Source.BELOW, value + 0.0, span=span)
        case Integers(low, high):
            return Recipe(Source.INTEGER, 1.0, offset=low, span=high - low)
        case _:
            return None


def _placed(source: Source, size: float, mean: float, bits: int, double: bool) -> Recipe:
    """z in units of `size`, about the mean."""
    size = size + 0.0
    if size == 0:
        return Recipe(Source.CONSTANT, mean + 0.0)  # and not zeros of random signs
    unit = {(Source.NORMAL, 32): UNIT32, (Source.NORMAL, 64): UNIT64}.get((source, bits), bits - 1)
    reach = math.ceil(math.ldexp(REACH, unit)) if (source, bits) == (Source.NORMAL, 32) else 2 ** (bits - 1) - 1
    whole = {"span": 2**bits, "least": -reach, "most": reach, "bits": bits}
    if mean == 0:
        return Recipe(source, math.ldexp(size, -unit), **whole)
    room = 2**63 - 1 if bits == 64 else 2**53 if double else 2**31 - 1
    for shift in range(bits - 1):
        step = math.ldexp(size, shift - unit)
        if step == 0 or abs(mean) / step > room:
            continue
        half = 0.5 - math.ldexp(1.0, -shift - 1) if shift else 0.0  # what dropping low bits takes off on average
        offset = round(mean / step + half)
        if offset + (reach >> shift) <= room and offset + (-reach >> shift) >= -room - 1:
            return Recipe(source, step, shift, offset, **whole)
    return Recipe(Source.CONSTANT, mean)  # what is drawn lies below the last digit of the mean


def _between(std: float, mean: float, low: float, high: float, bits: int, double: bool) -> Recipe:
    """A Gaussian between low and high (in deviations from its mean)."""
    first, last = cell(low, bits), cell(high, bits)
    if last - first < ENOUGH:
        if bits == 32:
            return _between(std, mean, low, high, 64, double)
        raise FaninValueError(
            f"an interval from {low:.6g} to {high:.6g} deviations from the mean cannot be drawn; "
            "it must hold a share of more than 2**-44 of the distribution"
        )
    placed = _placed(Source.NORMAL, std, mean, bits, double)
    if placed.source is Source.CONSTANT:
        return placed
    unit = UNIT32 if bits == 32 else UNIT64
    least = max(placed.least, math.ceil(math.ldexp(max(low, -16.0), unit)))
    most = min(placed.most, math.floor(math.ldexp(min(high, 16.0), unit)))
    return dataclasses.replace(placed, low=first, span=last - first, least=least, most=most)
