"""The populations that intervals are tried on: normal, skewed, bounded near 1, two humps."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


@dataclass(frozen=True)
class Population:
    name: str
    draw: Draw
    mean: float

    def __str__(self) -> str:
        return self.name


def beta(mean: float, std: float) -> Draw:
    k = mean * (1 - mean) / std**2 - 1
    return lambda rng, shape: rng.beta(mean * k, (1 - mean) * k, shape)


def humps(part: float) -> Draw:
    return lambda rng, shape: np.where(rng.random(shape) < part, 1.0, -1.0) + rng.normal(0, 0.2, shape)


POPULATIONS = (
    Population("normal", lambda rng, shape: rng.normal(0, 1, shape), 0.0),
    Population("skewed, σ 0.5", lambda rng, shape: rng.lognormal(0, 0.5, shape), math.exp(0.125)),
    Population("skewed, σ 1", lambda rng, shape: rng.lognormal(0, 1, shape), math.exp(0.5)),
    Population("near 1, .98 ± .005", beta(0.98, 0.005), 0.98),
    Population("near 1, .985 ± .01", beta(0.985, 0.01), 0.985),
    Population("two humps, 50 : 50", humps(0.5), 0.0),
    Population("two humps, 30 : 70", humps(0.3), -0.4),
)
