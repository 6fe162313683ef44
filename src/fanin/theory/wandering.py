"""The law of the log-norm where fluctuations grow: many copies of the chain of norms, walked through the layers.

Where the elasticity d log E f² / d log q is above 1 (GELU, SiLU and mish at the variance that their gain keeps), what one draw
has too much at one layer is more at the next: some nets' signals die, some grow, and neither a mean nor a variance to first
order says where they are. The chain of `fanin.theory.finite_width` is one-dimensional, so that it can be walked as it is.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from fanin.activations import Array
from fanin.theory.layer_laws import Layer, LayerLaw

WALKERS = 4000
SCORES = tuple(np.linspace(-3.0, 3.0, 13).tolist())  # normal scores of the quantiles that are kept
CLOSEST = 0.999  # correlation of what one layer adds forward and backward
MOST_KNOWN = 512  # layers whose noise is looked at
ROUNDING = 1e-14  # of a variance
MOST_SKEWED = 1.0  # beyond it the quantile is no longer monotone within ±3 deviations
MOST_LOST = 0.9  # of a squared gradient, because nothing of it lies along the signal


@dataclass(frozen=True)
class Wandering:
    """Walks through the layers.

    Attributes:
        forward: log |x|² / n after each layer, shape (layers, walkers).
        laws: of each layer at the signals before it.
        noise: what moved the signals, as normal scores, shape (layers, walkers).
    """

    forward: Array
    laws: tuple[LayerLaw, ...]
    noise: Array


def walk(start: float, layers: Sequence[Layer], limit: float) -> Wandering:
    """Walks of the chain; the same at every call.

    Args:
        start: log |x|² / n of the input.
        layers: one after the other.
        limit: largest log signal.
    """
    generator = np.random.Generator(np.random.Philox(0))
    signal, laws = np.full(WALKERS, start), []
    forward, noise = np.empty((len(layers), WALKERS)), np.empty((len(layers), WALKERS))
    for number, layer in enumerate(layers):
        law = layer(signal)
        noise[number] = _unrelated(generator, noise[:number])
        moved = noise_at(noise[number], law.forward + law.forward_second, law.forward_third)
        signal = np.clip(law.after + law.forward_drift + moved, -limit, limit)
        laws.append(law)
        forward[number] = signal
    return Wandering(forward, tuple(laws), noise)


def walk_back(walks: Wandering, layers: Sequence[Layer]) -> Array:
    """Log squared norms of the gradients at each layer's output relative to the last one's, of the same walks.

    What is walked beside them is the gradient's part along the signal, which knows the layers in between: where it lasts
    (softplus), gradients grow more than layer by layer, and by different amounts from draw to draw.

    Returns:
        Shape (layers, walkers).
    """
    generator, strata = np.random.Generator(np.random.Philox(1)), _strata()
    total, along = np.zeros(WALKERS), generator.permutation(strata)  # along: √κ with its sign
    found, seconds = [total], np.empty_like(walks.noise)
    for number in range(len(layers) - 1, 0, -1):
        layer, law, first = layers[number], walks.laws[number], walks.noise[number]
        part = layer.echo(walks.forward[number - 1])
        with np.errstate(all="ignore"):  # of layers that add nothing
            squares = law.forward + law.forward_second, law.backward + law.backward_second
            deviation, back = (np.sqrt(np.maximum(square, 0.0)) for square in squares)
            both = np.clip(np.nan_to_num(law.shared / (deviation * back)), -CLOSEST, CLOSEST)
            second = seconds[number] = _unrelated(generator, walks.noise, seconds[number + 1 :])
            noise = noise_at(both * first + np.sqrt(1 - both**2) * second, squares[1], law.backward_third)
            known = _off(along, law.pull)
            with_first = part.wobble_forward / deviation
            with_second = (part.wobble_backward / back - both * with_first) / np.sqrt(1 - both**2)
            rest = np.sqrt(np.maximum(part.wobble - with_first**2 - with_second**2, 0.0))
            wobble = np.nan_to_num(with_first * first + with_second * second) + rest * generator.permutation(strata)
            fresh = np.sqrt(np.maximum(1 + law.turn - part.echo, 0.0))
            along = (np.sqrt(part.echo) + part.sag + wobble) * along + fresh * generator.permutation(strata)
            known = known + _off(along, layer.along)
            along = along * np.exp(-0.5 * (noise - 0.5 * law.backward + known))
            along = np.clip(along, -math.sqrt(layer.before), math.sqrt(layer.before))
            total = total + law.growth + law.backward_drift + noise + known
        found.append(total)
    return np.stack(found[::-1])


def _off(along: Array, share: Array | float) -> Array:
    """Log of what the gradient's part along the signal multiplies its squared norm with."""
    return np.log1p(np.maximum((along**2 - 1) * share, -MOST_LOST))


def _strata() -> Array:
    """Normal scores of all walkers, so that every layer's noise has the moments of its law."""
    return ndtri((np.arange(WALKERS) + 0.5) / WALKERS)


def _unrelated(generator: np.random.Generator, *known: Array) -> Array:
    """Normal scores of all walkers in an order that is not correlated with that of the known ones, shape (some, walkers) each.

    Where the order is left to chance, so are the correlations: with 4000 walkers the deviation of a sum of layers is off by 1 %.
    """
    strata = _strata()
    order = generator.permutation(strata)
    for scores in known:
        last = scores[-MOST_KNOWN:]
        order = order - (last @ order) @ last / (strata @ strata)
    scores = np.empty_like(strata)
    scores[np.argsort(order)] = strata
    return scores


def noise_at(scores: Array, variance: Array, third: Array) -> Array:
    """Numbers with this variance and third cumulant at normal scores."""
    skewness = skew(third, variance)
    return np.sqrt(np.maximum(variance, 0.0) / (1 + skewness**2 / 18)) * skewed(scores, skewness)


def skew(third: Array, variance: Array) -> Array:
    """Skewness from a third cumulant; none where nothing fluctuates."""
    size = np.maximum(variance, 0.0) ** 1.5
    return np.clip(
        np.divide(third, size, out=np.zeros_like(size), where=variance > ROUNDING), -MOST_SKEWED, MOST_SKEWED
    )


def skewed(scores: Array | float, skewness: Array) -> Array:
    """Where a law of deviation 1 and this skewness has what a normal law has at these scores (Cornish & Fisher 1938).

    The terms of next order, (z³ - 3 z) κ / 24 - (2 z³ - 5 z) γ² / 36, nearly cancel for the log of a gamma variable (κ = 2 γ²:
    -.008 γ² at 1.96), of which these laws are sums.
    """
    return scores + skewness / 6 * (np.square(scores) - 1)


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
