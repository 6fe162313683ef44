"""Weights of recurrent layers: a state that is multiplied by the same matrix at every step."""

from fanin.distributions import Constant, Orthogonal, Stack
from fanin.plans import Entry
from fanin.slots import Slot
from fanin.traces.records import Trace

GATES = {"lstm": 4, "gru": 3}
FORGET = 1  # torch's order of an LSTM's gates: input, forget, cell, output


def recurrent_entries(trace: Trace) -> dict[str, Entry]:
    """Entries for recurrent matrices (orthogonal, per gate) and for the forget gate's bias (one)."""
    entries = {}
    biases: dict[str, list[Slot]] = {}
    for slot in trace.slots:
        if slot.role == "recurrent" and slot.axes is not None:
            per = " per gate" if slot.parts in GATES else ""
            entries[slot.name] = Entry(
                Orthogonal(slot.axes), f"recurrent: orthogonal{per}, so that the state neither dies nor grows"
            )
        if slot.role == "bias" and slot.parts == "lstm":
            biases.setdefault(slot.module, []).append(slot)
    for slots in biases.values():
        for slot in slots:
            entries |= _forget(slot, first=slot.weight is None or "hh" not in slot.name)
    return entries


def _forget(slot: Slot, *, first: bool) -> dict[str, Entry]:
    size = slot.size // 4
    if slot.shape != (4 * size,) or size == 0 or not first:
        return {}
    zero = Constant(0.0)
    law = Stack((zero, Constant(1.0), zero, zero), (size,) * 4)
    return {slot.name: Entry(law, "bias of an LSTM: forget gate one, so that memory lasts")}
