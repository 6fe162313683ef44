"""What all checks share: thresholds with their origin, and small helpers to write a finding."""

import functools
import math
from collections.abc import Iterable

from fanin.activations import Activation
from fanin.distributions import Constant, Distribution, Normal, Orthogonal
from fanin.slots import Slot
from fanin.theory.path import Segment, Step
from fanin.theory.prediction import Log
from fanin.traces.records import Trace

# A wide net can be trained as long as what it has to carry survives about six depth scales, e^-6 of a second moment: random
# nets were found trainable up to a depth of about 6 ξ_c (Schoenholz et al. 2017; quoted so, and found again for other nets, by
# Stamatescu et al. 2020, "Critical initialisation in continuous approximations of binary neural networks", section 5.2).
# Under plain gradient descent the same number is the factor by which useful step sizes differ inside one net.
DEPTH_SCALES = 6.0
# A prediction has to pass its threshold by three deviations of its fluctuation between redraws.
SIGMAS = 3.0
# Rounding of one number, by element type (IEEE 754).
ROUNDING = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float64": 2.0**-52}
FLOAT32_ROUNDING = 2.0**-23


def precision(trace: Trace) -> float:
    """ln of the second moment that rounding leaves beside a signal of 1, in the model's coarsest element type."""
    kinds = {s.dtype for s in trace.slots}
    return 2 * math.log(max((ROUNDING.get(k, FLOAT32_ROUNDING) for k in kinds), default=FLOAT32_ROUNDING))


def surely_below(log: Log, limit: float) -> bool:
    """Whether redraws stay below the limit, by three deviations."""
    return log.value + SIGMAS * log.deviation < limit


def surely_above(log: Log, limit: float) -> bool:
    """Whether redraws stay above the limit, by three deviations."""
    return log.value - SIGMAS * log.deviation > limit


def confirmed(measured: float, predicted: float) -> bool:
    """Whether the measured logarithm goes at least half as far as predicted; unknown (NaN) counts as confirmed.

    A trained net has weights whose values are not independent draws: its signals do not follow the law, and are not judged.
    """
    return not math.isfinite(measured) or (measured * predicted > 0 and abs(measured) > abs(predicted) / 2)


def log_ratio(after: float, before: float) -> float:
    """ln (after / before)², NaN where that is not a finite number."""
    if not (after > 0 and before > 0 and math.isfinite(after) and math.isfinite(before)):
        return math.nan
    return 2 * math.log(after / before)


def critical(step: Step, slot: Slot) -> Distribution | None:
    """A draw that keeps the signal through this weight and its activation: orthogonal for odd ones, He's with its gain."""
    if slot.axes is None or slot.axes.fan_in <= 0:
        return None
    f = step.activation
    if f is None or _odd(f):
        return Orthogonal(slot.axes, 1.0 if f is None or f.slope == 0 else 1.0 / f.slope, scale_out=True)
    gain = f.gain
    return Normal(gain / math.sqrt(slot.axes.fan_in)) if math.isfinite(gain) else None


@functools.lru_cache(maxsize=256)
def _odd(f: Activation) -> bool:
    return f.is_odd


def critical_edits(trace: Trace, segment: Segment) -> dict[str, Distribution]:
    """Edits that put every judged weight of a segment at its critical gain, and its biases at zero."""
    edits: dict[str, Distribution] = {}
    for step in segment.judged:
        slot = trace.slot(step.name)
        draw = critical(step, slot) if slot.trainable else None
        if draw is not None:
            edits[slot.name] = draw
            edits |= {s.name: Constant(0.0) for s in trace.slots if s.role == "bias" and s.weight == slot.name}
    return edits


def names(steps: Iterable[Step]) -> tuple[str, ...]:
    """The weights' names, in order, each once."""
    return tuple(dict.fromkeys(s.name for s in steps))


def number(x: float) -> str:
    """A number as prose wants it: three digits, or a power of ten."""
    if x == 0 or not math.isfinite(x):
        return f"{x:g}"
    return (
        f"{x:.3g}" if 1e-3 <= abs(x) < 1e4 else f"{x:.1e}".replace("e-0", "e-").replace("e+0", "e+").replace("e+", "e")
    )


def listed(items: Iterable[str], most: int = 3) -> str:
    """A few names, and how many more there are."""
    known = tuple(items)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more


def factor(log: float) -> float:
    """exp(log / 2): from the log of a second moment to a factor on an rms, within a float's range."""
    return math.exp(min(max(log / 2, -700.0), 700.0))


def counted(count: int, noun: str) -> str:
    """ "1 weight", "2 weights"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
