"""Blocks of one weight, each taken as a weight of its own: gates, q, k and v, experts."""

from dataclasses import replace
from typing import Any

import numpy as np

from fanin.distributions import Distribution, Stack
from fanin.draws.layout import block_shape, to_blocks
from fanin.errors import FaninTypeError, FaninValueError
from fanin.formulas import Array
from fanin.rules.fans import axes_of
from fanin.rules.promise import Promise, values
from fanin.rules.registry import parse
from fanin.slots import Axes, Factor, Slot

Axis = tuple[Factor, ...]


def inner_check(rule: str, field: str, value: Any) -> str:
    """The spec of one rule, or of one for each block with ";" between; names and arguments are checked at once."""
    if not isinstance(value, str):
        raise FaninTypeError(
            f"{rule}: {field}={value!r} cannot be used; {field} must be the spec of a rule, such as 'orthogonal', or one for "
            "each block with ';' between"
        )
    try:
        return "; ".join(parse(spec.strip()).spec.removesuffix("()") for spec in value.split(";"))
    except FaninValueError as error:
        raise FaninValueError(f"{rule}: {field}={value!r} cannot be used: {error}") from None


def cut(slot: Slot, rule: str, sizes: tuple[int, ...] | int, what: str) -> tuple[int, tuple[Slot, ...]]:
    """The blocks along the axis that is stacked, else along that of the outputs: (axis, one slot a block).

    Args:
        slot: the weight; a bias may come without axes.
        rule: whose errors these are.
        sizes: the outputs of each block, or how many blocks of equal size there are.
        what: the blocks' name in errors, such as "gates".
    """
    axes = slot.axes
    if axes is None or slot.role == "bias":
        axis, place = len(slot.shape) - 1, None
    else:
        axes = axes_of(slot, rule)
        axis, place = _stacked_axis(slot, axes, rule)
    extent = slot.shape[axis] if slot.shape else 0
    if isinstance(sizes, int):
        sizes = (extent // sizes,) * sizes if extent and extent % sizes == 0 else (0,)
    if sum(sizes) != extent or min(sizes, default=0) < 1:
        raise FaninValueError(
            f"{rule}: {slot.name!r} of shape {slot.shape} cannot be cut into {what}: {extent} outputs along axis {axis}"
        )
    return axis, tuple(_block(slot, axis, place, size) for size in sizes)


def stack_of(slot: Slot) -> int:
    """How many blocks the axes say that there are; 1 for those that are no projections of one input (a convolution's groups)."""
    return slot.axes.size("stack") if slot.axes is not None and slot.parts not in ("groups", "experts") else 1


def _stacked_axis(slot: Slot, axes: Axes, rule: str) -> tuple[int, int]:
    """The axis that holds the blocks, and where among its factors the outputs stand."""
    for role in ("stack", "out"):
        for axis, factors in enumerate(axes.factors):
            outputs = [k for k, f in enumerate(factors) if f.role == "out"]
            if outputs and factors[0].role == role and len(factors) == outputs[0] + 1 <= 2:
                return axis, outputs[0]
    raise FaninValueError(
        f"{rule} cannot fill {slot.name!r}: its axes are {axes.spec!r}, and it takes a weight whose blocks follow each other along "
        "the axis of the outputs, such as '(s4o)i'"
    )


def _block(slot: Slot, axis: int, place: int | None, size: int) -> Slot:
    shape = (*slot.shape[:axis], size, *slot.shape[axis + 1 :])
    axes = slot.axes
    if place is None or axes is None:
        return replace(slot, shape=shape, axes=None, parts=None)
    factors = tuple((Factor("out", size),) if k == axis else f for k, f in enumerate(axes.factors))
    return replace(slot, shape=shape, axes=Axes(factors, axes.in_taps, axes.out_taps), parts=None)


def inner_laws(inner: str, blocks: tuple[Slot, ...], rule: str) -> tuple[Distribution, ...]:
    """The law of each block, by one rule for all or by one for each."""
    specs = inner.split(";")
    if len(specs) not in (1, len(blocks)):
        raise FaninValueError(
            f"{rule}: inner={inner!r} names {len(specs)} rules for {len(blocks)} blocks; give one, or one for each"
        )
    made = [parse(spec.strip()) for spec in specs]
    return tuple(made[k % len(made)](block) for k, block in enumerate(blocks))


def stacked(laws: tuple[Distribution, ...], blocks: tuple[Slot, ...], axis: int) -> Distribution:
    """One law a block, along an axis."""
    return Stack(laws, tuple(block.shape[axis] for block in blocks), axis)


def worst(inner: str, blocks: tuple[Slot, ...], axis: int) -> Promise:
    """That each block keeps its own rule's promises, as far as the numbers alone can show them."""
    specs = inner.split(";")
    promised = [parse(specs[k % len(specs)].strip()).promises(block) for k, block in enumerate(blocks)]

    def furthest(weight: Array, slot: Slot) -> float:
        """The largest deviation of a block from what it is promised, relative to it."""
        found, begin = 0.0, 0
        for block, own in zip(blocks, promised, strict=True):
            part = weight.take(range(begin, begin + block.shape[axis]), axis)
            begin += block.shape[axis]
            found = max([found, *(_off(promise, part, block) for promise in own)])
        return found

    return values(0.0, furthest, "each block keeps the promise of its rule", 1e-4)


def _off(promise: Promise, part: Array, block: Slot) -> float:
    wanted = promise.value
    match promise.kind:
        case "law" if wanted:
            # a deviation estimated from n numbers is off by about √(1 / 2n); five of these are left to chance
            off = abs(float(np.sqrt(np.mean((part - promise.mean) ** 2))) / wanted - 1.0)
            return max(0.0, off - 5.0 / np.sqrt(2.0 * part.size))
        case "law":
            return float(np.abs(part - promise.mean).max())
        case "spectrum" if block.axes is not None:
            stack, out, in_, field = block_shape(block.axes)
            singular = np.linalg.svd(to_blocks(part, block.axes).reshape(stack, out, in_ * field), compute_uv=False)
            return float(np.abs(singular[:, : min(out, in_)] - wanted).max())
        case "values" if promise.measure is not None:
            off = max(0.0, abs(promise.measure(part, block) - wanted) - promise.tolerance)
            return off / (abs(wanted) or 1.0)
    return 0.0
