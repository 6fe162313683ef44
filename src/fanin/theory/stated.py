"""The laws of weights that are stated, not estimated: from the distributions that a plan will draw them from."""

import functools
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from fanin import distributions as d
from fanin.distributions import Distribution
from fanin.errors import FaninTypeError, FaninValueError
from fanin.slots import Axes, Slot
from fanin.theory.laws import WeightLaw, laws_of
from fanin.traces.records import Trace

NORMAL, UNIFORM = 3.0, 1.8  # kurtosis
SAMPLE = 65_536  # numbers drawn of a distribution that has no formula here


class Numbers(NamedTuple):
    """Of one entry: mean, variance about it, and fourth central moment over the square of the variance."""

    mean: float
    variance: float
    kurtosis: float = NORMAL


def stated_laws(trace: Trace, distributions: Any) -> dict[str, WeightLaw]:
    """The law of every slot: of its distribution where one is given, else estimated from its stored values.

    Args:
        trace: the trace.
        distributions: weight name (any of a tied weight's names) → `Distribution`, or a plan's entry (anything with a
            `distribution` and a `multiplier`), or a plan (anything with such `entries`).

    Raises:
        FaninValueError: a name that the trace does not have, or a distribution that does not fit its weight.
        FaninTypeError: something that is no distribution.
    """
    given = getattr(distributions, "entries", distributions)
    if not isinstance(given, Mapping):
        raise FaninTypeError(
            f"distributions is of type {type(distributions).__name__}, but must map weight names to distributions, or be a plan"
        )
    slots = {name: slot for slot in trace.slots for name in (slot.name, *slot.names)}
    left = {slots[name].name for name in given if name in slots}
    laws = laws_of(replace(trace, slots=tuple(slot for slot in trace.slots if slot.name not in left)))
    for name, entry in given.items():
        if name not in slots:
            raise FaninValueError(f"distributions names {name!r}, but the trace has no weight of that name")
        distribution, factor = getattr(entry, "distribution", entry), float(getattr(entry, "multiplier", 1.0))
        if not isinstance(distribution, Distribution):
            raise FaninTypeError(f"distributions[{name!r}] is {entry!r}, but must be a Distribution or a plan's entry")
        law = stated_law(slots[name], distribution, factor)
        laws |= dict.fromkeys((slots[name].name, *slots[name].names), law)
    return laws


def stated_law(slot: Slot, distribution: Distribution, multiplier: float = 1.0) -> WeightLaw:
    """The law of one weight that is drawn from `distribution`, times `multiplier`.

    Raises:
        FaninValueError: the distribution cannot be drawn in the weight's shape.

    Example:
        >>> slot = Slot("w", (64, 128), "float32", "weight", axes=Axes.parse("oi", (64, 128)))
        >>> stated_law(slot, d.Uniform(0.3)).power        # fan_in · bound² / 3
        3.84
    """
    return _law(slot.shape, slot.axes, distribution, multiplier).named(slot.name)


@functools.lru_cache(maxsize=1024)  # blocks repeat: a deep net has few different laws
def _law(shape: tuple[int, ...], axes: Axes | None, distribution: Distribution, multiplier: float) -> WeightLaw:
    """The law of any weight of this shape and these axes, without a name."""
    numbers = numbers_of(distribution, shape)
    mean, variance = numbers.mean * multiplier, numbers.variance * multiplier**2
    variance = variance if variance > 1e-30 * max(mean * mean, 1e-300) else 0.0
    fan_in, fan_out, inputs, outputs = _fans(shape, axes)
    base, mirrored_in, mirrored_out = distribution, False, False
    while isinstance(base, d.Mirrored | d.ZeroRows | d.Centred):
        if isinstance(base, d.Mirrored):
            mirrored_in, mirrored_out = base.in_ is not None, base.out is not None
        base = base.base
    law = WeightLaw(
        name="",
        fan_in=fan_in,
        fan_out=fan_out,
        inputs=inputs,
        outputs=outputs,
        mean=0.0 if isinstance(base, d.Identity | d.Orthogonal | d.DeltaOrthogonal) else mean,
        variance=variance,
        doubt=0.0,
        kurtosis=numbers.kurtosis,
        orthogonal=isinstance(base, d.Orthogonal | d.DeltaOrthogonal | d.Identity),
        mirrored_in=mirrored_in,
        mirrored_out=mirrored_out,
        constant=variance == 0.0,
        sparse=_zeros(distribution, shape),
        centre=isinstance(base, d.Identity | d.DeltaOrthogonal),
        identity=isinstance(base, d.Identity) and not (mirrored_in or mirrored_out),
        centred=isinstance(distribution, d.Centred),
        source=(distribution, shape, multiplier),
    )
    parts = _parts(shape, distribution, law, multiplier)
    return replace(law, parts=parts) if parts else law


def _fans(shape: tuple[int, ...], axes: Axes | None) -> tuple[float, float, int, int]:
    """fan_in, fan_out, inputs and outputs (all stacked blocks together), the factors of the axes looked at once."""
    if axes is None:
        return 1.0, 1.0, 1, max(shape[0] if shape else 1, 1)
    size = {"in": 1, "out": 1, "field": 1, "stack": 1, "lookup": 1}
    for axis in axes.factors:
        for factor in axis:
            size[factor.role] *= factor.size
    taps = size["field"]
    fan_in, fan_out = size["in"] * taps * axes.in_taps, size["out"] * taps * axes.out_taps
    return fan_in, fan_out, max(size["in"], 1), max(size["out"] * size["stack"], 1)


def _parts(
    shape: tuple[int, ...], distribution: Distribution, law: WeightLaw, multiplier: float
) -> tuple[WeightLaw, ...]:
    """The laws of the blocks of a `Stack` of equal blocks along the axis of the outputs."""
    if not isinstance(distribution, d.Stack) or len(set(distribution.sizes)) != 1 or len(distribution.parts) < 2:
        return ()
    block = list(shape)
    block[distribution.axis] = distribution.sizes[0]
    parts = []
    for part in distribution.parts:
        numbers = numbers_of(part, tuple(block))
        variance = numbers.variance * multiplier**2
        matrix = isinstance(part, d.Identity | d.Orthogonal | d.DeltaOrthogonal)
        mean = 0.0 if matrix else numbers.mean * multiplier
        parts.append(
            replace(
                law,
                mean=mean,
                variance=variance,
                kurtosis=numbers.kurtosis,
                orthogonal=matrix,
                constant=variance == 0,
                outputs=max(law.outputs // len(distribution.parts), 1),
            )
        )
    return tuple(parts)


def numbers_of(distribution: Distribution, shape: tuple[int, ...]) -> Numbers:
    """Moments of one entry of a weight of this shape, all entries taken together.

    Example:
        >>> numbers_of(d.Signs(0.5), (4, 4))
        Numbers(mean=0.0, variance=0.25, kurtosis=1.0)
    """
    found = _elementwise(distribution)
    if found is not None:
        return found
    if isinstance(distribution, d.Constant):
        return Numbers(float(distribution.value), 0.0)
    if isinstance(distribution, d.Permutations):
        n = shape[distribution.axis]
        return Numbers((n - 1) / 2, (n * n - 1) / 12, UNIFORM)
    if isinstance(distribution, d.Identity | d.Orthogonal | d.DeltaOrthogonal):
        return _of_matrix(distribution)
    if isinstance(distribution, d.Mirrored):
        return numbers_of(distribution.base, _base_shape(distribution.base, shape))
    if isinstance(distribution, d.Centred):
        base, n = numbers_of(distribution.base, shape), max(distribution.axes.size("in"), 1)
        return Numbers(0.0, base.variance * (1 - 1 / n), base.kurtosis)
    if isinstance(distribution, d.Stack):
        total = sum(distribution.sizes)
        blocks = []
        for part, size in zip(distribution.parts, distribution.sizes, strict=True):
            block = list(shape)
            block[distribution.axis] = size
            blocks.append((size / total, numbers_of(part, tuple(block))))
        return _mixed(blocks)
    if isinstance(distribution, d.ZeroRows):
        kept = 1 - len(set(distribution.rows)) / max(shape[0], 1)
        return _mixed([(kept, numbers_of(distribution.base, shape)), (1 - kept, Numbers(0.0, 0.0))])
    if isinstance(distribution, d.Sparse):
        kept = 1 - min(distribution.zeros / max(shape[distribution.axis], 1), 1.0)
        return _mixed([(kept, numbers_of(distribution.base, shape)), (1 - kept, Numbers(0.0, 0.0))])
    return _sampled(distribution, shape)


def _elementwise(distribution: Distribution) -> Numbers | None:
    match distribution:
        case d.Normal(std, mean):
            return Numbers(mean, std**2)
        case d.TruncatedNormal(std, cut, mean):
            return Numbers(mean, std**2, _between(-cut, cut).kurtosis)
        case d.NormalBetween(std, low, high, mean):
            if std == 0:
                return Numbers(min(max(mean, low), high), 0.0)
            cut = _between((low - mean) / std, (high - mean) / std)
            return Numbers(mean + std * cut.mean, std**2 * cut.variance, cut.kurtosis)
        case d.Uniform(bound, mean):
            return Numbers(mean, bound**2 / 3, UNIFORM)
        case d.Signs(scale):
            return Numbers(0.0, scale**2, 1.0)
        case d.Bernoulli(p, value):
            variance = p * (1 - p)
            return Numbers(p * value, variance * value**2, (1 - 3 * variance) / variance if variance > 0 else NORMAL)
        case d.Integers(low, high):
            return Numbers((low + high - 1) / 2, ((high - low) ** 2 - 1) / 12, UNIFORM)
    return None


@functools.lru_cache(maxsize=256)
def _between(low: float, high: float) -> Numbers:
    """A standard Gaussian between two bounds (in deviations)."""
    low, high = max(low, -40.0), min(high, 40.0)
    # Integrated where the density lives: a far tail has all of its mass beside the nearer bound.
    near = min(max(0.0, low), high)
    z = np.linspace(max(low, near - 9.0), min(high, near + 9.0), 20_001)
    w = np.exp(-0.5 * (z**2 - near**2))
    w[[0, -1]] /= 2
    w /= w.sum()
    mean = float(w @ z)
    square = (z - mean) ** 2
    variance = float(w @ square)
    return Numbers(mean, variance, float(w @ square**2) / variance**2 if variance > 0 else NORMAL)


def _of_matrix(distribution: d.Identity | d.Orthogonal | d.DeltaOrthogonal) -> Numbers:
    """Mean square of the entries; rows and columns counted as they are drawn, block by block."""
    axes = distribution.axes
    out, inputs, taps = axes.size("out"), axes.size("in"), axes.size("field")
    columns = inputs * taps if isinstance(distribution, d.Orthogonal) else inputs
    power = distribution.gain**2 * min(out, columns) / max(out * inputs * taps, 1)
    if not isinstance(distribution, d.Identity) and distribution.scale_out:
        power *= max(1.0, out / columns)
    if isinstance(distribution, d.Orthogonal):
        return Numbers(0.0, power)
    return Numbers(0.0, power, NORMAL * taps)


def _base_shape(base: Distribution, shape: tuple[int, ...]) -> tuple[int, ...]:
    axes = getattr(base, "axes", None)
    return axes.shape if isinstance(axes, Axes) else shape


def _mixed(blocks: list[tuple[float, Numbers]]) -> Numbers:
    mean = sum(share * n.mean for share, n in blocks)
    variance = sum(share * (n.variance + (n.mean - mean) ** 2) for share, n in blocks)
    fourth = sum(
        share * (n.kurtosis * n.variance**2 + 6 * n.variance * (n.mean - mean) ** 2 + (n.mean - mean) ** 4)
        for share, n in blocks
    )
    return Numbers(mean, variance, fourth / variance**2 if variance > 0 else NORMAL)


def _zeros(distribution: Distribution, shape: tuple[int, ...]) -> float:
    match distribution:
        case d.Constant(value):
            return float(value == 0)
        case d.Identity(axes) | d.DeltaOrthogonal(axes):
            return 1 - 1 / max(axes.size("field"), 1)
        case d.Sparse(_, zeros, axis):
            return min(zeros / max(shape[axis], 1), 1.0)
        case d.Bernoulli(p, _):
            return 1 - p
    return 0.0


@functools.lru_cache(maxsize=256)
def _sampled(distribution: Distribution, shape: tuple[int, ...]) -> Numbers:
    """From numbers drawn of it: formulas and weights that are built whole, functions of other distributions, plugins' own."""
    x = drawn(distribution, shape)
    mean, variance = float(x.mean()), float(x.var())
    fourth = float(np.mean((x - mean) ** 4))
    return Numbers(mean, variance, fourth / variance**2 if variance > 0 else NORMAL)


def drawn(distribution: Distribution, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers of a weight of this shape, in no order that matters."""
    from fanin.draws.numpy import draw_distribution

    window = None
    size = math.prod(shape)
    if size > 16 * SAMPLE:  # a part in the middle, whole along the last axes
        rows = max(1, shape[0] * 16 * SAMPLE // size)
        start = (shape[0] - rows) // 2
        window = (slice(start, start + rows),)
    seeds = range(min(-(-SAMPLE // max(size, 1)), 64))  # of small weights several draws
    numbers = [
        draw_distribution(distribution, shape, seed=s, name="law", window=window, dtype="float64") for s in seeds
    ]
    return np.real(np.stack(numbers)).ravel()
