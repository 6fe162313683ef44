"""Kernels of infinitely wide dense nets: of the net's outputs at the start (NNGP) and of its first steps (NTK)."""

import math

import numpy as np
from numpy.typing import ArrayLike

from fanin.activations import Array
from fanin.errors import FaninValueError
from fanin.theory.curves import Curve, Function
from fanin.theory.integrals import moments
from fanin.theory.maps import _checked, _checked_depth
from fanin.theory.pairs import pair_moments

MOST_DIRECT = 64  # more pairs with the same two variances are interpolated over their angle
CHEBYSHEV = 48


def nngp_kernel(
    f: Function | Curve, x: ArrayLike, depth: int, sigma_w: float, sigma_b: float = 0.0, other: ArrayLike | None = None
) -> Array:
    """Covariance of the outputs of a wide net with `depth` hidden layers, over draws: K of its Gaussian process.

    K₀ = σ_w² x·x' / d + σ_b², then K ← σ_w² E f(u) f(v) + σ_b² with (u, v) ~ N(0, K), once a hidden layer (Lee et al. 2018, eq. 4
    and 5; Matthews et al. 2018).

    Args:
        f: as in `moments`.
        x: inputs, (n, d).
        depth: hidden layers; 0 is a linear model.
        sigma_w, sigma_b: every layer's weights have the variance σ_w² / fan_in, its biases σ_b².
        other: further inputs (m, d) to pair with; unless given, `x` itself.

    Returns:
        (n, m).

    Raises:
        FaninValueError: inputs that are no matrix of one width, or a negative depth.

    Example:
        >>> nngp_kernel("relu", [[1.0, 0.0], [0.0, 1.0]], depth=1, sigma_w=2**0.5).round(4).tolist()
        [[1.0, 0.3183], [0.3183, 1.0]]
    """
    return _kernels(f, x, depth, sigma_w, sigma_b, other)[0]


def ntk_kernel(
    f: Function | Curve, x: ArrayLike, depth: int, sigma_w: float, sigma_b: float = 0.0, other: ArrayLike | None = None
) -> Array:
    """The tangent kernel Σ_θ ∂y(x)/∂θ ∂y(x')/∂θ of the same net, in the NTK parametrization.

    Θ₀ = K₀ and Θ ← K' + Θ σ_w² E f'(u) f'(v), where K' is the next `nngp_kernel` (Jacot et al. 2018, theorem 1; Lee et al. 2019,
    eq. 16). Parameters are standard normal ω, β with W = σ_w ω / √fan_in, b = σ_b β.

    Args:
        f, x, depth, sigma_w, sigma_b, other: as in `nngp_kernel`.

    Returns:
        (n, m).

    Example:
        >>> ntk_kernel("relu", [[1.0, 0.0], [0.0, 1.0]], depth=1, sigma_w=2**0.5).round(4).tolist()
        [[2.0, 0.3183], [0.3183, 2.0]]
    """
    return _kernels(f, x, depth, sigma_w, sigma_b, other)[1]


def _kernels(
    f: Function | Curve, x: ArrayLike, depth: int, sigma_w: float, sigma_b: float, other: ArrayLike | None
) -> tuple[Array, Array]:
    _checked(sigma_w, sigma_b, 1.0)
    a = _matrix("x", x)
    b = a if other is None else _matrix("other", other)
    if a.shape[1] != b.shape[1]:
        raise FaninValueError(f"other has width {b.shape[1]}, but x has {a.shape[1]}")
    _checked_depth(depth, 0)
    curve, d = Curve.of(f), a.shape[1]
    kernel = sigma_w**2 * (a @ b.T) / d + sigma_b**2
    own_a, own_b = (sigma_w**2 * np.sum(m * m, axis=1) / d + sigma_b**2 for m in (a, b))
    tangent = kernel.copy()
    for _ in range(depth):
        if other is None:  # to the last digit: the slope kernel goes with the root of 1 - c
            np.fill_diagonal(kernel, own_a)
        product, slopes = _duals(curve, kernel, own_a, own_b)
        kernel = sigma_w**2 * product + sigma_b**2
        tangent = kernel + tangent * sigma_w**2 * slopes
        own_a, own_b = (
            np.array([sigma_w**2 * moments(curve, 0.0, q).f2 + sigma_b**2 for q in own.tolist()])
            for own in (own_a, own_b)
        )
    return kernel, tangent


def _duals(curve: Curve, kernel: Array, own_a: Array, own_b: Array) -> tuple[Array, Array]:
    """E f(u) f(v) and E f'(u) f'(v) for every pair, (n, m) each; pairs of the same two variances share their work."""
    size = np.sqrt(own_a[:, None] * own_b[None, :])
    c = np.clip(np.divide(kernel, size, out=np.zeros_like(kernel), where=size > 0), -1.0, 1.0)
    c[c > 1 - 1e-15] = 1.0  # rounding: its angle would be 4e-8
    product, slopes = np.empty_like(kernel), np.empty_like(kernel)
    first, second = _rounded(own_a)[:, None], _rounded(own_b)[None, :]
    low, high = np.minimum(first, second), np.maximum(first, second)
    for small, large in {*zip(low.ravel().tolist(), high.ravel().tolist(), strict=True)}:
        here = (low == small) & (high == large)
        product[here], slopes[here] = _at_angles(curve, c[here], small, large)
    return product, slopes


def _at_angles(curve: Curve, c: Array, q1: float, q2: float) -> tuple[Array, Array]:
    """The two expectations for correlations c; smooth functions of the angle arccos c, so many are interpolated."""
    if len(c) <= MOST_DIRECT:
        found = [pair_moments(curve, v, q1, q2) for v in c.tolist()]
        return np.array([p.ff for p in found]), np.array([p.dfdf for p in found])
    nodes = np.cos(math.pi * (np.arange(CHEBYSHEV) + 0.5) / CHEBYSHEV)
    found = [pair_moments(curve, math.cos(0.5 * math.pi * (t + 1)), q1, q2) for t in nodes.tolist()]
    where = 2 * np.arccos(c) / math.pi - 1
    ff, dfdf = (
        np.polynomial.chebyshev.chebval(where, np.polynomial.chebyshev.chebfit(nodes, values, CHEBYSHEV - 1))
        for values in ([p.ff for p in found], [p.dfdf for p in found])
    )
    return np.asarray(ff, dtype=np.float64), np.asarray(dfdf, dtype=np.float64)


def _rounded(q: Array) -> Array:
    """Variances with 12 digits, so that equal ones are found equal."""
    exponent = np.floor(np.log10(np.maximum(q, 1e-300)))
    return np.round(q / 10**exponent, 12) * 10**exponent


def _matrix(name: str, x: ArrayLike) -> Array:
    matrix = np.asarray(x, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[1] < 1 or not np.isfinite(matrix).all():
        raise FaninValueError(
            f"{name} of shape {matrix.shape} is not usable; it must be a finite matrix (inputs, features)"
        )
    return matrix
