"""A recurrent layer forgets within a few steps.

What: a recurrent net's state, or its gradient through time, falls by e⁶ long before the sequence is over.

Why it hurts: what happened more steps ago than that has no influence on the loss that gradient descent could use.

How it was measured: a simple recurrent net multiplies the gradient's square by χ = hidden · std² · E f'² a step (the
circular law: the weight's spectral radius is std · sqrt(hidden); an orthogonal one keeps it exactly); an LSTM's cell
keeps the square of its forget gate, sigmoid(b)², b the mean bias of that gate (its two vectors summed). The memory is
6 / |ln χ| steps, six scales as in FI201: for an LSTM 4.3 steps at b = 0, 9.6 at 1, 24 at 2. Null hypothesis: the
memory spans the batch's sequence. A trace tells neither how far back the task needs to look nor what training will do
with the gates, so the finding is `info`. Tolerance: three standard errors of the estimated std. Silent for orthogonal
or identity recurrent weights of gain 1, down to a radius of 0.9 for 40 steps, and for GRUs:
benchmarks/check_power.py.

How to fix: orthogonal (or identity, with ReLU) recurrent weights; an LSTM's forget bias at 1 or more, or chrono
biases.

Papers: Pascanu, Mikolov & Bengio 2013; Le, Jaitly & Hinton 2015; Gers, Schmidhuber & Cummins 2000; Jozefowicz et al.
2015.
"""

import math
from collections.abc import Iterator

from fanin.checks.finding import Finding, Fix, Severity
from fanin.checks.judge import DEPTH_SCALES, SIGMAS, number
from fanin.distributions import Distribution, Orthogonal
from fanin.slots import Slot
from fanin.theory import Prediction
from fanin.traces.records import Op, Trace, forget_bias

CODE = "FI603"
SLUG = "short-memory"
SEVERITY: Severity = "info"


def check(trace: Trace, law: Prediction) -> Iterator[Finding]:
    """One finding a recurrent weight."""
    for slot in trace.slots:
        weight = law.laws.get(slot.name)
        if slot.role != "recurrent" or slot.hidden <= 0 or weight is None or slot.op_index is None:
            continue
        op = trace.ops[slot.op_index]
        looped = slot.activation is not None and slot.residual is None and not (slot.norm_after or slot.norm_before)
        if op.kind != "recurrent" and not looped:
            continue  # a block that is shared in depth, such as ALBERT's: norms and residuals carry the signal
        steps = _steps(op, slot)
        if slot.parts == "lstm":
            log = _kept(op.facts.get(forget_bias(slot.name), math.nan))
            remedy = "Start the forget gate's bias at 1 or more (its mean is what counts), or use chrono biases."
            edits: dict[str, Distribution] = {}
        elif slot.parts is None:
            slope = slot.activation.slope if slot.activation is not None else 1.0
            power = slot.hidden * (weight.variance + weight.mean**2) * slope**2
            log = math.log(power) + SIGMAS * math.sqrt(weight.doubt) if power > 0 else -math.inf
            remedy = "Draw the recurrent weight orthogonal with gain 1."
            edits = {slot.name: Orthogonal(slot.axes, 1.0)} if slot.axes is not None and slot.trainable else {}
        else:
            continue
        memory = DEPTH_SCALES / -log if log < 0 else math.inf
        if memory < steps:
            yield Finding(
                CODE,
                SLUG,
                SEVERITY,
                (slot.name,),
                f"{slot.name} forgets within {number(memory)} steps, and the sequence has {number(steps)}.",
                {"memory": memory, "log_step": log},
                {"memory": steps},
                "What happened earlier than that has no influence on the loss that gradient descent could use.",
                Fix(remedy, edits),
            )


def _kept(bias: float) -> float:
    """ln of what an LSTM's cell keeps of its square in a step, sigmoid(bias)²; NaN where the bias is not known."""
    return -2 * math.log1p(math.exp(-bias)) if not bias < -700 else 2 * bias


def _steps(op: Op, slot: Slot) -> float:
    """How many steps the sequence has; NaN where the trace does not tell."""
    if op.kind != "recurrent" or op.name.endswith("_cell"):
        return float(slot.uses)
    return op.facts.get("steps", op.shape[1] if len(op.shape) == 3 else math.nan)
