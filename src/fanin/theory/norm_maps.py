"""Normalised layers h = norm(W x + b), x' = f(h): what they do to correlations and to gradients.

A norm over d = n values (RMS) or d = n - 1 (with the mean taken off: batch, layer, group) puts h on a sphere of radius √d in
d dimensions. For large d its values are standard Gaussians, for small d (a small batch, a small group) their law is
(1 - u²/d)^((d-3)/2); `fanin.theory.spheres` integrates both.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from fanin.errors import FaninValueError
from fanin.records import Record
from fanin.theory.arguments import real
from fanin.theory.curves import Curve, Function
from fanin.theory.integrals import moments
from fanin.theory.maps import _checked
from fanin.theory.pairs import pair_moments
from fanin.theory.spheres import FLAT, normalised_pair, radial_slope, sphere_moments, sphere_pairs

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

    Gradients grow by E f'² / E f² a layer (RMS, layer and group norm over many values), at most 1 only where f is homogeneous; with
    batch norm by E f'² / Var f, because the norm takes the batch's common part off and blows up what is left: π/(π - 1) = 1.467 for
    ReLU, whose root is the 1.21 of Yang et al. 2019, at any scale of the weights.

    A norm over d dimensions takes the gradient's part along u off, E u² f'(u)² of d E f'(u)², and divides by a size whose inverse square
    has the mean d/(d - 2): gradients grow by (d E f'² - E u² f'²) / ((d - 2) E f²). That is (d - 1)/(d - 2) for a linear layer; with batch
    norm a linear net explodes like ((B - 2)/(B - 3))^L.

    Args:
        f: as in `moments`.
        norm: "batch" (over the examples of a batch), "layer", "group" (over units), or "rms".
        size: values that one norm is taken over: the batch, or the units of a group; None for very many.
        c: correlation of two inputs before the layer, in [-1, 1] (not used by "batch").

    Raises:
        FaninValueError: another norm, a size below 4, or a correlation out of range.

    Example:
        >>> round(norm_layer("relu", "batch").gradient ** 0.5, 3), round(norm_layer("relu", "layer").gradient, 3)
        (1.211, 1.0)
        >>> round(norm_layer("linear", "batch", size=8).gradient, 4)            # 6/5
        1.2
    """
    if not isinstance(norm, str) or norm not in NORMS:
        raise FaninValueError(f"norm={norm!r} is not known; accepted are {', '.join(NORMS)}")
    if size is not None and not real("size", size) >= 4:
        raise FaninValueError(
            f"size={size} is too small: gradients through a norm over fewer than 4 values have no mean"
        )
    if not -1 <= real("c", c) <= 1:
        raise FaninValueError(f"c={c} is not usable; it must be between -1 and 1")
    curve = Curve.of(f)
    d = math.inf if size is None or size > FLAT else float(size - (norm != "rms"))
    first, second, slope = sphere_moments(curve, d)
    if not second > 0:
        raise FaninValueError(f"E f² of {curve.name} is {second:g}, so nothing is left behind the layer")
    if norm == "batch":
        return _batch(curve, d, first, second, slope)
    if math.isinf(d):
        return NormLayer(second, first, slope / second, pair_moments(curve, c).ff / second)
    kept = (d * slope - radial_slope(curve, d)) / (d - 2) if math.isfinite(slope) else math.inf
    return NormLayer(second, first, kept / second, normalised_pair(curve, d, c) / second)


def _batch(curve: Curve, d: float, first: float, second: float, slope: float) -> NormLayer:
    """Two examples of a batch of d + 1 have the correlation -1/d, and so have their gradients, which sum to zero over it."""
    if math.isinf(d):
        left, kept, pairs = second - first**2, slope, first**2
    else:
        pairs, slopes, radial = sphere_pairs(curve, d, -1 / d)
        along = radial_slope(curve, d) - radial
        left = second - pairs
        kept = ((d + 1) * slope - (slope - slopes) - along) / (d - 2) if math.isfinite(slope) else math.inf
    if not left > 1e-12 * second:
        raise FaninValueError(f"{curve.name} gives every example of a batch the same value: the next norm divides by 0")
    return NormLayer(second, first, kept / left, pairs / second)


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

    Raises:
        FaninValueError: deviations out of range, or f is constant.

    Example:
        >>> after, gain = weight_standardised("relu")
        >>> round(gain, 4), round(weight_standardised("relu", gain)[0](1.0), 6)
        (1.7129, 1.0)
    """
    _checked(sigma_w, sigma_b, 1.0)
    curve = Curve.of(f)
    unit = moments(curve)
    if not unit.f2 - unit.f**2 > 1e-12 * unit.f2:
        raise FaninValueError(f"Var f of {curve.name} is {unit.f2 - unit.f**2:g}, so no gain keeps it")

    def after(q: float) -> float:
        m = moments(curve, 0.0, q)
        return sigma_w**2 * (m.f2 - m.f**2) + sigma_b**2

    return after, 1.0 / math.sqrt(unit.f2 - unit.f**2)
