"""Singular values of a deep net's input-output Jacobian at the start: predicted from the laws of weights and activation.

J = D_L W_L … D_1 W_1 with D = diag f'(h). For wide layers the squared singular values have the mean χ^L and a variance that
depends on the weights through one number, s₁ of the S-transform of W Wᵀ: -1 for Gaussian and 0 for orthogonal weights.
"""

import math
from dataclasses import dataclass
from typing import Literal

from fanin.activations import Activation
from fanin.errors import FaninValueError
from fanin.records import Record
from fanin.theory.curves import Curve, Function
from fanin.theory.integrals import moments
from fanin.theory.maps import _checked, _checked_depth

Weights = Literal["normal", "orthogonal", "mirrored"]
S1 = {"normal": -1.0, "orthogonal": 0.0}


@dataclass(frozen=True)
class JacobianSpectrum(Record):
    """The law of the squared singular values of a square Jacobian of many units.

    Attributes:
        mean: of the squared singular values; E |J u|² for a unit vector u.
        variance: of them.
        largest: the upper end of the spectrum of squared singular values where it is known, else NaN.
    """

    mean: float
    variance: float
    largest: float

    @property
    def spread(self) -> float:
        """Relative deviation √variance / mean: 0 is dynamical isometry where the mean is 1."""
        return math.sqrt(self.variance) / self.mean if self.mean > 0 else math.nan


def jacobian_spectrum(
    f: Function | Curve, depth: int, sigma_w: float, q: float = 1.0, weights: Weights = "normal"
) -> JacobianSpectrum:
    """Mean and variance of the squared singular values of a net of `depth` wide layers of one width.

    mean = (σ_w² μ₁)^L and variance / mean² = L (μ₂/μ₁² - 1 - s₁) with μ_k = E f'(z)^{2k}, z ~ N(0, q), s₁ = -1 for Gaussian and 0
    for orthogonal weights (Pennington, Schoenholz & Ganguli 2018, eq. 18; 2017, section 2). The variance of every net of
    independent layers grows with L; only where the slopes are all equal does orthogonality make it vanish (Saxe et al. 2013).
    Mirrored pairs of orthogonal weights see the odd part of f, and have only singular values 1 where that is straight: ReLU
    (Balduzzi et al. 2017), GELU, SiLU, softplus, hardswish.

    Args:
        f: as in `moments`.
        depth: L, layers of weights each followed by f.
        sigma_w: weights have the variance σ_w² / fan_in (orthogonal: σ_w times an orthogonal matrix). Of mirrored weights it is the
            gain of the pair, 1 / o'(0) for a straight odd part o.
        q: variance of the pre-activations.
        weights: "normal", "orthogonal" or "mirrored".

    Raises:
        FaninValueError: a depth below 1, other weights, or a negative deviation or variance.

    Example:
        >>> he, flat = (jacobian_spectrum("relu", 50, 2**0.5, weights=w) for w in ("normal", "orthogonal"))
        >>> round(he.mean, 6), round(he.variance, 6), round(flat.variance, 6)
        (1.0, 100.0, 50.0)
        >>> jacobian_spectrum("relu", 50, 1.0, weights="mirrored").spread
        0.0
    """
    _checked_depth(depth)
    _checked(sigma_w, 0.0, 1.0, q=q)
    if not isinstance(weights, str) or weights not in (*S1, "mirrored"):
        raise FaninValueError(f"weights={weights!r} is not known; accepted are mirrored, normal, orthogonal")
    if weights == "mirrored":
        return _mirrored(Curve.of(f), depth, sigma_w, q)
    m = moments(f, 0.0, q)
    excess = max(m.df4 / m.df2 / m.df2 - 1, 0.0) if m.df2 > 0 else math.nan
    excess = 0.0 if excess < 1e-13 else excess
    mean = (sigma_w**2 * m.df2) ** depth
    variance = mean**2 * depth * (excess - S1[weights])
    return JacobianSpectrum(mean, variance, _largest(m.df2, excess, depth, mean, weights))


def _mirrored(curve: Curve, depth: int, sigma_w: float, q: float) -> JacobianSpectrum:
    if curve.activation is not None and curve.activation.odd_is_linear:
        mean = (sigma_w * curve.activation.odd_slope) ** (2 * depth)
        return JacobianSpectrum(mean, 0.0, mean)

    def odd(z: float) -> float:
        return curve.f(z) - curve.f(-z)  # type: ignore[arg-type, return-value]

    return jacobian_spectrum(odd, depth, sigma_w, q, "orthogonal")


def _largest(p: float, excess: float, depth: int, mean: float, weights: str) -> float:
    """The upper end: closed forms for linear nets and for ReLU, whose slopes are 0 or 1."""
    if excess == 0:
        return mean * ((depth + 1) ** (depth + 1) / depth**depth if weights == "normal" else 1.0)
    return math.nan


def odd_part_is_straight(f: Function) -> bool:
    """Whether mirrored pairs of f hand on a straight line, so that a mirrored net is exactly linear at the start.

    Example:
        >>> odd_part_is_straight("gelu"), odd_part_is_straight("elu")
        (True, False)
    """
    activation = f if isinstance(f, Activation) else Activation.of(f)
    return activation.odd_is_linear
