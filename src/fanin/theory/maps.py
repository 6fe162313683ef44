"""What one wide random layer does to second moments, correlations and gradients, and what many of them do.

Pre-activations h = W f(h') + b with W of variance σ_w² / fan_in and b of variance σ_b² are Gaussian over the units of a wide
layer. Two numbers of two inputs carry their law: q, the variance, and c, the correlation. Dropout that keeps a share p of the
units (and divides by p) adds noise to q that two inputs do not share, so c = 1 is no fixed point any more.
"""

from dataclasses import dataclass

import numpy as np

from fanin.errors import FaninValueError
from fanin.records import Record
from fanin.theory.arguments import MOST_WHOLE, real
from fanin.theory.curves import Curve, Function
from fanin.theory.integrals import moments
from fanin.theory.pairs import pair_moments

LARGEST = 1e300
MOST = 1e100  # of what is squared: beyond, numbers end


@dataclass(frozen=True)
class Signals(Record):
    """Second moments through depth; entry l is that of the pre-activations of layer l + 1.

    Attributes:
        q: variance of the pre-activations of one input.
        c: correlation of two inputs.
        contrast: 1 - c, with its digits where c is nearly 1.
        gradient: E (∂loss/∂h)² of a layer's pre-activations, in units of the last layer's.
        gradient_covariance: the same product for two inputs' gradients, where the last layer's are equal.
    """

    q: tuple[float, ...]
    c: tuple[float, ...]
    contrast: tuple[float, ...]
    gradient: tuple[float, ...]
    gradient_covariance: tuple[float, ...]


def variance_map(f: Function | Curve, q: float, sigma_w: float, sigma_b: float = 0.0, keep: float = 1.0) -> float:
    """The next layer's variance: σ_w² E f(z)² / keep + σ_b², z ~ N(0, q).

    Poole et al. 2016, eq. 3; with dropout Schoenholz et al. 2017.

    Args:
        f: as in `moments`.
        q: variance of this layer's pre-activations, ≥ 0.
        sigma_w: weights have the variance σ_w² / fan_in.
        sigma_b: biases have the variance σ_b².
        keep: share of units that dropout leaves (what is left is divided by it).

    Raises:
        FaninValueError: a negative or non-finite variance or deviation, or `keep` outside (0, 1].

    Example:
        >>> round(variance_map("relu", 1.0, sigma_w=2**0.5), 9)
        1.0
    """
    _checked(sigma_w, sigma_b, keep, q=q)
    return sigma_w**2 * moments(f, 0.0, q).f2 / keep + sigma_b**2


def correlation_map(
    f: Function | Curve,
    c: float,
    q: float,
    sigma_w: float,
    sigma_b: float = 0.0,
    keep: float = 1.0,
    contrast: float | None = None,
) -> float:
    """The next layer's correlation of two inputs: (σ_w² E f(u) f(v) + σ_b²) / q'.

    Poole et al. 2016, eq. 5, for any q (not only its fixed point); q' is `variance_map`'s.

    Args:
        f, q, sigma_w, sigma_b, keep: as in `variance_map`; both inputs have the variance q.
        c: their correlation, in [-1, 1].
        contrast: 1 - c where it is small; then 1 - c' is what is returned, with all its digits.

    Example:
        >>> round(correlation_map("relu", 0.0, 1.0, sigma_w=2**0.5), 6)      # 1/π: Cho & Saul 2009
        0.31831
    """
    _checked(sigma_w, sigma_b, keep, q=q)
    if contrast is None:
        _checked_correlation(c)
    elif not 0 <= real("contrast", contrast) <= 2:
        raise FaninValueError(f"contrast={contrast} is not usable; it must be between 0 and 2")
    curve = Curve.of(f)
    m, pair = moments(curve, 0.0, q), pair_moments(curve, c, q, contrast=contrast)
    after = sigma_w**2 * m.f2 / keep + sigma_b**2
    if after <= 0:
        return 0.0 if contrast is None else 1.0
    if contrast is None:
        return (sigma_w**2 * pair.ff + sigma_b**2) / after
    return sigma_w**2 * (pair.gap + m.f2 * (1 / keep - 1)) / after


def gradient_map(f: Function | Curve, q: float, sigma_w: float, keep: float = 1.0) -> float:
    """χ₁ = σ_w² E f'(z)² / keep: what a layer multiplies the gradient's second moment by on the way back.

    Schoenholz et al. 2017 (backpropagation). Without dropout the same number is the slope of the correlation map at c = 1; with it, that
    of two inputs under one mask.

    Example:
        >>> round(gradient_map("tanh", 0.0, sigma_w=1.0), 12)
        1.0
    """
    _checked(sigma_w, 0.0, keep, q=q)
    return sigma_w**2 * moments(f, 0.0, q).df2 / keep


def gradient_covariance_map(f: Function | Curve, c: float, q: float, sigma_w: float) -> float:
    """χ_c = σ_w² E f'(u) f'(v): the same for the product of two inputs' gradients; the map's slope at c.

    Schoenholz et al. 2017, eq. 9 and appendix; Poole et al. 2016, eq. 6.

    Example:
        >>> round(gradient_covariance_map("relu", 0.0, 1.0, sigma_w=2**0.5), 12)       # ReLUs are both on for 1 in 4
        0.5
    """
    _checked(sigma_w, 0.0, 1.0, q=q)
    _checked_correlation(c)
    return sigma_w**2 * pair_moments(f, c, q).dfdf


def signals(
    f: Function | Curve,
    depth: int,
    sigma_w: float,
    sigma_b: float = 0.0,
    q: float = 1.0,
    c: float = 0.0,
    keep: float = 1.0,
) -> Signals:
    """Variance, correlation and gradients through `depth` layers of a dense net.

    Args:
        f, sigma_w, sigma_b, keep: as in `variance_map`.
        depth: the number of layers, at least 1; entry 0 is layer 1's pre-activations.
        q: variance of layer 1's pre-activations.
        c: correlation of two inputs there.

    Example:
        >>> s = signals("relu", 3, sigma_w=2**0.5)
        >>> [round(v, 3) for v in s.c], [round(v, 9) for v in s.gradient]
        ([0.0, 0.318, 0.494], [1.0, 1.0, 1.0])
    """
    _checked_depth(depth)
    _checked(sigma_w, sigma_b, keep, q=q)
    _checked_correlation(c)
    curve = Curve.of(f)
    qs, contrasts, slopes, covariances = [float(q)], [1.0 - c], [], []
    for _ in range(depth - 1):
        now, gap = qs[-1], contrasts[-1]
        slopes.append(gradient_map(curve, now, sigma_w, keep))
        covariances.append(sigma_w**2 * pair_moments(curve, 1 - gap, now, contrast=gap).dfdf)
        contrasts.append(correlation_map(curve, 1 - gap, now, sigma_w, sigma_b, keep, contrast=gap))
        qs.append(min(variance_map(curve, now, sigma_w, sigma_b, keep), LARGEST))
    gradient, covariance = [1.0], [1.0]
    for slope, product in zip(reversed(slopes), reversed(covariances), strict=True):
        gradient.append(gradient[-1] * slope)
        covariance.append(covariance[-1] * product)
    return Signals(
        q=tuple(qs),
        c=tuple(1 - s for s in contrasts),
        contrast=tuple(contrasts),
        gradient=tuple(reversed(gradient)),
        gradient_covariance=tuple(reversed(covariance)),
    )


def _checked(sigma_w: float, sigma_b: float, keep: float, **more: float) -> None:
    for name, value in {"sigma_w": sigma_w, "sigma_b": sigma_b, **more}.items():
        if not 0 <= real(name, value) <= MOST:
            raise FaninValueError(
                f"{name}={value} is not usable; it must be a finite number of at least 0 (and at most {MOST:g})"
            )
    if not 0 < real("keep", keep) <= 1:
        raise FaninValueError(f"keep={keep} is not usable; it must be above 0 and at most 1")


def _checked_depth(depth: int, least: int = 1) -> None:
    if not (isinstance(depth, int | np.integer) and least <= depth <= MOST_WHOLE):
        raise FaninValueError(
            f"depth={depth} is not usable; it must be a whole number of at least {least} (and at most {MOST_WHOLE})"
        )


def _checked_correlation(c: float) -> None:
    if not -1 <= real("c", c) <= 1:
        raise FaninValueError(f"c={c} is not usable; it must be between -1 and 1")
