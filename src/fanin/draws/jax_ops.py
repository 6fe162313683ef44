"""Words of the stream and numbers of a recipe in JAX, in 32-bit arithmetic alone: the bits of `elementwise`.

An index into a weight has 64 bits and is a pair (upper word, lower word). The ten rounds are a loop that XLA does not unroll:
unrolled, it computes each block once for each of its four words. Words of 64 bits (bits=64) need jax_enable_x64.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from fanin.draws.bits import LANES, MULTIPLIERS, PLANE_BIT, ROUNDS, SIDE, TILE_WORDS, WEYL, Stream
from fanin.draws.quantile import SUBS64, table
from fanin.draws.recipe import Recipe, Source

Pair = tuple[Any, Any]  # upper and lower word of numbers of 64 bits, uint32

U = np.uint32
HALF = U(0xFFFF)


class Form(NamedTuple):
    """What of a recipe decides which operations are compiled."""

    source: Source
    whole: bool
    bits: int


class Numbers(NamedTuple):
    """What of a recipe, and of its stream, may change without compiling again; arrays.

    Attributes:
        counter: of the stream, shape (3,), uint32.
        index: first index and count of indices, shape (2,), uint32 or uint64.
        limits: least z, most z, shift and offset, shape (4,), int32 or int64.
        scale: shape (), float32 or float64.
    """

    counter: Any
    index: Any
    limits: Any
    scale: Any


def split(recipe: Recipe, stream: Stream, double: bool) -> tuple[Form, Numbers]:
    """A recipe as what is compiled and what is handed over."""
    wide = recipe.bits == 64
    whole = {"low": 0, "span": 0} if recipe.whole else {"low": recipe.low, "span": recipe.span}
    return Form(recipe.source, recipe.whole, recipe.bits), Numbers(
        np.array(stream.counter, dtype=np.uint32),
        np.array([whole["low"], whole["span"]], dtype=np.uint64 if wide else np.uint32),
        np.array([recipe.least, recipe.most, recipe.shift, recipe.offset], np.int64 if wide or double else np.int32),
        np.array(recipe.scale, dtype=np.float64 if wide or double else np.float32),
    )


# -- numbers of 64 bits as pairs ---------------------------------------------------------------------------------------


def pair(number: int) -> Pair:
    """A Python number, of which the lower 64 bits count."""
    return U(number >> 32 & 0xFFFFFFFF), U(number & 0xFFFFFFFF)


def plus(a: Pair, b: Pair) -> Pair:
    """The sum, less its carry out of 64 bits."""
    low = a[1] + b[1]
    return a[0] + b[0] + (low < a[1]).astype(jnp.uint32), low


def times(word: Any, factor: int) -> Pair:
    """The product of 32-bit numbers and a Python number, of which the lower 64 bits count."""
    high, low = pair(factor)
    return multiply_high(word, low) + word * high, word * low


def multiply_high(a: Any, b: Any) -> Any:
    """The upper words of products of 32-bit numbers, from products of their halves."""
    a0, a1, b0, b1 = a & HALF, a >> U(16), b & HALF, b >> U(16)
    cross = a1 * b0 + (a0 * b0 >> U(16))
    return a1 * b1 + (cross >> U(16)) + (a0 * b1 + (cross & HALF) >> U(16))


# -- words -------------------------------------------------------------------------------------------------------------


def tiles_from(first: Pair, count: int, key: Any, counter: Any) -> Array:
    """For each start, the words of `count` tiles from the one that it lies in: shape (*starts, count × 256)."""
    high, low = first
    begin = (high >> U(2))[..., None], ((low >> U(2)) | (high << U(30)))[..., None] & U(0xFFFFFFC0)
    blocks = plus(begin, (U(0), lax.iota(jnp.uint32, count * SIDE)))
    words = [w.reshape(*w.shape[:-1], count, SIDE) for w in _philox(blocks, key, counter)]
    return jnp.stack(words, axis=-2).reshape(*begin[1].shape[:-1], count * TILE_WORDS)


def words_at(index: Pair, key: Any, counter: Any) -> Array:
    """The word at each index."""
    high, low = index
    blocks = high >> U(2), ((low >> U(2)) | (high << U(30))) & U(0xFFFFFFC0) | low & U(SIDE - 1)
    lane = low >> U(6) & U(LANES - 1)
    w = _philox(blocks, key, counter)
    return jnp.where(lane < 2, jnp.where(lane == 0, w[0], w[1]), jnp.where(lane == 2, w[2], w[3]))


def _philox(blocks: Pair, key: Any, counter: Any) -> tuple[Array, Array, Array, Array]:
    high, low = blocks
    c1 = jnp.broadcast_to(high | counter[0], low.shape)
    c2, c3 = (jnp.broadcast_to(counter[k], low.shape) for k in (1, 2))

    def once(_: Any, state: Any) -> Any:
        c0, c1, c2, c3, k0, k1 = state
        h0, h1 = multiply_high(c0, U(MULTIPLIERS[0])), multiply_high(c2, U(MULTIPLIERS[1]))
        return (
            h1 ^ c1 ^ k0,
            c2 * U(MULTIPLIERS[1]),
            h0 ^ c3 ^ k1,
            c0 * U(MULTIPLIERS[0]),
            k0 + U(WEYL[0]),
            k1 + U(WEYL[1]),
        )

    return lax.fori_loop(0, ROUNDS, once, (low, c1, c2, c3, key[0], key[1]))[:4]


def wide(draw: Any, counter: Any, form: Form) -> Any:
    """Words as a form wants them: `draw(counter)`, or, of 64 bits, those of two planes side by side."""
    if form.bits == 32:
        return draw(counter)
    low = draw(counter + np.array([1 << PLANE_BIT, 0, 0], dtype=np.uint32))
    return draw(counter).astype(jnp.uint64) << np.uint64(32) | low.astype(jnp.uint64)


# -- numbers -----------------------------------------------------------------------------------------------------------


def numbers(words: Any, form: Form, of: Numbers, dtype: np.dtype[Any]) -> Array:
    """The number of each word, rounded to the dtype."""
    least, most, shift, offset = of.limits
    match form.source:
        case Source.UNIFORM:
            z = lax.bitcast_convert_type(words, jnp.int64 if form.bits == 64 else jnp.int32) | 1
        case Source.NORMAL:
            z = jnp.clip(_quantile(words, form, of), least, most)
        case Source.SIGN:
            z = (words >> U(31)).astype(jnp.int32) * 2 - 1
        case Source.BELOW:
            z = (words < of.index[1]).astype(jnp.int32)
        case _:
            z = multiply_high(words, of.index[1]).astype(jnp.int32)
    k = (z.astype(of.limits.dtype) >> shift) + offset
    return rounded(k.astype(of.scale.dtype) * of.scale, dtype)


def rounded(values: Array, dtype: np.dtype[Any]) -> Array:
    """Values rounded to the dtype, by way of float32 where they are float64 and it is narrower."""
    if dtype.itemsize < 4:
        values = values.astype(jnp.float32)
    if dtype.name == "bfloat16":  # so that XLA, which may leave out a conversion and the one back, keeps the rounding
        values = lax.reduce_precision(values, exponent_bits=8, mantissa_bits=7)
    return values.astype(dtype)


def _quantile(words: Any, form: Form, of: Numbers) -> Array:
    low, span = of.index
    if form.bits == 64:
        return _normal_index64(words if form.whole else low + _multiply_high64(words, span))
    return _normal_index(words if form.whole else low + multiply_high(words, span))


def _normal_index(index: Any) -> Array:
    """z in units of 2^-28 of 32-bit indices; see `quantile`."""
    upper = index >> U(31) > 0
    u = jnp.where(upper, ~index, index) << U(1) | U(1)
    zeros = lax.clz(u)
    level = u << zeros
    row = (U(31) - zeros << U(7) | level >> U(24) & U(127)).astype(jnp.int32)
    high, low = (jnp.asarray(half)[row] for half in _halves())
    x = level << U(8)
    c2 = high >> U(20)
    slope = (high << U(12) | low >> U(20)) - (multiply_high(c2, x) << U(11) | c2 * x >> U(21))
    z = (low - (multiply_high(slope, x) >> U(11)) & U(0x7FFFFFFF)).astype(jnp.int32)
    return jnp.where(upper, z, -z)


@functools.cache
def _halves() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The upper and the lower words of normal32."""
    entries = table("normal32")
    return (entries >> np.uint64(32)).astype(np.uint32), entries.astype(np.uint32)


def _normal_index64(index: Any) -> Array:
    """z in units of 2^-59 of 64-bit indices."""
    u64 = np.uint64
    upper = index >> u64(63) > 0
    u = jnp.where(upper, ~index, index) << u64(1) | u64(1)
    zeros = lax.clz(u)
    level = u << zeros
    row = (u64(63) - zeros << u64(SUBS64) | level >> u64(63 - SUBS64) & u64(2**SUBS64 - 1)).astype(jnp.int32)
    c = jnp.asarray(table("normal64"))[row]
    x = level << u64(1 + SUBS64)
    z = c[..., 7]
    for k in range(6, -1, -1):
        z = c[..., k] - _multiply_high64(z, x)
    z = z.astype(jnp.int64)
    return jnp.where(upper, z, -z)


def _multiply_high64(a: Any, b: Any) -> Any:
    mask, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    a0, a1, b0, b1 = a & mask, a >> half, b & mask, b >> half
    cross = a1 * b0 + (a0 * b0 >> half)
    return a1 * b1 + (cross >> half) + (a0 * b1 + (cross & mask) >> half)


# -- where a window's elements lie -------------------------------------------------------------------------------------


def merged(sizes: tuple[int, ...], steps: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Axes that follow each other without a gap as one; axes of one element fall away.

    Args:
        sizes: extent of each axis of a window.
        steps: how far apart two neighbours along the axis lie in the flat weight.
    """
    found: list[tuple[int, int]] = []
    for n, step in zip(sizes, steps, strict=True):
        if n == 1:
            continue
        if found and found[-1][1] == n * step and found[-1][0] * n < 2**31:
            found[-1] = (found[-1][0] * n, step)
        else:
            found.append((n, step))
    return tuple(n for n, _ in found), tuple(step for _, step in found)


def address(place: Any, sizes: tuple[int, ...], steps: tuple[int, ...], base: Pair) -> Pair:
    """Flat index of elements of a window, by their place in it (uint32, row by row)."""
    found = jnp.broadcast_to(base[0], place.shape), jnp.broadcast_to(base[1], place.shape)
    for k, (n, step) in enumerate(zip(sizes, steps, strict=True)):
        inner = math.prod(sizes[k + 1 :])
        along = place // U(inner) if inner < 2**32 else jnp.zeros_like(place)
        found = plus(found, times(along % U(n) if k else along, step))
    return found


def spread(sizes: tuple[int, ...], steps: tuple[int, ...], base: Pair) -> Pair:
    """Flat index of all elements of a window, shape `sizes`, so that XLA can split it along any axis."""
    found = jnp.broadcast_to(base[0], sizes), jnp.broadcast_to(base[1], sizes)
    for axis, step in enumerate(steps):
        found = plus(found, times(lax.broadcasted_iota(jnp.uint32, sizes, axis), step))
    return found


def x64() -> bool:
    """Whether JAX has numbers of 64 bits."""
    return jax.dtypes.canonicalize_dtype(np.float64) == np.float64
