"""Which stack of a transformer a weight is in, and how many layers that stack and the other one have.

Papers have one number for an encoder or a decoder alone, and others for the two stacks of a model with both.
"""

from dataclasses import dataclass

from fanin.errors import FaninValueError
from fanin.rules.branches import layers_of
from fanin.slots import Slot

CROSS = 3  # residual adds of a decoder's layer that also attends to an encoder


@dataclass(frozen=True)
class Depths:
    """Which stack a weight is in, and how many layers there are.

    Attributes:
        stack: "alone", "encoder" or "decoder".
        own: layers of the weight's own stack.
        other: layers of the other stack; None where not known.
    """

    stack: str
    own: float
    other: float | None = None


def depths_of(slot: Slot, rule: str, layers: float | None, stack: str, other: float | None = None) -> Depths:
    """The stack and the depths as given, else from the slot; raises where neither says them."""
    place = slot.residual
    kind = stack or (place.stack if place is not None else "alone")
    if kind == "both":
        raise FaninValueError(
            f"{rule} has one number for encoders and another for decoders, and the stack of {slot.name!r} attends to one stack "
            "and is attended to by another; give stack= and layers="
        )
    own = layers_of(slot, rule, layers)
    if place is not None:
        if kind == "decoder" and layers is None:
            own = place.branches / CROSS  # the papers' M stands for three adds
        if other is None and kind == place.stack:
            other = place.other or None
    return Depths(kind, own, other)


def other_of(rule: str, depths: Depths) -> float:
    """How many layers the other stack has; raises where it is not known."""
    if depths.other is None:
        raise FaninValueError(
            f"{rule}: stack={depths.stack!r} needs other=, the layers of the {'de' if depths.stack == 'encoder' else 'en'}coder"
        )
    return depths.other
