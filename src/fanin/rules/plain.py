"""Rules with a scale given as a number: normal, truncated normal (with and without correction), uniform."""

import math

from fanin.distributions import Distribution, Normal, NormalBetween, TruncatedNormal, Uniform
from fanin.draws.quantile import moments_between
from fanin.rules.arguments import flag_check
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
    as plain numbers (PyTorch: ±2, which cuts nothing off at std 0.02): `normal_between` draws those as they do.

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


def _bounds(std: float, low: float | None, high: float | None, mean: float, sigmas: bool) -> tuple[float, float]:
    """The bounds as plain numbers."""
    low, high = -math.inf if low is None else low, math.inf if high is None else high
    if std == 0 and sigmas:
        return -math.inf, math.inf  # no deviation, however many of it: the mean itself
    return (mean + low * std, mean + high * std) if sigmas else (low, high)


def _what_is_left(slot: Slot, std: float, low: float | None, high: float | None, mean: float, sigmas: bool) -> Promise:
    """The deviation and the mean behind the cut."""
    bottom, top = _bounds(std, low, high, mean, sigmas)
    if std == 0:
        return law(0.0, min(max(mean, bottom), top))
    shift, left = moments_between((bottom - mean) / std, (top - mean) / std)
    return law(std * left, mean + std * shift)


@rule(
    promise=_what_is_left,
    checks={"sigmas": flag_check},
    samples=(
        {"std": 0.02, "sigmas": True},
        {"std": 1.0},
        {"std": 0.5, "low": 0.0, "high": 2.0, "mean": 0.25},
        {"std": 0.1, "low": -1.0, "high": None, "sigmas": True},
    ),
)
def normal_between(
    slot: Slot,
    std: float,
    low: float | None = -2.0,
    high: float | None = 2.0,
    mean: float = 0.0,
    sigmas: bool = False,
) -> Distribution:
    """Gaussian numbers between two bounds as the frameworks draw them: `std` is the deviation *before* the cut.

    What comes out is smaller, and nothing makes up for it: with bounds at ±2 sigmas 0.8796 of `std`. Where a recipe says
    "truncated normal" and means a framework's, this is the rule; where it states the deviation that the weights shall have, it is
    `truncated_normal`, which corrects. The frameworks do not agree on what a bound is:

    - PyTorch's `trunc_normal_(w, mean, std, a, b)`: plain numbers, so its ±2 cut nothing off at std 0.02, and leave 1.14 of std 5:
      `normal_between(std, a, b, mean)`;
    - JAX's `truncated_normal(stddev, lower=lower, upper=upper)`: sigmas of the uncut Gaussian of mean 0:
      `normal_between(std, lower, upper, sigmas=True)`;
    - Keras's `TruncatedNormal(mean, stddev)`: ±2 sigmas about the mean: `normal_between(std, mean=mean, sigmas=True)`. (Both libraries'
      variance scaling corrects, as `variance_scaling` does.)

    Formula:
        W ~ N(mean, std²) given low ≤ W ≤ high (with `sigmas`: mean + low · std ≤ W ≤ mean + high · std)

    Args:
        std: standard deviation of the uncut Gaussian, at least 0.
        low: lower bound; None: none.
        high: upper bound, above `low`; None: none.
        mean: mean of the uncut Gaussian.
        sigmas: whether the bounds count deviations from the mean instead of being plain numbers.

    Raises:
        FaninValueError: where `low` is not below `high`; where an interval holds less than 2**-44 of the Gaussian (when drawn).

    Promise:
        The numbers have the deviation and the mean that the cut leaves: with α, β the bounds in sigmas, Z = Φ(β) - Φ(α),
        mean + std · (φ(α) - φ(β)) / Z, and std² · (1 + (α φ(α) - β φ(β)) / Z - ((φ(α) - φ(β)) / Z)²).

    Paper:
        Johnson, Kotz & Balakrishnan 1994, "Continuous univariate distributions", volume 1, section 13.10.1 (truncation).

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(normal_between(std=1.0), (300, 400), seed=0, name="w")
        >>> round(float(w.std()), 2), round(float(abs(w).max()), 2)      # cut at 2, and not corrected
        (0.88, 2.0)
        >>> w = draws.draw(normal_between(std=0.02), (300, 400), seed=0, name="w")
        >>> round(float(w.std()), 3), bool(abs(w).max() > 0.06)          # PyTorch's ±2 are 100 sigmas here
        (0.02, True)
    """
    return NormalBetween(std, *_bounds(std, low, high, mean, sigmas), mean)


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
