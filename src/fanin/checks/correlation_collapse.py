"""All examples look alike after a few layers.

What: along a stretch of layers, the contrast between examples falls by more than e⁶ beside the signal itself:
examples become indistinguishable although the signal is as large as it should be. Where the contrast vanishes
outright, FI201 says so instead.

Why it hurts: the net's kernel between examples is nearly constant. Gradient descent learns the common part first and
what distinguishes the examples slower by the same factor.

How it was measured: the ratio of contrast to second moment, s / q (1 - correlation), is predicted from the weights'
laws through every activation by a two-dimensional Gaussian integral. Null hypothesis: ln of (s / q) over its value at
the start of the stretch is above -6. Only weights, biases and activations count; pooling, tokens and attention
average examples by design. Batch norm takes what is common away and starts a new stretch; layer norm starts one too.
Tolerance: six depth scales (Schoenholz et al. 2017), passed by 3 deviations of the fluctuation between redraws (which
for a ratio that is averaged over pairs is about (1 + 2 / pairs) / width a layer for ReLU); the measured contrast must
confirm. An error below the rounding of the element type. Silent for He-initialized ReLU (a power law, -3.5 at depth
30), and up to depth 7 of PyTorch's default before a layer norm: benchmarks/check_power.py.

How to fix: no random biases, orthogonal weights at small signal for tanh, mirrored pairs for ReLU and GELU, or batch
norm.

Papers: Poole et al. 2016; Schoenholz et al. 2017; Martens et al. 2021 (DKS); Hayou, Doucet & Rousseau 2019.
"""

import math
from collections.abc import Iterator

from fanin.checks import judge, vanishing_signal
from fanin.checks.finding import Finding, Fix, Severity
from fanin.checks.judge import DEPTH_SCALES, number
from fanin.theory import Prediction
from fanin.theory.prediction import forward_rows
from fanin.traces.records import Trace

CODE = "FI203"
SLUG = "correlation-collapse"
SEVERITY: Severity = "warning"


def check(trace: Trace, law: Prediction) -> Iterator[Finding]:
    """One finding a segment that FI201 does not report."""
    reported = [f.where[0] for f in vanishing_signal.check(trace, law)]
    for segment in law.segments:
        rows = forward_rows(segment)
        if not rows or rows[-1].step.name in reported:
            continue
        row = rows[-1]
        if not judge.surely_below(row.r, -DEPTH_SCALES):
            continue
        start, end = trace.ops[segment.steps[0].op].module_input, trace.ops[row.step.op].signal
        measured = math.nan
        if start is not None and end is not None and not segment.dropout:
            measured = judge.log_ratio(end.spread, start.spread) - judge.log_ratio(end.rms, start.rms)
        if not judge.confirmed(measured, row.r.value):
            continue
        severity: Severity = "error" if judge.surely_below(row.r, judge.precision(trace)) else SEVERITY
        yield Finding(
            CODE,
            SLUG,
            severity,
            (row.step.name, *judge.names(segment.judged[:-1])),
            f"Over {judge.counted(len(segment.judged), 'layer')}, what distinguishes the examples falls to "
            f"{number(judge.factor(row.r.value))} of its share in the signal "
            f"(measured {number(judge.factor(measured))}) up to {row.step.name}.",
            {"log_distinct": measured, "correlation": end.correlation if end is not None else math.nan},
            {"log_distinct": row.r.value, "deviation": row.r.deviation, "threshold": -DEPTH_SCALES},
            "Gradient descent learns what all examples share first, and what tells them apart slower by this factor.",
            Fix(
                "Set biases to zero, and draw mirrored orthogonal weights (`fanin.plan`) or add norms.",
                judge.critical_edits(trace, segment),
            ),
        )
