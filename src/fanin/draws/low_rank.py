"""Low-rank adapters that start from the weight that they adapt: PiSSA, OLoRA, MiCA. They read its values, no data and no gradient.

An adapted layer computes W + s · B A, W of shape (out, in), A (r, in), B (out, r). Rules see a slot, not the values in it, so these
are functions of the weight. `fanin.rules.lora` has the starts that read nothing. (LoftQ reads the quantized weight, EVA and CorDA
data, LoRA-GA gradients: none of them is here.)
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fanin.distributions import Normal
from fanin.draws.dtypes import DTYPES
from fanin.draws.numpy import draw_distribution
from fanin.errors import FaninTypeError, FaninValueError

Array = NDArray[Any]
OPTIONS = ("pissa", "olora", "mica")
MORE = 10  # columns beyond the rank in the randomized decomposition (Halko et al. 2011, section 1.3: 5 or 10)


class LowRank(NamedTuple):
    """An adapter, and what is left of the weight beside it.

    Attributes:
        a: (r, in), what reads the input.
        b: (out, r), what writes the output.
        base: (out, in), the weight to put in the old one's place.
    """

    a: Array
    b: Array
    base: Array


def pissa(
    weight: Array, rank: int, *, scaling: float = 1.0, niter: int | None = None, seed: int = 0, name: str = ""
) -> LowRank:
    """The weight's principal part as the adapter, the rest as the frozen weight: the model starts as it was, and trains where W is large.

    Formula:
        W = U S Vᵀ;  A = (S_r / s)^½ V_rᵀ,  B = U_r (S_r / s)^½,  W ← W - s · B A,  s the scaling, r the r largest singular values

    Args:
        weight: W, (out, in), floating point.
        rank: r, from 1 to min(out, in).
        scaling: s, what the layer multiplies B A with (alpha / r), above 0.
        niter: None for the exact decomposition; else how often a random subspace of r + 10 columns is turned towards the principal one
            (PEFT's `pissa_niter_k`, whose subspace has r columns only, and is further off): 4 is usual, and much faster.
        seed, name: of the random subspace, with `niter`.

    Returns:
        A, B and the new W, in the weight's dtype; half precision is computed in float32. The new W is what is left beside the *rounded*
        factors. Signs are such that the largest number of each column of B is positive.

    Raises:
        FaninTypeError: the weight is no floating-point matrix, or an argument no number.
        FaninValueError: numbers that are not finite; a rank that is too large, also for the weight's own rank (the factors beyond it
            would be zero, and get no gradient); a scaling of 0 or less.

    Paper:
        Meng, Wang & Zhang 2024, "PiSSA: principal singular values and singular vectors adaptation of large language models", section 3;
        Halko, Martinsson & Tropp 2011, "Finding structure with randomness", algorithm 4.4 (`niter`).

    Example:
        >>> w = np.random.default_rng(0).standard_normal((40, 60))
        >>> a, b, base = pissa(w, 4, scaling=2.0)
        >>> bool(np.allclose(base + 2.0 * b @ a, w)), round(float(np.linalg.norm(base, 2) / np.linalg.svd(w)[1][4]), 6)
        (True, 1.0)
    """
    return _made("pissa", weight, rank, scaling, niter, seed, name)


def olora(weight: Array, rank: int, *, scaling: float = 1.0) -> LowRank:
    """An orthonormal B from the QR decomposition of the weight; the model starts as it was.

    The first r columns of Q depend on the first r columns of W alone, so nothing more is decomposed. B A is W projected on these
    columns: it depends on the order of the inputs, and is no best approximation of W, as PiSSA's is.

    Formula:
        W = Q R;  A = R[:r],  B = Q[:, :r],  W ← W - s · B A,  s the scaling

    Args:
        weight, rank, scaling: as in `pissa`.

    Returns:
        A, B and the new W, as in `pissa`. Signs are such that A[k, k] is not negative.

    Raises:
        FaninTypeError, FaninValueError: as in `pissa`, but for the weight's own rank: B is orthonormal in any case.

    Paper:
        Büyükakyüz 2024, "OLoRA: orthonormal low-rank adaptation of large language models", algorithm 1; PEFT's `olora_init`, whose
        factors are not divided by the scaling either.

    Example:
        >>> w = np.random.default_rng(0).standard_normal((40, 60))
        >>> a, b, base = olora(w, 4, scaling=2.0)
        >>> bool(np.allclose(base + 2.0 * b @ a, w)), bool(np.allclose(b.T @ b, np.eye(4)))
        (True, True)
    """
    return _made("olora", weight, rank, scaling)


def mica(weight: Array, rank: int) -> LowRank:
    """B along the directions that the weight uses least, A zero: the model starts as it was, and W stays. B is not trained.

    Formula:
        W = U S Vᵀ;  A = 0,  B = the last r columns of U (of the min(out, in) that there are);  B is frozen

    Args:
        weight, rank: as in `pissa`.

    Returns:
        A, B and W as it was, in the weight's dtype. Signs as in `pissa`.

    Raises:
        FaninTypeError, FaninValueError: as in `pissa`, but for the weight's own rank: B is orthonormal in any case.

    Paper:
        "Minor component adaptation (MiCA)", arXiv 2604.01694, as PEFT's `mica_init` has it (the paper itself was not at hand).

    Example:
        >>> w = np.random.default_rng(0).standard_normal((40, 60))
        >>> a, b, base = mica(w, 4)
        >>> bool(a.any()), base is w, bool(np.allclose(np.linalg.norm(b.T @ w, axis=1), np.linalg.svd(w)[1][-4:]))
        (False, True, True)
    """
    return _made("mica", weight, rank)


def _made(
    option: str,
    weight: Array,
    rank: int,
    scaling: float = 1.0,
    niter: int | None = None,
    seed: int = 0,
    name: str = "",
) -> LowRank:
    """A NumPy weight's adapter, in its own dtype."""
    given = np.asarray(weight)
    if given.dtype.name not in DTYPES:
        raise FaninTypeError(f"{option}: weight has dtype {given.dtype}; it must be one of {', '.join(DTYPES)}")
    wide = widened(given)
    a, b = factors(option, wide, rank, scaling=scaling, niter=niter, seed=seed, name=name)
    a, b = rounded(option, "A", a, given.dtype), rounded(option, "B", b, given.dtype)
    if option == "mica":
        return LowRank(a, b, weight)
    left = residual(wide, widened(a), widened(b), scaling)
    return LowRank(a, b, rounded(option, "weight", left, given.dtype))


def widened(numbers: Array) -> Array:
    """The numbers in the precision that is computed in: float64 stays, all else becomes float32."""
    return numbers if numbers.dtype == np.float64 else numbers.astype(np.float32)


def factors(
    option: str,
    weight: Array,
    rank: int,
    *,
    scaling: float = 1.0,
    niter: int | None = None,
    seed: int = 0,
    name: str = "",
    what: str = "",
) -> tuple[Array, Array]:
    """A and B for a float32 or float64 weight (out, in); `what` is whom errors speak for."""
    what = what or option
    check(option, weight.shape, rank, scaling, niter, what)
    if not np.isfinite(weight).all():
        raise FaninValueError(f"{what}: weight, of shape {weight.shape}, must have finite numbers only")
    if option == "olora":
        q, r = np.linalg.qr(weight[:, :rank])
        b = q * np.where(np.diag(r) < 0, -1, 1).astype(q.dtype)
        return b.T @ weight, b
    if option == "mica":
        b = np.linalg.svd(weight, full_matrices=False)[0][:, -rank:]
        return np.zeros((rank, weight.shape[1]), weight.dtype), b * _signs(b)
    if niter is None:
        u, s, v = np.linalg.svd(weight, full_matrices=False)
    else:
        u, s, v = _randomized(weight, rank, niter, seed, name)
    if s[rank - 1] <= max(weight.shape) * np.finfo(weight.dtype).eps * s[0]:
        own = int((s > max(weight.shape) * np.finfo(weight.dtype).eps * s[0]).sum())
        raise FaninValueError(
            f"{what}: rank={rank} is more than the weight's own rank of {own}; factors beyond it would be zero and get no gradient"
        )
    root, sign = np.sqrt(s[:rank] / scaling).astype(weight.dtype), _signs(u[:, :rank])
    return (root * sign)[:, None] * v[:rank], u[:, :rank] * (root * sign)


def residual(weight: Array, a: Array, b: Array, scaling: float) -> Array:
    """W - s · B A for the factors as they are stored."""
    return weight - weight.dtype.type(scaling) * (b.astype(weight.dtype) @ a.astype(weight.dtype))


def rounded(what: str, which: str, numbers: Array, dtype: Any) -> Array:
    """The numbers in this dtype; raises where it cannot hold them."""
    with np.errstate(over="ignore"):
        made = numbers.astype(dtype)
    if not np.isfinite(widened(made)).all():
        raise FaninValueError(f"{what}: {which} has numbers that {made.dtype.name} cannot hold")
    return made


def check(option: str, shape: tuple[int, ...], rank: Any, scaling: Any, niter: Any, what: str) -> None:
    """Raise where a weight of this shape cannot have such an adapter."""
    if option not in OPTIONS:
        raise FaninValueError(
            f"{what}: option={option!r} is not known; accepted are {', '.join(map(repr, OPTIONS))} "
            "(fanin.rules.lora has those that do not read the weight)"
        )
    if len(shape) != 2:
        raise FaninTypeError(f"{what}: weight has shape {tuple(shape)}; it must be a matrix of shape (out, in)")
    for field, value, least in (("rank", rank, 1), ("niter", niter, 0)):
        if field == "niter" and value is None:
            continue
        if not isinstance(value, int | np.integer) or isinstance(value, bool):
            raise FaninTypeError(
                f"{what}: {field}={value!r} cannot be used; it must be a whole number of at least {least}"
            )
        if value < least:
            raise FaninValueError(f"{what}: {field}={value!r} cannot be used; it must be at least {least}")
    if rank > min(shape):
        raise FaninValueError(
            f"{what}: rank={rank} is too large for a weight of shape {tuple(shape)}; it must be at most {min(shape)}"
        )
    if not isinstance(scaling, int | float | np.number) or isinstance(scaling, bool):
        raise FaninTypeError(f"{what}: scaling={scaling!r} cannot be used; it must be a finite number above 0")
    if not 0 < scaling < math.inf:
        raise FaninValueError(f"{what}: scaling={scaling!r} cannot be used; it must be finite and above 0")


def _signs(columns: Array) -> Array:
    """For each column the sign of its largest number: a singular vector has none of its own, and LAPACKs differ."""
    largest = np.abs(columns).argmax(axis=0)
    return np.where(columns[largest, np.arange(columns.shape[1])] < 0, -1, 1).astype(columns.dtype)


def _randomized(weight: Array, rank: int, niter: int, seed: int, name: str) -> tuple[Array, Array, Array]:
    """The leading singular vectors from a random subspace, made orthonormal between products: else small ones are lost in large."""
    columns = min(rank + MORE, *weight.shape)
    start = draw_distribution(
        Normal(1.0), (weight.shape[1], columns), seed=seed, name=f"{name}#pissa", dtype=weight.dtype.name
    )
    q = np.linalg.qr(weight @ start)[0]
    for _ in range(niter):
        q = np.linalg.qr(weight @ np.linalg.qr(weight.T @ q)[0])[0]
    u, s, v = np.linalg.svd(q.T @ weight, full_matrices=False)
    return q @ u, s, v
