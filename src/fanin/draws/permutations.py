"""Random orders: each line along an axis sorted by (random word, place), so that a tie cannot be broken in two ways."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.draws.bits import Stream
from fanin.draws.windows import Ranges, starts

Array = NDArray[Any]


def orders(shape: tuple[int, ...], axis: int, stream: Stream, ranges: Ranges) -> Array:
    """The number of each place in the random order of its line.

    Args:
        shape: of the whole weight.
        axis: along which a line runs.
        stream: of the weight.
        ranges: one for each axis.

    Returns:
        int64, shape of the window. A line, were it whole, would hold 0 … n - 1 once.
    """
    along = (*ranges[:axis], range(shape[axis]), *ranges[axis + 1 :])
    words = stream.at(starts(along, shape)).reshape([len(r) for r in along])
    places = np.argsort(words, axis=axis, kind="stable")
    order = np.empty_like(places)
    np.put_along_axis(
        order, places, np.arange(shape[axis]).reshape([-1 if a == axis else 1 for a in range(len(shape))]), axis
    )
    return np.take(order, np.asarray(ranges[axis], dtype=np.intp), axis)
