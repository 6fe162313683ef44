"""Two weights that follow each other are both zero: neither can ever move.

What: a weight is zero, so that nothing comes out of it, and a later one that reads only what comes out of it is zero
too.

Why it hurts: the gradient of each is a product with the other, exactly zero, now and after every step. The pair is
dead, and so is everything that is reached through it only.

How it was measured: all numbers of both weights are zero, both have a gradient of exactly zero, the later one reads a
signal that is exactly zero, and every way from the first to the output leads through the later one. One zero weight
is healthy and common (zero heads, zero last gammas, ReZero, Fixup, LoRA's B): it has a gradient, or gets one once
what follows has moved. These are facts without tolerance; the check needs a backward pass and is silent without one.

How to fix: draw one of the two from a law with a deviation; leave the other at zero if the branch is to start at
zero.

Papers: Zhang, Dauphin & Ma 2019 (Fixup: one zero weight a branch); Hu et al. 2021 (LoRA: A random, B zero).
"""

import math
from collections.abc import Iterator

from fanin.checks.finding import Finding, Fix, Severity
from fanin.distributions import Distribution, Normal
from fanin.slots import Slot
from fanin.theory import Prediction
from fanin.theory.path import main_path
from fanin.traces.records import INPUT, Op, Trace

CODE = "FI303"
SLUG = "dead-pair"
SEVERITY: Severity = "warning"


def check(trace: Trace, law: Prediction) -> Iterator[Finding]:
    """One finding for all pairs."""
    if trace.backward == "none":
        return
    still = [s for s in trace.slots if _zero_and_still(trace, s)]
    path = set(main_path(trace)) if still else set()
    taken: set[str] = set()
    pairs: list[tuple[Slot, Slot, bool]] = []
    for late in still:
        op = trace.ops[late.op_index or 0]
        if late.name in taken or not _reads_zero(trace, op):
            continue
        for early in still:
            if (
                early.name != late.name
                and early.name not in taken
                and _only_through(trace, early.op_index or 0, op.index)
            ):
                taken |= {early.name, late.name}
                pairs.append((early, late, op.index in path))
                break
    if pairs:
        yield _finding(pairs)


def _zero_and_still(trace: Trace, slot: Slot) -> bool:
    facts = trace.weights.get(slot.name)
    weighs = (
        slot.role in ("weight", "recurrent", "norm_scale", "scale") and slot.trainable and slot.op_index is not None
    )
    return weighs and facts is not None and facts.constant and facts.low == 0.0 and facts.grad_rms == 0.0


def _reads_zero(trace: Trace, op: Op) -> bool:
    if op.module_input is not None:
        return op.module_input.rms == 0.0
    source = op.inputs[0] if op.inputs else INPUT
    while source != INPUT:
        before = trace.ops[source]
        if before.signal is not None:
            return before.signal.rms == 0.0
        source = before.inputs[0] if before.inputs else INPUT
    return False


def _only_through(trace: Trace, early: int, late: int) -> bool:
    """Whether `late` comes after `early` and every way from `early` to an output leads through `late`."""
    reached, around = {early}, {early}
    for op in trace.ops[early + 1 :]:
        if reached & set(op.inputs):
            reached.add(op.index)
        if around & set(op.inputs) and op.index != late:
            around.add(op.index)
    ends = set(trace.outputs) | ({trace.loss.op} if trace.loss is not None else set())
    return late in reached and late != early and not around & ends


def _finding(pairs: list[tuple[Slot, Slot, bool]]) -> Finding:
    edits: dict[str, Distribution] = {}
    for early, _, _ in pairs:
        if early.axes is not None and early.role in ("weight", "recurrent"):
            gain = early.activation.gain if early.activation is not None else 1.0
            edits[early.name] = Normal(min(gain, 10.0) / math.sqrt(max(early.axes.fan_in, 1.0)))
    early, late, _ = pairs[0]
    more = f" (and {len(pairs) - 1} more such pairs)" if len(pairs) > 1 else ""
    return Finding(
        CODE,
        SLUG,
        "error" if any(main for _, _, main in pairs) else SEVERITY,
        tuple(s.name for pair in pairs for s in pair[:2]),
        f"{early.name} and {late.name} are both zero, and each gets its gradient through the other: neither can move{more}.",
        {"gradient": 0.0, "pairs": float(len(pairs))},
        {},
        "The gradient of each is a product with the other: zero now and after every step.",
        Fix(f"Draw {early.name} from a law with a deviation; {late.name} may stay zero.", edits),
    )
