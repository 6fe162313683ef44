"""What NumPy makes for JAX: memory that JAX can take over, and distributions without a JAX program.

These are formulas, mapped numbers and whole builds (`fanin.draws.host`), numbers that take words of 64 bits where JAX has
none, and such as XLA would take for zero. Under `jit`, `vmap` and `shard_map` they come through `jax.pure_callback`, each
device's own part; values without chance are put into the program while it is compiled.
"""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from fanin.distributions import Distribution, Formula
from fanin.draws import compose
from fanin.draws.bits import Stream
from fanin.draws.host import HOSTED
from fanin.draws.jax_ops import x64
from fanin.draws.numpy import NUMPY
from fanin.draws.recipe import Source, recipe

Shape = tuple[int, ...]
ALIGNMENT = 64  # bytes: at such an address JAX takes an array's memory over on a CPU, without a copy
SMALLEST_NORMAL = 2.0**-126  # XLA takes smaller numbers of float32 for zero


@dataclass(frozen=True)
class Host:
    """A distribution that NumPy draws; of the stream only the name and the plane count."""

    law: Distribution
    shape: Shape
    stream: Stream
    bits: int


def aligned(shape: Shape, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """An empty NumPy array whose memory JAX takes over."""
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + ALIGNMENT, dtype=np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)


def is_hosted(law: Distribution, bits: int, dtype: np.dtype[Any]) -> bool:
    """Whether NumPy must draw it: JAX would need numbers of 64 bits, which it has not, or such that XLA takes for zero."""
    if isinstance(law, HOSTED):
        return True
    made = recipe(law, bits=bits, double=dtype == np.float64)
    if made is None or made.source is Source.CONSTANT:
        return False
    return (made.bits == 64 and not x64()) or (dtype != np.float64 and 0 < abs(made.scale) < SMALLEST_NORMAL)


def hosted(node: Host, starts: tuple[Any, ...], sizes: Shape, steps: Shape, key: Any, dtype: np.dtype[Any]) -> Array:
    """The values of a box (see `jax_parts.Box`), shape `sizes`; zeros where it reaches beyond the weight."""

    def make(starts: Any, key: Any) -> np.ndarray[Any, Any]:
        low, high = (int(word) for word in np.asarray(key))
        begin = [int(start) for start in starts]
        asked = [range(b, b + n * step, step) for b, n, step in zip(begin, sizes, steps, strict=True)]
        within = [compose.inside(r, 0, n) for r, n in zip(asked, node.shape, strict=True)]
        ranges = tuple(r[place] for r, place in zip(asked, within, strict=True))
        out = np.zeros(sizes, dtype=dtype)
        if all(map(len, ranges)):
            stream = Stream(high << 32 | low, node.stream.name, node.stream.plane)
            compose.fill(node.law, node.shape, stream, ranges, out[tuple(within)], node.bits, NUMPY)
        return out

    if isinstance(node.law, Formula) and all(isinstance(start, int) for start in starts):
        return jnp.asarray(make(starts, (0, 0)))
    places = jnp.asarray(starts, dtype=jnp.int32)
    return jax.pure_callback(make, jax.ShapeDtypeStruct(sizes, dtype), places, key, vmap_method="sequential")
