"""What distinguishes the inputs dies out on its way forward.

What: along a stretch of layers without norms, the contrast between examples, s = ½ E[(x_a - x_b)²] over units and
pairs of examples, falls by more than e⁶. The rms may look healthy all the while: random biases keep it alive, and say
nothing.

Why it hurts: the output hardly depends on the input. Gradients with respect to the weights are small by the same
factor; plain gradient descent needs a learning rate as much larger, or waits on a plateau.

How it was measured: each weight's law is estimated from its numbers, and the contrast is predicted layer by layer, s'
= fan_in σ² · ½ E[(f(u) - f(v))²] over Gaussian pairs (u, v), from the measured input on. Null hypothesis: at every
layer of the main path (along the stream of residual nets, never inside a branch; the head left out, unless it makes
up for it) ln (s / s_0) + ln max(1, q_0) > -6, q_0 the mean square at the start. Tolerance: six depth scales, 6 ξ_c,
are about as far as wide nets were found trainable (Schoenholz et al. 2017; again in Stamatescu et al. 2020, section
5.2). The prediction must pass the threshold by 3 deviations of its fluctuation between redraws, about 5 / width a
layer for ReLU, and the measured contrast must have gone at least half as far. It is an error where the contrast falls
below the rounding of the element type (e⁻³² for float32): on digits, Adam too stays at chance there
(benchmarks/check_thresholds.py). Dropout's noise is not counted as contrast. Silent down to 0.86 of He's gain a layer
at depth 20 and width 128, and up to depth 3 (ReLU) and 5 (tanh) of PyTorch's default: benchmarks/check_power.py.

How to fix: weights of deviation gain / sqrt(fan_in) with the gain of the activation and zero biases, orthogonal
weights for tanh, mirrored orthogonal ones for the ReLU family at great depth, or norms.

Papers: Schoenholz, Gilmer, Ganguli & Sohl-Dickstein 2017, Deep Information Propagation; He et al. 2015; Hanin & Nica
2020.
"""

import math
from collections.abc import Iterator

from fanin.checks import judge
from fanin.checks.finding import Finding, Fix, Severity
from fanin.checks.judge import DEPTH_SCALES, number
from fanin.theory import Prediction
from fanin.theory.path import Segment
from fanin.theory.prediction import Log, Row, forward_rows
from fanin.traces.records import Trace

CODE = "FI201"
SLUG = "vanishing-forward-signal"
SEVERITY: Severity = "warning"


def check(trace: Trace, law: Prediction) -> Iterator[Finding]:
    """One finding a segment that no norm ends."""
    for segment in law.segments:
        found = worst(segment)
        if found is not None and segment.end == "output":
            finding = _finding(trace, segment, *found)
            if finding is not None:
                yield finding


def worst(segment: Segment) -> tuple[Row, Log] | None:
    """The deepest judged layer and the contrast that reaches it (or the head's output, where the head makes up for it)."""
    rows = forward_rows(segment)
    if not rows or len(segment.judged) < 1:
        return None
    last = rows[-1]
    # What the last activation or the head makes up for is not lost: sin(30 u) wants small u, a large head small features.
    here, after = last.step.between.distinct, [last.step.behind, *(s.between for s in segment.steps if s.head)]
    lift = max((math.log(y.distinct / here) for y in after if y.distinct > 0 and here > 0), default=0.0)
    # A large input has to be brought down to unit size, its mean along with the rest: only what falls below that is lost
    # here. Where the mean dwarfs what differs between examples, FI503 says so.
    lift = max(lift, 0.0) + math.log(max(segment.start.q, 1.0))
    return last, Log(last.s.value + lift, last.s.variance)


def _finding(trace: Trace, segment: Segment, row: Row, log: Log) -> Finding | None:
    if not judge.surely_below(log, -DEPTH_SCALES):
        return None
    start, end = trace.ops[segment.steps[0].op].module_input, trace.ops[row.step.op].signal
    measured = judge.log_ratio(end.spread, start.spread) if start is not None and end is not None else math.nan
    if not segment.dropout and not judge.confirmed(measured, log.value):
        return None
    layers = len(segment.judged)
    rms = end.rms if end is not None else math.nan
    alive = ""
    if end is not None and end.spread < 0.05 * end.rms:
        common = start is not None and start.spread < 0.05 * start.rms
        source = "what all examples have in common keeps" if common else "biases keep"
        alive = f" The rms ({number(rms)}) hides it: {source} it alive."
    severity: Severity = "error" if judge.surely_below(log, judge.precision(trace)) else SEVERITY
    return Finding(
        CODE,
        SLUG,
        severity,
        (row.step.name, *judge.names(segment.judged[:-1])),
        f"Over {judge.counted(layers, 'layer')} without norm, what distinguishes the inputs shrinks by {number(judge.factor(log.value))} "
        f"(measured {number(judge.factor(measured))}) up to {row.step.name}.{alive}",
        {"log_contrast": measured, "spread": end.spread if end is not None else math.nan, "rms": rms},
        {"log_contrast": log.value, "deviation": log.deviation, "threshold": -DEPTH_SCALES},
        "The output hardly depends on the input, and gradients shrink with it: training waits on a plateau or never begins.",
        Fix(
            "Draw these weights with the gain of their activation over sqrt(fan_in) and set biases to zero "
            "(mirrored orthogonal weights, which `fanin.plan` draws, hold at any depth).",
            judge.critical_edits(trace, segment),
        ),
    )
