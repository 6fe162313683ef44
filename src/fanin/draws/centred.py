"""Centred weights: what another distribution draws, less its mean over the inputs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.distributions import Centred
from fanin.draws.bits import Stream
from fanin.draws.layout import from_blocks, to_blocks

Array = NDArray[np.float64]


def centred(law: Centred, stream: Stream, draw_whole: Any) -> Array:
    """The whole weight of a `Centred`, shape `law.axes.shape`; `draw_whole` draws the base."""
    blocks = to_blocks(draw_whole(law.base, law.axes.shape, stream), law.axes)
    return from_blocks(blocks - blocks.mean(axis=2, keepdims=True), law.axes)
