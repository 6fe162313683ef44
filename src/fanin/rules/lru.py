"""The linear recurrent unit: eigenvalues spread evenly over a ring of the complex plane, and inputs normed by them."""

import math
from collections.abc import Callable

import numpy as np

from fanin.distributions import Built, Distribution, Mapped, Uniform
from fanin.errors import FaninValueError
from fanin.formulas import Source, builder, mapping
from fanin.rules.arguments import number_check
from fanin.rules.promise import Array, Promise, values
from fanin.rules.rule import rule
from fanin.slots import Axes, Slot

_radius = number_check("a number from 0 to 1", lambda x: 0 <= x <= 1)
TINY = 1e-12  # of squared radii: a state of radius 0 or 1 has no finite log, and is drawn with probability 0


@mapping
def ring_decay(square: Array) -> Array:
    """log ν of |λ| = exp(-ν), from |λ|²."""
    return np.log(-0.5 * np.log(np.clip(square, TINY, 1.0 - TINY)))


@mapping
def log_angle(phase: Array) -> Array:
    """log θ."""
    return np.log(np.maximum(phase, TINY))


@builder
def ring_norms(axes: Axes, source: Source, low: float, high: float, part: float) -> Array:
    """log ν (part 0), or ½ log(1 - |λ|²) (part 1), from the same |λ|², uniform from low to high."""
    square = (low + high) / 2.0 + (high - low) / 2.0 * source("radii", axes.shape, "uniform")
    return 0.5 * np.log1p(-np.clip(square, TINY, 1.0 - TINY)) if part else ring_decay(square)


def _group(slot: Slot) -> str:
    """The stream that the parts of one layer share: the layer's name."""
    return f"{slot.name.rpartition('.')[0]}:ring"


def _check(rule: str, slot: Slot, r_min: float, r_max: float) -> Axes:
    if r_min >= r_max:
        raise FaninValueError(f"{rule}: r_min={r_min!r} must be below r_max={r_max!r}")
    if not slot.shape or slot.size == 0:
        raise FaninValueError(
            f"{rule} cannot fill {slot.name!r} of shape {slot.shape}; it takes one number for each state"
        )
    return Axes.parse("o" * len(slot.shape), slot.shape)


def _ring(slot: Slot, r_min: float, r_max: float, squares: Callable[[Array], Array], what: str) -> tuple[Promise, ...]:
    def mean(weight: Array, slot: Slot) -> float:
        return float(squares(weight).mean())

    def outside(weight: Array, slot: Slot) -> float:
        found = squares(weight)
        return float(max(0.0, r_min**2 - found.min(), found.max() - r_max**2))

    middle, spread = (r_min**2 + r_max**2) / 2.0, (r_max**2 - r_min**2) / math.sqrt(12 * max(1, slot.size))
    return (
        values(
            middle,
            mean,
            f"{what}: |λ|² around {middle:.3g}, as of points spread evenly over the ring",
            6 * spread + 1e-5,
        ),
        values(0.0, outside, f"every |λ| from {r_min:g} to {r_max:g}", 1e-5),
    )


def _nu_promise(slot: Slot, r_min: float, r_max: float) -> tuple[Promise, ...]:
    _check("lru_nu", slot, r_min, r_max)
    return _ring(slot, r_min, r_max, lambda w: np.exp(-2.0 * np.exp(w)), "|λ| = exp(-exp(W))")


@rule(promise=_nu_promise, checks={"r_min": _radius, "r_max": _radius}, samples=({}, {"r_min": 0.9, "r_max": 0.999}))
def lru_nu(slot: Slot, r_min: float = 0.0, r_max: float = 1.0) -> Distribution:
    """The decays of a linear recurrent unit: eigenvalues uniform (by area) on the ring between two radii.

    `lru_theta` draws the angles, and `lru_gamma` the norm of the inputs that goes with these decays: they are taken to be of one layer
    where their names share all but the last part ("lru.nu_log", "lru.gamma_log"). The paper draws the inputs' weights B, real and
    imaginary part, from N(0, 1 / (2 · fan_in)) and the outputs' C from N(0, 1 / fan_in): `lecun_normal(gain=.7071)` and
    `lecun_normal()`.

    Formula:
        λ = exp(-exp(ν) + i exp(θ)),  ν = log(-½ log(u (r_max² - r_min²) + r_min²)), u ~ U(0, 1)

    Args:
        r_min, r_max: the radii, from 0 to 1; .9 and .999 for long sequences.

    Raises:
        FaninValueError: where r_min is not below r_max.

    Promise:
        |λ|² is uniform from r_min² to r_max².

    Paper:
        Orvieto et al. 2023, "Resurrecting recurrent neural networks for long sequences", lemma 3.2 and appendix A.

    Example:
        >>> import numpy as np
        >>> from fanin import draws
        >>> radius = np.exp(-np.exp(draws.draw(lru_nu(0.9, 0.999), (1000,), seed=0, name="lru.nu_log")))
        >>> bool(radius.min() >= 0.8999), bool(radius.max() <= 0.99901)
        (True, True)
    """
    return Built("ring_norms", _check("lru_nu", slot, r_min, r_max), (r_min**2, r_max**2, 0.0), _group(slot))


def _gamma_promise(slot: Slot, r_min: float, r_max: float) -> tuple[Promise, ...]:
    _check("lru_gamma", slot, r_min, r_max)
    return _ring(slot, r_min, r_max, lambda w: 1.0 - np.exp(2.0 * w), "exp(W) = √(1 - |λ|²)")


@rule(promise=_gamma_promise, checks={"r_min": _radius, "r_max": _radius}, samples=({}, {"r_min": 0.9, "r_max": 0.999}))
def lru_gamma(slot: Slot, r_min: float = 0.0, r_max: float = 1.0) -> Distribution:
    """The norm of a linear recurrent unit's inputs: each state then has the size of one input, however long it remembers.

    It follows from the decays, so `lru_nu` of the same layer must be drawn with the same radii and seed; both take the same numbers.

    Formula:
        γ = log √(1 - |λ|²), |λ|² = u (r_max² - r_min²) + r_min² with the u of `lru_nu`

    Args:
        r_min, r_max: the radii, as given to `lru_nu`.

    Raises:
        FaninValueError: where r_min is not below r_max.

    Promise:
        1 - exp(2γ) is uniform from r_min² to r_max²; with `lru_nu`, Σ_t |λ|^(2t) exp(2γ) = 1 for each state.

    Paper:
        Orvieto et al. 2023, section 3.4 and appendix A.

    Example:
        >>> import numpy as np
        >>> from fanin import draws
        >>> nu, gamma = (draws.draw(r, (5,), seed=0, name=n) for r, n in ((lru_nu(), "lru.nu_log"), (lru_gamma(), "lru.gamma_log")))
        >>> (np.exp(-2 * np.exp(nu)) + np.exp(2 * gamma)).round(5).tolist()
        [1.0, 1.0, 1.0, 1.0, 1.0]
    """
    return Built("ring_norms", _check("lru_gamma", slot, r_min, r_max), (r_min**2, r_max**2, 1.0), _group(slot))


def _theta_promise(slot: Slot, max_phase: float) -> tuple[Promise, ...]:
    def mean(weight: Array, slot: Slot) -> float:
        return float(np.exp(weight).mean())

    def largest(weight: Array, slot: Slot) -> float:
        return float(max(0.0, np.exp(weight).max() - max_phase))

    noise = 6 * max_phase / math.sqrt(12 * max(1, slot.size))
    return (
        values(max_phase / 2.0, mean, f"angles of {max_phase / 2:.3g} on average", noise),
        values(0.0, largest, f"none above {max_phase:.4g}", 1e-5 * max_phase),
    )


@rule(
    promise=_theta_promise,
    checks={"max_phase": number_check("a finite number above 0", lambda x: x > 0)},
    samples=({}, {"max_phase": math.pi / 10}),
)
def lru_theta(slot: Slot, max_phase: float = 2.0 * math.pi) -> Distribution:
    """The angles of a linear recurrent unit's eigenvalues, uniform up to a largest one.

    Small angles keep neighbouring steps together; the paper takes π / 10 for the longest sequences.

    Formula:
        θ = log(max_phase · u), u ~ U(0, 1)

    Args:
        max_phase: the largest angle; the whole circle by default (ports write 6.28).

    Raises:
        FaninValueError: for max_phase of 0 or less.

    Promise:
        exp(θ) is uniform from 0 to max_phase.

    Paper:
        Orvieto et al. 2023, lemma 3.2 and section 3.4.

    Example:
        >>> import numpy as np
        >>> from fanin import draws
        >>> angle = np.exp(draws.draw(lru_theta(), (4000,), seed=0, name="lru.theta_log"))
        >>> round(float(angle.mean()), 1), bool(angle.max() <= 6.2832)
        (3.1, True)
    """
    return Mapped(Uniform(max_phase / 2.0, max_phase / 2.0), "log_angle")
