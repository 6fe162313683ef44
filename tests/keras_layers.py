"""One layer of each kind that Keras has, with what its weights are drawn by: for measuring what goes through it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from tests.keras_backend import array, keras

layers = keras.layers


@dataclass(frozen=True)
class Kind:
    """A kind of layer.

    Attributes:
        make: initializer → the layer.
        shape: of an input, without the batch.
        weights: how many weights in a row the signal meets.
        inner: cuts the positions out of an output where all taps meet (others see padding).
    """

    make: Callable[[Any], Any]
    shape: tuple[int, ...]
    weights: int = 1
    inner: Callable[[Any], Any] = lambda y: y


KINDS = {
    "Dense": Kind(lambda i: layers.Dense(96, kernel_initializer=i), (64,)),
    "Conv1D": Kind(lambda i: layers.Conv1D(48, 5, groups=4, kernel_initializer=i), (24, 32)),
    "Conv2D": Kind(lambda i: layers.Conv2D(32, 3, strides=2, groups=2, kernel_initializer=i), (9, 9, 16)),
    "Conv3D": Kind(lambda i: layers.Conv3D(24, (3, 2, 2), groups=3, kernel_initializer=i), (5, 4, 4, 12)),
    "DepthwiseConv1D": Kind(lambda i: layers.DepthwiseConv1D(3, depthwise_initializer=i), (12, 64)),
    "DepthwiseConv2D": Kind(
        lambda i: layers.DepthwiseConv2D(3, depth_multiplier=2, depthwise_initializer=i), (6, 6, 64)
    ),
    "SeparableConv2D": Kind(
        lambda i: layers.SeparableConv2D(32, 3, depthwise_initializer=i, pointwise_initializer=i), (6, 6, 64), 2
    ),
    "Conv1DTranspose": Kind(
        lambda i: layers.Conv1DTranspose(48, 4, strides=2, kernel_initializer=i), (16, 32), inner=lambda y: y[:, 4:-4]
    ),
    "Conv2DTranspose": Kind(
        lambda i: layers.Conv2DTranspose(64, 4, strides=2, kernel_initializer=i),
        (8, 8, 16),
        inner=lambda y: y[:, 4:-4, 4:-4],
    ),
    "Conv2DTranspose uneven": Kind(  # 3 taps at a stride of 2: some outputs see one tap an axis, some two
        lambda i: layers.Conv2DTranspose(64, 3, strides=2, kernel_initializer=i),
        (9, 9, 16),
        inner=lambda y: y[:, 4:-5, 4:-5],
    ),
    "Conv3DTranspose": Kind(lambda i: layers.Conv3DTranspose(16, 2, strides=2, kernel_initializer=i), (3, 3, 3, 24)),
    "EinsumDense": Kind(lambda i: layers.EinsumDense("abc,cde->abde", (None, 4, 12), kernel_initializer=i), (3, 64)),
    "EinsumDense back": Kind(
        lambda i: layers.EinsumDense("abde,dec->abc", (None, 48), kernel_initializer=i), (3, 4, 16)
    ),
    "Dense in time": Kind(lambda i: layers.TimeDistributed(layers.Dense(96, kernel_initializer=i)), (3, 64)),
}


def gain(kind: Kind, initializer: Callable[[], Any], draws: int) -> tuple[float, float]:
    """E[y²] for E[x²] = 1 over redraws of weights and inputs, and its standard error."""
    rng, found = np.random.default_rng(0), []
    for _ in range(draws):
        x = rng.standard_normal((8, *kind.shape)).astype(np.float32)
        y = kind.inner(array(kind.make(initializer())(x))).astype(np.float64)
        found.append(float((y**2).mean()))
    return float(np.mean(found)), float(np.std(found) / (draws - 1) ** 0.5)
