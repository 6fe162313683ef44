"""Rules with a scale given as a number: normal, truncated normal, uniform."""

import math

from fanin.distributions import Distribution, Normal, TruncatedNormal, Uniform
from fanin.rules.promise import Promise, law
from fanin.rules.rule import rule
from fanin.slots import Slot


def _spread(slot: Slot, low: float | None, high: float | None, bound: float | None) -> Promise:
    """The deviation and the mean of a uniform law."""
    if low is None or high is None:
        return law((bound or 0.0) / math.sqrt(3.0))
    return law((high - low) / math.sqrt(12.0), (high + low) / 2)


@rule(
    aliases=("random_normal",),
    promise=lambda slot, std, mean: law(std, mean),
    samples=({"std": 0.02}, {"std": 0.5, "mean": 1.0}),
)
def normal(slot: Slot, std: float, mean: float = 0.0) -> Distribution:
    """Independent Gaussian numbers of a given deviation.

    Formula:
        W ~ N(mean, std²)

    Args:
        std: standard deviation, at least 0.
        mean: mean.

    Promise:
        The numbers have this deviation and mean.

    Paper:
        Radford et al. 2019, "Language models are unsupervised multitask learners" (std 0.02); the number is not free of
        scale: it suits one width only.

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(normal(std=0.02), (300, 400), seed=0, name="wte.weight")
        >>> round(float(w.std()), 3)
        0.02
    """
    return Normal(std, mean)


@rule(
    aliases=("trunc_normal",),
    promise=lambda slot, std, cut, mean: law(std, mean),
    samples=({"std": 0.02}, {"std": 0.5, "cut": 1.0}),
)
def truncated_normal(slot: Slot, std: float, cut: float = 2.0, mean: float = 0.0) -> Distribution:
    """Gaussian numbers cut off symmetrically, rescaled so that `std` is the deviation that the numbers really have.

    Other libraries let `std` name the deviation *before* the cut (2 sigmas then leave 0.8796 of it), or give the bounds
    as plain numbers (PyTorch: ±2, which cuts nothing off at std 0.02).

    Formula:
        W ~ N(mean, s²) given |W - mean| ≤ cut · s, with s = std / sqrt(1 - 2 c φ(c) / (2 Φ(c) - 1)), c = cut

    Args:
        std: the realised standard deviation, at least 0.
        cut: where to cut, in sigmas s of the uncut Gaussian, above 0.
        mean: mean.

    Promise:
        The numbers have this deviation, after the cut, and this mean.

    Paper:
        Johnson, Kotz & Balakrishnan 1994, "Continuous univariate distributions", volume 1, chapter 13 (truncation).

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(truncated_normal(std=1.0), (300, 400), seed=0, name="w")
        >>> round(float(w.std()), 2), round(float(abs(w).max()), 2)      # cut at 2 / 0.8796
        (1.0, 2.27)
    """
    return TruncatedNormal(std, cut, mean)


@rule(aliases=("random_uniform",), promise=_spread, samples=({"bound": 0.05}, {"low": 0.0, "high": 1.0}))
def uniform(
    slot: Slot, low: float | None = None, high: float | None = None, bound: float | None = None
) -> Distribution:
    """Independent numbers, uniform between two bounds: `low` and `high`, or -`bound` and `bound`.

    Formula:
        W ~ U(low, high), of variance (high - low)² / 12

    Args:
        low: lower bound; with `high`.
        high: upper bound; with `low`.
        bound: both bounds at once, at least 0.

    Raises:
        FaninValueError: where the bounds are not given, given twice, or in the wrong order.

    Promise:
        The numbers have the deviation (high - low) / √12 and the mean (high + low) / 2.

    Paper:
        None.

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(uniform(low=0, high=1), (300, 400), seed=0, name="w")
        >>> round(float(w.mean()), 2)
        0.5
    """
    if low is None or high is None:  # the factory has checked that then there is a bound
        return Uniform(bound or 0.0)
    return Uniform((high - low) / 2, (high + low) / 2)
