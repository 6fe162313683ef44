"""From the axes of a tensor as an op consumes it back to the axes of the parameter as it is stored.

A parameter is often viewed, transposed, sliced or chunked before use. The strides of the view over the parameter's
contiguous elements say which stored axis each consumed axis runs along, and which part of it: that is enough to say
what each stored axis means, whatever was done in between.
"""

import math
from collections.abc import Callable
from typing import Any

import torch

from fanin.slots import LETTERS, Axes, Factor


def contiguous_layout(shape: tuple[int, ...]) -> torch.Tensor:
    """A meta tensor of this shape with contiguous strides."""
    return torch.empty(shape, device="meta")


def follow(layout: torch.Tensor, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What `func` does to the layout, `args` holding meta tensors in place of the view; None where it copies."""
    try:
        result = func(*args, **kwargs)
    except Exception:  # a meta tensor cannot follow every call; the caller treats None as "not known"
        return None
    pieces = result if isinstance(result, tuple | list) else (result,)
    base = layout._base if layout._base is not None else layout
    if all(isinstance(p, torch.Tensor) and (p is layout or p._base is base or p is base) for p in pieces):
        return result
    return None


def factor_axes(
    layout: torch.Tensor, letters: str, shape: tuple[int, ...], *, in_taps: float = 1.0, out_taps: float = 1.0
) -> Axes | None:
    """Axes of a parameter of `shape` that is consumed through `layout`, whose axes mean `letters`.

    Parts of a stored axis that the view does not run along (other chunks, other experts) become *stack* factors.
    Returns None where the strides do not divide the stored axes evenly.
    """
    steps = [math.prod(shape[k + 1 :]) for k in range(len(shape))]
    covered: list[list[tuple[int, int, str]]] = [[] for _ in shape]  # per stored axis: (step, size, letter)
    for size, stride, letter in zip(layout.shape, layout.stride(), letters, strict=True):
        if size == 1 or stride == 0:
            continue
        remaining, axis = size, _axis_of(stride, steps, shape)
        if axis is None:
            return None
        step = stride // steps[axis]
        pieces: list[tuple[int, int, int]] = []
        while remaining > 1:
            room = shape[axis] // step
            take = min(room, remaining)
            if shape[axis] % step or remaining % take:
                return None
            pieces.append((axis, step, take))
            remaining //= take
            axis -= 1
            if remaining > 1:
                while axis >= 0 and shape[axis] == 1:
                    axis -= 1
                if axis < 0 or (take != room):
                    return None
                step = 1
        for a, s, n in pieces:
            covered[a].append((s, n, letter))
    factors: list[tuple[Factor, ...]] = []
    for k, size in enumerate(shape):
        axis_factors = _fill(covered[k], size)
        if axis_factors is None:
            return None
        factors.append(axis_factors)
    return Axes(_name_ones(tuple(factors), letters, layout), in_taps, out_taps)


def _axis_of(stride: int, steps: list[int], shape: tuple[int, ...]) -> int | None:
    for axis in range(len(shape)):
        if (
            shape[axis] > 1
            and steps[axis] > 0  # another axis may have no elements
            and stride >= steps[axis]
            and stride % steps[axis] == 0
            and stride // steps[axis] < shape[axis]
        ):
            return axis
    return None


def _fill(parts: list[tuple[int, int, str]], size: int) -> tuple[Factor, ...] | None:
    """The factors of one stored axis, slowest first; what no part covers is stacked."""
    found: list[Factor] = []
    step = size
    for part_step, part_size, letter in sorted(parts, reverse=True):
        span = part_step * part_size
        if span == 0 or span > step:
            return None
        if step % span:  # an uneven slice: fine for outputs, where it changes no fan_in
            if letter != "o" or part_step != 1:
                return None
            part_size, span = step, step
        if step > span:
            found.append(Factor("stack", step // span))
        found.append(Factor(LETTERS[letter], part_size))
        step = part_step
    if step > 1 or not found:
        found.append(Factor("stack", step))
    return _merge(found)


def _merge(factors: list[Factor]) -> tuple[Factor, ...]:
    merged: list[Factor] = []
    for factor in factors:
        if merged and merged[-1].role == factor.role:
            merged[-1] = Factor(factor.role, merged[-1].size * factor.size)
        else:
            merged.append(factor)
    return tuple(merged)


def _name_ones(
    factors: tuple[tuple[Factor, ...], ...], letters: str, layout: torch.Tensor
) -> tuple[tuple[Factor, ...], ...]:
    """Axes of one element carry no stride: give them the letters that no longer axis used, in order."""
    spare = [letter for letter, size in zip(letters, layout.shape, strict=True) if size == 1]
    named: list[tuple[Factor, ...]] = []
    for axis in factors:
        if math.prod(f.size for f in axis) == 1:
            named.append((Factor(LETTERS[spare.pop(0)] if spare else "stack", 1),))
        else:
            named.append(axis)
    return tuple(named)
