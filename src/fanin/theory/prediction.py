"""The prediction of a whole trace: signals, gradients, and the stretches in which they have to survive."""

import functools
import math
from dataclasses import dataclass

from fanin.theory.backward import gradients
from fanin.theory.forward import WEIGHT_KINDS, Forward
from fanin.theory.laws import WeightLaw, laws_of
from fanin.theory.path import Segment, Step, segments
from fanin.theory.state import State
from fanin.traces.records import Trace


@dataclass(frozen=True)
class Log:
    """A natural logarithm that theory predicts, and its variance between redraws of the same laws."""

    value: float
    variance: float

    @property
    def deviation(self) -> float:
        """Standard deviation between redraws."""
        return math.sqrt(max(self.variance, 0.0))


class Prediction:
    """What theory says of a trace.

    Attributes:
        trace: the trace.
        laws: the law of every weight, by name.
        states: the predicted signal behind each op (None where unknown).
        segments: the main path, cut at norms.
    """

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.laws: dict[str, WeightLaw] = laws_of(trace)
        self.forward = Forward(trace, self.laws)
        self.states: list[State | None] = self.forward.states
        self.segments: list[Segment] = segments(self.forward)

    @functools.cached_property
    def gradients(self) -> list[float]:
        """Predicted second moment of the gradient behind each op, NaN where unknown; the measured one at the end is given."""
        return gradients(self.forward)

    def weight_ops(self) -> list[int]:
        """Indices of the ops that multiply a signal by a weight, in order."""
        ops = self.trace.ops
        return [o.index for o in ops if o.kind in WEIGHT_KINDS and self.forward.weight_of(o) is not None]


def predict(trace: Trace) -> Prediction:
    """The prediction of a trace, from the laws of its weights and its measured inputs.

    Mean-field theory of wide random nets (Poole et al. 2016; Schoenholz et al. 2017) with fluctuations of finite width
    (Hanin & Nica 2020). Ops that it does not model take the measured ratio of output to input.
    """
    return Prediction(trace)


def forward_logs(segment: Segment) -> list[tuple[Step, Log, Log, Log]]:
    """Per judged step: ln of the second moment, of the contrast and of their ratio, relative to the segment's start."""
    rows = []
    x = segment.start
    lost = [0.0, 0.0]
    var_q0, var_s0 = x.var_q, x.var_s
    for step in segment.judged:
        q = _ratio(step.behind.q, step.before.q)
        s = _ratio(step.behind.distinct, step.before.distinct)
        lost[0] += q
        lost[1] += s
        var_q = max(step.behind.var_q - var_q0, 0.0)
        var_s = max(step.behind.var_s - var_s0, 0.0)
        rows.append((step, Log(lost[0], var_q), Log(lost[1], var_s), Log(lost[1] - lost[0], var_q + var_s)))
        if not math.isfinite(lost[0]) or not math.isfinite(lost[1]):
            break
    return rows


def gradient_log(segment: Segment) -> Log:
    """ln of ‖gradient at the first pre-activation‖² over ‖gradient at the last judged one‖², over all elements.

    Norms, not elements: ‖g‖² changes by χ = fan_in σ² E f'² a layer, also where layers widen or narrow.
    """
    total, variance = 0.0, 0.0
    steps = segment.judged
    for here, following in zip(steps, steps[1:], strict=False):
        gain = following.power * here.slope2
        total += math.log(gain) if gain > 0 else -math.inf
        variance += here.wobble
    return Log(total, variance)


def _ratio(after: float, before: float) -> float:
    if before <= 0:
        return math.nan
    return math.log(after / before) if after > 0 else -math.inf
