"""How large the numbers of a distribution can get, and which numbers a format holds.

Asked before anything is drawn: what is too large for its format would become infinite, or NaN in some formats of 8 bits.
"""

import math

from fanin.distributions import (
    Bernoulli,
    Centred,
    Constant,
    DeltaOrthogonal,
    Distribution,
    Identity,
    Integers,
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
from fanin.draws.quantile import REACH
from fanin.errors import FaninValueError

REACH64 = 9.2  # no z of 64 bits lies further out: what an interval that is too narrow for 32 takes
# The largest number of each format that draws make.
LARGEST = {
    "float64": 1.7976931348623157e308,
    "float32": 3.4028234663852886e38,
    "float16": 65504.0,
    "bfloat16": 3.3895313892515355e38,
    "float8_e4m3fn": 448.0,
    "float8_e5m2": 57344.0,
}
# The largest n of each format (float64 holds all that are drawn) such that it holds all whole numbers from -n to n.
EXACT = {"float32": 2**24, "float16": 2**11, "bfloat16": 2**8, "float8_e4m3fn": 2**4, "float8_e5m2": 2**3}


def largest(law: Distribution) -> float | None:
    """A bound on the absolute value of what is drawn, None where this kind is not known."""
    match law:
        case Constant(value=value):
            return abs(value)
        case Normal(std=std, mean=mean):
            return abs(mean) + REACH * std
        case TruncatedNormal(std=std, mean=mean):
            return abs(mean) + REACH * std
        case NormalBetween(low=low, high=high, std=std, mean=mean):
            off = max(low - mean, mean - high, 0.0)  # a part beyond the mean: its numbers lie behind its nearer end
            return min(max(abs(low), abs(high)), abs(mean) + off + REACH64 * std)
        case Uniform(bound=bound, mean=mean):
            return abs(mean) + bound
        case Signs(scale=scale):
            return abs(scale)
        case Bernoulli(value=value):
            return abs(value)
        case Integers(low=low, high=high):
            return float(max(abs(low), abs(high)))
        case Identity(gain=gain):
            return abs(gain)
        case Orthogonal() | DeltaOrthogonal():
            out = law.axes.size("out")
            wide = math.sqrt(max(1.0, out)) if law.scale_out else 1.0
            return abs(law.gain) * wide
        case Mirrored(base=base) | ZeroRows(base=base) | Sparse(base=base):
            return largest(base)
        case Centred(base=base):
            below = largest(base)
            return None if below is None else 2 * below
        case Stack(parts=parts):
            bounds = [largest(part) for part in parts]
            return None if None in bounds else max(b for b in bounds if b is not None)
    return None


def check_size(law: Distribution, dtype: str) -> None:
    """Raise where numbers of this distribution could be too large for a format; formats that are not known hold all.

    Example:
        >>> check_size(Normal(1e6), "float16")
        Traceback (most recent call last):
        ...
        fanin.errors.FaninValueError: Normal gives numbers up to 6.34e+06, which are too large for float16 (at most 65504)
    """
    bound, limit = largest(law), LARGEST.get(dtype, math.inf)
    if bound is not None and not bound <= limit:
        raise FaninValueError(
            f"{type(law).__name__} gives numbers up to {bound:.3g}, which are too large for {dtype} (at most {limit:.5g})"
        )
