"""Most units sit in the flat part of their activation.

What: behind tanh, sigmoid or another bounded activation, more than half of the units are where the slope is under 5 %
of its largest.

Why it hurts: a flat unit passes under 0.25 % of a gradient's power. The median unit does not learn, and stacked
layers multiply the loss.

How it was measured: the pre-activation is Gaussian with the second moment that the weights' laws predict from the
measured input; the fraction is the chance that the slope there is under 5 % of its maximum. Null hypothesis: under
one half, that is the typical unit is not flat. Tolerance: the prediction has to pass one half also when the second
moment is 3 deviations smaller, and the measured fraction has to be at least one half of the predicted. Gates (whose
output multiplies another signal) and output activations are not judged: they may be shut on purpose. Silent for tanh
up to a gain of 4 at width 64 (a pre-activation of deviation 3.2 is the threshold): benchmarks/check_power.py.

How to fix: smaller weights: 1 / (f'(0) sqrt(fan_in)), orthogonal where the net is deep; or a norm before the
activation.

Papers: Glorot & Bengio 2010; LeCun, Bottou, Orr & Müller 1998, Efficient BackProp.
"""

import functools
import math
from collections.abc import Iterator

import numpy as np

from fanin.activations import Activation
from fanin.checks import judge
from fanin.checks.finding import Finding, Fix, Severity
from fanin.checks.judge import SIGMAS, number
from fanin.distributions import Distribution
from fanin.theory import Prediction
from fanin.theory.forward import WEIGHT_KINDS
from fanin.theory.path import Step
from fanin.traces.records import INPUT, Trace

CODE = "FI206"
SLUG = "saturated-units"
SEVERITY: Severity = "warning"
FLAT = 0.05  # of the largest slope
LIMIT = 0.5


def check(trace: Trace, law: Prediction) -> Iterator[Finding]:
    """One finding for all such layers."""
    found: list[tuple[str, float, float, float, Activation]] = []
    for op, f, base in law.forward.activations:
        if not bounded(f) or not _feeds_a_weight(trace, op.index):
            continue
        u, weight = law.states[base], _weight_before(trace, law, base)
        if u is None or weight is None:
            continue
        least = flat_fraction(f, u.mean, u.variance * math.exp(-SIGMAS * math.sqrt(u.var_q)))
        predicted = flat_fraction(f, u.mean, u.variance)
        measured = op.signal.saturated if op.signal is not None else math.nan
        if least > LIMIT and not measured < predicted / 2:
            found.append((weight, predicted, measured, math.sqrt(u.variance), f))
    if not found:
        return
    weight, predicted, measured, size, activation = max(found, key=lambda f: f[1])
    names = tuple(dict.fromkeys((weight, *(f[0] for f in found))))
    steps = [s for segment in law.segments for s in segment.steps if s.name in names]
    more = f", and most units of {len(names) - 1} more layers" if len(names) > 1 else ""
    seen = f" (measured {number(100 * measured)} %)" if math.isfinite(measured) else ""
    yield Finding(
        CODE,
        SLUG,
        SEVERITY,
        names,
        f"{number(100 * predicted)} % of the units behind {weight}{more} are in the flat part of {activation}{seen}: "
        f"its input has deviation {number(size)}.",
        {"saturated": measured, "layers": float(len(names))},
        {"saturated": predicted, "limit": LIMIT, "deviation": size},
        "A flat unit passes almost no gradient: the typical unit does not learn.",
        Fix("Draw the weights smaller: 1 / (f'(0) sqrt(fan_in)).", _edits(trace, steps)),
    )


@functools.lru_cache(maxsize=256)
def bounded(f: Activation) -> bool:
    """Whether f is flat at both ends and steep in the middle (tanh, sigmoid; not ReLU6)."""
    ends = f(np.array([-60.0, -50.0, 50.0, 60.0]))
    middle, largest = float(_slopes(f, np.zeros(1))[0]), float(_slopes(f, np.linspace(-8, 8, 1601)).max())
    return abs(ends[0] - ends[1]) < 1e-6 and abs(ends[2] - ends[3]) < 1e-6 and middle > 0.6 * largest


def flat_fraction(f: Activation, mean: float, variance: float) -> float:
    """Chance that the slope of f at z ~ N(mean, variance) is under 5 % of its largest."""
    z = np.linspace(-8, 8, 4001)
    weight = np.exp(-0.5 * z**2)
    largest = float(_slopes(f, np.linspace(-8, 8, 1601)).max())
    flat = _slopes(f, mean + math.sqrt(max(variance, 0.0)) * z) < FLAT * largest
    return float((weight * flat).sum() / weight.sum())


def _slopes(f: Activation, z: np.ndarray) -> np.ndarray:
    return np.abs(f(z + 1e-3) - f(z - 1e-3)) / 2e-3


def _feeds_a_weight(trace: Trace, index: int) -> bool:
    """Whether the output goes into another weight, and is no gate."""
    carrying = {index}
    for op in trace.ops[index + 1 :]:
        if carrying & set(op.inputs):
            if op.kind in WEIGHT_KINDS:
                return True
            if op.kind in ("mul", "matmul", "loss"):
                return False
            carrying.add(op.index)
    return False


def _weight_before(trace: Trace, law: Prediction, base: int) -> str | None:
    while base != INPUT:
        here = trace.ops[base]
        if here.kind in WEIGHT_KINDS:
            weight = law.forward.weight_of(here)
            return weight.name if weight is not None else None
        if here.kind not in ("norm", "shape", "pointwise", "dropout") or not here.inputs:
            return None
        base = here.inputs[0]
    return None


def _edits(trace: Trace, steps: list[Step]) -> dict[str, Distribution]:
    edits: dict[str, Distribution] = {}
    for step in steps:
        slot = trace.slot(step.name)
        draw = judge.critical(step, slot) if slot.trainable else None
        if draw is not None:
            edits[slot.name] = draw
    return edits
