"""The memory that a draw writes to: whether there can be so much of it, and whether each number has a place of its own."""

import math
from collections.abc import Sequence

import numpy as np

from fanin.errors import FaninValueError

LIMIT = 2**63  # bytes, and numbers of a weight: what an address, or an index, of 64 bits reaches


def check_size(shape: Sequence[int], itemsize: int) -> None:
    """Raise where an array of this shape needs more memory than can be addressed."""
    if math.prod(n for n in shape if n) * itemsize >= LIMIT:
        raise FaninValueError(
            f"{tuple(shape)} numbers of {itemsize} bytes are more than can be addressed (2**63 bytes); give a window= of the weight"
        )


def overlaps(shape: Sequence[int], strides: Sequence[int], itemsize: int = 1) -> bool:
    """Whether two elements of a strided array share memory (it was expanded, or its rows were laid over one another).

    Args:
        shape: of the array.
        strides: how far apart neighbours of each axis lie, in the units of `itemsize`.
        itemsize: how long an element is.

    Example:
        >>> overlaps((4, 6), (6, 1)), overlaps((4, 6), (1, 4)), overlaps((4, 6), (0, 1)), overlaps((4, 6), (2, 1))
        (False, False, True, True)
    """
    if 0 in shape:
        return False
    axes = sorted((abs(step), n) for n, step in zip(shape, strides, strict=True) if n > 1)
    reach = itemsize
    for step, n in axes:  # as slices and transposes are: each axis steps over all that the finer ones reach
        if step < reach:
            break
        reach += step * (n - 1)
    else:
        return False
    places = np.zeros(1, dtype=np.int64)
    for step, n in axes:
        places = (places[:, None] + step * np.arange(n)).reshape(-1)
    places.sort()
    return bool((np.diff(places) < itemsize).any())
