"""Random orthogonal matrices from Householder reflectors: Haar distributed, no QR factorisation of a matrix.

Reflector k takes Gaussians x of length n - k to a multiple of the first unit vector. The product of the reflectors,
with the signs that make that multiple positive, has the Haar distribution, because it is what QR would make of a
Gaussian matrix: after k reflections the rest of the next column is again Gaussian and independent.

Papers: Stewart 1980, "The efficient generation of random orthogonal matrices with an application to condition
estimators"; Mezzadri 2007, "How to generate random matrices from the classical compact groups".
"""

import math

import numpy as np
from numpy.typing import NDArray

from fanin.distributions import DeltaOrthogonal, Identity, Orthogonal
from fanin.draws.bits import Stream
from fanin.draws.layout import block_shape, centre, from_blocks
from fanin.draws.quantile import normal
from fanin.draws.windows import TILE

Array = NDArray[np.float64]


def orthonormal(stream: Stream, block: int, rows: int, columns: int) -> Array:
    """A random (rows, columns) matrix: orthonormal columns where it is tall, orthonormal rows where it is wide.

    Reflector k of a block is made of the words at block * n * m + k * n + (k … n - 1), n ≥ m being the two extents.
    """
    from scipy.linalg import get_lapack_funcs

    n, m = max(rows, columns), min(rows, columns)
    if m == 0:
        return np.zeros((rows, columns))
    x = np.empty(m * n)
    first = block * m * n
    for at in range(0, m * n, TILE):
        stop = min(at + TILE, m * n)
        x[at:stop] = normal(stream.range(first + at, first + stop))
    x = x.reshape(m, n)
    for k in range(1, m):
        x[k, :k] = 0.0
    lead = np.diagonal(x).copy()
    beta = -np.copysign(np.sqrt(np.einsum("kj,kj->k", x, x)), lead)
    x /= (lead - beta)[:, None]
    tau = (beta - lead) / beta
    (orgqr,) = get_lapack_funcs(("orgqr",), (x,))
    work = orgqr(x.T, tau, lwork=-1)[1]
    q, _, info = orgqr(x.T, tau, lwork=int(work[0]), overwrite_a=True)
    if info != 0:
        raise RuntimeError(f"LAPACK dorgqr failed with info={info}")
    q *= np.sign(beta)
    return q if rows >= columns else q.T


def orthogonal(law: Orthogonal, stream: Stream) -> Array:
    """The whole weight of an `Orthogonal`, shape `law.axes.shape`."""
    stack, out, in_, field = block_shape(law.axes)
    scale = gain(law)
    blocks = np.empty((stack, out, in_ * field))
    for b in range(stack):
        np.multiply(orthonormal(stream, b, out, in_ * field), scale, out=blocks[b])
    return from_blocks(blocks, law.axes)


def delta_orthogonal(law: DeltaOrthogonal, stream: Stream) -> Array:
    """The whole weight of a `DeltaOrthogonal`, shape `law.axes.shape`."""
    stack, out, in_, field = block_shape(law.axes)
    scale = gain(law)
    blocks = np.zeros((stack, out, in_, field))
    for b in range(stack):
        blocks[b, :, :, centre(law.axes)] = scale * orthonormal(stream, b, out, in_)
    return from_blocks(blocks, law.axes)


def identity(law: Identity) -> Array:
    """The whole weight of an `Identity`, shape `law.axes.shape`."""
    blocks = np.zeros(block_shape(law.axes))
    blocks[:, :, :, centre(law.axes)] = law.gain * np.eye(blocks.shape[1], blocks.shape[2])
    return from_blocks(blocks, law.axes)


def gain(law: Orthogonal | DeltaOrthogonal) -> float:
    """The singular value that every nonzero direction of the drawn matrix has (`scale_out` included)."""
    out, columns = _extents(law)
    return law.gain * (math.sqrt(max(1.0, out / columns)) if law.scale_out and columns else 1.0)


def row_size(law: Orthogonal | DeltaOrthogonal) -> float:
    """The root mean square of the norms of the drawn matrix's rows."""
    out, columns = _extents(law)
    return gain(law) * (math.sqrt(min(1.0, columns / out)) if out else 1.0)


def _extents(law: Orthogonal | DeltaOrthogonal) -> tuple[int, int]:
    _, out, in_, field = block_shape(law.axes)
    return out, in_ * field if isinstance(law, Orthogonal) else in_
