"""Units of one layer are equal and stay equal.

What: several units of a layer have the same incoming weights (and bias), and the same gradients.

Why it hurts: equal units with equal gradients stay equal for ever. The layer is narrower than it looks, and a
constant layer has one unit.

How it was measured: rows of each weight (along its own output axis, bias included) are compared exactly, and so are
their gradients. Null hypothesis: two units drawn independently are never equal. Equality of values alone is no fault:
a zero head, zero last gammas, LoRA's B, identity tables and mirrored pairs (opposite, not equal) are healthy, and
units whose outgoing weights differ part at the first step. So a finding needs equal gradients, seen in the backward
pass; for a layer that is constant as a whole it needs the next weight to be constant too, because only then do its
units get equal gradients. One duplicated unit of 64 is found if its outgoing weights are duplicated as well;
otherwise the check is silent at any size, since training separates the units.

How to fix: draw the weight from a law with a deviation, such as He's.

Papers: Goodfellow, Bengio & Courville 2016, Deep Learning, section 8.4 (breaking symmetry).
"""

from collections.abc import Iterator

from fanin.checks.finding import Finding, Fix, Severity
from fanin.checks.judge import number
from fanin.distributions import Distribution, Normal
from fanin.slots import Slot
from fanin.theory import Prediction
from fanin.theory.forward import WEIGHT_KINDS
from fanin.traces.records import Op, Trace

CODE = "FI101"
SLUG = "symmetric-units"
SEVERITY: Severity = "warning"
WHY = "Equal units with equal gradients stay equal for ever: the layer is narrower than it looks."


def check(trace: Trace, law: Prediction) -> Iterator[Finding]:
    """One finding for all such weights."""
    found: list[tuple[Slot, int, str]] = []
    for slot in trace.slots:
        facts = trace.weights.get(slot.name)
        if facts is None or slot.role not in ("weight", "recurrent") or not slot.trainable or slot.axes is None:
            continue
        units = slot.axes.size("out")
        if facts.duplicate_units and facts.equal_gradients:
            i, j = facts.duplicate_units[0]
            said = f"{facts.duplicate_count} of {units} units of {slot.name} equal another one, gradients included ({i} and {j})"
            found.append((slot, facts.duplicate_count, said))
        elif facts.constant and facts.low != 0 and units > 1 and _stays_constant(trace, law, slot):
            said = f"all {units} units of {slot.name} are equal (every weight is {number(facts.low)}), and so is what follows"
            found.append((slot, units - 1, said))
    if not found:
        return
    slot, count, said = max(found, key=lambda f: f[1] / f[0].axes.size("out") if f[0].axes else 0.0)
    units = slot.axes.size("out") if slot.axes is not None else 1
    names = tuple(dict.fromkeys((slot.name, *(f[0].name for f in found))))
    more = f"; the same of {len(names) - 1} more weights" if len(names) > 1 else ""
    yield Finding(
        CODE,
        SLUG,
        "error" if count >= units - 1 else SEVERITY,
        names,
        f"{said[0].upper()}{said[1:]}{more}.",
        {"equal_units": float(count), "units": float(units), "weights": float(len(names))},
        {"equal_units": 0.0},
        WHY,
        Fix(
            "Draw the weight from a law with a deviation: here He's, with the gain of the activation that follows.",
            {f[0].name: _broken(f[0]) for f in found},
        ),
    )


def _broken(slot: Slot) -> Distribution:
    gain = slot.activation.gain if slot.activation is not None else 1.0
    return Normal(min(gain, 10.0) / max(slot.axes.fan_in if slot.axes else 1.0, 1.0) ** 0.5)


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
