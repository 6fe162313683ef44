"""Adaptive integration in panels, many integrals at once: where an integrand is rough, panels are halved until it is not.

Each panel carries 16 Gauss-Legendre nodes, so that smooth integrands converge at once and a kink at a panel's end costs
nothing. A kink or a jump inside a panel is closed in by halving, which is how functions that nobody has described are
integrated. The error is the difference between a panel and its halves, so it is known, not hoped for.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fanin.activations import Array

NODES = 16
ROUNDS = 42  # a panel of 1/2 is halved down to 1e-13
NARROW = 31  # halved this often, a panel has something inside that is no smooth function
MOST_PANELS = 20_000
SHOWN = 8  # places that are named in a report


@dataclass(frozen=True)
class Integrals:
    """Values (k,) of k integrals, their error estimates (k,), the integrals of the sizes (k,), and rough places.

    Attributes:
        rough: panels (start, end) that had to be halved to a thousand-millionth, or could not be halved any more.
    """

    value: Array
    error: Array
    size: Array
    rough: tuple[tuple[float, float], ...]


@functools.cache
def legendre(nodes: int = NODES) -> tuple[Array, Array]:
    """Nodes and weights on [-1, 1], each (nodes,)."""
    return np.polynomial.legendre.leggauss(nodes)


@functools.cache
def differentiation(nodes: int = NODES) -> Array:
    """(nodes, nodes): values at the nodes → the derivative, at the nodes, of the polynomial through them."""
    x, _ = legendre(nodes)
    gap = x[:, None] - x[None, :] + np.eye(nodes)
    weight = 1.0 / np.prod(gap, axis=1)
    d = weight[None, :] / weight[:, None] / gap
    np.fill_diagonal(d, 0.0)
    np.fill_diagonal(d, -d.sum(axis=1))
    return d


@functools.cache
def to_ends() -> Array:
    """(16, 2): values at the nodes → those of the polynomial through them at -1 and 1."""
    x, _ = legendre()
    gap = x[:, None] - x[None, :] + np.eye(NODES)
    weight = 1.0 / np.prod(gap, axis=1)
    ends = np.array([-1.0, 1.0])[None, :] - x[:, None]
    shares = weight[:, None] / ends
    return shares / shares.sum(axis=0)


def integrate(
    integrands: Callable[[Array, Array], Array],
    edges: Array,
    tolerance: float = 1e-14,
    rounds: int = ROUNDS,
    defect: Callable[[Array, Array], Array] | None = None,
) -> Integrals:
    """Integrals over the panels between `edges` (increasing), to a relative `tolerance` of the integral of the size.

    Args:
        integrands: (nodes (panels, 16), half widths (panels, 1)) → values (k, panels, 16).
        edges: ends of the panels at the start, (panels + 1,).
        rounds: how often a panel may be halved.
        defect: (starts, ends of panels) → (panels,) what must also come under the tolerance for a panel to be done. A kink
            between a panel's end and its outermost node is invisible to the integrals, and this can see it.
    """
    low, high = edges[:-1], edges[1:]
    whole, size = _panels(integrands, low, high)
    total = np.zeros(len(whole))
    error = np.zeros(len(whole))
    scale = np.where(np.isfinite(size), size, 0.0).sum(axis=1)
    done_size = np.zeros(len(whole))
    rough: list[tuple[float, float]] = []
    for turn in range(rounds + 1):
        middle = 0.5 * (low + high)
        left, size_left = _panels(integrands, low, middle)
        right, size_right = _panels(integrands, middle, high)
        gap = np.abs(left + right - whole)
        hopeless = ~np.isfinite(gap)  # beyond 64 bits: halving cannot mend it
        open_ = ~np.all(hopeless | (gap <= tolerance * np.maximum(scale, 1e-300)[:, None]), axis=0)
        if defect is not None:
            open_ |= defect(low, high) > tolerance
        if turn >= NARROW:
            rough += zip(low[~open_].tolist(), high[~open_].tolist(), strict=True)
        if turn == rounds or 2 * open_.sum() > MOST_PANELS:
            rough += zip(low[open_].tolist(), high[open_].tolist(), strict=True)
            open_ = np.zeros_like(open_)
        shut = ~open_
        total += (left + right)[:, shut].sum(axis=1)
        done_size += (size_left + size_right)[:, shut].sum(axis=1)
        error += gap[:, shut].sum(axis=1)
        if not open_.any():
            break
        low, high = (
            np.concatenate([low[open_], middle[open_]]),
            np.concatenate([middle[open_], high[open_]]),
        )
        whole = np.concatenate([left[:, open_], right[:, open_]], axis=1)
        scale = done_size + np.abs(np.concatenate([size_left[:, open_], size_right[:, open_]], axis=1)).sum(axis=1)
    return Integrals(total, error + 2e-16 * done_size, done_size, tuple(rough))


def _panels(integrands: Callable[[Array, Array], Array], low: Array, high: Array) -> tuple[Array, Array]:
    x, w = legendre()
    half = 0.5 * (high - low)[:, None]
    values = integrands((low[:, None] + half) + half * x, half)
    weights = half * w
    return np.sum(values * weights, axis=-1), np.sum(np.abs(values) * weights, axis=-1)
