"""The covariance between all positions of a sequence, where attention has made them different from each other.

K[i, j] = E[x_i x_j] over units, for the tokens of one example: its diagonal is the second moment at each position. A
causal average makes early tokens larger and more alike than late ones, and each layer averages over those again.
"""

import functools
import math

import numpy as np
from numpy.polynomial import hermite_e

from fanin.theory import gaussian
from fanin.theory.gaussian import Array, Function
from fanin.theory.state import State

LONGEST = 256  # positions; longer sequences are described by their averages
ORDER = 10  # of the Hermite series of an activation; what is left is put into the next order


def kernel_of(x: State, length: int) -> Array | None:
    """The covariance between positions, from the averages where it is not followed; None for sequences that are too long."""
    if x.kernel is not None:
        return x.kernel if len(x.kernel) == length else None
    if not 1 < length <= LONGEST or not math.isfinite(x.q):
        return None
    apart = min(x.apart if math.isfinite(x.apart) else x.s, x.q)
    level = np.full(length, x.q)
    if len(x.profile) == 1 and len(x.profile[0]) == length:
        level = level * np.asarray(x.profile[0])
    kernel = np.full((length, length), max(x.q - apart, 0.0))
    kernel[np.diag_indices(length)] = level
    return kernel


def with_kernel(x: State, kernel: Array | None) -> State:
    """The state with this covariance between positions, and the averages that follow from it."""
    if kernel is None:
        return x.but(kernel=None)
    n = len(kernel)
    diagonal = np.diagonal(kernel)
    own = float(np.add.reduce(diagonal))
    q = own / n
    near = (float(np.add.reduce(kernel, axis=None)) - own) / (n * (n - 1)) if n > 1 else q
    profile = (tuple((diagonal / q).tolist()),) if q > 0 else ()
    return x.but(kernel=kernel, apart=max(x.q - near * (x.q / q if q > 0 else 1.0), 0.0), profile=profile)


def linear(x: State, y: State, power: float) -> State:
    """`y` behind a weight of this power, or another scaling, and a constant that all positions share."""
    return y if x.kernel is None else with_kernel(y, power * x.kernel + (y.q - power * x.q))


def summed(a: State, b: State, y: State) -> State:
    """`y`, the sum of two unrelated signals."""
    found = a.kernel if a.kernel is not None else b.kernel
    if found is None:
        return y
    first, second = kernel_of(a, len(found)), kernel_of(b, len(found))
    if first is None or second is None:
        return y.but(kernel=None)
    return with_kernel(y, first + second + 2 * a.mean * b.mean)


def multiplied(a: State, b: State, y: State) -> State:
    """`y`, the product of two unrelated signals."""
    found = a.kernel if a.kernel is not None else b.kernel
    if found is None:
        return y
    first, second = kernel_of(a, len(found)), kernel_of(b, len(found))
    return y.but(kernel=None) if first is None or second is None else with_kernel(y, first * second)


def normed(x: State, y: State, centred: bool, eps: float, gain: float) -> State:
    """`y` behind a norm of each token, without the norm's shift."""
    if x.kernel is None:
        return y
    kernel = x.kernel - x.mean**2 if centred else x.kernel
    scale = 1 / np.sqrt(np.maximum(np.diagonal(kernel), 0.0) + eps)
    kernel = gain * kernel * scale[:, None] * scale[None, :]
    return with_kernel(y, kernel + (y.q - float(np.add.reduce(np.diagonal(kernel))) / len(kernel)))


def dropped(x: State, y: State) -> State:
    """`y` behind dropout, which each position has for itself."""
    if x.kernel is None or not x.q > 0:
        return y
    kernel = x.kernel.copy()
    kernel[np.diag_indices(len(kernel))] *= y.q / x.q
    return with_kernel(y, kernel)


@functools.cache
def _hermite() -> tuple[Array, Array]:
    z, w = gaussian._grid(gaussian.COARSE)
    rows = [hermite_e.hermeval(z, [0.0] * n + [1.0]) / math.sqrt(math.factorial(n)) for n in range(ORDER + 1)]
    return z, np.stack(rows) * w


def activated(u: State, y: State, f: Function) -> State:
    """`y` behind a function of each element: E f(u_i) f(u_j) = Σ a_n² ρ_ijⁿ (Daniely et al. 2016)."""
    if u.kernel is None or not u.variance > 0:
        return y
    z, rows = _hermite()
    with np.errstate(over="ignore", invalid="ignore"):
        squares = (rows @ f(u.mean + math.sqrt(u.variance) * z)) ** 2
    variances = np.maximum(np.diagonal(u.kernel) - u.mean**2, 1e-300)
    scale = 1 / np.sqrt(variances)
    rho = np.clip((u.kernel - u.mean**2) * scale[:, None] * scale[None, :], -1.0, 1.0)
    total = np.full_like(rho, max(y.q - float(squares.sum()), 0.0))
    for square in squares[::-1]:
        total = total * rho + square
    power = gaussian.moments(f, u.mean, u.variance).elasticity / 2
    level = (variances / u.variance) ** power
    return with_kernel(y, total * level[:, None] * level[None, :])


def averaged(value: State, count: Array, causal: bool, share: Array, more: Array, extra: Array) -> Array | None:
    """The covariance behind an attention: nearly uniform averages over `count` keys each.

    Args:
        value: of the values.
        count: keys of each query, (queries,).
        causal: whether they are those before it.
        share: E Σ_j a_j² of each query.
        more: how many times more two queries weigh the same keys than uniform averages would, by the later one.
        extra: what dropout of the weights adds on the diagonal.
    """
    n = len(count)
    kernel = kernel_of(value, n)
    if kernel is None or not (causal or np.all(count == n)):
        return None
    if causal:
        mean = np.cumsum(np.cumsum(kernel, axis=0), axis=1) / (count[:, None] * count[None, :])
    else:
        mean = np.full((n, n), float(kernel.mean()))
    apart = value.apart if math.isfinite(value.apart) else value.s
    own = np.diagonal(mean).copy()
    added = apart * (more - 1) / count
    if causal:
        order = np.arange(n)
        mean = mean + added[np.maximum(order[:, None], order[None, :])]
    else:
        mean = mean + added[0]
    mean[np.diag_indices(n)] = own + apart * np.maximum(share - 1 / count, 0.0) + extra
    return mean
