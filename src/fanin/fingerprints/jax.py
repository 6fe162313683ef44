"""JAX arrays: each device's part is hashed where it lies, copies once; nothing is gathered."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from fanin.errors import FaninValueError
from fanin.fingerprints.hashing import Bits, as_bits
from fanin.fingerprints.records import Held
from fanin.plans.parts import Part, Window


def is_numbers(value: Any) -> bool:
    """Whether it is a JAX array with numbers in it: not one that is traced, and no random key."""
    known = isinstance(value, Array) and not isinstance(value, Tracer)
    return known and not jnp.issubdtype(value.dtype, jax.dtypes.prng_key)


def is_promised(value: Any) -> bool:
    """Whether it is a shape without values, as `jax.eval_shape` gives it."""
    return isinstance(value, jax.ShapeDtypeStruct)


def array_held(name: str, array: Array) -> Held:
    """One array, by the blocks that its devices hold.

    Raises:
        FaninValueError: devices of other processes hold some of it.
    """
    if not array.is_fully_addressable:
        raise FaninValueError(f"{name} lies on devices of other processes, too; its fingerprint cannot be taken here")
    shape = tuple(array.shape)
    blocks = [(_window(s.index, shape), s.data) for s in array.addressable_shards if s.replica_id == 0]
    parts = tuple(Part(window, window) for window, _ in blocks)
    far = any(
        device.platform != "cpu" for device in array.devices()
    )  # a piece costs as much as the block: it is copied
    return Held(name, array.dtype.name, shape, parts, _Blocks(blocks), uncut=far)


def _window(index: tuple[slice, ...], shape: tuple[int, ...]) -> Window:
    return tuple(slice(*s.indices(n)[:2]) for s, n in zip(index, shape, strict=True))


class _Blocks:
    """Reads a block of an array, or a piece of one."""

    def __init__(self, blocks: list[tuple[Window, Array]]) -> None:
        self.blocks = blocks

    def __call__(self, part: Part) -> Bits:
        for window, data in self.blocks:
            pairs = list(zip(window, part.window, strict=True))
            if all(whole.start <= s.start and s.stop <= whole.stop for whole, s in pairs):
                local = tuple(slice(s.start - whole.start, s.stop - whole.start) for whole, s in pairs)
                return as_bits(np.asarray(data)[local])
        raise AssertionError("a piece of no block")
