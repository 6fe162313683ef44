"""Biases of the last layer that start at the classes' known frequencies, so that training need not find these first."""

import math

import numpy as np

from fanin.distributions import Constant, Distribution, Formula
from fanin.errors import FaninValueError
from fanin.formulas import Places, formula
from fanin.rules.arguments import number_check, numbers_check
from fanin.rules.promise import Array, Promise, values
from fanin.rules.rule import rule
from fanin.slots import Axes, Slot


@formula
def log_frequencies(places: Places, shape: tuple[int, ...], axes: Axes | None, *counts: float) -> Array:
    """log of each count's share."""
    return np.log(np.asarray(counts) / math.fsum(counts))[places[0]]


def _is_bias(slot: Slot, name: str) -> None:
    if len(slot.shape) != 1 or slot.role in ("norm_scale", "norm_shift", "scale"):
        raise FaninValueError(
            f"{name} cannot fill {slot.name!r} of shape {slot.shape}, role {slot.role!r}; it takes the bias of the last layer, "
            "one number a class"
        )


def _shares(slot: Slot, counts: tuple[float, ...] | None) -> tuple[float, ...]:
    _is_bias(slot, "class_prior")
    given = (1.0,) * slot.shape[0] if counts is None else counts
    if len(given) != slot.shape[0]:
        raise FaninValueError(
            f"class_prior: counts has {len(given)} numbers, but {slot.name!r} has {slot.shape[0]} classes; give one for each"
        )
    return given


def _is_softmax(slot: Slot, counts: tuple[float, ...] | None) -> Promise:
    given = np.asarray(_shares(slot, counts))

    def furthest(weight: Array, slot: Slot) -> float:
        p = np.exp(weight - weight.max())
        return float(np.abs(p / p.sum() - given / given.sum()).max())

    return values(0.0, furthest, "the softmax of the biases has the classes' frequencies", 1e-6)


def _counts(rule: str, field: str, value: object) -> tuple[float, ...] | None:
    if value is None:
        return None
    accepted = "a row of numbers above 0, one a class (give a class that was never seen a small count), or None"
    return numbers_check(accepted, lambda row: len(row) > 0 and min(row) > 0)(rule, field, value)


@rule(
    promise=_is_softmax,
    checks={"counts": _counts},
    samples=({}, {"counts": tuple(1.0 + k for k in range(64))}),
)
def class_prior(slot: Slot, counts: tuple[float, ...] | None = None) -> Distribution:
    """The bias of a softmax head that starts at the classes' frequencies: the first loss is then the entropy of the labels.

    The weights of the head should start small (`zeros` or `normal(std=0.01)`), or the logits of the first batch hide the prior.

    Formula:
        b_k = log(counts_k / Σ counts)

    Args:
        counts: how often each class occurs in the training data (counts or shares), each above 0; the same for all where
            nothing is said (b = -log of the number of classes, as timm's "nlhb" head bias).

    Raises:
        FaninValueError: where the weight is no bias, has another number of classes, or a class has a count of 0 (log 0).

    Promise:
        The softmax of the biases is the frequencies.

    Paper:
        Bishop 1995, "Neural networks for pattern recognition", section 6.7 (softmax outputs as posteriors, log priors as biases).

    Example:
        >>> import numpy as np
        >>> from fanin import draws
        >>> b = draws.draw(class_prior((90, 9, 1)), (3,), seed=0, name="head.bias")
        >>> (np.exp(b) / np.exp(b).sum()).round(3).tolist()
        [0.8999999761581421, 0.09000000357627869, 0.009999999776482582]
    """
    return Formula("log_frequencies", _shares(slot, counts))


def _is_sigmoid(slot: Slot, prior: float) -> Promise:
    _is_bias(slot, "focal_prior")

    def furthest(weight: Array, slot: Slot) -> float:
        return float(np.abs(1.0 / (1.0 + np.exp(-weight)) - prior).max())

    return values(0.0, furthest, f"each output starts with the probability {prior:g}", 1e-6)


@rule(
    aliases=("bias_prior",),
    promise=_is_sigmoid,
    checks={"prior": number_check("a probability between 0 and 1, both excluded", lambda x: 0 < x < 1)},
    samples=({}, {"prior": 0.3}),
)
def focal_prior(slot: Slot, prior: float = 0.01) -> Distribution:
    """The bias of a sigmoid head (detection, multi-label) that starts every output at the same small probability.

    Without it, the background's many easy examples make up nearly all of the first losses.

    Formula:
        b = -log((1 - p) / p)

    Args:
        prior: the probability p that each output starts with, between 0 and 1.

    Raises:
        FaninValueError: where the weight is no bias.

    Promise:
        The sigmoid of every bias is the prior.

    Paper:
        Lin, Goyal, Girshick, He & Dollár 2017, "Focal loss for dense object detection", section 4.1 (π = 0.01).

    Example:
        >>> from fanin import draws
        >>> draws.draw(focal_prior(0.01), (2,), seed=0, name="cls.bias", dtype="float64").round(4).tolist()
        [-4.5951, -4.5951]
    """
    _is_bias(slot, "focal_prior")
    return Constant(-math.log((1.0 - prior) / prior))
