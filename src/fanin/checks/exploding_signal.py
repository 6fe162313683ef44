"""The signal grows from layer to layer.

What: along a stretch of layers without norms, the second moment of the signal grows by more than e⁶.

Why it hurts: logits are huge and the loss starts far above chance; the largest stable learning rate shrinks by the
same factor, so that training diverges or crawls.

How it was measured: the second moment is predicted from the weights' laws, q' = fan_in σ² E f(u)² + σ_b², from the
measured input on. Null hypothesis: ln (q / max(q_0, 1)) < 6 at every layer of the main path; growth by residual adds
belongs to FI601. Tolerance: the same six depth scales as in FI201, here read as the ratio of useful step sizes inside
one net; the prediction must pass by 3 deviations of its fluctuation between redraws, and the measured signal must
have gone half as far. It is an error where the gain is beyond the element type's precision (e³² for float32), because
a stable step is then below rounding. Silent up to 1.2 times He's gain a layer at depth 20 and width 128:
benchmarks/check_power.py.

How to fix: weights of deviation gain / sqrt(fan_in), with the gain of the activation that follows; or norms.

Papers: He et al. 2015; Schoenholz et al. 2017; Hanin & Rolnick 2018, How to Start Training.
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

CODE = "FI202"
SLUG = "exploding-forward-signal"
SEVERITY: Severity = "warning"


def check(trace: Trace, law: Prediction) -> Iterator[Finding]:
    """One finding a segment that no norm ends."""
    for segment in law.segments:
        rows = forward_rows(segment)
        if not rows or segment.end != "output":
            continue
        row = max(rows, key=lambda r: r.q.value)
        # A small signal may be brought up to unit size: only what grows beyond the larger of the two explodes.
        above = Log(row.q.value + min(math.log(segment.start.q), 0.0), row.q.variance)
        if judge.surely_above(above, DEPTH_SCALES):
            finding = _finding(trace, segment, row)
            if finding is not None:
                yield finding


def _finding(trace: Trace, segment: Segment, row: Row) -> Finding | None:
    start, end = trace.ops[segment.steps[0].op].module_input, trace.ops[row.step.op].signal
    measured = judge.log_ratio(end.rms, start.rms) if start is not None and end is not None else math.nan
    if not judge.confirmed(measured, row.q.value):
        return None
    severity: Severity = "error" if judge.surely_above(row.q, -judge.precision(trace)) else SEVERITY
    layers = segment.judged.index(row.step) + 1
    return Finding(
        CODE,
        SLUG,
        severity,
        (row.step.name, *(n for n in judge.names(segment.judged) if n != row.step.name)),
        f"Over {judge.counted(layers, 'layer')} without norm, the signal grows {number(judge.factor(row.q.value))} times "
        f"(measured {number(judge.factor(measured))}) up to {row.step.name}.",
        {"log_power": measured, "rms": end.rms if end is not None else math.nan},
        {"log_power": row.q.value, "deviation": row.q.deviation, "threshold": DEPTH_SCALES},
        "The loss starts far above chance, and a learning rate that this net bears is too small for it to learn.",
        Fix(
            "Draw these weights with the gain of their activation over sqrt(fan_in).",
            judge.critical_edits(trace, segment),
        ),
    )
