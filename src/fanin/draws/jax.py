"""Draws as JAX arrays: under `jit` or not, whole, in windows, or sharded over a mesh, the same bits as everywhere.

Nothing here needs jax_enable_x64 but float64 and bits=64. With a `NamedSharding` each device computes its own part and
nothing else: no communication, no memory beyond its shard. Outside `jit`, what goes to one CPU is drawn by NumPy into the
array's own memory: JAX would compile for a third of a second for every shape, and run no faster.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding
from numpy.typing import DTypeLike

from fanin.distributions import Distribution, Sparse, Stack, ZeroRows
from fanin.draws import compose
from fanin.draws.compose import Request
from fanin.draws.dtypes import law_dtype
from fanin.draws.jax_host import aligned, is_hosted
from fanin.draws.jax_ops import x64
from fanin.draws.jax_parts import Box, Leaf, Maker, Node, outline
from fanin.draws.largest import check_size
from fanin.draws.matrices import FAMILIES
from fanin.draws.numpy import NUMPY, law_of
from fanin.draws.windows import Ranges
from fanin.errors import FaninTypeError, FaninValueError
from fanin.slots import Axes, Slot

CHUNKS = {"cpu": 1 << 16}  # numbers made at once, by platform: what the loop reads and writes stays in the cache
CHUNK = 1 << 22  # on all others: enough to fill the device
BY_NUMPY = frozenset({"cpu"})  # platforms whose memory NumPy can fill


def draw(
    rule: Distribution | Callable[[Slot], Distribution],
    shape: tuple[int, ...],
    *,
    seed: Any,
    name: str,
    axes: str | Axes = "oi",
    window: Any = None,
    dtype: DTypeLike = "float32",
    bits: int = 32,
    sharding: Sharding | None = None,
) -> Array:
    """Numbers for one weight, as `fanin.draws.draw` gives them, as a JAX array.

    Args:
        rule: a rule (see `fanin.rules`), or a distribution.
        shape: the global shape of the weight; every extent below 2**31.
        seed: an integer from 0 to 2**64 - 1, or an array that may be traced: one unsigned integer, or two uint32 (lower
            and upper word).
        name: the weight's name.
        axes: as in `fanin.draws.draw`.
        window: the part to draw; all of it if None.
        dtype: float32, float16, bfloat16, a float8; float64 where jax_enable_x64 is on. Orthogonal weights may be complex.
        bits: random bits a number, 32; 64 where jax_enable_x64 is on.
        sharding: a `NamedSharding` of the result: each device draws what it holds, with a few megabytes besides. Without
            it, under `jit` on several devices, the operations are such that XLA splits them as the caller's
            `out_shardings` ask; that takes a few times the shard's memory, and longer.

    Returns:
        An array with the shape that `weight[window]` has.

    Raises:
        FaninValueError, FaninTypeError: for an argument that cannot be used, and whatever the rule raises.

    Outside `jit`, NumPy draws what goes to one CPU, and matrix families (orthogonal, identity, mirrored, centred) always,
    each device's part apart. Under `jit` matrices are drawn whole by JAX, which compiles for seconds where one is large.
    What JAX has no program for (see `jax_host`) is drawn by NumPy always; under `jit` through a callback.

    Example:
        >>> from fanin import rules
        >>> w = draw(rules.he_normal(), (256, 128), seed=0, name="fc1.weight")
        >>> jitted = jax.jit(lambda s: draw(rules.he_normal(), (256, 128), seed=s, name="fc1.weight"))
        >>> bool((jitted(jnp.uint32(0)) == w).all())
        True
    """
    law = law_of(rule, shape, name, axes, dtype)
    kind = law_dtype(dtype, law)
    check_size(law, kind.name)
    key, known = _key(seed)
    asked = Request.of(law, shape, 0 if known is None else known, name, window, bits)
    if max(asked.shape, default=0) >= 2**31:
        raise FaninValueError(f"shape={asked.shape} cannot be used in JAX; every extent must be below 2**31")
    if not x64() and (kind.name in ("float64", "complex128") or bits == 64):
        given = "bits=64" if bits == 64 else f"dtype={kind.name!r}"
        raise FaninValueError(f"{given} needs numbers of 64 bits in JAX; turn on jax_enable_x64, or draw with NumPy")
    device = _one_device(sharding)
    if sharding is not None and device is None:
        _check_sharding(sharding, asked.wanted)
    traced, matrix = known is None or _traced(), _has(law, lambda part: isinstance(part, FAMILIES))
    plain = sharding is None or device is not None
    if not traced and (matrix or (plain and _platform(device) in BY_NUMPY)):
        return _from_host(law, asked, kind, bits, sharding)
    if known is not None and _has(law, lambda part: is_hosted(part, bits, kind)):
        return _from_host(law, asked, kind, bits, sharding)
    inputs: list[Any] = []
    node = outline(law, asked.shape, asked.stream, bits, kind, inputs)
    if isinstance(sharding, NamedSharding) and not matrix:
        return _sharded(node, asked.ranges, asked.picked, kind, sharding)(inputs, key)
    with jax.default_device(device):
        starts = tuple(r.start for r in asked.ranges)
        fixed = None if isinstance(node, Leaf) and not traced else starts  # known starts: another compilation each
        chunk = None if traced and jax.device_count() > 1 else _chunk(device)
        drawn = _whole(
            np.array(starts, dtype=np.int32),
            inputs,
            key,
            node=node,
            fixed=fixed,
            sizes=tuple(map(len, asked.ranges)),
            steps=tuple(r.step for r in asked.ranges),
            wanted=asked.wanted,
            dtype=kind,
            chunk=chunk,
        )
    return drawn if plain else _constrained(drawn, sharding)


def _key(seed: Any) -> tuple[Any, int | None]:
    """Philox's key, and the seed as an int; None where it is known only when the program runs."""
    if isinstance(seed, Array | np.ndarray) and (seed.ndim == 1 or isinstance(seed, Tracer)):
        if not jnp.issubdtype(seed.dtype, jnp.integer) or seed.shape not in ((), (2,)):
            raise FaninTypeError(
                f"seed of dtype {seed.dtype} and shape {seed.shape} cannot be used; give one unsigned integer, or two uint32"
            )
        if not isinstance(seed, Tracer):
            low, high = (int(word) & 0xFFFFFFFF for word in np.asarray(seed))
            return np.array([low, high], dtype=np.uint32), low | high << 32
        if seed.ndim == 1:
            return seed.astype(jnp.uint32), None
        high = seed >> 32 if seed.dtype.itemsize == 8 else jnp.zeros_like(seed)
        return jnp.stack([seed, high]).astype(jnp.uint32), None
    number = compose.check_seed(seed)
    return np.array([number & 0xFFFFFFFF, number >> 32], dtype=np.uint32), number


def _traced() -> bool:
    """Whether this is called while `jit` (or another transformation) traces."""
    return isinstance(jnp.zeros(()), Tracer)


def _platform(device: Any) -> str:
    """That of the device; None: of the one where JAX puts arrays, by `jax.default_device` too."""
    if device is None:
        (device,) = jnp.zeros(()).devices()
    return device.platform


def _chunk(device: Any) -> int:
    return CHUNKS.get(device.platform if device is not None else jax.default_backend(), CHUNK)


def _constrained(values: Array, sharding: Any) -> Array:
    """The values laid out like this, while `jit` traces; in a mesh with explicit axes that is another function's work."""
    kinds = getattr(getattr(sharding, "mesh", None), "axis_types", None) or ()
    explicit = getattr(getattr(jax.sharding, "AxisType", None), "Explicit", None)
    if explicit is not None and explicit in kinds:
        return jax.sharding.reshard(values, sharding)
    return jax.lax.with_sharding_constraint(values, sharding)


def _one_device(sharding: Sharding | None) -> Any:
    return next(iter(sharding.device_set)) if isinstance(sharding, SingleDeviceSharding) else None


def _check_sharding(sharding: Any, shape: tuple[int, ...]) -> None:
    if not isinstance(sharding, NamedSharding):
        raise FaninTypeError(f"sharding={sharding!r} cannot be used; give a jax.sharding.NamedSharding")
    if len(sharding.spec) > len(shape):
        raise FaninValueError(
            f"sharding={sharding.spec} names {len(sharding.spec)} axes, but the shape {shape} has {len(shape)}"
        )
    try:
        sharding.shard_shape(shape)
    except ValueError as error:
        raise FaninValueError(f"sharding={sharding.spec} does not fit the shape {shape}: {error}") from None


@functools.partial(jax.jit, static_argnames=("node", "fixed", "sizes", "steps", "wanted", "dtype", "chunk"))
def _whole(
    starts: Any,
    inputs: Any,
    key: Any,
    *,
    node: Node,
    fixed: Any,
    sizes: Any,
    steps: Any,
    wanted: Any,
    dtype: Any,
    chunk: Any,
) -> Array:
    """One box on one device, or, without a chunk, for XLA to split."""
    begin = fixed if fixed is not None else tuple(starts[k] for k in range(len(sizes)))
    return Maker(key, inputs, dtype, chunk).values(node, Box(begin, sizes, steps)).reshape(wanted)


@functools.lru_cache(maxsize=1024)
def _sharded(node: Node, ranges: Ranges, picked: tuple[int, ...], dtype: Any, sharding: NamedSharding) -> Any:
    """The compiled program in which each device of the mesh draws its own box."""
    mesh = sharding.mesh
    kept = [axis for axis in range(len(ranges)) if axis not in picked]
    local = sharding.shard_shape(tuple(len(ranges[axis]) for axis in kept))
    names = dict(zip(kept, [*sharding.spec, *[None] * len(kept)], strict=False))
    extents = dict(zip(kept, local, strict=True))
    chunk = _chunk(
        mesh.devices.flat[0] if isinstance(mesh, Mesh) else None
    )  # while it traces `jit` may know no devices

    def own(inputs: Any, key: Any) -> Array:
        starts = []
        for axis, r in enumerate(ranges):
            split = names.get(axis) or ()
            index: Any = 0
            for label in (split,) if isinstance(split, str) else split:
                index = index * mesh.shape[label] + jax.lax.axis_index(label)
            starts.append(r.start + index * extents[axis] * r.step if split else r.start)
        sizes = tuple(extents.get(axis, 1) for axis in range(len(ranges)))
        box = Box(tuple(starts), sizes, tuple(r.step for r in ranges))
        return Maker(key, inputs, dtype, chunk).values(node, box).reshape(local)

    nowhere = PartitionSpec()
    return jax.jit(_shard_map(own, mesh, (nowhere, nowhere), sharding.spec))


def _shard_map(function: Any, mesh: Any, in_specs: Any, out_specs: Any) -> Any:
    """`jax.shard_map` by the name and the argument that this JAX has for them."""
    if hasattr(jax, "shard_map"):
        return jax.shard_map(function, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False)
    from jax.experimental.shard_map import shard_map

    return shard_map(function, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_rep=False)


# -- what NumPy draws --------------------------------------------------------------------------------------------------


def _has(law: Distribution, test: Callable[[Distribution], bool]) -> bool:
    """Whether the law, or one that it is made of, passes the test."""
    match law:
        case Stack(parts):
            return any(_has(part, test) for part in parts)
        case Sparse(base) | ZeroRows(base):
            return _has(base, test)
    return test(law)


def _from_host(law: Distribution, asked: Request, dtype: np.dtype[Any], bits: int, sharding: Sharding | None) -> Array:
    """What NumPy draws, each device's part apart."""

    def part(index: Any) -> np.ndarray[Any, Any]:
        ranges, chosen = list(asked.ranges), iter(index)
        for axis in range(len(ranges)):
            if axis not in asked.picked:
                ranges[axis] = ranges[axis][next(chosen)]
        out = aligned(tuple(map(len, ranges)), dtype)
        compose.fill(law, asked.shape, asked.stream, tuple(ranges), out, bits, NUMPY)
        return out.reshape([len(r) for axis, r in enumerate(ranges) if axis not in asked.picked])

    everything = tuple(slice(None) for _ in asked.wanted)
    if _traced():
        values = jnp.asarray(part(everything))
        return values if sharding is None else _constrained(values, sharding)
    if sharding is None:
        return jax.device_put(part(everything))
    return jax.make_array_from_callback(asked.wanted, sharding, part)
