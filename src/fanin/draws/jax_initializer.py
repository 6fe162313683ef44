"""An initializer as JAX has them: (key, shape, dtype, out_sharding) → array, from a rule or a distribution."""

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jax.sharding import NamedSharding, PartitionSpec

from fanin.distributions import Distribution
from fanin.draws.dtypes import law_dtype
from fanin.draws.jax import draw
from fanin.draws.jax_keys import halves
from fanin.draws.precheck import check_whole
from fanin.draws.windows import check_shape
from fanin.errors import FaninTypeError, FaninValueError
from fanin.slots import Axes, AxisRole, ChainLink, Factor, Pairing, Slot

Axis = int | Sequence[int]


@dataclass(frozen=True, repr=False)
class Initializer:
    """Draws arrays from a rule, as `jax.nn.initializers.Initializer` asks for.

    Attributes:
        rule: a rule, or a distribution.
        in_axis, out_axis, batch_axis: axes (or several) of inputs, outputs and stacked blocks; all others are receptive field.
        axes: instead of them, what every axis means.
        dtype: where a call is given none; JAX's default if None.
        name: of the weight; that of the key if empty.
        chain: its place among weights that follow each other, for `mirrored`; the pairing is taken from the shape.
    """

    rule: Distribution | Callable[[Slot], Distribution]
    in_axis: Axis = -2
    out_axis: Axis = -1
    batch_axis: Axis = ()
    axes: str | Axes | None = None
    dtype: Any = None
    name: str = ""
    chain: ChainLink | None = None

    def __post_init__(self) -> None:
        for label in ("in_axis", "out_axis", "batch_axis"):
            object.__setattr__(self, label, _plain_axis(label, getattr(self, label)))
        if not isinstance(self.name, str):
            raise FaninTypeError(f"name={self.name!r} cannot be used; name must be a string")
        if self.dtype is not None:
            _dtype(self.dtype)

    def __call__(
        self,
        key: Array,
        shape: Sequence[int],
        dtype: Any = None,
        out_sharding: NamedSharding | PartitionSpec | None = None,
    ) -> Array:
        """Numbers of one weight.

        Args:
            key: a key of JAX's, typed or two uint32, or one of `fanin.jax.key`; it may be traced.
            shape: of the whole weight.
            dtype: of the numbers: floating point, complex for orthogonal weights.
            out_sharding: each device draws its own part. A PartitionSpec is of the mesh that `jax.set_mesh` set.

        Raises:
            FaninValueError, FaninTypeError: for an argument that cannot be used, and whatever the rule raises.
        """
        words, carried = halves(key)
        shape = check_shape(shape)
        kind = _dtype(self.dtype if dtype is None else dtype)
        if 0 in shape:
            warnings.warn(f"a weight of shape {shape} has no elements; nothing was drawn", stacklevel=2)
            return jnp.zeros(shape, kind)
        name = self.name or carried
        law = self.distribution(shape, kind.name, name)
        check_whole(law, shape, name, kind.name)
        return draw(law, shape, seed=words, name=name, dtype=law_dtype(kind, law), sharding=_placed(out_sharding))

    def __repr__(self) -> str:
        fields = dataclasses.fields(self)[1:]
        given = [f"{f.name}={v!r}" for f in fields if (v := getattr(self, f.name)) != f.default]
        return f"Initializer({', '.join([getattr(self.rule, 'spec', repr(self.rule)), *given])})"

    def distribution(self, shape: Sequence[int], dtype: str = "float32", name: str = "") -> Distribution:
        """What is drawn for a weight of this shape (and name, where the key carries one)."""
        if isinstance(self.rule, Distribution):
            return self.rule
        shape = check_shape(shape)
        name, axes = name or self.name or "weight", self.meaning(shape)
        chain = None if self.chain is None else _fitted(self.chain, name, axes)
        return self.rule(Slot(name, shape, dtype, "weight", axes=axes, chain=chain))

    def meaning(self, shape: tuple[int, ...]) -> Axes | None:
        """What the axes of a weight of this shape mean; None for fewer than two, which have no fans."""
        if isinstance(self.axes, Axes):
            if self.axes.shape != shape:
                raise FaninValueError(f"axes={self.axes.spec!r} are of the shape {self.axes.shape}, but it is {shape}")
            return self.axes
        if self.axes is not None:
            return Axes.parse(self.axes, shape)
        return _jax_axes(shape, self.in_axis, self.out_axis, self.batch_axis)


def _dtype(dtype: Any) -> np.dtype[Any]:
    """The dtype that JAX would make of it; raises where it holds no weights."""
    try:
        kind = np.dtype(jax.dtypes.canonicalize_dtype(float if dtype is None else dtype))
    except TypeError:
        kind = None
    if kind is None or not (jnp.issubdtype(kind, jnp.floating) or jnp.issubdtype(kind, jnp.complexfloating)):
        raise FaninTypeError(f"dtype={dtype!r} cannot be used; accepted are floating-point and complex dtypes")
    return kind


def _plain_axis(label: str, axis: Any) -> int | tuple[int, ...]:
    many: tuple[Any, ...] = tuple(axis) if isinstance(axis, list | tuple) else (axis,)
    if not all(isinstance(a, int) and not isinstance(a, bool) for a in many):
        raise FaninTypeError(f"{label}={axis!r} cannot be used; give the number of an axis, or a tuple of several")
    return many if isinstance(axis, list | tuple) else many[0]


def _jax_axes(shape: tuple[int, ...], in_axis: Axis, out_axis: Axis, batch_axis: Axis) -> Axes | None:
    """The meaning of each axis as `variance_scaling` reads it; None for fewer than two axes, which have no fans."""
    if len(shape) < 2:
        return None
    roles: dict[int, AxisRole] = {}
    given: tuple[tuple[str, Axis, AxisRole], ...] = (
        ("in_axis", in_axis, "in"),
        ("out_axis", out_axis, "out"),
        ("batch_axis", batch_axis, "stack"),
    )
    for label, axis, role in given:
        for a in (axis,) if isinstance(axis, int) else axis:
            if not -len(shape) <= a < len(shape):
                raise FaninValueError(f"{label}={axis!r} cannot be used: the shape {shape} has {len(shape)} axes")
            if a % len(shape) in roles:
                raise FaninValueError(
                    f"{label}={axis!r} cannot be used: axis {a} of the shape {shape} is {roles[a % len(shape)]} already"
                )
            roles[a % len(shape)] = role
    return Axes(tuple((Factor(roles.get(a, "field"), n),) for a, n in enumerate(shape)))


def _placed(sharding: Any) -> Any:
    """A PartitionSpec as a sharding over the mesh that is set."""
    if not isinstance(sharding, PartitionSpec):
        return sharding
    mesh = jax.sharding.get_abstract_mesh() if hasattr(jax.sharding, "get_abstract_mesh") else None
    if mesh is None or mesh.empty:
        raise FaninValueError(
            f"out_sharding={sharding!r} needs a mesh; set one by jax.set_mesh, or give a jax.sharding.NamedSharding"
        )
    return NamedSharding(mesh if _tracing() else jax.sharding.get_mesh(), sharding)


def _tracing() -> bool:
    return isinstance(jnp.zeros(()), Tracer)


def _fitted(chain: ChainLink, name: str, axes: Axes | None) -> ChainLink:
    """The link with the pairs where this weight has them: JAX keeps channels last, so a flatten repeats the units."""
    given = chain.in_pairing
    inputs = axes.size("in") if axes is not None else 0
    if given is None:
        return chain
    if inputs == 0 or inputs % given.units:
        raise FaninValueError(
            f"mirrored: weight {chain.position} ({name!r}) has {inputs} inputs, but the {given.units} outputs before it do not "
            "go into them evenly"
        )
    return dataclasses.replace(chain, in_pairing=Pairing(given.units, outer=inputs // given.units))
