"""The prediction of a whole trace: signals, gradients, and the stretches in which they have to survive."""

import functools
import itertools
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
    def gradients(self) -> tuple[list[float], list[float]]:
        """Second moment of the gradient behind each op (NaN where unknown) and the variance of its log between redraws.

        The measured gradient at the end of the net is given.
        """
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


@dataclass(frozen=True)
class Row:
    """What reaches one weight's output, in natural logarithms relative to where the segment starts.

    Attributes:
        step: the weight.
        q: of the second moment.
        s: of the contrast between examples (the noise of dropout left out).
        r: of their ratio s / q.
    """

    step: Step
    q: Log
    s: Log
    r: Log


def forward_rows(segment: Segment) -> list[Row]:
    """One row a judged step: what the segment's own weights and activations do to the signal at their pre-activations.

    Only weights and activations count: what pools and residual adds in between do belongs to the architecture. Where another
    signal joins and brings back what was lost, the row has what is there, not what this path alone would have left.
    """
    rows: list[Row] = []
    start, q, s = segment.start, 0.0, 0.0
    for step in segment.judged:
        x, u, y = step.before, step.between, step.behind
        here_q, here_s = q + _ratio(u.q, x.q), s + _ratio(u.distinct, x.distinct)
        if not (math.isfinite(here_q) and math.isfinite(here_s)):
            break
        there_q, there_s = _ratio(u.q, start.q), _ratio(u.distinct, start.distinct)
        if segment.merged and math.isfinite(there_q) and math.isfinite(there_s):
            here_q, here_s = there_q, there_s
        var_q, var_r = max(u.var_q - start.var_q, 0.0), max(u.var_r - start.var_r, 0.0)
        rows.append(Row(step, Log(here_q, var_q), Log(here_s, var_q + var_r), Log(here_s - here_q, var_r)))
        q, s = q + _ratio(y.q, x.q), s + _ratio(y.distinct, x.distinct)
    return rows


def gradient_log(segment: Segment) -> Log:
    """ln of ‖gradient at the first pre-activation‖² over ‖gradient at the last judged one‖², over all elements.

    Norms, not elements: ‖g‖² changes by χ = fan_in σ² E f'² a layer, also where layers widen or narrow.
    """
    total, variance = 0.0, 0.0
    steps = segment.judged
    for here, following in itertools.pairwise(steps):
        gain = following.power * here.slope2
        total += (
            math.log(gain) if gain > 0 else math.nan
        )  # a zero weight is a choice or a dead pair, no vanishing gradient
        variance += here.wobble
    return Log(total, variance)


def _ratio(after: float, before: float) -> float:
    if before <= 0:
        return math.nan
    return math.log(after / before) if after > 0 else -math.inf
