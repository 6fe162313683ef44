"""Promises against measurement: one rule on one real layer, drawn again and again until the mean is known well enough.

A `Layer` is what a framework's adapter (`layers_torch`, `layers_flax`, `layers_keras`) hands over: the slot of its weight, and
three functions of a seed or of numbers. Nothing here knows a framework.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fanin.activations import Activation
from fanin.distributions import Distribution
from fanin.draws.layout import block_shape, to_blocks
from fanin.errors import FaninError
from fanin.rules.promise import Promise
from fanin.rules.rule import Rule
from fanin.slots import Slot

FIRST = 4  # redraws before the spread between them is believed
ENOUGH = 256  # numbers that a weight must have to show a law: a scalar would take tens of thousands of redraws
ROUNDING = 2e-6  # of values and spectra that are exact but for float32, relative


@dataclass(frozen=True)
class Layer:
    """One real layer and its weight.

    Attributes:
        name: of the op kind, as the table prints it.
        slot: what is known of the weight.
        draw: (law, seed) → None: fills the layer's weight.
        forward: (seed, f or None) → E[y²] at interior positions, for inputs x = f(z), z ~ N(0, 1), f or none; None where the
            layer has no forward pass of its own (a bias, a scale).
        backward: numpy seed → E[dx²] at interior positions for Gaussian output gradients of E[dy²] = 1; None as above.
        weight: () → the weight in effect, float64.
        parameter: () → the framework's own parameter (what peers' initializers fill).
    """

    name: str
    slot: Slot
    draw: Callable[[Distribution, int], Any]
    forward: Callable[[int, Activation | None], float] | None
    backward: Callable[[int], float] | None
    weight: Callable[[], np.ndarray]
    parameter: Callable[[], Any] = lambda: None


@dataclass(frozen=True)
class Cell:
    """What was measured of one promise: its mean over redraws as a ratio to the promise, and the standard error of it.

    A law is compared by its second moment about the promised mean. For promises of zero, `ratio` is 1 + the measured number.
    """

    promise: Promise
    measured: float
    ratio: float
    error: float
    redraws: int

    def holds(self, tolerance: float, sigmas: float = 0.0) -> bool:
        """Whether the ratio is within the tolerance of one (and so many standard errors)."""
        return abs(self.ratio - 1) <= tolerance + sigmas * self.error


def promises(rule: Rule, layer: Layer) -> tuple[Distribution, tuple[Promise, ...]] | None:
    """The law and the promises of a rule for a layer; None where the rule says that it cannot serve it."""
    try:
        return rule(layer.slot), rule.promises(layer.slot)
    except FaninError:
        return None


def measurable(promise: Promise, layer: Layer) -> bool:
    """Whether this layer can show it."""
    if promise.kind == "forward":
        return layer.forward is not None
    if promise.kind == "law":
        return layer.slot.size >= ENOUGH
    return promise.kind != "backward" or layer.backward is not None


def measure(
    promise: Promise,
    law: Distribution,
    layer: Layer,
    *,
    error: float = 0.005,
    least: int = FIRST,
    most: int = 400,
    seed: int = 0,
) -> Cell:
    """Draw and measure until the standard error of the ratio is at most `error` (exact promises: `least` redraws)."""
    found: list[float] = []
    while True:
        layer.draw(law, seed + len(found))
        found.append(_one(promise, layer, seed + len(found)))
        if len(found) < least:
            continue
        wanted = promise.value**2 if promise.kind == "law" else promise.value
        deviation = float(np.std(found, ddof=1)) / math.sqrt(len(found)) / (abs(wanted) or 1.0)
        if deviation <= error or len(found) >= most:
            mean = float(np.mean(found))
            return Cell(promise, mean, mean / wanted if wanted else 1 + mean, deviation, len(found))


def _one(promise: Promise, layer: Layer, seed: int) -> float:
    match promise.kind:
        case "forward":
            assert layer.forward is not None
            return layer.forward(seed, promise.through)
        case "backward":
            assert layer.backward is not None
            return layer.backward(seed)
        case "law":
            weight = layer.weight()
            return float(np.mean((weight - promise.mean) ** 2))
        case "spectrum":
            return _furthest(singular_values(layer.weight(), layer.slot), promise.value)
        case "values":
            assert promise.measure is not None
            return float(promise.measure(layer.weight(), layer.slot))


def _furthest(values: np.ndarray, wanted: float) -> float:
    """The singular value that is furthest from what is promised."""
    return float(values.ravel()[np.abs(values - wanted).argmax()])


def singular_values(weight: np.ndarray, slot: Slot) -> np.ndarray:
    """The largest min(out, in) singular values of every block (out × in · taps)."""
    assert slot.axes is not None
    stack, out, in_, field = block_shape(slot.axes)
    blocks = to_blocks(weight, slot.axes).reshape(stack, out, in_ * field)
    return np.linalg.svd(blocks, compute_uv=False)[:, : min(out, in_)]


def allowed(promise: Promise, tolerance: float) -> float:
    """How far from one the ratio may be: the table's tolerance for second moments, rounding for what is exact."""
    if promise.kind in ("forward", "backward", "law"):
        return tolerance
    return max(promise.tolerance / (abs(promise.value) or 1.0), ROUNDING)
