"""The residual stream grows exponentially with depth.

What: residual adds whose branches have no norm multiply the stream's second moment, together by more than e⁶.

Why it hurts: without a norm, a branch is proportional to the stream, so that each add multiplies it, x + F(x) with He
weights by two: forward signal and gradient both grow like 2ᵈᵉᵖᵗʰ, and the loss starts far off.

How it was measured: second moments of stream and branch are predicted from the weights' laws; ln (q_sum / q_skip) is
summed over the adds of one stretch of the main path whose branches hold no norm, attention or other op that sets a
scale of its own. Null hypothesis: the sum is under 6, six depth scales as in FI201. Branches behind a norm add the
same amount each time, so that the stream grows like the depth, not exponentially: healthy, and not counted; nor are
zero or small branches (ReZero, SkipInit, LayerScale), which give ln 1. Tolerance: three deviations of the fluctuation
between redraws; the measured growth has to confirm. Silent up to 10 blocks that double the stream at width 128, and
for branches scaled by 1 / sqrt(depth) at any depth: benchmarks/check_power.py.

How to fix: scale the last weight of each branch by 1 / sqrt(number of branches) or start it at zero; or put a norm on
the branch.

Papers: Zhang, Dauphin & Ma 2019 (Fixup); De & Smith 2020 (SkipInit); Hanin & Rolnick 2018; Hayou et al. 2021 (Stable
ResNet).
"""

import math
from collections.abc import Iterator

from fanin.checks import judge
from fanin.checks.finding import Finding, Fix, Severity
from fanin.checks.judge import DEPTH_SCALES, number
from fanin.distributions import Constant, Distribution, Normal
from fanin.theory import Prediction
from fanin.theory.path import Growth
from fanin.theory.prediction import Log
from fanin.traces.records import INPUT, Op, Trace

CODE = "FI601"
SLUG = "residual-growth"
SEVERITY: Severity = "warning"


def check(trace: Trace, law: Prediction) -> Iterator[Finding]:
    """One finding a stream."""
    for segment in law.segments:
        adds = [g for g in segment.adds if not g.normed]
        if segment.end == "norm" or not adds:
            continue
        log = Log(sum(g.log for g in adds), sum(g.variance for g in adds))
        measured = _measured(trace, adds)
        if judge.surely_above(log, DEPTH_SCALES) and judge.confirmed(measured, log.value):
            yield _finding(trace, law, adds, log, measured)


def _finding(trace: Trace, law: Prediction, adds: list[Growth], log: Log, measured: float) -> Finding:
    last = [g.add.weights[-1] for g in adds if g.add.weights]
    weights = [n for n in last if n in law.laws and trace.slot(n).role == "weight" and trace.slot(n).trainable]
    edits: dict[str, Distribution] = {}
    for name in weights:
        w = law.laws[name]
        edits[name] = Normal(math.sqrt(w.variance / len(adds))) if w.variance > 0 else Constant(0.0)
    each = math.exp(log.value / len(adds))
    return Finding(
        CODE,
        SLUG,
        "error" if judge.surely_above(log, -judge.precision(trace)) else SEVERITY,
        tuple(weights) or tuple(last[:1]) or (trace.ops[adds[0].add.add].module or "residual",),
        f"{len(adds)} residual adds without a norm multiply the stream's power by {number(each)} each: "
        f"its rms grows {number(judge.factor(log.value))} times (measured {number(judge.factor(measured))}).",
        {"log_growth": measured},
        {"log_growth": log.value, "deviation": log.deviation, "threshold": DEPTH_SCALES},
        "Signal and gradient grow exponentially with depth, and the loss starts far off.",
        Fix(
            "Divide the last weight of each branch by the square root of the number of branches, or start it at zero.",
            edits,
        ),
    )


def _measured(trace: Trace, adds: list[Growth]) -> float:
    total = 0.0
    for g in adds:
        after = _signal(trace, g.add.add)
        before = _signal(trace, g.add.skip)
        if after is None or before is None:
            return math.nan
        total += judge.log_ratio(after, before)
    return total


def _signal(trace: Trace, index: int) -> float | None:
    while index != INPUT:
        op: Op = trace.ops[index]
        if op.signal is not None:
            return op.signal.rms
        index = op.inputs[0] if op.inputs else INPUT
    return None
