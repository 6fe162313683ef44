"""The input is not normalised.

What: the numbers that the first weight reads are far from unit size, have a mean that dwarfs what differs between
them, or are features of very different scales.

Why it hurts: rules for weights assume inputs of mean square 1. Otherwise the first layer's output is as far off, and
gradient descent is badly conditioned: its curvature along the mean (or the largest feature) exceeds the rest by the
square of the ratio, and the learning rate has to suit the largest.

How it was measured: mean square q, contrast s between examples, and largest over median deviation of the features, of
the measured input of the first weight op on the main path. Null hypothesis: |ln q|, ln (q / s) and ln of the squared
ratio of features all under 6: the same ratio of useful step sizes inside one net (e⁶, 400) that a stretch of layers
may have (FI201). Facts about this batch, so the tolerance is the batch's own: with fewer than 8 examples the contrast
is not judged. Inputs that meet a norm first, and tokens, are not judged. Silent for pixels in 0…1 and -1…1, for
deviations from 1/20 to 15, and for means up to 15 deviations: benchmarks/check_power.py.

How to fix: subtract the mean and divide by the deviation, per feature or channel, computed on the training data.

Papers: LeCun, Bottou, Orr & Müller 1998, Efficient BackProp, section 4.3.
"""

import math
from collections.abc import Iterator

from fanin.checks.finding import Finding, Fix, Severity
from fanin.checks.judge import DEPTH_SCALES, number
from fanin.theory import Prediction
from fanin.theory.forward import WEIGHT_KINDS
from fanin.theory.path import main_path
from fanin.traces.records import INPUT, InputFacts, Trace

CODE = "FI503"
SLUG = "input-not-normalised"
SEVERITY: Severity = "warning"
ENOUGH = 8  # examples


def check(trace: Trace, law: Prediction) -> Iterator[Finding]:
    """One finding for the input of the main path."""
    first = next((trace.ops[i] for i in main_path(trace) if trace.ops[i].kind not in ("shape", "dropout")), None)
    if (
        first is None
        or first.kind not in WEIGHT_KINDS
        or first.module_input is None
        or not _from_input(trace, first.index)
    ):
        return
    x = first.module_input
    if not (x.rms > 0 and math.isfinite(x.rms)):
        return
    measured = {"rms": x.rms, "spread": x.spread}
    size, faults = 2 * math.log(x.rms), []
    if abs(size) > DEPTH_SCALES:
        faults.append(f"its rms is {number(x.rms)}")
    if x.examples >= ENOUGH and x.spread > 0 and 2 * math.log(x.rms / x.spread) > DEPTH_SCALES:
        faults.append(f"its size ({number(x.rms)}) dwarfs what differs between examples ({number(x.spread)})")
    facts = _facts(trace)
    if facts is not None and facts.feature_spread > math.exp(DEPTH_SCALES / 2) and len(facts.shape) == 2:
        faults.append(f"its largest feature has {number(facts.feature_spread)} times the deviation of the median one")
        measured["feature_spread"] = facts.feature_spread
    if not faults:
        return
    yield Finding(
        CODE,
        SLUG,
        SEVERITY,
        (facts.name if facts is not None else "input", first.weights[0]),
        f"The input is not normalised: {' and '.join(faults)}.",
        measured,
        {"rms": 1.0, "threshold": math.exp(DEPTH_SCALES / 2)},
        "Rules for weights assume inputs of unit size; gradient descent has to suit its step to the largest direction.",
        Fix("Subtract the mean and divide by the deviation, per feature or channel, of the training data."),
    )


def _from_input(trace: Trace, index: int) -> bool:
    source = trace.ops[index].inputs[0] if trace.ops[index].inputs else INPUT
    while source != INPUT:
        if trace.ops[source].kind not in ("shape", "dropout") or not trace.ops[source].inputs:
            return False
        source = trace.ops[source].inputs[0]
    return True


def _facts(trace: Trace) -> InputFacts | None:
    floating = [f for f in trace.inputs if f.floating]
    return floating[0] if len(floating) == 1 else None
