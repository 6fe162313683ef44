"""Draws as NumPy arrays: `draw` and `draw_distribution`."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fanin.distributions import (
    Centred,
    Constant,
    DeltaOrthogonal,
    Distribution,
    Identity,
    Mirrored,
    Orthogonal,
    Permutations,
    Sparse,
    Stack,
    ZeroRows,
)
from fanin.draws import elementwise
from fanin.draws.bits import Stream, check_seed
from fanin.draws.centred import centred
from fanin.draws.dtypes import numpy_dtype
from fanin.draws.mirrored import mirrored
from fanin.draws.orthogonal import delta_orthogonal, identity, orthogonal
from fanin.draws.permutations import orders
from fanin.draws.recipe import recipe
from fanin.draws.windows import Ranges, check_axis, check_shape, resolve, take
from fanin.errors import FaninTypeError, FaninValueError
from fanin.slots import Axes, Slot

Array = NDArray[Any]


def draw(
    rule: Distribution | Callable[[Slot], Distribution],
    shape: tuple[int, ...],
    *,
    seed: int,
    name: str,
    axes: str | Axes = "oi",
    window: Any = None,
    dtype: DTypeLike = "float32",
    bits: int = 32,
    out: Array | None = None,
) -> Array:
    """Numbers for one weight: the same ones for the same rule, shape, seed and name, whatever else is drawn.

    Args:
        rule: a rule (see `fanin.rules`), or a distribution.
        shape: the global shape of the weight.
        seed: an integer from 0 to 2**64 - 1.
        name: the weight's name; another name gives other numbers.
        axes: what each axis means: o out, i in, k receptive field, s stacked blocks, v lookup; "oi" is `nn.Linear`,
            "io" is `x @ W`, "oikk" a two-dimensional convolution, "(s3o)i" three projections in one.
        window: the part to draw, a slice (with a step, if you like) or an integer an axis; None draws all of it.
            A window has the numbers that the whole weight has there, bit for bit.
        dtype: "float64", "float32", "float16", or, where `ml_dtypes` is installed, "bfloat16" or a float8. Lower
            precisions are the float32 number rounded.
        bits: random bits a number, 32 or 64. With 32 a Gaussian ends at 6.34 deviations and float64 has 2^32 values;
            64 refine the same numbers (to 9.1 deviations).
        out: an array to fill instead of making one, of the window's shape; its own dtype is then used.

    Returns:
        The array, with the shape that `weight[window]` has.

    Raises:
        FaninValueError, FaninTypeError: for an argument that cannot be used, and whatever the rule raises.

    Example:
        >>> from fanin import rules
        >>> w = draw(rules.he_normal(nonlinearity="relu"), (256, 128), seed=0, name="fc1.weight")
        >>> part = draw(rules.he_normal(nonlinearity="relu"), (256, 128), seed=0, name="fc1.weight", window=(slice(64, 96),))
        >>> bool((part == w[64:96]).all()), round(float(w.std()) * 8, 2)
        (True, 1.0)
    """
    shape = check_shape(shape)
    if isinstance(rule, Distribution):
        distribution = rule
    elif callable(rule):
        if out is not None and not isinstance(out, np.ndarray):
            raise FaninTypeError(f"out={out!r} cannot be used; give a NumPy array of the window's shape, or None")
        kind = numpy_dtype(dtype if out is None else out.dtype)
        distribution = rule(Slot(name, shape, kind.name, "weight", axes=_axes(axes, shape)))
    else:
        raise FaninTypeError(
            f"rule={rule!r} cannot be used; give a rule such as fanin.rules.he_normal(), or a distribution"
        )
    return draw_distribution(distribution, shape, seed=seed, name=name, window=window, dtype=dtype, bits=bits, out=out)


def _axes(axes: str | Axes, shape: tuple[int, ...]) -> Axes | None:
    if isinstance(axes, Axes):
        return axes
    if axes == "oi" and len(shape) != 2:
        return None  # the default does not fit: a rule that needs axes says so, with the name and the shape
    return Axes.parse(axes, shape)


def draw_distribution(
    distribution: Distribution,
    shape: tuple[int, ...],
    *,
    seed: int,
    name: str,
    window: Any = None,
    dtype: DTypeLike = "float32",
    bits: int = 32,
    out: Array | None = None,
) -> Array:
    """Numbers of one distribution; the arguments are those of `draw`.

    Elementwise distributions compute the window only, in tiles, so that temporary memory stays under a few megabytes.
    Matrix families (orthogonal, identity, mirrored) draw the whole matrix in float64 and cut the window out.

    Example:
        >>> from fanin.distributions import Uniform
        >>> draw_distribution(Uniform(1.0), (2, 3), seed=0, name="w", window=(0, slice(None))).shape
        (3,)
    """
    if not isinstance(distribution, Distribution):
        raise FaninTypeError(f"distribution={distribution!r} cannot be used; give a record of fanin.distributions")
    if not isinstance(name, str):
        raise FaninTypeError(f"name={name!r} cannot be used; name must be a string")
    if bits not in (32, 64):
        raise FaninValueError(f"bits={bits!r} cannot be used; accepted are 32 and 64")
    shape = check_shape(shape)
    stream = Stream(check_seed(seed), name)
    ranges, picked = resolve(window, shape)
    wanted = tuple(len(r) for axis, r in enumerate(ranges) if axis not in picked)
    if out is None:
        out = np.empty(wanted, dtype=numpy_dtype(dtype))
    numpy_dtype(out.dtype)
    if not out.flags.writeable:
        raise FaninValueError("out is read-only; give an array that can be written to")
    if out.shape != wanted:
        raise FaninValueError(f"out has the shape {out.shape}, but the window has {wanted}")
    _fill(distribution, shape, stream, ranges, np.expand_dims(out, picked) if picked else out, bits)
    return out


def _fill(
    law: Distribution, shape: tuple[int, ...], stream: Stream, ranges: Ranges, out: Array, bits: int = 32
) -> None:
    """Write the part of the weight that the ranges name into `out`, which has one axis for each range."""
    axes = getattr(law, "axes", None)
    if axes is not None and axes.shape != shape:
        raise FaninValueError(
            f"{type(law).__name__}: its axes have the shape {axes.shape}, but the weight {stream.name!r} has {shape}"
        )
    match law:
        case Constant():
            with np.errstate(over="ignore"):
                if not np.isfinite(out.dtype.type(law.value)):
                    raise FaninValueError(f"Constant: value={law.value!r} is too large for {out.dtype}")
            out[...] = law.value
        case Identity():
            _put(out, take(identity(law), ranges))
        case Orthogonal():
            _put(out, take(orthogonal(law, stream), ranges))
        case DeltaOrthogonal():
            _put(out, take(delta_orthogonal(law, stream), ranges))
        case Mirrored():
            _put(out, take(mirrored(law, stream, _whole), ranges))
        case Centred():
            _put(out, take(centred(law, stream, _whole), ranges))
        case Stack():
            _fill_stack(law, shape, stream, ranges, out, bits)
        case ZeroRows():
            _fill_zero_rows(law, shape, stream, ranges, out, bits)
        case Permutations():
            axis = check_axis(law.axis, shape, "Permutations")
            out[...] = np.take(orders(shape, axis, stream, ranges), list(ranges[axis]), axis)
        case Sparse():
            _fill_sparse(law, shape, stream, ranges, out, bits)
        case _:
            made = recipe(law, bits=bits, double=out.dtype == np.float64)
            if made is None:
                raise FaninTypeError(
                    f"{type(law).__name__} cannot be drawn; known are the records of fanin.distributions"
                )
            elementwise.fill(made, shape, stream, ranges, out)


def _whole(law: Distribution, shape: tuple[int, ...], stream: Stream) -> Array:
    out = np.empty(shape)
    _fill(law, shape, stream, tuple(range(n) for n in shape), out)
    return out


def _put(out: Array, values: Array) -> None:
    """Round float64 values into `out`: to float32 first, so that every lower precision is the float32 number rounded."""
    if out.dtype.itemsize < 4:
        values = values.astype(np.float32)
    out[...] = values


def _fill_stack(law: Stack, shape: tuple[int, ...], stream: Stream, ranges: Ranges, out: Array, bits: int) -> None:
    if not 0 <= law.axis < len(shape) or sum(law.sizes) != shape[law.axis]:
        raise FaninValueError(
            f"Stack: sizes={law.sizes} along axis {law.axis} do not add up to the shape {shape} of {stream.name!r}"
        )
    begin = 0
    along = ranges[law.axis]
    for index, (part, size) in enumerate(zip(law.parts, law.sizes, strict=True)):
        inside = [k for k, i in enumerate(along) if begin <= i < begin + size]
        if inside:
            where = slice(inside[0], inside[-1] + 1)
            piece = along[where]
            moved = range(piece.start - begin, piece.stop - begin, piece.step)
            _fill(
                part,
                (*shape[: law.axis], size, *shape[law.axis + 1 :]),
                stream.part(f"part {index}"),
                (*ranges[: law.axis], moved, *ranges[law.axis + 1 :]),
                out[(slice(None),) * law.axis + (where,)],
                bits,
            )
        begin += size


def _fill_zero_rows(
    law: ZeroRows, shape: tuple[int, ...], stream: Stream, ranges: Ranges, out: Array, bits: int
) -> None:
    if not shape or any(not 0 <= row < shape[0] for row in law.rows):
        raise FaninValueError(f"ZeroRows: rows={law.rows} are not all rows of {stream.name!r}, whose shape is {shape}")
    _fill(law.base, shape, stream, ranges, out, bits)
    for row in law.rows:
        if row in ranges[0]:
            out[ranges[0].index(row)] = 0.0


def _fill_sparse(law: Sparse, shape: tuple[int, ...], stream: Stream, ranges: Ranges, out: Array, bits: int) -> None:
    axis = check_axis(law.axis, shape, "Sparse")
    if law.zeros > shape[axis]:
        raise FaninValueError(
            f"Sparse: zeros={law.zeros} is more than the {shape[axis]} numbers of a line of {stream.name!r}, shape {shape}"
        )
    _fill(law.base, shape, stream, ranges, out, bits)
    order = np.take(orders(shape, axis, stream.part("zeros"), ranges), list(ranges[axis]), axis)
    out[order < law.zeros] = 0.0
