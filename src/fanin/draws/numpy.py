"""Draws as NumPy arrays: `draw` and `draw_distribution`."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fanin.distributions import Distribution
from fanin.draws import backends, compose, memory, precheck
from fanin.draws.bits import Stream
from fanin.draws.dtypes import law_dtype, name_for_rules
from fanin.draws.householder_numpy import NumpyOps
from fanin.draws.largest import check_size
from fanin.draws.permutations import orders
from fanin.draws.recipe import Recipe
from fanin.draws.windows import Ranges, check_shape
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
            A window has the numbers that the whole weight has there, bit for bit (orthogonal weights: to 1e-6).
        dtype: "float64", "float32", "float16", or, where `ml_dtypes` is installed, "bfloat16" or a float8. Lower
            precisions are the float32 number rounded. Orthogonal weights may be complex, "complex64" or "complex128":
            they are then unitary.
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
    if out is not None:
        _check_array(out)
    kind = dtype if out is None else out.dtype
    law = law_of(rule, shape, name, axes, kind)
    held = law_dtype(kind, law).name
    check_size(law, held)
    precheck.check_whole(law, shape, str(name), held)
    return draw_distribution(law, shape, seed=seed, name=name, window=window, dtype=dtype, bits=bits, out=out)


def _check_array(out: Any) -> None:
    if not isinstance(out, np.ndarray):
        raise FaninTypeError(f"out={out!r} cannot be used; give a NumPy array of the window's shape, or None")


def law_of(
    rule: Distribution | Callable[[Slot], Distribution], shape: Any, name: str, axes: str | Axes, dtype: DTypeLike
) -> Distribution:
    """The distribution that a rule gives for a weight of this shape; a distribution is given back as it is."""
    if isinstance(rule, Distribution):
        return rule
    if not callable(rule):
        raise FaninTypeError(
            f"rule={rule!r} cannot be used; give a rule such as fanin.rules.he_normal(), or a distribution"
        )
    shape = check_shape(shape)
    return rule(Slot(name, shape, name_for_rules(dtype), "weight", axes=_axes(axes, shape)))


def _axes(axes: str | Axes, shape: tuple[int, ...]) -> Axes | None:
    if isinstance(axes, Axes):
        return axes.fitting(shape)
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
    So do matrix families, whose temporary memory is a few times the window, or a strip of 256 lines where that is more;
    they are computed in float32, in float64 where that is asked for, and a window drawn alone equals the whole to 1e-6.

    Example:
        >>> from fanin.distributions import Uniform
        >>> draw_distribution(Uniform(1.0), (2, 3), seed=0, name="w", window=(0, slice(None))).shape
        (3,)
    """
    kernels = backends.State.engine
    if (
        window is None
        and out is not None
        and kernels
        and kernels.fill_whole(distribution, shape, seed, name, bits, out)
    ):
        return out
    asked = compose.Request.of(distribution, shape, seed, name, window, bits)
    if out is None:
        kind = law_dtype(dtype, distribution)
        memory.check_size(asked.wanted, kind.itemsize)
        out = np.empty(asked.wanted, dtype=kind)
    _check_array(out)
    law_dtype(out.dtype, distribution)
    if not out.flags.writeable:
        raise FaninValueError("out is read-only; give an array that can be written to")
    if out.shape != asked.wanted:
        raise FaninValueError(f"out has the shape {out.shape}, but the window has {asked.wanted}")
    if not out.flags.c_contiguous and memory.overlaps(out.shape, out.strides, out.itemsize):
        raise FaninValueError("several elements of out share one place in memory; give its copy")
    precheck.check(distribution, asked.shape, asked.stream, out, bits, NUMPY)
    view = np.expand_dims(out, asked.picked) if asked.picked else out
    compose.fill(distribution, asked.shape, asked.stream, asked.ranges, view, bits, NUMPY)
    return out


class NumPy:
    """Fills NumPy arrays (see `compose.Backend`)."""

    def fill(self, made: Recipe, shape: tuple[int, ...], stream: Stream, ranges: Ranges, out: Array) -> None:
        backends.fill(made, shape, stream, ranges, out)

    def ops(self, out: Array) -> NumpyOps:
        def fill(law: Distribution, shape: tuple[int, ...], stream: Stream, ranges: Ranges, out: Array) -> None:
            compose.fill(law, shape, stream, ranges, out, 32, self)

        exact = out.dtype if out.dtype.kind == "c" else np.float64 if self.double(out) else np.float32
        return NumpyOps(exact, fill)

    def orders(self, shape: tuple[int, ...], axis: int, stream: Stream, ranges: Ranges, out: Array) -> Array:
        return orders(shape, axis, stream, ranges)

    def put(self, out: Array, values: Array) -> None:
        out[...] = values.astype(np.float32) if out.dtype.itemsize < 4 else values

    def zero(self, out: Array, where: Any) -> None:
        out[where] = 0.0

    def double(self, out: Array) -> bool:
        return out.dtype == np.float64

    def rounded(self, value: float, out: Array) -> float:
        with np.errstate(over="ignore"):
            return float(np.float64(value).astype(np.float64 if self.double(out) else np.float32).astype(out.dtype))

    def name(self, out: Array) -> str:
        return out.dtype.name


NUMPY = NumPy()
