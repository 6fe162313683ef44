"""Weights whose output scales another signal as x · (1 + s): FiLM, adaptive norms, gates around one.

At the start s is small, so that every layer passes on what it is given, changed a little by the condition. At unit size the
factor is zero or two as easily as one: each such layer then multiplies the signal by noise of its own size.
"""

from dataclasses import replace

from fanin.auto.facts import op_of
from fanin.auto.scaling import times
from fanin.plans import Entry
from fanin.traces.records import INPUT, Op, Trace

SMALL = 0.1  # size of s at the start (measured, accuracy after 1000 steps: 1 .884, .35 .928, .2 .939, .1 .944)


def with_modulations(trace: Trace, entries: dict[str, Entry]) -> dict[str, Entry]:
    """The entries of weights that make such an s, made small."""
    makers = {slot.op_index: slot.name for slot in trace.slots if slot.role == "weight" and op_of(trace, slot)}
    changed = {}
    for op in trace.ops:
        if op.kind != "mul" or len(op.inputs) != 2:
            continue
        for index in op.inputs:
            name = makers.get(_maker(trace, index))
            entry = entries.get(name) if name is not None else None
            law = times(entry.distribution, SMALL) if entry is not None else None
            if name is not None and entry is not None and law is not None:
                why = f"{entry.reason}; × {SMALL:g}, as it scales a signal by 1 + what it gives"
                changed[name] = replace(entry, distribution=law, reason=why)
    return changed


def _maker(trace: Trace, index: int) -> int | None:
    """The op that made s, where a signal is s + a constant; None where it is not."""
    shifted = False
    while index != INPUT:
        op = trace.ops[index]
        if _adds_constant(op):
            shifted = True
        elif op.kind not in ("shape", "dropout"):
            return index if shifted else None
        index = op.inputs[0] if op.inputs else INPUT
    return None


def _adds_constant(op: Op) -> bool:
    return op.kind == "pointwise" and op.name in ("add", "__add__", "__radd__", "add_") and not op.weights
