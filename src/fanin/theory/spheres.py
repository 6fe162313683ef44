"""Activations of points on a sphere: what a norm over few values leaves of the Gaussian law.

A norm over d dimensions puts its values on the sphere of radius √d. One coordinate has a density proportional to
(1 - u²/d)^((d-3)/2), a Gaussian's for large d. Two coordinates along directions with the cosine r have E f(u) f(v) = Σ a_k² P_k(r),
with the Gegenbauer polynomials P_k of the sphere (P_k(1) = 1) and f's coefficients a_k on them (Funk 1916, Hecke 1917; Smola,
Óvári & Williamson 2001, theorem 4).
"""

import functools
import math

import numpy as np

from fanin.activations import Array
from fanin.errors import FaninValueError
from fanin.theory.arguments import real
from fanin.theory.curves import Curve, Function
from fanin.theory.integrals import derivative, moments, standard_edges
from fanin.theory.quadrature import legendre

FLAT = 1e6  # dimensions from which on a sphere is as good as a Gaussian: its moments differ by 1/d
TERMS = 400  # Gegenbauer polynomials: a kink's terms fall like k^-4, on large spheres like k^-2.5
PANELS = 100  # of the angle, so that 16 nodes see the waves of the last polynomial
STEP = 0.01  # in Fisher's z, of the law of a sample correlation on small spheres
LOST = 40.0  # logarithm of what its tails hold


def sphere_moments(f: Function | Curve, dimension: float) -> tuple[float, float, float]:
    """E f(u), E f(u)², E f'(u)² of one coordinate u of a point on the sphere of radius √d in d dimensions.

    Its density is proportional to (1 - u²/d)^((d - 3)/2), which tends to a standard Gaussian's.

    Args:
        f: as in `moments`.
        dimension: d, at least 3; infinite for the Gaussian.

    Returns:
        The three; the last is infinite where f jumps.

    Example:
        >>> [round(v, 6) for v in sphere_moments("square", 10)[:2]]          # E u² = 1, E u⁴ = 3 d / (d + 2)
        [1.0, 2.5]
    """
    curve = Curve.of(f)
    if not real("dimension", dimension) >= 3:
        raise FaninValueError(f"dimension={dimension} is not usable; it must be at least 3")
    if dimension > FLAT:
        m = moments(curve)
        return m.f, m.f2, m.df2
    weight, _, y, slope = _on_sphere(curve, float(dimension))
    steep = math.inf if _jumps(curve, dimension) else float(weight @ np.square(slope))
    return float(weight @ y), float(weight @ np.square(y)), steep


def radial_slope(f: Function | Curve, dimension: float) -> float:
    """E u² f'(u)² on the same sphere: of the squared gradient behind f, what lies along the normalised values themselves.

    Example:
        >>> round(radial_slope("linear", 10), 6), round(radial_slope("relu", 10), 6)
        (1.0, 0.5)
    """
    curve = Curve.of(f)
    if _jumps(curve, dimension):
        return math.inf
    weight, u, _, slope = _on_sphere(curve, float(min(dimension, FLAT)))
    return float(weight @ np.square(u * slope))


def sphere_pairs(f: Function | Curve, dimension: float, r: float) -> tuple[float, float, float]:
    """E f(u) f(v), E f'(u) f'(v) and E u f'(u) v f'(v) of two coordinates along directions with the cosine r, d ≥ 3.

    Two of n values that sum to zero are such a pair, with d = n - 1 and r = -1/d. So is one coordinate of two points r apart.

    Example:
        >>> round(sphere_pairs("linear", 7, -1 / 7)[0] * 7, 6)
        -1.0
    """
    curve = Curve.of(f)
    weight, u, y, slope = _on_sphere(curve, float(dimension))
    rows, at = np.stack([y, slope, u * slope]), _gegenbauer(np.array([r]), float(dimension))[:, 0]
    first, second, third = _summed(rows, weight, u, float(dimension), at).tolist()
    return first, second, third


def normalised_pair(f: Function | Curve, dimension: float, c: float) -> float:
    """E f(u) f(v) where u and v are d Gaussian values of correlation c, each divided by its own root mean square.

    Their directions have the law of a sample correlation around c, so each P_k is averaged over it (Hotelling 1953).

    Example:
        >>> round(normalised_pair("linear", 8, 0.5), 4), round(normalised_pair("linear", 1000, 0.5), 4)     # nearer to 0 than c
        (0.476, 0.4998)
    """
    curve, d = Curve.of(f), float(dimension)
    weight, u, y, _ = _on_sphere(curve, d)
    if abs(c) >= 1:
        return float(weight @ (y * curve.f(math.copysign(1.0, c) * u)))
    share, r = _sample_correlation(d, c)
    return float(_summed(y[None], weight, u, d, _gegenbauer(r, d) @ share)[0])


@functools.lru_cache(maxsize=64)
def _on_sphere(curve: Curve, d: float) -> tuple[Array, Array, Array, Array]:
    """Weights of the density at nodes u of one coordinate, f and f' there, each (nodes,)."""
    from scipy.special import gammaln

    reach = math.sqrt(d)
    t = standard_edges(curve, 0.0, 1.0)
    edges = np.unique(np.concatenate([[-reach], t[np.abs(t) < reach], [reach]]))
    edges = np.arcsin(edges / reach)  # with u = √d sin θ the density is cos^(d-2) θ, without singular ends
    edges = np.union1d(edges, np.linspace(-math.pi / 2, math.pi / 2, PANELS + 1))
    x, w = legendre()
    half = np.diff(edges)[:, None] / 2
    angle = edges[:-1, None] + half + half * x
    u = reach * np.sin(angle)
    log_scale = gammaln(d / 2) - gammaln((d - 1) / 2) - 0.5 * math.log(math.pi)
    weight = half * w * np.exp(log_scale + (d - 2) * np.log(np.cos(angle)))
    y = curve.f(u)
    # by hand: the derivative by the angle, of values at Legendre nodes of it, over d u / d angle
    slope = curve.df(u) if curve.df is not None else derivative(curve, u, y, half) / (reach * np.cos(angle))
    return weight.ravel(), u.ravel(), y.ravel(), slope.ravel()


def _jumps(curve: Curve, d: float) -> bool:
    return any(abs(place) < math.sqrt(d) for place, *_ in curve.jumps)


def _summed(values: Array, weight: Array, u: Array, d: float, at: Array) -> Array:
    """Σ a_k² at_k for each row of `values` (rows, nodes); what the last term leaves of Σ a_k² = E f² goes with that term."""
    root = np.sqrt(weight)
    x, above = u / math.sqrt(d), values * root
    before, now, total, left = np.zeros_like(root), root, np.zeros(len(values)), np.sum(above**2, axis=1)
    step = 0.0
    for k in range(TERMS):  # orthonormal polynomials times √weight: their size never leaves 64 bits
        square = np.square(above @ now)
        total, left = total + square * at[k], left - square
        ahead = math.sqrt((k + 1) * max(k + d - 2, 1.0) / ((2 * k + d) * max(2 * k + d - 2, 1.0)))
        before, now, step = now, (x * now - step * before) / ahead, ahead
    return total + left * at[-1]


def _gegenbauer(x: Array, d: float) -> Array:
    """P_k(x) with P_k(1) = 1, by their recurrence, (TERMS, points)."""
    p = np.empty((TERMS, len(x)))
    p[0], p[1] = 1.0, x
    for k in range(1, TERMS - 1):
        p[k + 1] = ((2 * k + d - 2) * x * p[k] - k * p[k - 1]) / (k + d - 2)
    return p


def _sample_correlation(d: float, c: float) -> tuple[Array, Array]:
    """Shares and nodes of the law of the cosine r = tanh z between two Gaussian vectors of d values with correlation c = tanh ζ.

    In z its density is cosh^½ z cosh^(½-d) (z - ζ) ₂F₁(½, ½; d + ½; (1 + c r)/2), as narrow for every c.
    """
    from scipy.special import hyp2f1

    centre, reach = math.atanh(c), math.acosh(math.exp(LOST / (d - 1)))
    offset = np.arange(-reach, reach, min(STEP, 0.1 / math.sqrt(d)))
    z = centre + offset
    r = np.tanh(z)
    density = np.exp((0.5 - d) * np.log(np.cosh(offset)) + 0.5 * np.logaddexp(z, -z) - 0.5 * abs(centre))
    density *= hyp2f1(0.5, 0.5, d + 0.5, 0.5 * (1 + c * r))
    return density / density.sum(), r
