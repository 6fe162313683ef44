"""Chains of layers with norms between them: pairs of units go through norms too.

A norm without shift takes (u, -u) to (v, -v): batch norm treats every channel alike but for its sign, and a layer norm's
mean over pairs is zero. So mirrored weights make such a net linear at the start as well, and take away what norms add to
a deep plain net: gradients that grow with every batch norm, examples that grow alike with every layer norm. A norm
forgets the size of the weights before it; their size decides how far one step turns them, and small weights turn
fast. 1/√6 is the size of PyTorch's default (U(±1/√n) has a variance of 1 / (3 n), mirrored halves see half the inputs).
"""

import math

from fanin.auto.working_point import carrier_of, through
from fanin.distributions import Distribution, Mirrored, Orthogonal
from fanin.draws.layout import block_shape, with_sizes
from fanin.plans import Entry
from fanin.slots import Pairing, Slot
from fanin.traces.records import Op, Trace

SIZE = 1 / math.sqrt(6)  # of weights before a norm
DEEP = 8  # layers from which weights between layer norms are larger, as a step turns all layers at once
BETWEEN = ("norm", "activation", "pool", "dropout", "shape", "reduce")  # kinds that may stand between two weights
WEIGHTED = ("linear", "conv")


def normed_entries(trace: Trace) -> dict[str, Entry]:
    """Entries for the weights of chains with a norm between each two weights."""
    entries: dict[str, Entry] = {}
    for slots in _chains(trace):
        entries |= _chain(trace, slots)
    return entries


def _chains(trace: Trace) -> list[list[Slot]]:
    """Maximal runs of two or more weights, each of which feeds the next through one norm and nothing that parts the way."""
    nexts = {}
    targets = set()
    weights = {s.op_index: s for s in trace.slots if _usable(s)}
    consumers = _consumers(trace)
    for index, slot in weights.items():
        following = _next(trace, consumers, trace.ops[index or 0])
        target = weights.get(following) if following is not None else None
        if target is not None and _pairing(trace, slot, target) is not None:
            nexts[slot.name] = target
            targets.add(target.name)
    runs = []
    for slot in weights.values():
        if slot.name in targets or slot.name not in nexts:
            continue
        run = [slot]
        while run[-1].name in nexts:
            run.append(nexts[run[-1].name])
        runs.append(run)
    return runs


def _usable(slot: Slot) -> bool:
    return (
        slot.role == "weight"
        and slot.op in WEIGHTED
        and slot.axes is not None
        and slot.chain is None
        and slot.residual is None
        and slot.uses == 1
        and slot.axes.size("stack") == 1
    )


def _consumers(trace: Trace) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for op in trace.ops:
        for i in op.inputs:
            found.setdefault(i, []).append(op.index)
    return found


def _next(trace: Trace, consumers: dict[int, list[int]], op: Op) -> int | None:
    """The weight op that this one feeds through exactly one norm, or None."""
    norms = 0
    for _ in range(16):
        following = consumers.get(op.index, [])
        if len(following) != 1:
            return None
        op = trace.ops[following[0]]
        if op.kind in WEIGHTED:
            return op.index if norms == 1 else None
        if op.kind not in BETWEEN or len(op.inputs) != 1 or (op.kind == "reduce" and op.name != "mean"):
            return None
        norms += op.kind == "norm"
    return None


def _pairing(trace: Trace, slot: Slot, target: Slot) -> Pairing | None:
    """How the units of `slot` lie along the inputs of `target`, where that is certain."""
    assert slot.axes is not None
    assert target.axes is not None
    units, inputs = block_shape(slot.axes)[1], block_shape(target.axes)[2]
    if units < 2:
        return None
    if units == inputs:
        return Pairing(units)
    positions = trace.ops[slot.op_index or 0].shape[2:]
    flat = slot.op == "conv" and target.op == "linear" and positions and inputs % units == 0
    return Pairing(units, 1, inputs // units) if flat else None


def _chain(trace: Trace, slots: list[Slot]) -> dict[str, Entry]:
    functions = [target.input_activation for target in slots[1:]]
    if any(f is None or carrier_of(f) != "paired" for f in functions):
        return {}
    size = SIZE
    if any(op.name == "layer_norm" or "rms" in op.name for op in trace.ops if op.kind == "norm"):
        size = min(1.0, SIZE * max(1.0, math.sqrt(len(slots) / DEEP)))
    entries = {}
    for k, slot in enumerate(slots):
        assert slot.axes is not None
        met = _pairing(trace, slots[k - 1], slot) if k else None
        last = k == len(slots) - 1
        made = None if last else Pairing(block_shape(slot.axes)[1])
        gain = size
        why = f"one of {len(slots)} layers with norms between; mirrored: pairs of units go through norms"
        f = functions[k - 1] if k else None
        if last and f is not None:
            gain = 1 / math.sqrt(through(f, "paired", 1.0).carried)
            gain *= SIZE if slot.norm_after else 1.0
            why = (
                "head: outputs start at ±1; its inputs are mirrored pairs"
                if slot.head
                else f"end of {why.partition(' of ')[2]}"
            )
        entries[slot.name] = Entry(_law(slot, made, met, gain), why)
    return entries


def _law(slot: Slot, made: Pairing | None, met: Pairing | None, gain: float) -> Distribution:
    assert slot.axes is not None
    _, out, in_, _ = block_shape(slot.axes)
    out = out // 2 if made else out
    in_ = (met.units // 2) * met.inner if met else in_
    return Mirrored(Orthogonal(with_sizes(slot.axes, out, in_), gain, scale_out=True), slot.axes, made, met)


__all__ = ["normed_entries"]
