"""Weights of recurrent layers: a state that is multiplied by the same matrix at every step.

The recurrent matrix is orthogonal (each gate's block for itself), so that the state neither dies nor grows. What comes in
is added to the state T times; with the input's weight scaled by 1/√T the state stays of the size of one input, where its
activation is nearly straight and a gradient from the last step reaches the first.
"""

import math
from collections.abc import Iterator

from fanin.auto import facts
from fanin.distributions import Constant, Orthogonal, Stack
from fanin.plans import Entry
from fanin.slots import Slot
from fanin.traces.records import Op, Trace

GATES = ("lstm", "gru")
# Gates are half open at the start (an LSTM's forget gate at σ(1) = .73), so a gated state is smaller than what comes in, by
# sqrt(Σ over past steps of (share let in · share kept since)²) · share let out: LSTM ½ · ½ / √(1 - .73²), GRU ½ / √(1 - ½²).
STATE = {"lstm": 0.25 / math.sqrt(1 - 0.7311**2), "gru": 0.5 / math.sqrt(0.75)}
STATE_OPS = ("add", "pointwise")  # kinds that join the input's and the state's share of a cell written by hand


def recurrent_entries(trace: Trace) -> dict[str, Entry]:
    """Entries for recurrent matrices, for the matrices that feed them, and for the forget gate's bias (one)."""
    entries: dict[str, Entry] = {}
    feeding = dict(_feeding(trace))
    for slot in trace.slots:
        if slot.role == "recurrent" and slot.axes is not None and slot.name not in feeding:
            per = " per gate" if slot.parts in GATES else ""
            why = f"recurrent: orthogonal{per}, so that the state neither dies nor grows"
            entries[slot.name] = Entry(Orthogonal(slot.axes), why)
    for name, steps in feeding.items():
        slot = trace.slot(name)
        if slot.axes is not None:
            gain = 1 / (math.sqrt(steps) * _input_rms(trace, slot, steps))
            why = f"feeds a recurrent state over {steps} step{'s' * (steps != 1)}: × 1/√{steps}, so that the state stays of unit size"
            entries[slot.name] = Entry(Orthogonal(slot.axes, gain, scale_out=True), why)
    return entries | _forget_biases(trace)


def _feeding(trace: Trace) -> Iterator[tuple[str, int]]:
    """Weights whose output is added to a recurrent state, with the number of steps."""
    matrices = {s.name: s for s in trace.slots if s.role in ("weight", "recurrent") and s.axes is not None}
    for op in trace.ops:
        if op.kind == "recurrent":  # a fused layer or cell: its matrices come in pairs, the input's before the state's
            for name in [w for w in op.weights if w in matrices][::2]:
                yield name, max(_steps(trace, op), matrices[name].uses)
    yield from _fed_by_hand(trace).items()


def _steps(trace: Trace, op: Op) -> int:
    """How many steps a fused op makes: the extent of its output that is neither the batch's nor the units'."""
    if op.facts.get("steps", 0) >= 1:
        return int(op.facts["steps"])
    if len(op.shape) != 3:
        return 1
    examples = trace.inputs[0].shape[0] if trace.inputs and trace.inputs[0].shape else 0
    return op.shape[1] if op.shape[0] == examples else op.shape[0]


def _input_rms(trace: Trace, slot: Slot, steps: int) -> float:
    """The size of what a matrix meets: the batch for a first layer, the states of the layer below for the others."""
    op = facts.op_of(trace, slot)
    if op is None or op.module_input is None or slot.axes is None or op.kind != "recurrent":
        return facts.input_rms(trace, slot)
    below = [trace.slot(w) for w in op.weights[: op.weights.index(slot.name)]]
    hidden = slot.axes.size("out")
    stacked = any(s.role == "recurrent" for s in below) and slot.axes.size("in") % hidden == 0
    if not stacked or slot.axes.size("in") == op.module_input.units != hidden:
        return facts.input_rms(trace, slot)  # a first layer, or its backward direction
    return STATE[slot.parts] / math.sqrt(steps) if slot.parts in STATE else 1.0


def _fed_by_hand(trace: Trace) -> dict[str, int]:
    """Weights of cells written by hand: their output meets a recurrent weight's output in a sum."""
    uses = {s.name: s.uses for s in trace.slots if s.role == "recurrent"}
    weights = {s.name for s in trace.slots if s.role == "weight"}
    fed: dict[str, int] = {}
    for op in trace.ops:
        if op.kind not in STATE_OPS or len(op.inputs) != 2 or min(op.inputs) < 0:
            continue
        sources = [_source(trace, i) for i in op.inputs]
        steps = max((uses[w] for source in sources for w in source.weights if w in uses), default=0)
        if steps > 1:
            fed |= {w: max(steps, fed.get(w, 0)) for source in sources for w in source.weights if w in weights}
    return fed


def _source(trace: Trace, index: int) -> Op:
    """The op that made a signal, seen through ops that only move elements."""
    op = trace.ops[index]
    for _ in range(16):
        if op.kind not in facts.THROUGH or not op.inputs or op.inputs[0] < 0:
            break
        op = trace.ops[op.inputs[0]]
    return op


def _forget_biases(trace: Trace) -> dict[str, Entry]:
    """One of an LSTM's two biases with the forget gate at one; the other biases are zero as everywhere."""
    entries: dict[str, Entry] = {}
    seen: set[tuple[str, int | None]] = set()
    for slot in trace.slots:
        size = slot.size // 4
        cell = (slot.module, slot.op_index)
        if slot.role != "bias" or slot.parts != "lstm" or slot.shape != (4 * size,) or size == 0:
            continue
        layer = (f"{slot.module}:{slot.weight}".replace("_ih_", "_").replace("_hh_", "_"), cell[1])
        if layer in seen:
            continue
        seen.add(layer)
        zero = Constant(0.0)
        law = Stack((zero, Constant(1.0), zero, zero), (size,) * 4)
        entries[slot.name] = Entry(law, "bias of an LSTM: forget gate one, so that memory lasts")
    return entries
