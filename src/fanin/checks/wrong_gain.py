"""The weights' gain does not fit the activation that follows.

What: in a stretch without norms, fan_in · std² of a layer is not what its activation needs, by more than the layer's
share of what the whole stretch can bear. PyTorch's default is the common case: U(± 1 / sqrt(fan_in)) has a gain² of
1/3 where ReLU needs 2.

Why it hurts: each such layer shrinks or grows signal and gradient by the same factor; depth multiplies them. This
finding names the cause; FI201, FI202, FI301 and FI302 name what comes of it.

How it was measured: gain² = fan · std² for the fan in, the fan out or their mean, whichever fits best (all three are
rules in use). Null hypothesis: it lies between what keeps the second moment, 1 / E f(z)², what keeps gradients, 1 / E
f'(u)² at the predicted pre-activation, and the same for a small signal. Tolerance: the stretch bears six depth scales
(FI201), so one of its L layers bears |ln (gain² / needed)| = 6 / L; passed by 3 standard errors of the estimate.
Mirrored weights count as the half net that they are. `info` where the layers' deviations together stay under six, and
where other signals join. Heads, branches, layers before norms, and one layer that is alone in it are not judged.
Silent for PyTorch's default with ReLU up to 3 hidden layers, with tanh up to 5; at depth 20 from 0.86 to 1.15 times
the right gain: benchmarks/check_power.py.

How to fix: std = gain / sqrt(fan_in) with `fanin.gain(f)`, biases zero.

Papers: He et al. 2015; Glorot & Bengio 2010; Saxe, McClelland & Ganguli 2014; PyTorch issue 15314.
"""

import math
from collections.abc import Iterator

from fanin.checks import judge, wrong_fan
from fanin.checks.finding import Finding, Fix, Severity
from fanin.checks.judge import DEPTH_SCALES, SIGMAS, number
from fanin.theory import Prediction
from fanin.theory.gaussian import Odd, moments, rounded
from fanin.theory.path import Segment, Step
from fanin.traces.records import Trace

CODE = "FI402"
SLUG = "wrong-gain"
SEVERITY: Severity = "warning"
SMALL = 1e-4  # second moment of a small signal


def check(trace: Trace, law: Prediction) -> Iterator[Finding]:
    """One finding a segment that no norm ends."""
    for segment in law.segments:
        if segment.end == "output" and segment.judged:
            yield from _segment(trace, segment)


def _segment(trace: Trace, segment: Segment) -> Iterator[Finding]:
    share = DEPTH_SCALES / len(segment.judged)
    off: list[tuple[Step, float]] = []
    for step in segment.judged:
        if step.law.constant or wrong_fan.wrong_fan(trace, trace.slot(step.name)) is not None:
            continue
        effect = deviation(step)
        if abs(effect) - SIGMAS * math.sqrt(step.law.doubt) > share:
            off.append((step, effect))
    total = sum(effect for _, effect in off)
    if len(off) < 2:
        return  # one layer alone is a choice: it may bring a small signal up, or keep one where the activation is straight
    step, effect = max(off, key=lambda item: abs(item[1]))
    have, need = math.sqrt(step.law.power), math.sqrt(step.law.power) * math.exp(-effect / 2)
    edits = judge.critical_edits(trace, segment)
    names = judge.names(s for s, _ in off)
    biases = {s.name for s in trace.slots if s.role == "bias" and s.weight in names}
    if len(names) == 1:
        who = f"{step.name}, used {len(off)} times in a row, has the wrong gain: it has"
    else:
        who = f"{len(off)} of {len(segment.judged)} layers have the wrong gain for their activation: {step.name} has"
    meets, remedy = _meets(trace, step, need)
    yield Finding(
        CODE,
        SLUG,
        SEVERITY if abs(total) > DEPTH_SCALES and not segment.merged else "info",
        names,
        f"{who} {number(have)} (std · sqrt(fan_in)) and {meets}.",
        {"gain": have, "layers": float(len(off))},
        {"gain": need, "log_share": share, "log_total": total},
        "Each such layer shrinks or grows signal and gradient by the same factor, and depth multiplies them.",
        Fix(
            f"Draw with std = gain / sqrt(fan_in); {remedy}.",
            {n: d for n, d in edits.items() if n in names or n in biases},
        ),
    )


def _meets(trace: Trace, step: Step, need: float) -> tuple[str, str]:
    """What a weight's output meets, and which gain that asks for, in words: for the message and for the remedy."""
    if step.activation is not None:
        return (
            f"meets {step.activation}, which needs {number(need)}",
            f"the gain of {step.activation} is {number(need)}",
        )
    added = any(op.kind == "add" and step.op in op.inputs and len(op.inputs) > 1 for op in trace.ops[step.op + 1 :])
    place = "is added to another signal before any activation" if added else "meets no activation of its own"
    return f"{place}; {number(need)} keeps its signal", f"without an activation, {number(need)} keeps the signal"


def deviation(step: Step) -> float:
    """ln of gain² over the nearest gain² that suits the activation; 0 inside the range that does."""
    law, f = step.law, step.activation
    low = high = 1.0
    power = step.power / law.fan_in if law.fan_in > 0 else 0.0
    if f is not None:
        g = Odd(f, rounded(step.between.mean)) if step.between.paired else f
        second, small = moments(g, 0.0, 1.0).second, moments(g, 0.0, SMALL).slope2
        needs = [1 / x for x in (second, small, step.slope2) if x > 0]
        low, high = (min(needs), max(needs)) if needs else (1.0, 1.0)
    found = []
    for fan in (law.fan_in, law.fan_out, (law.fan_in + law.fan_out) / 2):
        gain = power * fan
        if gain <= 0:
            return -math.inf
        found.append(math.log(gain / low) if gain < low else math.log(gain / high) if gain > high else 0.0)
    return min(found, key=abs)
