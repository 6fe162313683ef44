"""What rules need to know of a weight beyond its own op: which part of an attention it makes, and which branch a scale ends.

The watched pass gives each weight the place of its own op. Where a model writes its attention out, query, key and value are three
equal linear layers: here the attention that they feed tells them apart. A fused projection whose heads lie outside of its three
blocks gets axes that say so. Scales that end a branch (a last norm, LayerScale) get the branch's place. One skip inside of a branch
(Mamba's D, around the scan) is no stream of its own: what it goes around keeps its place on the branch.
"""

from collections.abc import Iterator
from dataclasses import replace

from fanin.slots import Axes, Factor, ResidualPlace, Slot
from fanin.traces.records import INPUT, Made, Op, ResidualAdd, Trace

STEPS = 64  # at most so many ops are walked back
ALONG = (
    "shape",
    "pointwise",
    "concat",
    "add",
    "norm",
    "dropout",
    "reduce",
)  # rotary positions, norms of q and k, masks
END = ("shape", "dropout", "pointwise", "norm")  # between a branch's last weight and the add
PARTS = ("query", "key", "value")


def in_context(trace: Trace) -> dict[str, Slot]:
    """Slots by name, as rules see them."""
    slots = {slot.name: slot for slot in trace.slots}
    parts = attention_parts(trace)
    for name, part in parts.items():
        if slots[name].parts is None:
            slots[name] = replace(slots[name], parts=part)
    inside = _inside_branches(trace, slots)
    slots |= inside
    for add in trace.residuals:
        place = _place(slots, add)
        if place is not None and add.weights[-1] not in inside:
            for op in branch_end(trace, add):
                for name in op.weights:
                    if slots[name].role in ("norm_scale", "norm_shift", "scale"):
                        slots[name] = replace(slots[name], residual=place)
    for op in trace.ops:
        for name in op.weights:
            slot = slots[name]
            if slot.role == "weight" and slot.parts == "qkv" and slot.axes is not None:
                heads = _heads_outside(trace, op)
                slots[name] = replace(slot, axes=_by_head(slot.axes, heads)) if heads else slot
            elif slot.role == "norm_scale" and name in op.made:
                slots[name] = replace(slot, offset=_offset(op.made[name]))
    return slots


def _offset(steps: tuple[Made, ...]) -> float:
    """The number that is added to a weight, where nothing else is done with it before its op."""
    found = steps[0].affine if len(steps) == 1 else None
    return found[1] if found is not None and found[0] == found[2] == 1.0 else 0.0


def _inside_branches(trace: Trace, slots: dict[str, Slot]) -> dict[str, Slot]:
    """Slots that a lone skip inside of a branch goes around, with their place on that branch."""
    sets = [frozenset(add.weights) for add in trace.residuals]
    inside: dict[int, list[int]] = {}  # add → those that lie on its branch and on no smaller one
    for i, own in enumerate(sets):
        around = [k for k, other in enumerate(sets) if own and own < other]
        if around:
            inside.setdefault(min(around, key=lambda k: len(sets[k])), []).append(i)
    found: dict[str, Slot] = {}
    for outer, adds in inside.items():
        last = trace.residuals[outer].weights[-1]
        place = slots[last].residual
        if len(adds) == 1 and place is not None and last not in sets[adds[0]]:
            found |= {name: replace(slots[name], residual=replace(place, last=False)) for name in sets[adds[0]]}
    return found


def branch_end(trace: Trace, add: ResidualAdd) -> Iterator[Op]:
    """The ops between a branch's last weight and the add, backward, the weight's own op last."""
    index = add.branch
    for _ in range(STEPS):
        if index == INPUT:
            return
        op = trace.ops[index]
        yield op
        if op.kind not in END or not op.inputs:
            return
        index = op.inputs[0]


def _place(slots: dict[str, Slot], add: ResidualAdd) -> ResidualPlace | None:
    last = slots.get(add.weights[-1]) if add.weights else None
    return None if last is None else last.residual


def attention_parts(trace: Trace) -> dict[str, str]:
    """Weight → "query", "key" or "value", for linear layers of their own that feed an attention."""
    found: dict[str, set[str]] = {}
    roles_of = {slot.name: slot.role for slot in trace.slots}
    for op in trace.ops:
        own = [name for name in op.weights if roles_of[name] == "weight"]
        if op.name == "multi_head_attention_forward" and len(own) > len(
            PARTS
        ):  # in this order, the output projection after them
            for part, name in zip(PARTS, own, strict=False):
                found.setdefault(name, set()).add(part)
    for roles in _attentions(trace):
        for part, index in zip(PARTS, roles, strict=True):
            name = _producer(trace, index)
            if name is not None:
                found.setdefault(name, set()).add(part)
    return {name: parts.pop() for name, parts in found.items() if len(parts) == 1}


def _attentions(trace: Trace) -> Iterator[tuple[int, int, int]]:
    """The ops whose outputs are query, key and value: of fused calls, and of softmax(q k) v written out."""
    for op in trace.ops:
        if op.kind == "attention" and op.name == "scaled_dot_product_attention" and len(op.inputs) >= 3:
            yield op.inputs[0], op.inputs[1], op.inputs[2]
        elif op.kind == "matmul" and len(op.inputs) == 2:
            softmax = _back_to(trace, op.inputs[0], "softmax")
            logits = _back_to(trace, softmax.inputs[0], "matmul") if softmax is not None and softmax.inputs else None
            if logits is not None and len(logits.inputs) == 2:
                yield logits.inputs[0], logits.inputs[1], op.inputs[1]


def _back_to(trace: Trace, index: int, kind: str) -> Op | None:
    """The nearest op of this kind behind shape-only and elementwise ops."""
    for _ in range(STEPS):
        if index == INPUT:
            return None
        op = trace.ops[index]
        if op.kind == kind:
            return op
        if op.kind not in ALONG or not op.inputs:
            return None
        index = op.inputs[0]
    return None


def _producer(trace: Trace, index: int) -> str | None:
    """The weight of the linear op that a signal comes from."""
    roles = {slot.name: slot.role for slot in trace.slots}
    op = _back_to(trace, index, "linear")
    return next((name for name in op.weights if roles[name] == "weight"), None) if op is not None else None


def _heads_outside(trace: Trace, op: Op) -> int:
    """Heads of a fused projection that is cut into heads first and into q, k and v then; 0 where it is the other way round."""
    view = next((o for o in trace.ops[op.index + 1 :] if op.index in o.inputs), None)
    if view is None or view.kind != "shape" or not op.shape:
        return 0
    tail = view.shape[len(op.shape) - 1 :]
    if len(tail) == 3 and tail[1] == 3 and tail[0] * 3 * tail[2] == op.shape[-1]:
        return tail[0]
    if len(tail) == 2 and tail[1] % 3 == 0 and tail[0] * tail[1] == op.shape[-1]:
        index, last = view.index, view
        while last.kind == "shape" and last.shape[-1] == tail[1]:
            after = next((o for o in trace.ops[index + 1 :] if index in o.inputs), None)
            if after is None:
                return 0
            index, last = after.index, after
        return tail[0] if last.kind == "shape" and last.shape[-1] == tail[1] // 3 else 0
    return 0


def _by_head(axes: Axes, heads: int) -> Axes:
    """Axes "(s3o)" of three blocks as "(o s3 o)": heads, each with a query, a key and a value."""

    def cut(axis: tuple[Factor, ...]) -> tuple[Factor, ...]:
        if len(axis) == 2 and axis[0] == Factor("stack", 3) and axis[1].size % heads == 0:
            return (Factor("out", heads), axis[0], Factor("out", axis[1].size // heads))
        return axis

    return replace(axes, factors=tuple(cut(axis) for axis in axes.factors))
