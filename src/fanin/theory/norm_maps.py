"""Normalised layers h = norm(W x + b), x' = f(h): what they do to correlations and to gradients.

A norm over d = n values (RMS) or d = n - 1 (with the mean taken off: batch, layer, group) puts h on a sphere of radius √d in
d dimensions. For large d its values are standard Gaussians, for small d (a small batch, a small group) their law is
(1 - u²/d)^((d-3)/2), and both are integrated here.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fanin.activations import Array
from fanin.errors import FaninValueError
from fanin.records import Record
from fanin.theory.curves import Curve, Function
from fanin.theory.integrals import GaussianMoments, moments, standard_edges
from fanin.theory.pairs import pair_moments
from fanin.theory.quadrature import legendre

Norm = Literal["batch", "layer", "group", "rms"]
NORMS = ("batch", "layer", "group", "rms")


@dataclass(frozen=True)
class NormLayer(Record):
    """One layer x' = f(norm(W x)), whatever the scale of W.

    Attributes:
        second: E x'² of an output.
        mean: E x'.
        gradient: growth of the squared norm of gradients through the layer, from x' back to x, where x came from a like layer.
        correlation: of two inputs after the layer, in the limit of depth for "batch" and for the given correlation otherwise.
    """

    second: float
    mean: float
    gradient: float
    correlation: float


def norm_layer(f: Function | Curve, norm: Norm, size: int | None = None, c: float = 0.0) -> NormLayer:
    """A dense layer with a norm between weights and activation, without gain and shift.

    Gradients grow by E f'² / E f² a layer (RMS, layer and group norm), at most 1 only where f is homogeneous; with batch norm by
    E f'² / Var f, because the norm takes the batch's common part off and blows up what is left: π/(π - 1) = 1.467 for ReLU,
    whose root is the 1.21 of Yang et al. 2019, at any scale of the weights. A norm over d dimensions adds the factor
    (d - 1)/(d - 2): a linear net with batch norm explodes like ((B - 2)/(B - 3))^L. For other activations and small batches a
    pair's expectations are those of Gaussians of the same correlation -1/(B - 1).

    Args:
        f: as in `moments`.
        norm: "batch" (over the examples of a batch), "layer", "group" (over units), or "rms".
        size: values that one norm is taken over: the batch, or the units of a group; None for very many.
        c: correlation of two inputs before the layer (not used by "batch").

    Raises:
        FaninValueError: another norm, or a size below 4.

    Example:
        >>> round(norm_layer("relu", "batch").gradient ** 0.5, 3), round(norm_layer("relu", "layer").gradient, 3)
        (1.211, 1.0)
        >>> round(norm_layer("linear", "batch", size=8).gradient, 4)            # 6/5
        1.2
    """
    if norm not in NORMS:
        raise FaninValueError(f"norm={norm!r} is not known; accepted are {', '.join(NORMS)}")
    if size is not None and size < 4:
        raise FaninValueError(
            f"size={size} is too small: gradients through a norm over fewer than 4 values have no mean"
        )
    curve = Curve.of(f)
    d = math.inf if size is None else size - (norm != "rms")
    first, second, slope = sphere_moments(curve, d)
    bend = 1.0 if math.isinf(d) else (d - 1) / (d - 2)
    if norm == "batch" and math.isinf(d):
        return NormLayer(second, first, slope / (second - first**2), first**2 / second)
    if (
        norm == "batch"
    ):  # two examples of a batch of d + 1 have the correlation -1/d; gradients over a batch sum to zero
        radial = Curve(f"u {curve.name}'", lambda u: u * _slope(curve, u), None, curve.kinks)  # what the norm takes off
        _, alone, steep = sphere_moments(radial, d)
        pairs, slopes = _pairs(curve, second, slope, d)
        kept = (d + 1) * slope - (slope - slopes) - (alone - _pairs(radial, alone, steep, d)[0])
        return NormLayer(second, first, kept / (d - 2) / (second - pairs), pairs / second)
    return NormLayer(second, first, bend * slope / second, pair_moments(curve, c).ff / moments(curve).f2)


def _pairs(curve: Curve, second: float, slope: float, d: float) -> tuple[float, float]:
    """E f(u) f(v) and E f'(u) f'(v) of two of d + 1 values that sum to zero: Gaussian ones, scaled to the sphere's moments."""
    pair, unit = pair_moments(curve, -1 / d), moments(curve)
    return pair.ff * second / unit.f2, pair.dfdf * slope / unit.df2


def sphere_moments(f: Function | Curve, dimension: float) -> tuple[float, float, float]:
    """E f(u), E f(u)², E f'(u)² of one coordinate u of a point on the sphere of radius √d in d dimensions.

    Its density is proportional to (1 - u²/d)^((d - 3)/2), which tends to a standard Gaussian's.

    Args:
        f: as in `moments`.
        dimension: d, at least 3; infinite for the Gaussian.

    Example:
        >>> [round(v, 6) for v in sphere_moments("square", 10)[:2]]          # E u² = 1, E u⁴ = 3 d / (d + 2)
        [1.0, 2.5]
    """
    curve = Curve.of(f)
    if math.isinf(dimension) or dimension > 1e6:
        m: GaussianMoments = moments(curve)
        return m.f, m.f2, m.df2
    d = float(dimension)
    if d < 3:
        raise FaninValueError(f"dimension={dimension} is too small; it must be at least 3")
    from scipy.special import gammaln

    reach = math.sqrt(d)
    t = standard_edges(curve, 0.0, 1.0)
    edges = np.unique(np.concatenate([[-reach], t[np.abs(t) < reach], [reach]]))
    edges = np.arcsin(edges / reach)  # with u = √d sin θ the density is cos^(d-2) θ, without singular ends
    x, w = legendre()
    half = np.diff(edges)[:, None] / 2
    angle = edges[:-1, None] + half + half * x
    u = reach * np.sin(angle)
    log_scale = gammaln(d / 2) - gammaln((d - 1) / 2) - 0.5 * math.log(math.pi)
    density = np.exp(log_scale + (d - 2) * np.log(np.cos(angle)))
    y = curve.f(u)
    slope = _slope(curve, u)
    weight = half * w * density
    return float(np.sum(weight * y)), float(np.sum(weight * y * y)), float(np.sum(weight * slope * slope))


def _slope(curve: Curve, u: Array) -> Array:
    if curve.df is not None:
        return curve.df(u)
    h = 1e-5
    return (curve.f(u + h) - curve.f(u - h)) / (2 * h)


def weight_standardised(
    f: Function | Curve, sigma_w: float = 1.0, sigma_b: float = 0.0
) -> tuple[Callable[[float], float], float]:
    """The variance map and the gain of a layer whose weights have each output's mean over the inputs taken off.

    Such weights do not see the mean of the activations: q' = σ_w² Var f(z) + σ_b² (Qiao et al. 2019; Brock et al. 2021, eq. 2),
    so the σ_w that keeps q = 1 is Var(f)^(-1/2): √(2 / (1 - 1/π)) = 1.7129 for ReLU, where He's is 1.4142.

    Args:
        f: as in `moments`.
        sigma_w, sigma_b: as in `variance_map`.

    Returns:
        The map q → q', and the gain.

    Example:
        >>> after, gain = weight_standardised("relu")
        >>> round(gain, 4), round(weight_standardised("relu", gain)[0](1.0), 6)
        (1.7129, 1.0)
    """
    curve = Curve.of(f)
    unit = moments(curve)

    def after(q: float) -> float:
        m = moments(curve, 0.0, q)
        return sigma_w**2 * (m.f2 - m.f**2) + sigma_b**2

    return after, 1.0 / math.sqrt(unit.f2 - unit.f**2)
