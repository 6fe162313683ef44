"""Everything that is not a matrix of a signal: biases, norms, embeddings, positions."""

import math

from fanin.distributions import Constant, Distribution, Normal, ZeroRows
from fanin.plans import Entry
from fanin.slots import Slot
from fanin.traces.records import Trace


def vector_entries(trace: Trace) -> dict[str, Entry]:
    """Entries for biases (zero), norms (ones and zeros), embeddings and positions. Other scales keep their values."""
    entries = {}
    for slot in trace.slots:
        entry = _entry(trace, slot)
        if entry is not None:
            entries[slot.name] = entry
    return entries


def _entry(trace: Trace, slot: Slot) -> Entry | None:
    if slot.role == "bias":
        return Entry(Constant(0.0), "bias: zero")
    if slot.role == "norm_scale":
        return Entry(Constant(1.0), "scale of a norm: one")
    if slot.role == "norm_shift":
        return Entry(Constant(0.0), "shift of a norm: zero")
    if slot.role == "embedding" and slot.axes is not None:
        return _embedding(trace, slot)
    return None


def _embedding(trace: Trace, slot: Slot) -> Entry:
    assert slot.axes is not None
    width = slot.axes.size("out")
    tied = slot.head or slot.uses > 1
    std = 1 / math.sqrt(width) if tied else 1.0
    law: Distribution = Normal(std)
    if slot.padding_index is not None:
        law = ZeroRows(law, (slot.padding_index % slot.shape[0],))
    return Entry(
        law, "embedding that is the head too: logits start at ±1" if tied else "embedding: unit size per element"
    )
