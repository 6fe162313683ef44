"""The gradient dies out on its way back.

What: along a stretch of layers without norms, the norm of the gradient at the pre-activations falls by more than e⁶
(in squares) from the last layer to the first.

Why it hurts: early layers learn slower than late ones by that factor. Plain gradient descent leaves them as they were
drawn; Adam rescales each weight, but its gradients are then mostly rounding and noise.

How it was measured: ‖gradient‖² changes by χ = fan_in σ² E f'(u)² a layer, with the pre-activation's predicted law.
Null hypothesis: the sum of ln χ over the layers is above -6. Norms of whole gradients are compared, not elements, so
that layers that widen or narrow do not count. It is a ratio inside one stretch: a gradient that is zero or small
everywhere (zero heads, ReZero, LayerScale, LoRA) is healthy and not seen here, and branches of residual nets are not
judged, nor stretches that end in a norm. Tolerance: six depth scales (Schoenholz et al. 2017: the depth scale of
gradients is 1 / |ln χ|), passed by 3 deviations of the fluctuation between redraws (5 / width a layer for ReLU, Hanin
& Nica 2020); the measured ratio must have gone half as far. An error below the element type's precision (e⁻³² for
float32). Silent down to 0.80 of He's gain a layer at depth 20 and width 128: benchmarks/check_power.py.

How to fix: weights of deviation gain / sqrt(fan_in), or orthogonal or mirrored ones, so that χ is 1; or norms.

Papers: Schoenholz et al. 2017; Glorot & Bengio 2010; Hanin & Nica 2020.
"""

import math
from collections.abc import Iterator

from fanin.checks import judge
from fanin.checks.finding import Finding, Fix, Severity
from fanin.checks.judge import DEPTH_SCALES, number
from fanin.theory import Prediction
from fanin.theory.path import Segment
from fanin.theory.prediction import Log, gradient_log
from fanin.traces.records import Trace

CODE = "FI301"
SLUG = "vanishing-gradient"
SEVERITY: Severity = "warning"


def check(trace: Trace, law: Prediction) -> Iterator[Finding]:
    """One finding a segment that no norm ends."""
    for segment in law.segments:
        if segment.end != "output" or segment.merged or len(segment.judged) < 2:
            continue
        log = gradient_log(segment)
        measured = measured_log(trace, segment)
        if judge.surely_below(log, -DEPTH_SCALES) and judge.confirmed(measured, log.value):
            yield _finding(trace, segment, log, measured)


def measured_log(trace: Trace, segment: Segment) -> float:
    """ln of the measured ratio of squared gradient norms, first over last judged pre-activation."""
    first, last = (trace.ops[s.op] for s in (segment.judged[0], segment.judged[-1]))
    if first.signal is None or last.signal is None:
        return math.nan
    sizes = math.log(max(math.prod(first.shape), 1) / max(math.prod(last.shape), 1))
    return judge.log_ratio(first.signal.grad_rms, last.signal.grad_rms) + sizes


def _finding(trace: Trace, segment: Segment, log: Log, measured: float) -> Finding:
    first, last = segment.judged[0], segment.judged[-1]
    severity: Severity = "error" if judge.surely_below(log, judge.precision(trace)) else SEVERITY
    return Finding(
        CODE,
        SLUG,
        severity,
        judge.names(segment.judged),
        f"From {last.name} back to {first.name} ({len(segment.judged)} layers without norm), the gradient shrinks by "
        f"{number(judge.factor(log.value))} (measured {number(judge.factor(measured))}).",
        {"log_gradient": measured},
        {"log_gradient": log.value, "deviation": log.deviation, "threshold": -DEPTH_SCALES},
        "Early layers learn slower than late ones by this factor: they stay as they were drawn.",
        Fix(
            "Draw these weights so that fan_in · std² · E f'² is 1 a layer: the activation's gain over sqrt(fan_in), "
            "or orthogonal weights.",
            judge.critical_edits(trace, segment),
        ),
    )
