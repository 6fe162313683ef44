"""Centred weights: what another distribution draws, less its mean over the inputs."""

import dataclasses
from typing import Any

import numpy as np

from fanin.distributions import Centred
from fanin.draws.bits import Stream
from fanin.draws.householder import Ops, as_index
from fanin.draws.layout import Window, block_shape


def centred(ops: Ops, law: Centred, stream: Stream, part: Window, draw_base: Any) -> Any:
    """A part of the blocks of a `Centred`, shape `part.shape`: all inputs of its outputs are drawn.

    Args:
        ops: of the framework and dtype.
        law: what to draw.
        stream: of the weight.
        part: which blocks, outputs, inputs and taps.
        draw_base: `matrices.block`.
    """
    sizes = block_shape(law.axes)
    inputs = dataclasses.replace(part, columns=np.arange(sizes[2]))
    blocks = draw_base(ops, law.base, sizes, stream, inputs)
    mean = blocks.mean(2)[:, :, None]
    return blocks[:, :, as_index(part.columns)] - mean
