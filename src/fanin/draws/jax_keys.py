"""JAX keys as streams: a key's two words are Philox's key, and a key of fanin's own carries the weight's name besides.

A stream is a seed and a name. JAX's keys have room for the seed only (upper word first, as `jax.random.key(5)` has them), so
the name stands in the type of the key, where it is known while `jit` traces. Everything else that JAX does with keys
(`split`, `fold_in`, `jax.random.normal`) goes on as with its default keys; what comes out of a key keeps its name.
"""

import functools
from collections.abc import Hashable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jax.extend import random as own

from fanin.draws.bits import check_seed
from fanin.errors import FaninTypeError

NAMES: dict[Hashable, str] = {}  # type of key → the weight's name
ACCEPTED = "accepted is one key, such as jax.random.key(0), fanin.jax.key(0, name), or an array of two uint32"


def named_key(seed: Any, name: str = "") -> Array:
    """The JAX key of one seed and one weight's name: what is drawn with it has the numbers of `fanin.draw(seed=, name=)`.

    Args:
        seed: an integer from 0 to 2**64 - 1, or a key of JAX's (which may be traced), whose two words are taken.
        name: the weight's name.

    Returns:
        A typed key, shape ().

    Raises:
        FaninTypeError, FaninValueError: for a seed or a name that cannot be used.

    Example:
        >>> key = named_key(0, "fc1.weight")
        >>> key.shape, jax.random.key_data(key).tolist()
        ((), [0, 0])
    """
    if not isinstance(name, str):
        raise FaninTypeError(f"name={name!r} cannot be used; name must be a string")
    if isinstance(seed, Array):
        low, high = halves(seed)[0]
        words = jnp.stack([high, low])
    else:
        number = check_seed(seed)
        words = jnp.array([number >> 32, number & 0xFFFFFFFF], dtype=jnp.uint32)
    return jax.random.wrap_key_data(words, impl=_kind(name))


def seed_of(seed: Any) -> int:
    """The seed as an integer: itself, or that of a key, whose two words it is (`jax.random.key(5)` is seed 5).

    Raises:
        FaninTypeError, FaninValueError: it is neither, or a key that is known only when a program runs.
    """
    if not isinstance(seed, Array):
        return check_seed(seed)
    words = halves(seed)[0]
    if isinstance(words, Tracer):
        raise FaninTypeError(
            "seed is a key that `jit` traces, but a whole model is drawn outside of it; give an integer from 0 to 2**64 - 1, or a key"
        )
    return int(words[0]) | int(words[1]) << 32


def halves(key: Any) -> tuple[Any, str]:
    """Philox's key (lower and upper word of the seed, uint32, shape (2,)), and the name that a key carries ("" for none).

    Keys of four words (JAX's "rbg") are made of two halves; the first is taken.

    Raises:
        FaninTypeError: what is given is not one key.
    """
    name = ""
    if not isinstance(key, Array | np.ndarray):
        raise FaninTypeError(f"key={key!r} cannot be used; {ACCEPTED}")
    if jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        if key.shape != ():
            raise FaninTypeError(f"key of shape {key.shape} cannot be used: it holds many; {ACCEPTED}")
        name = NAMES.get(jax.random.key_impl(key), "")
        key = jax.random.key_data(key)
    if key.dtype != np.uint32 or key.shape not in ((2,), (4,)):
        raise FaninTypeError(f"key of dtype {key.dtype} and shape {key.shape} cannot be used; {ACCEPTED}")
    if isinstance(key, Tracer):
        return jnp.stack([key[1], key[0]]), name
    words = np.asarray(key)
    return np.array([words[1], words[0]], dtype=np.uint32), name


@functools.cache
def _kind(name: str) -> Any:
    """The type of the keys of one name; it works as JAX's default one does."""
    plain = own.threefry_prng_impl
    kind = own.define_prng_impl(
        key_shape=plain.key_shape,
        seed=plain.seed,
        split=plain.split,
        random_bits=plain.random_bits,
        fold_in=plain.fold_in,
        name=f"fanin:{name}",
        tag=f"fanin {name}".strip(),
    )
    NAMES[kind] = name
    return kind
