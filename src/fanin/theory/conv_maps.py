"""Convolutions: second moments position by position, and which spatial patterns survive depth.

With many channels every position is a Gaussian whose variance is the kernel-weighted mean of its neighbours' (Xiao et al. 2018,
eq. 2.6). A kernel is known by its taps' shares of the variance: all equal for Gaussian kernels, all in the middle for delta ones.
"""

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from fanin.activations import Array
from fanin.errors import FaninValueError
from fanin.theory.curves import Curve, Function
from fanin.theory.fixed_points import fixed_point
from fanin.theory.layer_laws import log_table
from fanin.theory.maps import _checked
from fanin.theory.pairs import pair_moments

Padding = Literal["zero", "circular"]


def kernel_shares(size: int | tuple[int, ...], kind: Literal["uniform", "delta"] = "uniform") -> Array:
    """The taps' shares of a kernel's variance: an array of the kernel's spatial shape with the sum 1.

    Example:
        >>> kernel_shares(3, "delta").tolist()
        [0.0, 1.0, 0.0]
    """
    shape = tuple(size) if isinstance(size, tuple | list) else (size,)
    if not shape or not all(isinstance(n, int | np.integer) and n >= 1 for n in shape):
        raise FaninValueError(f"size={size!r} must be one or more kernel sizes of at least 1")
    if kind == "uniform":
        return np.full(shape, 1.0 / math.prod(shape))
    if kind != "delta":
        raise FaninValueError(f"kind={kind!r} is not known; accepted are uniform, delta")
    shares = np.zeros(shape)
    shares[tuple(n // 2 for n in shape)] = 1.0
    return shares


def conv_variance_map(
    f: Function | Curve,
    q: ArrayLike,
    sigma_w: float,
    sigma_b: float = 0.0,
    kernel: ArrayLike = (1 / 3, 1 / 3, 1 / 3),
    padding: Padding = "zero",
) -> Array:
    """The next layer's variances: σ_w² Σ_t k_t E f(z_{p+t})² + σ_b² at each position p, stride 1, "same" size.

    Zero padding takes variance off at the edges, and what it takes spreads inwards a kernel's reach a layer; with the mean
    second moment of the middle judged by He's rule, a small image ends up short (Xiao et al. 2018, section 2.1, for circular).

    Args:
        f: as in `moments`.
        q: variances of the pre-activations by position, of the image's shape.
        sigma_w: kernels have the variance σ_w² / (channels · taps), times each tap's share · taps.
        sigma_b: biases have the variance σ_b².
        kernel: the taps' shares of the variance, as many axes as `q` (see `kernel_shares`).
        padding: "zero" or "circular".

    Raises:
        FaninValueError: the kernel has another number of axes than the image, or its shares do not sum to 1; a negative variance.

    Example:
        >>> conv_variance_map("relu", [1.0] * 5, sigma_w=2**0.5).round(3).tolist()
        [0.667, 1.0, 1.0, 1.0, 0.667]
    """
    _checked(sigma_w, sigma_b, 1.0)
    image, shares = np.asarray(q, dtype=np.float64), np.asarray(kernel, dtype=np.float64)
    if shares.ndim != image.ndim or abs(shares.sum() - 1) > 1e-9 or (shares < 0).any():
        raise FaninValueError(
            f"kernel of shape {shares.shape} and sum {shares.sum():g} does not fit q of shape {image.shape}: "
            "it needs as many axes, and shares of at least 0 with the sum 1"
        )
    if not (np.isfinite(image).all() and (image >= 0).all()):
        raise FaninValueError("q has negative or non-finite variances; each must be a finite number of at least 0")
    if padding not in ("zero", "circular"):
        raise FaninValueError(f"padding={padding!r} is not known; accepted are zero, circular")
    curve = Curve.of(f)
    second = np.where(
        image > 0, np.exp(log_table(curve)(np.log(np.maximum(image.ravel(), 1e-300)))[0]).reshape(image.shape), 0.0
    )
    widths = [(n // 2, (n - 1) // 2) for n in shares.shape]
    padded = np.pad(second, widths, mode="constant" if padding == "zero" else "wrap")
    after = np.zeros_like(image)
    for tap in np.ndindex(shares.shape):
        after += shares[tap] * padded[tuple(slice(t, t + n) for t, n in zip(tap, image.shape, strict=True))]
    return sigma_w**2 * after + sigma_b**2


def conv_depth_scales(
    f: Function | Curve, sigma_w: float, sigma_b: float, image: int | tuple[int, ...], kernel: ArrayLike
) -> Array:
    """Depth scales, in layers, of every spatial Fourier mode of the difference of two inputs (circular padding).

    A mode with wave number k shrinks by χ_c λ_k a layer, where λ_k is the Fourier transform of the taps' shares: a uniform kernel
    blurs all but the mean (λ_0 = 1), a delta kernel keeps all modes alike (Xiao et al. 2018, eq. 2.16 and section 2.3).

    Args:
        f, sigma_w, sigma_b: as in `fixed_point`.
        image: spatial shape.
        kernel: the taps' shares, as many axes.

    Returns:
        An array of the image's shape in `numpy.fft` order; infinite where a mode is kept at the edge of chaos.

    Example:
        >>> critical = conv_depth_scales("relu", 2**0.5, 0.0, 4, kernel_shares(3))
        >>> float(critical[0]), round(float(critical[1]), 3)
        (inf, 0.91)
    """
    shape = (image,) if isinstance(image, int) else tuple(image)
    shares = np.asarray(kernel, dtype=np.float64)
    if shares.ndim != len(shape) or any(k > n for k, n in zip(shares.shape, shape, strict=True)):
        raise FaninValueError(f"kernel of shape {shares.shape} does not fit an image of shape {shape}")
    if abs(shares.sum() - 1) > 1e-9 or not (shares >= 0).all():
        raise FaninValueError(f"kernel's shares sum to {shares.sum():g}; they must be at least 0 with the sum 1")
    curve = Curve.of(f)
    at = fixed_point(curve, sigma_w, sigma_b)
    slope = at.slope_c if not math.isfinite(at.q) or at.q <= 0 else sigma_w**2 * pair_moments(curve, at.c, at.q).dfdf
    full = np.zeros(shape)
    full[tuple(slice(0, k) for k in shares.shape)] = shares
    size = np.abs(slope * np.fft.fftn(full))
    with np.errstate(divide="ignore"):
        scales = -1.0 / np.log(size)
    return np.where(size >= 1 - 1e-7, np.inf, np.where(size < 1e-12, 0.0, scales))
