"""The parts of a plan: what one weight is drawn from, and what the plan requires of it."""

from collections.abc import Iterable
from dataclasses import dataclass

from fanin.distributions import Distribution
from fanin.records import Record
from fanin.slots import Slot


@dataclass(frozen=True)
class Entry(Record):
    """What one weight is drawn from.

    Attributes:
        distribution: what to draw.
        reason: why, in one line.
        lr_scale: factor on the learning rate that the plan asks for (applied by whoever builds the optimizer).
        multiplier: factor on the drawn values.
    """

    distribution: Distribution
    reason: str = ""
    lr_scale: float = 1.0
    multiplier: float = 1.0


@dataclass(frozen=True)
class Need(Record):
    """What a plan requires of one weight of the architecture.

    Attributes:
        shape: its global shape.
        names: all its names where it is tied, else empty.
        fed_by: the weight before it in a chain of layers with nothing but activations between, or None. Mirrored
            halves must agree between the two.
        dtype: its type, such as "float32": the one that files are written in (`apply` keeps the model's own).
    """

    shape: tuple[int, ...]
    names: tuple[str, ...] = ()
    fed_by: str | None = None
    dtype: str = "float32"


def needs_of(slots: Iterable[Slot]) -> dict[str, Need]:
    """What each slot requires of the architecture, by its canonical name, in order."""
    slots = tuple(slots)
    chains = {(s.chain.id, s.chain.position): s.name for s in slots if s.chain is not None}
    return {
        s.name: Need(
            s.shape,
            tuple(s.names) if len(s.names) > 1 else (),
            chains.get((s.chain.id, s.chain.position - 1)) if s.chain is not None else None,
            s.dtype,
        )
        for s in slots
    }
