"""Units of one layer are equal and stay equal.

What: several units of a layer have the same incoming weights (and bias), and the same gradients.

Why it hurts: equal units with equal gradients stay equal for ever. The layer is narrower than it looks, and a constant
layer has one unit.

How it was measured: rows of each weight (along its own output axis, bias included) are compared exactly, and so are their
gradients. Null hypothesis: two units drawn independently are never equal. Equality of values alone is no fault: a zero
head, zero last gammas, LoRA's B, identity tables and mirrored pairs (opposite, not equal) are healthy, and units whose
outgoing weights differ part at the first step. So a finding needs equal gradients, seen in the backward pass; for a layer
that is constant as a whole it needs the next weight to be constant too, because only then do its units get equal gradients.
One duplicated unit of 64 is found if its outgoing weights are duplicated as well; otherwise the check is silent at any size,
since training separates the units.

How to fix: draw the weight from a law with a deviation, such as He's.

Papers: Goodfellow, Bengio & Courville 2016, Deep Learning, section 8.4 (breaking symmetry).
"""

from collections.abc import Iterator

from fanin.checks.finding import Finding, Fix, Severity
from fanin.checks.judge import number
from fanin.distributions import Normal
from fanin.slots import Slot
from fanin.theory import Prediction
from fanin.theory.forward import WEIGHT_KINDS
from fanin.traces.records import Op, Trace

CODE = "FI101"
SLUG = "symmetric-units"
SEVERITY: Severity = "warning"
WHY = "Equal units with equal gradients stay equal for ever: the layer is narrower than it looks."


def check(trace: Trace, law: Prediction) -> Iterator[Finding]:
    """One finding a weight."""
    for slot in trace.slots:
        facts = trace.weights.get(slot.name)
        if facts is None or slot.role not in ("weight", "recurrent") or not slot.trainable or slot.axes is None:
            continue
        units = slot.axes.size("out")
        if facts.duplicate_units and facts.equal_gradients:
            i, j = facts.duplicate_units[0]
            message = (
                f"{facts.duplicate_count} of {units} units of {slot.name} equal another one, gradients included "
                f"(units {i} and {j})."
            )
            yield _finding(trace, slot, facts.duplicate_count, message, all_equal=facts.duplicate_count >= units - 1)
        elif facts.constant and facts.low != 0 and units > 1 and _stays_constant(trace, law, slot):
            message = f"All {units} units of {slot.name} are equal (every weight is {number(facts.low)}), and so is what follows."
            yield _finding(trace, slot, units - 1, message, all_equal=True)


def _finding(trace: Trace, slot: Slot, count: int, message: str, *, all_equal: bool) -> Finding:
    axes = slot.axes
    assert axes is not None
    gain = slot.activation.gain if slot.activation is not None else 1.0
    edits = {slot.name: Normal(min(gain, 10.0) / max(axes.fan_in, 1.0) ** 0.5)}
    return Finding(
        CODE,
        SLUG,
        "error" if all_equal else SEVERITY,
        (slot.name,),
        message,
        {"equal_units": float(count), "units": float(axes.size("out"))},
        {"equal_units": 0.0},
        WHY,
        Fix(
            "Draw the weight from a law with a deviation: here He's, with the gain of the activation that follows.",
            dict(edits),
        ),
    )


def _stays_constant(trace: Trace, law: Prediction, slot: Slot) -> bool:
    """Whether all weights that read this layer's units are constant, and its own bias too: then units get equal gradients."""
    if slot.head or slot.op_index is None or slot.parts is not None:
        return False
    own = [s for s in trace.slots if s.role == "bias" and s.weight == slot.name]
    if any(not trace.weights[s.name].constant for s in own if s.name in trace.weights):
        return False
    readers = list(_readers(trace, slot.op_index))
    if not readers:
        return False
    laws = [law.forward.weight_of(op) for op in readers]
    return all(w is not None and w.constant for w in laws)


def _readers(trace: Trace, index: int) -> Iterator[Op]:
    """The next weight ops; nothing where something else (an add, a norm with learned scales is fine) mixes in other units."""
    carrying = {index}
    for op in trace.ops[index + 1 :]:
        if not carrying & set(op.inputs):
            continue
        if op.kind in WEIGHT_KINDS:
            yield op
        elif op.kind in ("activation", "pointwise", "shape", "dropout", "pool", "norm"):
            carrying.add(op.index)
