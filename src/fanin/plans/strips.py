"""Large weights that are no plain row of random numbers, cut so that a few strips of them are in memory at a time.

An orthogonal matrix is cut along the shorter of its two sides: any lines across it are made alone, at their share of the
cost. Orders of lines (sparse weights) are made line by line, so these weights are cut across their lines.
"""

from collections.abc import Iterator

from fanin.distributions import Built, Centred, Distribution, Mapped, Permutations, Sparse, Stack, ZeroRows
from fanin.draws.layout import block_shape
from fanin.plans import laws
from fanin.plans.parts import Part
from fanin.slots import Axes, AxisRole

STRIP = 1 << 24  # numbers: a matrix that has more is cut; drawn apart, its parts equal the whole to 1e-6
LINES = 1 << 20  # numbers of a sparse weight: a random order takes a hundred bytes a number while it is made


def strips(law: Distribution, part: Part, strip: int | None = None) -> Iterator[Part]:
    """A block of a weight in strips that are drawn one at a time; the block itself where it is small, or cannot be cut.

    Args:
        law: what is drawn.
        part: all of the weight.
        strip: numbers of a strip, at most, where the axis has as many places; chosen by the law if None.
    """
    shape = tuple(s.stop - s.start for s in part.window)
    limit = strip or (LINES if sorted_lines(law) and not matrices(law) else STRIP)
    axis = strip_axis(law, shape) if part.size > limit else None
    if axis is None:
        yield part
        return
    step = max(1, limit * shape[axis] // part.size)
    for begin in range(0, shape[axis], step):
        window = tuple(slice(begin, min(begin + step, n)) if a == axis else slice(0, n) for a, n in enumerate(shape))
        yield Part(window, window)


def strip_axis(law: Distribution, shape: tuple[int, ...]) -> int | None:
    """The axis along which a weight is best cut, None where a window costs as much memory as all of it.

    Example:
        >>> from fanin.distributions import Orthogonal
        >>> strip_axis(Orthogonal(Axes.parse("oi", (64, 512))), (64, 512))
        0
    """
    match law:
        case Built():
            return None
        case ZeroRows(base=base) | Mapped(base=base):
            return strip_axis(base, shape)
        case Stack(parts=parts, axis=along):
            wanted = {strip_axis(part, shape) for part in parts if not laws.elementwise(part)} - {None}
            return wanted.pop() if len(wanted) == 1 else along
        case Sparse(axis=lines) | Permutations(axis=lines):
            base = strip_axis(law.base, shape) if isinstance(law, Sparse) else None
            across = [a for a in range(len(shape)) if a != lines % len(shape) and shape[a] > 1]
            return base if base in across else max(across, key=lambda a: shape[a], default=None)
    axes = getattr(law, "axes", None)
    if isinstance(axes, Axes):
        return _axis_of_a_matrix(axes, along_outputs=isinstance(law, Centred))
    return max(range(len(shape)), key=lambda a: shape[a], default=None)


def _axis_of_a_matrix(axes: Axes, *, along_outputs: bool) -> int | None:
    """Stacked matrices one after the other; else along the shorter side of a matrix, or its outputs."""
    stack, out, in_, field = block_shape(axes)
    side: tuple[AxisRole, ...] = ("out",) if along_outputs or out < in_ * field else ("in", "lookup")
    for roles in (("stack",), side) if stack > 1 else (side,):
        for axis, factors in enumerate(axes.factors):
            if any(factor.role in roles and factor.size > 1 for factor in factors):
                return axis
    return None


def matrices(law: Distribution) -> bool:
    """Whether some of its numbers are products of matrices."""
    own = isinstance(getattr(law, "axes", None), Axes) and not laws.elementwise(law)
    return own or any(map(matrices, _below(law)))


def sorted_lines(law: Distribution) -> bool:
    """Whether it has random orders of lines in it."""
    return isinstance(law, Sparse | Permutations) or any(map(sorted_lines, _below(law)))


def _below(law: Distribution) -> tuple[Distribution, ...]:
    """What it is made of."""
    base = getattr(law, "base", None)
    return (*getattr(law, "parts", ()), *([base] if isinstance(base, Distribution) else []))
