"""Matrix families in JAX: `householder.Ops` of jax.numpy, to be called under `jax.jit` (the loops are unrolled)."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.scipy.linalg import solve_triangular

from fanin.distributions import Distribution, Normal
from fanin.draws.bits import Stream
from fanin.draws.windows import Ranges

EXACT = lax.Precision.HIGHEST  # by default GPUs and TPUs round float32 factors to TF32 or bfloat16 (errors of 1e-3)
REAL = {"complex64": "float32", "complex128": "float64"}


class JaxOps:
    """Arrays of JAX (see `householder.Ops`): nothing is changed in place, `set`, `put` and the products return new arrays.

    Args:
        dtype: to compute in, float32 or complex64; float64 or complex128 where JAX has them enabled.
        draw: (distribution, shape, stream, ranges, dtype) → array, for independent numbers.
    """

    batch = 1 << 24

    def __init__(self, dtype: Any, draw: Callable[..., Array]) -> None:
        self.dtype = np.dtype(dtype)
        self._draw = draw

    def zeros(self, shape: tuple[int, ...]) -> Array:
        return jnp.zeros(shape, dtype=self.dtype)

    def gaussians(self, stream: Stream, start: int, stop: int) -> Array:
        each = 2 if self.dtype.kind == "c" else 1
        real = np.dtype(REAL.get(self.dtype.name, self.dtype))
        out = self._draw(Normal(1.0), (stop * each,), stream, (range(start * each, stop * each),), real)
        return lax.complex(out[0::2], out[1::2]) if each == 2 else out

    def draw(self, law: Distribution, shape: tuple[int, ...], stream: Stream, ranges: Ranges) -> Array:
        return self._draw(law, shape, stream, ranges, self.dtype)

    def reflectors(self, x: Array) -> tuple[Array, Array, Array]:
        many = x.shape[1]
        x = jnp.triu(x)
        lead = jnp.diagonal(x, axis1=1, axis2=2)
        size = jnp.abs(lead)
        length = jnp.sqrt(jnp.sum(jnp.abs(x) ** 2 if self.dtype.kind == "c" else x * x, axis=2))
        phase = jnp.where(size > 0, lead / jnp.where(size > 0, size, 1), 1).astype(self.dtype)
        total = size + length
        diagonal = np.arange(many)
        v = (x * (phase.conj() / total)[:, :, None]).at[:, diagonal, diagonal].set(1.0)
        s = -self.times(v.conj(), v.swapaxes(1, 2))
        return v, s.at[:, diagonal, diagonal].set((-length / total).astype(self.dtype)), -phase

    def times(self, a: Array, b: Array) -> Array:
        return jnp.matmul(a, b, precision=EXACT)

    def solve(self, s: Array, y: Array, *, transposed: bool = False) -> Array:
        return solve_triangular(s, y, trans=int(transposed))

    def concatenate(self, parts: list[Array], axis: int) -> Array:
        return jnp.concatenate(parts, axis=axis)

    def set(self, c: Array, place: tuple[Any, ...], values: Any) -> Array:
        return c.at[place].set(values)

    def product(self, c: Array, place: tuple[Any, ...], a: Array, b: Array) -> Array:
        return c.at[place].set(self.times(a, b))

    def add_product(self, c: Array, place: tuple[Any, ...], a: Array, b: Array) -> Array:
        return c.at[place].add(self.times(a, b))

    def permute(self, x: Array, order: tuple[int, ...]) -> Array:
        return x.transpose(order)

    def flip(self, x: Array, axes: tuple[int, ...]) -> Array:
        return jnp.flip(x, axes)

    def put(self, out: Array, index: tuple[Any, ...], values: Array) -> Array:
        return out.at[index].set(values.astype(out.dtype))

    def writes(self, out: Array) -> bool:
        return False

    def matrices(self, out: Array, axis: int, count: int, order: list[int], shape: tuple[int, int]) -> None:
        return None
