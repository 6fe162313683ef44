"""A distribution as a small tree that JAX compiles, and the values of a box of the weight from it.

The tree holds what decides which operations there are, and is hashable; numbers that may differ from weight to weight (the
hash of the name, a scale) are handed over beside it, so that equal shapes share one compilation.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from fanin.distributions import Constant, Distribution, Permutations, Sparse, Stack, ZeroRows
from fanin.draws import matrices
from fanin.draws.bits import TILE_WORDS, Stream
from fanin.draws.compose import check_axes, check_rows, check_zeros, inside, stack_parts
from fanin.draws.jax_host import Host, hosted, is_hosted
from fanin.draws.jax_ops import (
    Form,
    Numbers,
    Pair,
    address,
    merged,
    numbers,
    pair,
    plus,
    rounded,
    split,
    spread,
    tiles_from,
    times,
    wide,
    words_at,
)
from fanin.draws.jax_orthogonal import JaxOps
from fanin.draws.recipe import Source, recipe
from fanin.draws.windows import Ranges, check_axis
from fanin.errors import FaninTypeError, FaninValueError

Shape = tuple[int, ...]
WORDS = Form(Source.UNIFORM, whole=True, bits=32)  # how the words of an order are asked for
RAW = {1: jnp.uint8, 2: jnp.uint16}  # XLA would turn all of a bfloat16 array to float32 and back each time round a loop
SHORT = TILE_WORDS // 2  # runs of fewer numbers are drawn one by one


@dataclass(frozen=True)
class Leaf:
    """Elementwise numbers; input `at`: `Numbers`."""

    form: Form
    shape: Shape
    at: int


@dataclass(frozen=True)
class Same:
    """One number everywhere; input `at`: the number."""

    at: int


@dataclass(frozen=True)
class Order:
    """Places in the random order of each line; input `at`: the stream's counter."""

    shape: Shape
    axis: int
    at: int


@dataclass(frozen=True)
class Stacked:
    """Parts one after the other along an axis."""

    parts: tuple["Node", ...]
    sizes: Shape
    axis: int


@dataclass(frozen=True)
class WithZeros:
    """A base with zeros in some rows, or where an order is below a count."""

    base: "Node"
    rows: tuple[int, ...] = ()
    order: Order | None = None
    count: int = 0


@dataclass(frozen=True)
class Matrix:
    """A matrix family, made by JAX's own matrix products; its box begins where the compiler knows."""

    law: matrices.Family
    stream: Stream


Node = Leaf | Same | Order | Stacked | WithZeros | Matrix | Host


def outline(
    law: Distribution, shape: Shape, stream: Stream, bits: int, dtype: np.dtype[Any], inputs: list[Any]
) -> Node:
    """The tree of a distribution; what is handed over is appended to `inputs`."""
    check_axes(law, shape, stream)
    match law:
        case _ if isinstance(law, matrices.FAMILIES):
            return Matrix(law, stream)
        case _ if is_hosted(law, bits, dtype):
            return Host(law, shape, Stream(0, stream.name, stream.plane), bits)
        case Constant(value):
            with np.errstate(over="ignore"):
                held = np.asarray(value, np.float64 if dtype.itemsize == 8 else np.float32).astype(dtype)
            if not np.isfinite(held.astype(np.float64)):
                raise FaninValueError(f"Constant: value={value!r} is too large for {dtype.name}")
            return Same(_add(inputs, held))
        case Stack(parts, sizes, axis):
            stack_parts(law, shape, stream, tuple(map(range, shape)))  # raises where the sizes do not fit
            nodes = [
                outline(part, (*shape[:axis], n, *shape[axis + 1 :]), stream.part(f"part {index}"), bits, dtype, inputs)
                for index, (part, n) in enumerate(zip(parts, sizes, strict=True))
            ]
            return Stacked(tuple(nodes), sizes, axis)
        case ZeroRows(base, rows):
            check_rows(law, shape, stream)
            return WithZeros(outline(base, shape, stream, bits, dtype, inputs), rows)
        case Permutations(axis):
            counter = np.array(stream.counter, dtype=np.uint32)
            return Order(shape, check_axis(axis, shape, "Permutations"), _add(inputs, counter))
        case Sparse(base, zeros):
            axis = check_zeros(law, shape, stream)
            order = Order(shape, axis, _add(inputs, np.array(stream.part("zeros").counter, dtype=np.uint32)))
            return WithZeros(outline(base, shape, stream, bits, dtype, inputs), order=order, count=zeros)
    made = recipe(law, bits=bits, double=dtype == np.float64)
    if made is None:
        raise FaninTypeError(f"{type(law).__name__} cannot be drawn; known are the records of fanin.distributions")
    if made.source is Source.CONSTANT:
        one = np.asarray(made.scale, np.float64 if dtype.itemsize == 8 else np.float32)
        return Same(_add(inputs, one.astype(dtype)))
    form, given = split(made, stream, dtype == np.float64)
    return Leaf(form, shape, _add(inputs, given))


def _add(inputs: list[Any], value: Any) -> int:
    inputs.append(value)
    return len(inputs) - 1


@dataclass(frozen=True)
class Box:
    """Which elements of the weight are wanted, one entry an axis.

    Attributes:
        starts: the first, an int, or an int32 that is known only when the program runs.
        sizes: how many.
        steps: how far apart.
    """

    starts: tuple[Any, ...]
    sizes: Shape
    steps: tuple[int, ...]

    def along(self, axis: int) -> Array:
        """The indices along one axis, int32."""
        return self.starts[axis] + lax.iota(jnp.int32, self.sizes[axis]) * self.steps[axis]

    def on(self, axis: int, start: Any, size: int, step: int) -> "Box":
        """The same on all other axes."""
        changed = [
            (*old[:axis], new, *old[axis + 1 :])
            for old, new in ((self.starts, start), (self.sizes, size), (self.steps, step))
        ]
        return Box(*changed)


@dataclass(frozen=True)
class Maker:
    """Makes the values of boxes.

    Attributes:
        key: Philox's key, shape (2,), uint32.
        inputs: what belongs to the tree.
        dtype: of the values.
        chunk: how many numbers are made at once, in a loop; None: all, by operations that XLA can split over devices.
    """

    key: Any
    inputs: list[Any]
    dtype: np.dtype[Any]
    chunk: int | None

    def values(self, node: Node, box: Box) -> Array:
        """The values of the box, shape `box.sizes`."""
        match node:
            case Leaf(form, shape, at):
                given = self.inputs[at]
                return self._drawn(
                    form, shape, box, given.counter, lambda w: numbers(w, form, Numbers(*given), self.dtype), self.dtype
                )
            case Same(at):
                return jnp.full(box.sizes, self.inputs[at], dtype=self.dtype)
            case Order():
                return rounded(self.order(node, box).astype(self._wide()), self.dtype)
            case Stacked():
                return self._stacked(node, box)
            case Matrix():
                return self._matrix(node, box)
            case Host():
                return hosted(node, box.starts, box.sizes, box.steps, self.key, self.dtype)
            case WithZeros(base, rows, order, count):
                drawn = self.values(base, box)
                if order is not None:
                    drawn = jnp.where(self.order(order, box) < count, jnp.zeros((), self.dtype), drawn)
                if rows:
                    gone = (box.along(0)[:, None] == np.array(rows, dtype=np.int32)).any(axis=1)
                    gone = gone.reshape(-1, *(1 for _ in box.sizes[1:]))
                    drawn = jnp.where(gone, jnp.zeros((), self.dtype), drawn)
                return drawn

    def _matrix(self, node: Matrix, box: Box) -> Array:
        def independent(law: Distribution, shape: Shape, stream: Stream, ranges: Ranges, dtype: np.dtype[Any]) -> Array:
            inputs: list[Any] = []
            tree = outline(law, shape, stream, 32, dtype, inputs)
            window = Box(tuple(r.start for r in ranges), tuple(map(len, ranges)), tuple(r.step for r in ranges))
            return Maker(self.key, inputs, dtype, self.chunk).values(tree, window)

        bounds = zip(box.starts, box.sizes, box.steps, strict=True)
        ranges = tuple(range(start, start + n * step, step) for start, n, step in bounds)
        ops = JaxOps(self._wide(), independent)
        return matrices.fill(ops, node.law, node.stream, ranges, jnp.zeros(box.sizes, self.dtype))

    def _wide(self) -> Any:
        if self.dtype.kind == "c":
            return self.dtype
        return jnp.float64 if self.dtype == np.float64 else jnp.float32

    def order(self, node: Order, box: Box) -> Array:
        """`permutations.orders`: int32, shape of the box."""
        axis = node.axis
        lines = box.on(axis, 0, node.shape[axis], 1)
        words = self._drawn(WORDS, node.shape, lines, self.inputs[node.at], lambda w: w, np.dtype(np.uint32))
        order = jnp.argsort(jnp.argsort(words, axis=axis, stable=True), axis=axis)
        if isinstance(box.starts[axis], int) and (box.sizes[axis], box.steps[axis]) == (node.shape[axis], 1):
            return order
        return jnp.take(order, box.along(axis), axis=axis, mode="clip")

    def _stacked(self, node: Stacked, box: Box) -> Array:
        axis, start = node.axis, box.starts[node.axis]
        begins = [sum(node.sizes[:k]) for k in range(len(node.sizes))]
        if isinstance(start, int):
            along = range(start, start + box.sizes[axis] * box.steps[axis], box.steps[axis])
            pieces = []
            for part, begin, size in zip(node.parts, begins, node.sizes, strict=True):
                where = inside(along, begin, begin + size)
                if where.start < where.stop:
                    own = box.on(axis, along[where.start] - begin, where.stop - where.start, box.steps[axis])
                    pieces.append((where.start, self.values(part, own)))
            pieces.sort(key=lambda piece: piece[0])
            return jnp.concatenate([p for _, p in pieces], axis=axis) if pieces else jnp.zeros(box.sizes, self.dtype)
        drawn = jnp.zeros(box.sizes, self.dtype)
        for part, begin, size in zip(node.parts, begins, node.sizes, strict=True):
            place = box.along(axis) - begin
            mine = (place >= 0) & (place < size)
            mask = mine.reshape([-1 if a == axis else 1 for a in range(len(box.sizes))])
            own = box.on(axis, start - begin, box.sizes[axis], box.steps[axis])
            drawn = lax.cond(
                mine.any(),
                lambda old, part=part, own=own, mask=mask: jnp.where(mask, self.values(part, own), old),
                lambda old: old,
                drawn,
            )
        return drawn

    # -- words of a box ------------------------------------------------------------------------------------------------

    def _drawn(
        self, form: Form, shape: Shape, box: Box, counter: Any, make: Callable[[Any], Array], dtype: np.dtype[Any]
    ) -> Array:
        if 0 in box.sizes:
            return jnp.zeros(box.sizes, dtype)
        strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
        steps = tuple(step * stride for step, stride in zip(box.steps, strides, strict=True))
        base = pair(sum(s * n for s, n in zip(box.starts, strides, strict=True) if isinstance(s, int)))
        for start, stride in zip(box.starts, strides, strict=True):
            if not isinstance(start, int):
                base = plus(base, _signed_times(start, stride))

        def ask(get: Callable[[Any], Any]) -> Array:
            return make(wide(get, counter, form))

        if self.chunk is None:
            return self._spread(box, steps, base, ask)
        sizes, steps = merged(box.sizes, steps)
        loop = self._runs if steps and steps[-1] == 1 and sizes[-1] >= SHORT else self._places
        raw = RAW.get(dtype.itemsize)
        if raw is None:
            return loop(sizes, steps, base, ask, dtype).reshape(box.sizes)
        bits = loop(sizes, steps, base, lambda get: lax.bitcast_convert_type(ask(get), raw), raw)
        return lax.bitcast_convert_type(bits, dtype).reshape(box.sizes)

    def _runs(self, sizes: Shape, steps: Shape, base: Pair, ask: Any, dtype: Any) -> Array:
        """Runs that follow each other in the weight: (rows, length)."""
        assert self.chunk is not None
        *outer, length = sizes
        rows, across = math.prod(outer), min(length, self.chunk)
        down = max(1, min(rows, self.chunk // length))
        count = (across + TILE_WORDS - 2) // TILE_WORDS + 1

        def piece(row: Any, column: Any) -> Array:
            place = lax.iota(jnp.uint32, down) + row.astype(jnp.uint32)
            first = address(place, tuple(outer), steps[:-1], base)
            first = plus(first, (np.uint32(0), column.astype(jnp.uint32)))
            skip = (first[1] & np.uint32(TILE_WORDS - 1)).astype(jnp.int32)

            def get(counter: Any) -> Array:
                words = tiles_from(first, count, self.key, counter)
                if down == 1:
                    return lax.dynamic_slice(words, (np.int32(0), skip[0]), (1, across))
                return jax.vmap(lambda line, at: lax.dynamic_slice(line, (at,), (across,)))(words, skip)

            return ask(get)

        columns = -(-length // across)
        places = -(-rows // down) * columns

        def once(k: Any, out: Array) -> Array:
            row, column = (
                jnp.minimum(k // columns * down, rows - down),
                jnp.minimum(k % columns * across, length - across),
            )
            return lax.dynamic_update_slice(out, piece(row, column), (row, column))

        if places == 1:
            return piece(jnp.int32(0), jnp.int32(0))
        return lax.fori_loop(0, places, once, jnp.zeros((rows, length), dtype))

    def _places(self, sizes: Shape, steps: Shape, base: Pair, ask: Any, dtype: Any) -> Array:
        """Numbers one by one: flat."""
        assert self.chunk is not None
        total = math.prod(sizes)
        if total >= 2**31:
            raise FaninValueError(f"a window of {total} numbers in short runs is too large for JAX; draw it in parts")
        size = min(total, self.chunk)

        def piece(first: Any) -> Array:
            index = address(lax.iota(jnp.uint32, size) + first.astype(jnp.uint32), sizes, steps, base)
            return ask(lambda counter: words_at(index, self.key, counter))

        def once(k: Any, out: Array) -> Array:
            first = jnp.minimum(k * size, total - size)
            return lax.dynamic_update_slice(out, piece(first), (first,))

        if total == size:
            return piece(jnp.int32(0))
        return lax.fori_loop(0, -(-total // size), once, jnp.zeros(total, dtype))

    def _spread(self, box: Box, steps: tuple[int, ...], base: Pair, ask: Any) -> Array:
        """All numbers at once: in whole tiles where XLA cannot split the last axis within a tile, else one by one."""
        *outer, last = box.sizes or (1,)
        known = all(isinstance(start, int) for start in box.starts)
        even = last % (TILE_WORDS * jax.device_count()) == 0 and known and int(base[1]) % TILE_WORDS == 0
        if even and steps[-1] == 1 and not any(step % TILE_WORDS for step in steps[:-1]):
            first = spread((*outer, last // TILE_WORDS), (*steps[:-1], TILE_WORDS), base)
            return ask(lambda counter: tiles_from(first, 1, self.key, counter)).reshape(box.sizes)
        index = spread(box.sizes, steps, base)
        return ask(lambda counter: words_at(index, self.key, counter))


def _signed_times(start: Any, factor: int) -> Pair:
    """An int32 times a Python number, of which the lower 64 bits count."""
    low = lax.bitcast_convert_type(jnp.asarray(start, jnp.int32), jnp.uint32)
    high, product = times(low, factor)
    return jnp.where(start < 0, high - pair(factor)[1], high), product
