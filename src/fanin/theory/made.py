"""Weights that meet arithmetic before they meet a signal: -exp(A), 1 + w, softplus(w). Their law is pushed through it."""

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fanin import distributions as d
from fanin.activations import KNOWN, Activation
from fanin.records import changed
from fanin.theory import elementwise, gaussian
from fanin.theory.gaussian import Array
from fanin.theory.laws import WeightLaw
from fanin.theory.state import State, alike
from fanin.theory.stated import drawn
from fanin.traces.records import Made, Op

if TYPE_CHECKING:
    from fanin.theory.expected import Expected

Points = tuple[Array, Array]  # values and how likely each is
WHOLE = ("recurrent", "concat")  # kinds whose laws are taken weight by weight, as they are drawn
PROJECTS = "multi_head_attention_forward"  # and an attention with its projections
GAUSSIAN, UNIFORM = (2.6, 3.4), (1.6, 2.0)  # kurtosis of a law that is known by its moments alone
DIRECTIONS: dict[str, Any] = {  # what a law that is no multiple of another does not have of it
    "orthogonal": False, "mirrored_in": False, "mirrored_out": False, "sparse": 0.0, "centre": False, "identity": False, "centred": False,
}  # fmt: skip
TAIL = 1e6  # a kurtosis above which a handful of draws has no second moment to speak of


def law_in(walk: "Expected", op: Op, law: WeightLaw) -> WeightLaw | None:
    """The law of a weight as this op meets it, None where it is not known."""
    steps = op.made.get(law.name)
    if not steps:
        return law
    key = (law.name, op.index)
    if key not in walk.makes:
        walk.makes[key] = pushed(law, steps)
    return walk.makes[key]


def unknown(walk: "Expected", op: Op) -> str:
    """Why an op's weights are not known as it meets them, "" where they are."""
    for name, steps in op.made.items():
        law = walk.laws.get(name)
        words = ", ".join(step.name for step in steps)
        if law is not None and (op.kind in WHOLE or op.name == PROJECTS or law_in(walk, op, law) is None):
            return f"the law of {name} behind {words} is not known"
    return ""


def pushed(law: WeightLaw, steps: tuple[Made, ...]) -> WeightLaw | None:
    """The law behind these steps: exact for multiples and shifts, by its points otherwise."""
    scale, shift, power = 1.0, 0.0, 1.0  # of the mean; power: of the variance about it
    for step in steps:
        found = step.affine
        if found is None:
            return _bent(law, steps)
        scale, shift, power = found[0] * scale, found[0] * shift + found[1], found[2] * power
    mean, variance = scale * law.mean + shift, scale**2 * law.variance
    if power != 1.0:  # by numbers that differ from each other: E (c w)² is the product of both second moments
        if shift:
            return None
        variance = power * scale**2 * (law.variance + law.mean**2) - mean**2
    keeps = shift == 0
    return changed_law(
        law,
        mean,
        variance,
        law.kurtosis,
        keeps,
        tuple(p for part in law.parts if (p := pushed(part, steps)) is not None),
    )


def changed_law(
    law: WeightLaw, mean: float, variance: float, kurtosis: float, keeps: bool, parts: tuple[WeightLaw, ...] = ()
) -> WeightLaw:
    """Another law of the same weight; `keeps` where it is a multiple of the first, with all that holds of its directions."""
    new = changed(
        law, mean=mean, variance=max(variance, 0.0), kurtosis=kurtosis, constant=not variance > 0, parts=parts
    )
    return new if keeps else changed(new, **DIRECTIONS)


def _bent(law: WeightLaw, steps: tuple[Made, ...]) -> WeightLaw | None:
    """The law behind a function of each entry."""
    found = behind(law, steps)
    if found is None:
        return None
    values, chance = found
    mean = float(chance @ values)
    square = (values - mean) ** 2
    variance = float(chance @ square)
    kurtosis = float(chance @ square**2) / variance**2 if variance > 0 else 3.0
    if not math.isfinite(variance) or kurtosis > TAIL:
        return None
    return changed_law(law, mean, variance, kurtosis, keeps=False)


def behind(law: WeightLaw, steps: tuple[Made, ...]) -> Points | None:
    """The values of a weight behind these steps, and how likely each is."""
    found = points(law)
    if found is None:
        return None
    values, chance = found
    for step in steps:
        f: gaussian.Function | None = elementwise.Named.of(step.name, step.facts)
        if f is None and step.name in KNOWN and not KNOWN[step.name][1]:
            f = Activation(step.name)
        if f is None:
            return None
        values = f(values)
    return (values, chance) if np.isfinite(values).all() else None


def points(law: WeightLaw) -> Points | None:
    """A weight's values and how likely each is; None where only its moments are known and no usual law has them."""
    if law.constant:
        return np.array([law.mean]), np.ones(1)
    if law.source is not None:
        return _points_of(*law.source)
    deviation = math.sqrt(law.variance)
    if GAUSSIAN[0] < law.kurtosis < GAUSSIAN[1]:
        return _gaussian(law.mean, deviation)
    return _uniform(law.mean, math.sqrt(3) * deviation) if UNIFORM[0] < law.kurtosis < UNIFORM[1] else None


@functools.lru_cache(maxsize=64)
def _points_of(distribution: d.Distribution, shape: tuple[int, ...], multiplier: float) -> Points:
    match distribution:
        case d.Normal(std, mean):
            return _gaussian(mean * multiplier, std * abs(multiplier))
        case d.Uniform(bound, mean):
            return _uniform(mean * multiplier, bound * abs(multiplier))
    x = np.sort(drawn(distribution, shape)) * multiplier
    x = x[: len(x) // 1024 * 1024].reshape(1024, -1).mean(axis=1) if len(x) > 4096 else x
    return x, np.full(len(x), 1 / len(x))


def _gaussian(mean: float, deviation: float) -> Points:
    z, w = gaussian._grid(gaussian.COARSE)
    return mean + deviation * z, w


def _uniform(mean: float, bound: float) -> Points:
    return mean + bound * (2 * (np.arange(256) + 0.5) / 256 - 1), np.full(256, 1 / 256)


def with_weight(walk: "Expected", op: Op, x: State) -> State | None:
    """A signal and a weight, element by element."""
    from fanin.theory.expected import constant_part, summed

    if op.name in ("add", "radd", "sub", "subtract", "rsub"):
        law = walk.law(op, "bias", "norm_shift", "position", "scale", "embedding", "other")
        if law is None:
            return x
        part = constant_part(law)
        if op.name not in ("add", "radd"):
            part = part.but(mean=-part.mean)
        if walk.slots[law.name].role == "position":
            part = part.but(apart=law.variance)
        return x if law.zero else summed(x, part, keep=alike(law))
    law = walk.law(op, "norm_scale", "scale", "position", "other")
    found = factor(walk, op, law) if law is not None else None
    if found is None or law is None:
        return (
            walk._unknown(op, f"divided by {law.name}, which may come close to zero")
            if law and "div" in op.name
            else None
        )
    power, mean = found
    y = x.scaled(power, power).but(mean=x.mean * mean)
    if op.name in ("mul", "rmul", "multiply"):
        return y.but(law=_product_law(op, x, walk.laws[law.name])) if law.name in op.made else y
    return y


def factor(walk: "Expected", op: Op, law: WeightLaw) -> tuple[float, float] | None:
    """Second moment and mean of what an elementwise product or quotient with a weight multiplies by."""
    if op.name in ("mul", "rmul", "multiply"):
        return law.variance + law.mean**2, law.mean
    if op.name not in ("div", "true_divide"):
        return None
    found = behind(walk.laws[law.name], op.made.get(law.name, ()))
    if found is None or not (found[0].min() > 0 or found[0].max() < 0):
        return None
    return float(found[1] @ found[0] ** -2.0), float(found[1] @ (1 / found[0]))


def _product_law(op: Op, x: State, law: WeightLaw) -> Points | None:
    """The law of a signal times a weight behind arithmetic, which is often positive, as its next function (exp) has to know."""
    own, other = elementwise.law_of(x), behind(law, op.made[law.name])
    if other is None:
        return None
    if own is None:
        z, w = gaussian._grid(32)
        own = x.mean + math.sqrt(x.variance) * z, w
    other = elementwise.compressed(*other) if len(other[0]) > elementwise.MIXTURE else other
    values, chance = np.multiply.outer(own[0], other[0]).ravel(), np.multiply.outer(own[1], other[1]).ravel()
    return elementwise.compressed(values, chance)
