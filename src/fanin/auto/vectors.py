"""Everything that is not a matrix of a signal: biases, norms, embeddings, positions."""

import math

from fanin.auto.chains import link_of
from fanin.distributions import Constant, Distribution, Normal, ZeroRows
from fanin.plans import Entry
from fanin.slots import Slot
from fanin.traces.records import Trace

PURPOSE = 0.3  # mean of a bias above which it was set, not drawn: U(±1/√n) has none


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
        return None if set_on_purpose(trace, slot) else Entry(Constant(0.0), "bias: zero")
    if slot.role == "norm_scale":
        return Entry(Constant(1.0), "scale of a norm: one")
    if slot.role == "norm_shift":
        return Entry(Constant(0.0), "shift of a norm: zero")
    if slot.role == "embedding" and slot.axes is not None:
        return _embedding(trace, slot)
    return None


def set_on_purpose(trace: Trace, slot: Slot) -> bool:
    """Whether a bias was given values that no default has: far from zero, and all on one side (priors, dt of Mamba).

    Not so inside chains, where a constant bias would move every unit off the point at which pairs cancel.
    """
    facts = trace.weights.get(slot.name)
    if facts is None or not math.isfinite(facts.mean) or not math.isfinite(facts.std):
        return False
    weight = next((s for s in trace.slots if s.name == slot.weight), None)
    link = link_of(weight) if weight is not None else None
    inside = link is not None and link.position < link.length - 1
    return not inside and abs(facts.mean) > max(PURPOSE, 1.5 * facts.std)


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
