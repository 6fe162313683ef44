"""What residual streams ask for besides the scale of each branch's last weight: last norms, and stems under a norm.

A branch that ends in a norm is as large as the norm's scale says, whatever its weights are: the scale then gets the
1/√branches. A stream that every branch reads through a norm may be of any size; what feeds it is drawn like every weight
before a norm, so that one step turns it as fast.

A gated branch (the product of two signals of the stream) without a norm is quadratic in the stream, so what one branch
adds makes the next one larger: it takes 1/branches, and a stream of half the size, to keep the sum bounded.
"""

import math
from dataclasses import replace

from fanin.auto.chains import SIZE
from fanin.auto.scaling import times
from fanin.distributions import Constant, Normal
from fanin.plans import Entry
from fanin.slots import Slot
from fanin.traces.records import INPUT, Op, ResidualAdd, Trace

GATED_STEM = 0.5  # size of a stream that gated branches read without a norm (measured)
ALONG = ("shape", "dropout", "pool", "activation")


def with_residuals(trace: Trace, entries: dict[str, Entry]) -> dict[str, Entry]:
    """The entries that the trace's residual adds change."""
    changed: dict[str, Entry] = {}
    slots = {s.name: s for s in trace.slots}
    for add in trace.residuals:
        place = slots[add.weights[-1]].residual if add.weights and add.weights[-1] in slots else None
        if place is None:
            continue
        for name in _last_scales(trace, add):
            if name in entries and slots[name].role == "norm_scale":
                value = 1 / math.sqrt(place.branches)
                why = f"scale of a branch's last norm: 1/√{place.branches}, so that {place.branches} branches double the stream"
                changed[name] = Entry(Constant(value), why)
        normed = slots[add.weights[0]].norm_before
        gated = not normed and not place.normed and _gated(trace, add, {slots[w].op_index for w in add.weights})
        if gated:
            last = entries.get(add.weights[-1])
            law = times(last.distribution, 1 / math.sqrt(place.branches)) if last is not None else None
            if last is not None and law is not None:
                why = f"last of a gated branch, which is quadratic in the stream: × 1/{place.branches} for {place.branches} branches"
                changed[add.weights[-1]] = replace(last, distribution=law, reason=why)
        if add.position == 0 and normed:
            why = "feeds a stream that is read through norms: as large as PyTorch's default, so that a step turns it as fast"
            changed |= _stem(trace, add, entries, SIZE, why)
        elif add.position == 0 and gated:
            changed |= _stem(trace, add, entries, GATED_STEM, "feeds a stream that gated branches read: half the size")
        elif add.position == 0:
            changed |= _stem(trace, add, entries, 1.0, "")
    return changed


def _last_scales(trace: Trace, add: ResidualAdd) -> tuple[str, ...]:
    """The weights of the norm that a branch ends in, where it does."""
    op = _back(trace, add.branch, ("shape", "dropout"))
    return op.weights if op is not None and op.kind == "norm" else ()


def _stem(trace: Trace, add: ResidualAdd, entries: dict[str, Entry], size: float, why: str) -> dict[str, Entry]:
    """What feeds the stream, scaled: matrices, embeddings, and positions as large as what they are added to."""
    changed = {}
    feeders = _feeders(trace, add.skip)
    tied = [slots for slots in feeders if slots.role == "embedding" and (slots.head or slots.uses > 1)]
    for slot in feeders:
        entry = entries.get(slot.name)
        if slot.role == "position" and slot.trainable:
            std = tied[0].shape[-1] ** -0.5 if tied else size
            changed[slot.name] = Entry(Normal(std), "positions: as large as what they are added to")
        elif entry is not None and slot.residual is None and slot not in tied and _free(slot):
            law = times(entry.distribution, size)
            if law is not None and size != 1:
                changed[slot.name] = replace(entry, distribution=law, reason=why)
    return changed


def _free(slot: Slot) -> bool:
    """Whether no other rule has set the size: matrices before a norm have theirs."""
    return slot.role == "embedding" or not slot.norm_after


def _feeders(trace: Trace, index: int) -> list[Slot]:
    """The matrices, embeddings and positions whose sum a signal is."""
    found: set[str] = set()
    todo, seen = [index], set()
    while todo:
        index = todo.pop()
        if index == INPUT or index in seen:
            continue
        seen.add(index)
        op = trace.ops[index]
        if op.kind in ("linear", "conv", "embedding", *ALONG, "add", "pointwise", "concat"):
            found |= set(op.weights)
        if op.kind in (*ALONG, "add", "pointwise", "concat"):
            todo.extend(op.inputs)
    return [s for s in trace.slots if s.name in found and s.role in ("weight", "embedding", "position")]


def _gated(trace: Trace, add: ResidualAdd, weights: "set[int | None]") -> bool:
    """Whether two different weights' outputs are multiplied on the branch."""
    first = min((i for i in weights if i is not None), default=add.add)
    for op in trace.ops[first : add.add]:
        if op.kind == "mul" and len(op.inputs) == 2:
            made = [_back(trace, i, (*ALONG, "pointwise", "mul")) for i in op.inputs]
            ends = {o.index for o in made if o is not None and o.index in weights}
            if len(ends) == 2:
                return True
    return False


def _back(trace: Trace, index: int, through: tuple[str, ...]) -> Op | None:
    """The op that made a signal, seen through ops of these kinds; None for the model's input."""
    for _ in range(32):
        if index == INPUT:
            return None
        op = trace.ops[index]
        if op.kind not in through or not op.inputs:
            return op
        index = op.inputs[0]
    return None
