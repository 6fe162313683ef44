"""The numbers that rules for residual streams take from a slot: how many branches there are, which one it is, how many layers.

A branch is one residual add. A transformer block has two of them (attention, feed-forward), so a transformer of N layers has
2 N branches; a decoder's that attends to an encoder too has three; a block of a convolutional residual net has one. Papers count
one or the other: each rule says which.
"""

import math
from collections.abc import Iterable
from typing import Any

from fanin.activations import Activation
from fanin.errors import FaninValueError
from fanin.rules.arguments import flag_check, number_check, whole_check
from fanin.rules.fans import axes_of, fan, finite_gain
from fanin.slots import Axes, ResidualPlace, Slot

ADDS = 2  # residual adds of a transformer layer that attends to nothing but its own stack
VALUE, QUERY, KEY, FUSED = "value", "query", "key", "qkv"  # `Slot.parts` of attention's projections


def branches_of(slot: Slot, rule: str, branches: float | None) -> float:
    """How many residual adds the stream has: as given, else from the slot; raises where neither says it."""
    if branches is not None:
        return branches
    if slot.residual is None:
        raise FaninValueError(
            f"{rule} cannot tell how many residual branches the model has from {slot.name!r}, which lies on none; "
            "give branches="
        )
    return float(slot.residual.branches)


def layers_of(slot: Slot, rule: str, layers: float | None) -> float:
    """How many transformer layers the slot's stack has (two residual adds each, or three): as given, else from the slot."""
    if layers is not None:
        return layers
    if slot.residual is None:
        raise FaninValueError(
            f"{rule} cannot tell how many layers the model has from {slot.name!r}, of which no residual branch is known; "
            f"give layers=, as in {rule}(layers=12)"
        )
    return slot.residual.branches / _adds(slot, slot.residual, rule, "layers")


def _adds(slot: Slot, place: ResidualPlace, rule: str, argument: str) -> int:
    """Residual adds a layer of the slot's stack; raises where they do not come at even distances."""
    if not place.adds:
        raise FaninValueError(
            f"{rule} cannot tell where the layers of the stack of {slot.name!r} begin, as not all of its {place.branches} residual "
            f"adds are two or three a layer (some attend to another stack); give {argument}="
        )
    return place.adds


def deepest(slots: Iterable[Slot]) -> float:
    """Layers of a model's deepest stack, of its decoders where it has any; 0 where none is known."""
    places = [slot.residual for slot in slots if slot.residual is not None]
    decoders = [place for place in places if place.stack == "decoder"]
    return max((place.branches / place.adds for place in decoders or places if place.adds), default=0.0)


def branch_of(slot: Slot, rule: str, branch: int | None) -> int:
    """Which residual add this weight's branch ends in, counted from 0."""
    if branch is not None:
        return branch
    if slot.residual is None:
        raise FaninValueError(
            f"{rule} cannot tell on which residual branch {slot.name!r} lies, as it lies on none; give branch="
        )
    return slot.residual.branch


def block_of(slot: Slot, rule: str, block: int | None) -> int:
    """Which transformer layer (two residual adds, or three) of its stack this weight is in, counted from 0."""
    if block is not None:
        return block
    if slot.residual is None:
        raise FaninValueError(
            f"{rule} cannot tell in which layer {slot.name!r} is, as it lies on no branch; give block="
        )
    return slot.residual.branch // _adds(slot, slot.residual, rule, "block")


def is_last(slot: Slot, last: bool | None) -> bool:
    """Whether this weight is the last of its branch: as given, else as the slot says (no, where it lies on none)."""
    return last if last is not None else slot.residual is not None and slot.residual.last


def maybe_flag(rule: str, field: str, value: Any) -> bool | None:
    """A check for True, False, or None (as the slot says)."""
    return None if value is None else flag_check(rule, field, value)


COUNTS = {
    "branches": number_check("a finite number above 0", lambda x: x > 0, optional=True),
    "per_branch": number_check("a finite number of at least 1", lambda x: x >= 1, optional=True),
    "layers": number_check("a finite number above 0", lambda x: x > 0, optional=True),
    "branch": whole_check(0, optional=True),
    "block": whole_check(0, optional=True),
    "last": maybe_flag,
    "head": maybe_flag,
}


def met(slot: Slot) -> Activation:
    """The activation that the output meets; ReLU where it meets none (the end of a branch, whose input came through one)."""
    return slot.activation or Activation.named("relu")


def came_through(slot: Slot) -> Activation:
    """The activation whose loss the weight makes up for, so that a whole branch keeps the size of the stream.

    On a branch that is the one that its input came through, none for an input that is the stream itself or normed: gains by the
    activation *after* a weight would count one too many or too few, as a branch begins or ends without one. Elsewhere it is the
    one that the output meets, else ReLU, as He's rule has it.
    """
    if slot.residual is not None:
        return slot.input_activation or Activation.named("linear")
    return met(slot)


def he(slot: Slot, rule: str, nonlinearity: Activation, mode: str = "fan_in") -> float:
    """The deviation of He's rule for this activation."""
    axes_of(slot, rule)
    return finite_gain(rule, nonlinearity) / math.sqrt(fan(slot, mode, rule))


def xavier(axes: Axes) -> float:
    """The deviation that Xavier's normal rule gives, per stacked block."""
    total = axes.fan_in + axes.fan_out
    if total <= 0:
        raise FaninValueError("a weight without elements has no fan")
    return math.sqrt(2.0 / total)
