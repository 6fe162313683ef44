"""From 32 random bits to a number of a given distribution, one word a number, without rejection.

Everything goes through the quantile function, in float64. The word w stands for the middle of its interval,
u = (w + ½) / 2³², so u is never 0 or 1 and the distribution is exactly symmetric; |z| of a normal is at most 6.34.
"""

import math

import numpy as np
from numpy.typing import NDArray

from fanin.draws.bits import Words

Array = NDArray[np.float64]


def unit(words: Words) -> Array:
    """u in (0, 1)."""
    u = words.astype(np.float64)
    u += 0.5
    u *= 2.0**-32
    return u


def symmetric(words: Words) -> Array:
    """Uniform on (-1, 1)."""
    u = words.astype(np.float64)
    u += 0.5 - 2.0**31
    u *= 2.0**-31
    return u


def normal(words: Words) -> Array:
    """z ~ N(0, 1)."""
    from scipy.special import ndtri

    u = unit(words)
    return ndtri(u, out=u)


def truncated_normal(words: Words, cut: float) -> Array:
    """z ~ N(0, 1) given |z| ≤ cut: the quantile's interval is mapped, so that one word always gives one number.

    The deviation of the result is `truncated_std(cut)`.
    """
    from scipy.special import ndtr, ndtri

    low = float(ndtr(-cut))
    u = unit(words)
    u *= 1.0 - 2.0 * low
    u += low
    ndtri(u, out=u)
    return np.clip(u, -cut, cut, out=u)


def truncated_std(cut: float) -> float:
    """The standard deviation of N(0, 1) given |z| ≤ cut: sqrt(1 - 2 c φ(c) / (2 Φ(c) - 1)).

    Example:
        >>> round(truncated_std(2.0), 4)
        0.8796
    """
    c = float(cut)
    if c < 0.1:  # the closed form cancels here: the first four terms of both integrals
        above = c**2 * (1 / 3 - c**2 / 10 + c**4 / 56 - c**6 / 432)
        return math.sqrt(above / (1 - c**2 / 6 + c**4 / 40 - c**6 / 336))
    density = math.exp(-0.5 * c * c) / math.sqrt(2 * math.pi)
    return math.sqrt(1 - 2 * c * density / math.erf(c / math.sqrt(2)))
