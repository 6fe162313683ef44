"""The law of the log-norm where fluctuations grow: many copies of the chain of norms, walked through the layers.

Where the elasticity d log E f² / d log q is above 1 (GELU, SiLU and mish at the variance that their gain keeps), what one draw
has too much at one layer is more at the next: some nets' signals die, some grow, and neither a mean nor a variance to first
order says where they are. The chain of `fanin.theory.finite_width` is one-dimensional, so that it can be walked as it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from fanin.activations import Array

WALKERS = 4000
SCORES = tuple(np.linspace(-3.0, 3.0, 13).tolist())  # normal scores of the quantiles that are kept
CLOSEST = 0.999  # correlation of what one layer adds forward and backward

Layer = Callable[[int, Array], tuple[Array, Array, Array, Array, Array]]


@dataclass(frozen=True)
class Wandering:
    """Walks through the layers, shape (layers, walkers) each.

    Attributes:
        forward: log |x|² / n after each layer.
        growth: log growth of the squared gradient from the output of a layer to that of the one before; its first row, of the
            first layer, is not used.
    """

    forward: Array
    growth: Array


def walk(start: float, layers: int, layer: Layer, limit: float) -> Wandering:
    """Walks of the chain; the same at every call.

    Args:
        start: log |x|² / n of the input.
        layers: how many.
        layer: (number of the layer, log signals before it) → mean and variance of the log signals after it, mean and variance of
            the gradient's log growth, and the covariance of both.
        limit: largest log signal.
    """
    generator = np.random.Generator(np.random.Philox(0))
    strata = ndtri((np.arange(WALKERS) + 0.5) / WALKERS)  # every layer's noise has the moments of its law
    signal = np.full(WALKERS, start)
    forward, growth = np.empty((layers, WALKERS)), np.empty((layers, WALKERS))
    for number in range(layers):
        mean, variance, pull, own, shared = layer(number, signal)
        first, second = generator.permutation(strata), generator.permutation(strata)
        deviation, back = _deviation(variance), _deviation(own)
        with np.errstate(invalid="ignore", divide="ignore"):  # gradients of a function that jumps have no law
            both = np.clip(np.nan_to_num(shared / (deviation * back)), -CLOSEST, CLOSEST)
            growth[number] = pull + back * (both * first + np.sqrt(1 - both**2) * second)
        signal = np.clip(mean + deviation * first, -limit, limit)
        forward[number] = signal
    return Wandering(forward, growth)


def _deviation(variance: Array) -> Array:
    """Of a log: that of the log of a gamma variable whose relative variance is this, to second order."""
    known = np.maximum(variance, 0.0)
    return np.sqrt(known + 0.5 * known**2)


def quantiles(walks: Array) -> tuple[tuple[float, ...], ...]:
    """Of each layer, at `SCORES`.

    Args:
        walks: shape (layers, walkers).
    """
    return tuple(map(tuple, np.quantile(walks, ndtr(np.array(SCORES)), axis=1).T.tolist()))


def between(rows: Sequence[Sequence[float]], score: float) -> Array:
    """The quantile of each layer at one normal score; beyond the last ones it goes on as straight as they do."""
    table = np.array(rows)
    place = int(np.clip(np.searchsorted(SCORES, score) - 1, 0, len(SCORES) - 2))
    share = (score - SCORES[place]) / (SCORES[place + 1] - SCORES[place])
    return table[:, place] + share * (table[:, place + 1] - table[:, place])
