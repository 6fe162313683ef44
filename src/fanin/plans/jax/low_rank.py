"""Low-rank adapters that start from the weight that they adapt, as functions of JAX arrays."""

from typing import Any

import jax
import numpy as np
from jax import Array
from jax.core import Tracer

from fanin.draws import low_rank
from fanin.errors import FaninTypeError, FaninValueError


def pissa(
    weight: Array,
    rank: int,
    *,
    scaling: float = 1.0,
    niter: int | None = None,
    axes: str = "io",
    dtype: Any = None,
    seed: int = 0,
    name: str = "",
) -> tuple[Array, Array, Array]:
    """An adapter of its weight's principal part, and the weight without it: the model starts as it was.

    Computed by NumPy on the host, in float32 (float64 for float64 weights), so that all frameworks get the same numbers; not under `jit`.

    Args:
        weight: the kernel, (in, out), or (out, in) with axes="oi".
        rank: r, from 1 to the smaller of its sizes.
        scaling: s, what the layer multiplies the product with, above 0 (Flax's `nnx.LoRA`: 1).
        niter: None for the exact decomposition; a number of power iterations (4, say) for the much faster randomized one.
        axes: "io" for x @ W, or "oi".
        dtype: of the factors; the weight's own if None.
        seed, name: of the random subspace, with `niter`.

    Returns:
        A, B and the new weight, to be put in together, laid out as the weight is: with "io" (in, r) and (r, out), x @ A @ B, as in
        `nnx.LoRA`. The new weight keeps the old one's dtype and sharding.

    Raises:
        FaninTypeError: the weight is traced, no matrix, or no floating-point array.
        FaninValueError: a rank that is too large (also for the weight's own rank), numbers that are not finite, a scaling of 0 or less.

    Formula:
        W = U S Vᵀ (out, in);  A = (S_r / s)^½ V_rᵀ,  B = U_r (S_r / s)^½,  W ← W - s · B A

    Paper:
        Meng, Wang & Zhang 2024, "PiSSA: principal singular values and singular vectors adaptation of large language models".

    Example:
        >>> from flax import nnx
        >>> layer, x = nnx.LoRALinear(60, 40, lora_rank=4, rngs=nnx.Rngs(0)), jax.random.normal(jax.random.key(1), (8, 60))
        >>> before = layer(x)
        >>> layer.lora.lora_a[...], layer.lora.lora_b[...], layer.kernel[...] = pissa(layer.kernel[...], 4)
        >>> bool(abs(layer(x) - before).max() < 1e-4), bool(layer.lora.lora_b[...].any())
        (True, True)
    """
    return _made("pissa", weight, rank, axes, dtype, scaling, niter, seed, name)


def olora(
    weight: Array, rank: int, *, scaling: float = 1.0, axes: str = "io", dtype: Any = None
) -> tuple[Array, Array, Array]:
    """An adapter from the QR decomposition of its weight, and the weight without it: the model starts as it was.

    Args:
        weight, rank, scaling, axes, dtype: as in `pissa`.

    Returns:
        A, B and the new weight, as in `pissa`.

    Raises:
        FaninTypeError, FaninValueError: as in `pissa`, but for the weight's own rank.

    Formula:
        W = Q R (out, in);  A = R[:r],  B = Q[:, :r],  W ← W - s · B A

    Paper:
        Büyükakyüz 2024, "OLoRA: orthonormal low-rank adaptation of large language models".

    Example:
        >>> w = jax.random.normal(jax.random.key(0), (60, 40))
        >>> a, b, base = olora(w, 4)
        >>> bool(abs(b @ b.T - jax.numpy.eye(4)).max() < 1e-5), bool(abs(base + a @ b - w).max() < 1e-5)
        (True, True)
    """
    return _made("olora", weight, rank, axes, dtype, scaling)


def mica(weight: Array, rank: int, *, axes: str = "io", dtype: Any = None) -> tuple[Array, Array, Array]:
    """An adapter with B along the directions that its weight uses least, and A zero.

    B is not to be trained: leave it out of the optimizer.

    Args:
        weight, rank, axes, dtype: as in `pissa`.

    Returns:
        A, B, and the weight as it was.

    Raises:
        FaninTypeError, FaninValueError: as in `pissa`, but for the weight's own rank.

    Formula:
        W = U S Vᵀ (out, in);  A = 0,  B = the last r columns of U, frozen

    Paper:
        "Minor component adaptation (MiCA)", arXiv 2604.01694, as PEFT has it.

    Example:
        >>> a, b, w = mica(jax.random.normal(jax.random.key(0), (60, 40)), 4)
        >>> a.shape, b.shape, bool(a.any())
        ((60, 4), (4, 40), False)
    """
    return _made("mica", weight, rank, axes, dtype)


def _made(
    option: str,
    weight: Any,
    rank: int,
    axes: str,
    dtype: Any,
    scaling: float = 1.0,
    niter: int | None = None,
    seed: int = 0,
    name: str = "",
) -> tuple[Array, Array, Array]:
    if isinstance(weight, Tracer):
        raise FaninTypeError(
            f"{option}: weight is traced; its numbers are read, so call it outside of jit, vmap and grad"
        )
    if axes not in ("oi", "io"):
        raise FaninValueError(f"{option}: axes={axes!r} cannot be used; accepted are 'oi' and 'io'")
    given = np.asarray(weight)
    if not jax.numpy.issubdtype(given.dtype, jax.numpy.floating):
        raise FaninTypeError(f"{option}: weight has dtype {given.dtype}; it must be a floating-point matrix")
    if given.ndim != 2:
        raise FaninTypeError(f"{option}: weight has shape {given.shape}; it must be a matrix")
    wide = low_rank.widened(given if axes == "oi" else given.T)
    made = low_rank.factors(option, wide, rank, scaling=scaling, niter=niter, seed=seed, name=name)
    kind = jax.numpy.dtype(given.dtype if dtype is None else dtype)
    a, b = (low_rank.rounded(option, label, x, kind) for label, x in zip("AB", made, strict=True))
    stored = [x if axes == "oi" else x.T for x in (a, b)]
    factors = jax.numpy.asarray(stored[0]), jax.numpy.asarray(stored[1])
    if option == "mica":
        return *factors, weight
    left = low_rank.residual(wide, low_rank.widened(a), low_rank.widened(b), scaling)
    base = low_rank.rounded(option, "weight", left if axes == "oi" else left.T, given.dtype)
    return *factors, jax.device_put(base, getattr(weight, "sharding", None))
