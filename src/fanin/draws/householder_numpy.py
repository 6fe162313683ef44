"""Orthogonal matrices in NumPy: `Ops` of `householder` on top of BLAS."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fanin.distributions import Distribution, Normal
from fanin.draws.bits import Stream
from fanin.draws.blas import add_product, is_small, product, solve_upper, upper_gram
from fanin.draws.windows import Ranges

Array = NDArray[Any]

REAL = {"F": np.dtype(np.float32), "D": np.dtype(np.float64)}  # what complex numbers are made of, by their character


@functools.lru_cache(maxsize=8)
def _upper(many: int) -> Array:
    return np.triu(np.ones((many, many), dtype=np.float32))


class NumpyOps:
    """Arrays of NumPy (see `householder.Ops`).

    Args:
        dtype: to compute in, float32, float64, complex64 or complex128.
        fill: (distribution, shape, stream, ranges, out), for independent numbers.
    """

    batch = 1 << 20

    def __init__(self, dtype: DTypeLike, fill: Callable[..., Any]) -> None:
        self.dtype = np.dtype(dtype)
        self._fill = fill

    def zeros(self, shape: tuple[int, ...]) -> Array:
        return np.zeros(shape, dtype=self.dtype)

    def gaussians(self, stream: Stream, start: int, stop: int) -> Array:
        """A complex one is made of two, real part first. Their size is of no account to a reflector: its variance is 2."""
        each = 2 if self.dtype.kind == "c" else 1
        out = np.empty((stop - start) * each, dtype=REAL.get(self.dtype.char, self.dtype))
        self._fill(Normal(1.0), (stop * each,), stream, (range(start * each, stop * each),), out)
        return out.view(self.dtype)

    def draw(self, law: Distribution, shape: tuple[int, ...], stream: Stream, ranges: Ranges) -> Array:
        out = np.empty([len(r) for r in ranges], dtype=self.dtype)
        self._fill(law, shape, stream, ranges, out)
        return out

    def reflectors(self, x: Array) -> tuple[Array, Array, Array]:
        many = x.shape[1]
        square = x[:, :, :many]
        square *= _upper(many)
        lead = np.diagonal(x, axis1=1, axis2=2)
        size = abs(lead)
        flat = x.view(REAL.get(x.dtype.char, x.dtype))
        length = np.sqrt(np.sum(flat * flat, axis=2))  # NumPy sums pairwise: a rounded length turns the reflector
        phase = np.divide(lead, size, out=np.ones_like(lead), where=size > 0)
        total = size + length
        x *= (phase.conj() / total)[:, :, None]
        diagonal = np.arange(many)
        x[:, diagonal, diagonal] = 1.0
        s = x.conj() @ x.swapaxes(1, 2) if is_small(x, square) else np.stack([upper_gram(v) for v in x])
        np.negative(s, out=s)
        s[:, diagonal, diagonal] = -length / total
        return x, s, -phase

    def times(self, a: Array, b: Array) -> Array:
        if is_small(a, b):
            return a @ b
        c: Array = np.empty((*a.shape[:2], b.shape[2]), dtype=self.dtype)
        for k in range(len(c)):
            product(c[k], a[k], b[k])
        return c

    def solve(self, s: Array, y: Array, *, transposed: bool = False) -> Array:
        y = np.ascontiguousarray(y)
        for one, right in zip(s, y, strict=True):
            solve_upper(one, right, transposed=transposed)
        return y

    def concatenate(self, parts: list[Array], axis: int) -> Array:
        return np.concatenate(parts, axis=axis)

    def set(self, c: Array, place: tuple[Any, ...], values: Any) -> Array:
        c[place] = values
        return c

    def product(self, c: Array, place: tuple[Any, ...], a: Array, b: Array) -> Array:
        if is_small(a, b):
            np.matmul(a, b, out=c[place])
            return c
        for part, left, right in zip(c[place], a, b, strict=True):
            product(part, left, right)
        return c

    def add_product(self, c: Array, place: tuple[Any, ...], a: Array, b: Array) -> Array:
        if is_small(a, b):
            c[place] += a @ b
            return c
        for part, left, right in zip(c[place], a, b, strict=True):
            add_product(part, left, right)
        return c

    def permute(self, x: Array, order: tuple[int, ...]) -> Array:
        return x.transpose(order)

    def flip(self, x: Array, axes: tuple[int, ...]) -> Array:
        return np.flip(x, axes)

    def put(self, out: Array, index: tuple[Any, ...], values: Array) -> Array:
        out[index] = values if values.dtype == out.dtype else values.astype(self._by_way_of(out)).astype(out.dtype)
        return out

    def _by_way_of(self, out: Array) -> np.dtype[Any]:
        return np.dtype(np.float32) if out.dtype.itemsize < 4 else out.dtype

    def writes(self, out: Array) -> bool:
        return out.dtype == self.dtype

    def matrices(self, out: Array, axis: int, count: int, order: list[int], shape: tuple[int, int]) -> Array | None:
        apart = out.reshape(*out.shape[:axis], count, out.shape[axis] // count, *out.shape[axis + 1 :])
        first = apart.transpose(axis, *(a + (a >= axis) for a in order))  # the axes behind `count` have moved up by one
        merged = first.reshape(count, *shape)
        return merged if np.may_share_memory(merged, out) else None
