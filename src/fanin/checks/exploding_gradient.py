"""The gradient grows on its way back.

What: along a stretch of layers without norms, the norm of the gradient at the pre-activations grows by more than e⁶
(in squares) from the last layer to the first: the net is in its chaotic phase.

Why it hurts: early layers get steps that are too large for them while late ones hardly move; nearby inputs are torn
apart, so that the net fits noise; training diverges at ordinary learning rates.

How it was measured: as in FI301, with the sum of ln χ, χ = fan_in σ² E f'(u)², against +6. The typical case is tanh
with weights that are too large: the signal is bounded and looks healthy, while χ > 1. Tolerance: six depth scales
(Schoenholz et al. 2017), passed by 3 deviations of the fluctuation between redraws, confirmed by the measured ratio.
An error beyond the element type's precision (e³² for float32). Residual adds are judged by FI601. Batch norm in every
layer explodes gradients mildly (Yang et al. 2019), trains, and is not judged. Silent up to 1.2 times He's gain a
layer (ReLU) and a gain of 2.5 (tanh) at depth 20 and width 128: benchmarks/check_power.py.

How to fix: smaller weights: gain / sqrt(fan_in) with the gain of the activation; orthogonal weights of gain 1 for
tanh.

Papers: Poole et al. 2016; Schoenholz et al. 2017; Hanin 2018; Yang et al. 2019 (batch norm).
"""

from collections.abc import Iterator

from fanin.checks import judge
from fanin.checks.finding import Finding, Fix, Severity
from fanin.checks.judge import DEPTH_SCALES, number
from fanin.checks.vanishing_gradient import measured_log
from fanin.theory import Prediction
from fanin.theory.prediction import gradient_log
from fanin.traces.records import Trace

CODE = "FI302"
SLUG = "exploding-gradient"
SEVERITY: Severity = "warning"


def check(trace: Trace, law: Prediction) -> Iterator[Finding]:
    """One finding a segment that no norm ends."""
    for segment in law.segments:
        if segment.end != "output" or segment.merged or len(segment.judged) < 2:
            continue
        log, measured = gradient_log(segment), measured_log(trace, segment)
        if not (judge.surely_above(log, DEPTH_SCALES) and judge.confirmed(measured, log.value)):
            continue
        first, last = segment.judged[0], segment.judged[-1]
        severity: Severity = "error" if judge.surely_above(log, -judge.precision(trace)) else SEVERITY
        yield Finding(
            CODE,
            SLUG,
            severity,
            judge.names(segment.judged),
            f"From {last.name} back to {first.name} ({len(segment.judged)} layers without norm), the gradient grows "
            f"{number(judge.factor(log.value))} times (measured {number(judge.factor(measured))}).",
            {"log_gradient": measured},
            {"log_gradient": log.value, "deviation": log.deviation, "threshold": DEPTH_SCALES},
            "Early layers get steps that are too large while late ones hardly move; training diverges at ordinary learning rates.",
            Fix(
                "Draw these weights smaller: the activation's gain over sqrt(fan_in), orthogonal with gain 1 for tanh.",
                judge.critical_edits(trace, segment),
            ),
        )
