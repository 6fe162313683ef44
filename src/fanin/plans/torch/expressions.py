"""Distributions as torch code: a statement that fills `w`, built of expressions that give tensors."""

import dataclasses
import math
from typing import NamedTuple

from fanin.distributions import (
    Bernoulli,
    Built,
    Centred,
    Constant,
    DeltaOrthogonal,
    Distribution,
    Formula,
    Identity,
    Integers,
    Mapped,
    Mirrored,
    Normal,
    NormalBetween,
    Orthogonal,
    Permutations,
    Signs,
    Sparse,
    Stack,
    TruncatedNormal,
    Uniform,
    ZeroRows,
)
from fanin.draws import draw_distribution, truncated_std
from fanin.draws.layout import ORDER, block_shape, centre
from fanin.draws.mirrored import block_pairing, row_law
from fanin.draws.orthogonal import gain as total_gain
from fanin.errors import FaninTypeError, FaninValueError
from fanin.plans.torch.twins import twins
from fanin.slots import Axes

Shape = tuple[int, ...]
FAR = 40.0  # deviations: a bound beyond is none
WRITTEN_OUT = 256  # values that stand in the code themselves where there is no function for them


def statement(distribution: Distribution, shape: Shape | None) -> list[str]:
    """The lines that fill `w`, a weight of this shape, from the distribution."""
    elementwise = _elementwise(distribution, "w")
    if elementwise is not None:
        return [elementwise]
    if shape is None:
        raise FaninValueError("to_python needs the shapes of the weights; make the plan with Plan.of(slots, entries)")
    if isinstance(distribution, ZeroRows):
        rows = distribution.rows
        if not rows:
            return statement(distribution.base, shape)
        return [*statement(distribution.base, shape), f"w[{rows[0] if len(rows) == 1 else list(rows)}] = 0.0"]
    if isinstance(distribution, Stack):
        return _stack(distribution, shape)
    if isinstance(distribution, Identity):
        named = _identity(distribution)
        if named is not None:
            return named
    return [f"w.copy_({expression(distribution, shape)})"]


def expression(distribution: Distribution, shape: Shape) -> str:
    """Code of a tensor of this shape on the device of `w`, drawn from the distribution."""
    elementwise = _elementwise(distribution, f"torch.empty({_sizes(shape)}, device=w.device)")
    if elementwise is not None:
        return elementwise
    match distribution:
        case Stack():
            pieces = [
                expression(part, _with(shape, distribution.axis, size))
                for part, size in zip(distribution.parts, distribution.sizes, strict=True)
            ]
            return f"torch.cat([{', '.join(pieces)}], {distribution.axis})"
        case ZeroRows():
            rows = f"torch.tensor({list(distribution.rows)}, device=w.device)"
            return f"{expression(distribution.base, shape)}.index_fill(0, {rows}, 0.0)"
        case Permutations(axis=axis):
            return _order(shape, axis)
        case Sparse(base=base, zeros=zeros, axis=axis):
            return f"{_bracketed(expression(base, shape))}.mul_({_order(shape, axis)} >= {zeros})"
        case Mapped(base=base, function=name, arguments=arguments):
            return f"{_twin(name)}({', '.join([expression(base, shape), *map(repr, arguments)])})"
        case Formula() | Built():
            return _times(distribution.gain, _named(distribution, shape))
        case Identity() | Orthogonal() | DeltaOrthogonal() | Mirrored() | Centred():
            return _from_blocks(blocks(distribution), distribution.axes)
    raise FaninTypeError(f"{type(distribution).__name__} cannot be written as torch code")


def _elementwise(distribution: Distribution, on: str) -> str | None:
    """A call of torch.nn.init that fills the tensor `on` (and returns it), for independent numbers."""
    match distribution:
        case Constant(value=0):
            return f"nn.init.zeros_({on})"
        case Constant(value=1):
            return f"nn.init.ones_({on})"
        case Constant(value=value) | Normal(std=0, mean=value) | TruncatedNormal(std=0, mean=value):
            return f"nn.init.constant_({on}, {value!r})"
        case Normal(std=std, mean=mean):
            return f"nn.init.normal_({on}, mean={mean!r}, std={std!r}, generator=generator)"
        case Uniform(bound=bound, mean=mean):
            return f"nn.init.uniform_({on}, {mean - bound!r}, {mean + bound!r}, generator=generator)"
        case TruncatedNormal(std=std, cut=cut, mean=mean):
            parent = std / truncated_std(cut)  # the deviation before the cut, so that afterwards it is std
            low, high = mean - cut * parent, mean + cut * parent
            return f"nn.init.trunc_normal_({on}, {mean!r}, {parent!r}, {low!r}, {high!r}, generator=generator)"
        case NormalBetween(std=0, mean=mean, low=low, high=high):
            return f"nn.init.constant_({on}, {min(max(mean, low), high)!r})"
        case NormalBetween(std=std, mean=mean, low=low, high=high):
            low, high = max(low, mean - FAR * std), min(high, mean + FAR * std)
            return f"nn.init.trunc_normal_({on}, {mean!r}, {std!r}, {low!r}, {high!r}, generator=generator)"
        case Signs(scale=scale):
            return f"{on}.bernoulli_(0.5, generator=generator).sub_(0.5).mul_({2 * scale!r})"
        case Bernoulli(probability=probability, value=value):
            return f"{on}.bernoulli_({probability!r}, generator=generator).mul_({value!r})"
        case Integers(low=low, high=high):
            return f"{on}.random_({low}, {high}, generator=generator)"
    return None


def _named(law: Formula | Built, shape: Shape) -> str:
    """Code of what a named function makes: a call of its twin in torch, or its values written out where they are few."""
    if isinstance(law, Formula) and law.function not in twins() and math.prod(shape) <= WRITTEN_OUT:
        plain = draw_distribution(dataclasses.replace(law, gain=1.0), shape, seed=0, name="", dtype="float64")
        return f"torch.tensor({plain.tolist()}, device=w.device)"
    spec = None if law.axes is None else law.axes.spec
    given = [f"({_sizes(shape)}{',' * (len(shape) == 1)})", repr(spec), *map(repr, law.arguments), "device=w.device"]
    given += ["generator=generator"] if isinstance(law, Built) else []
    return f"{_twin(law.function)}({', '.join(given)})"


def _twin(name: str) -> str:
    if name not in twins():
        raise FaninTypeError(f"{name!r} has no twin in plain torch, so it cannot be written as torch code")
    return name


def _order(shape: Shape, axis: int) -> str:
    """Code of a random order of 0 … n - 1 for each line along an axis."""
    return f"torch.rand({_sizes(shape)}, device=w.device, generator=generator).argsort({axis})"


def _stack(distribution: Stack, shape: Shape) -> list[str]:
    """Block by block, in place; neighbours that are drawn alike and independently are filled in one go."""
    lines: list[str] = []
    start = 0
    runs: list[tuple[Distribution, int]] = []
    for part, size in zip(distribution.parts, distribution.sizes, strict=True):
        if runs and runs[-1][0] == part and _elementwise(part, "") is not None:
            runs[-1] = (part, runs[-1][1] + size)
        else:
            runs.append((part, size))
    if len(runs) == 1:
        return statement(runs[0][0], shape)
    for part, size in runs:
        view = f"w.narrow({distribution.axis}, {start}, {size})"
        elementwise = _elementwise(part, view)
        if elementwise is not None:
            lines.append(elementwise)
        else:
            lines.append(f"{view}.copy_({expression(part, _with(shape, distribution.axis, size))})")
        start += size
    return lines


def _identity(distribution: Identity) -> list[str] | None:
    """torch's own functions, where the layout is one that they know."""
    axes = distribution.axes
    spec = "".join(factor.role[0] for axis in axes.factors for factor in axis)  # o, i, f (field), s, l
    scaled = [] if distribution.gain == 1 else [f"w.mul_({distribution.gain!r})"]
    if spec in ("oi", "io") and len(axes.factors) == 2:
        return ["nn.init.eye_(w)", *scaled]
    convolution = axes.factors[0][-1].role == "out" and 3 <= len(axes.factors) <= 5
    if convolution and spec.lstrip("s") in ("oif", "oiff", "oifff") and len(axes.factors[0]) <= 2:
        groups = axes.size("stack")
        return ["nn.init.dirac_(w)" if groups == 1 else f"nn.init.dirac_(w, groups={groups})", *scaled]
    return None


class Blocks(NamedTuple):
    """Code of a tensor of blocks: dimensions (stack, out, in, field), those of stack and field only where above 1."""

    code: str
    stack: int
    out: int
    in_: int
    field: int

    @property
    def first(self) -> int:
        """The dimension of the outputs."""
        return 1 if self.stack > 1 else 0

    @property
    def shape(self) -> Shape:
        """The tensor's shape."""
        return _squeezed((self.stack, self.out, self.in_, self.field))


def _squeezed(sizes: tuple[int, int, int, int]) -> Shape:
    stack, out, in_, field = sizes
    return ((stack,) if stack > 1 else ()) + (out, in_) + ((field,) if field > 1 else ())


def blocks(distribution: Distribution) -> Blocks:
    """The blocks of a matrix family."""
    match distribution:
        case Orthogonal():
            stack, out, in_, field = block_shape(distribution.axes)
            code = _times(total_gain(distribution), _stacked(_orthogonal(out, in_ * field), stack))
            if field > 1:
                code = f"({code}).reshape({_sizes(_squeezed((stack, out, in_, field)))})"
            return Blocks(code, stack, out, in_, field)
        case DeltaOrthogonal():
            stack, out, in_, field = block_shape(distribution.axes)
            matrix = _times(total_gain(distribution), _stacked(_orthogonal(out, in_), stack))
            return _on_centre(Blocks(matrix, stack, out, in_, 1), distribution.axes)
        case Identity():
            stack, out, in_, field = block_shape(distribution.axes)
            matrix = _times(distribution.gain, f"torch.eye({out}, {in_}, device=w.device)")
            if stack > 1:
                matrix = f"({matrix}).expand({stack}, {out}, {in_})"
            return _on_centre(Blocks(matrix, stack, out, in_, 1), distribution.axes)
        case Mirrored():
            return _mirrored(distribution)
        case Centred():
            base = _base(distribution.base, *block_shape(distribution.axes))
            return base._replace(code=f"less_mean({base.code}, {base.first + 1})")
    raise FaninTypeError(f"{type(distribution).__name__} cannot be written as torch code in blocks")


def _mirrored(law: Mirrored) -> Blocks:
    stack, out, in_, field = block_shape(law.axes)
    rows = block_pairing(law.out, out, stack, "out")
    columns = block_pairing(law.in_, in_, stack, "in_")
    half_out = rows.outer * (rows.units // 2) * rows.inner if rows else out
    half_in = columns.outer * (columns.units // 2) * columns.inner if columns else in_
    base = _base(law.base, stack, half_out, half_in, field)
    code = base.code
    if rows:
        left = rows.outer * rows.inner if rows.units % 2 else 0
        alone = _base(row_law(law.base, law.axes, left, half_in), stack, left, half_in, field).code if left else None
        code = _paired(code, base.first, rows.units, rows.outer, rows.inner, alone)
    if columns:
        code = _paired(code, base.first + 1, columns.units, columns.outer, columns.inner, None)
    return Blocks(code, stack, out, in_, field)


def _paired(half: str, dim: int, units: int, outer: int, inner: int, alone: str | None) -> str:
    sizes = f", outer={outer}, inner={inner}" if (outer, inner) != (1, 1) else ""
    return f"paired({half}, {dim}, {units}{sizes}{f', alone={alone}' if alone else ''})"


def _base(law: Distribution, stack: int, out: int, in_: int, field: int) -> Blocks:
    """The blocks that a mirrored weight is laid out from."""
    if getattr(law, "axes", None) is not None:
        return blocks(law)
    return Blocks(expression(law, _squeezed((stack, out, in_, field))), stack, out, in_, field)


def _on_centre(matrix: Blocks, axes: Axes) -> Blocks:
    field = axes.receptive_field
    code = matrix.code if field == 1 else f"centre_tap({matrix.code}, {field}, {centre(axes)})"
    return matrix._replace(code=code, field=field)


def _from_blocks(drawn: Blocks, axes: Axes) -> str:
    """Code that lays the blocks out as the weight is stored."""
    stored = [factor for axis in axes.factors for factor in axis]
    order = sorted(range(len(stored)), key=lambda k: ORDER[stored[k].role])
    kept = [k for k in order if stored[k].size > 1]  # factors of 1 move nothing
    if kept == sorted(kept):
        return drawn.code if drawn.shape == axes.shape else _reshape(drawn.code, axes.shape)
    split = tuple(stored[k].size for k in kept)
    back = tuple(kept.index(k) for k in sorted(kept))
    code = drawn.code if drawn.shape == split else _reshape(drawn.code, split)
    code = f"{_bracketed(code)}.T" if back == (1, 0) else f"{_bracketed(code)}.permute({_sizes(back)})"
    merged = tuple(math.prod(f.size for f in axis if f.size > 1) for axis in axes.factors)
    permuted = tuple(split[k] for k in back)
    return code if permuted == merged == axes.shape else _reshape(code, axes.shape)


def _orthogonal(rows: int, columns: int) -> str:
    return f"orthogonal({rows}, {columns}, w.device, generator)"


def _stacked(code: str, count: int) -> str:
    return code if count == 1 else f"torch.stack([{code} for _ in range({count})])"


def _times(gain: float, code: str) -> str:
    return code if gain == 1 else f"{gain!r} * {code}"


def _reshape(code: str, shape: Shape) -> str:
    return f"{_bracketed(code)}.reshape({_sizes(shape)})"


def _bracketed(code: str) -> str:
    """The code in brackets where a method call behind it would bind to its last part only."""
    return f"({code})" if " * " in code.partition("(")[0] else code


def _sizes(shape: Shape) -> str:
    return ", ".join(map(str, shape)) if len(shape) != 0 else "()"


def _with(shape: Shape, axis: int, size: int) -> Shape:
    return (*shape[:axis], size, *shape[axis + 1 :])
