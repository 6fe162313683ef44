"""The prediction of a whole trace: signals, gradients, and the stretches in which they have to survive."""

import functools
import itertools
import math
from dataclasses import dataclass
from typing import Any

from fanin.theory.backward import gradients
from fanin.theory.expected import Expected, strip
from fanin.theory.expected_backward import expected_gradients
from fanin.theory.forward import WEIGHT_KINDS, Forward
from fanin.theory.laws import WeightLaw, laws_of
from fanin.theory.path import Segment, Step, segments
from fanin.theory.state import State
from fanin.theory.stated import stated_laws
from fanin.traces.records import Op, Trace


@dataclass(frozen=True)
class Log:
    """A natural logarithm that theory predicts, and its variance between redraws of the same laws."""

    value: float
    variance: float

    @property
    def deviation(self) -> float:
        """Standard deviation between redraws."""
        return math.sqrt(max(self.variance, 0.0))


@dataclass(frozen=True)
class Point:
    """What theory says of the signal behind one op, in natural logarithms; NaN where it does not say.

    Attributes:
        index, kind, name, module: the op's own.
        log_second: of the second moment, the mean over draws of the weights.
        log_variance: of the variance over all elements.
        log_contrast: of the contrast between examples, ½ E[(x_a - x_b)²].
        deviation: standard deviation of `log_second` between draws.
        log_gradient: of the second moment of the loss gradient, per element.
        gradient_deviation: its standard deviation between draws.
        reason: where the signal is not known, why.
    """

    index: int
    kind: str
    name: str
    module: str
    log_second: float
    log_variance: float
    log_contrast: float
    deviation: float
    log_gradient: float
    gradient_deviation: float
    reason: str = ""


class Prediction:
    """What theory says of a trace.

    Attributes:
        trace: the trace.
        given: whether distributions were given, and nothing measured behind the inputs was looked at.
        laws: the law of every weight, by name.
        states: the predicted signal behind each op (None where unknown).
    """

    def __init__(self, trace: Trace, distributions: Any = None) -> None:
        self.trace = trace
        self.given = distributions is not None
        self.laws: dict[str, WeightLaw] = stated_laws(trace, distributions) if self.given else laws_of(trace)
        self.forward = Expected(strip(trace), self.laws) if self.given else Forward(trace, self.laws)
        self.states: list[State | None] = self.forward.states

    @functools.cached_property
    def segments(self) -> list[Segment]:
        """The main path, cut at norms."""
        return segments(self.forward)

    @functools.cached_property
    def gradients(self) -> tuple[list[float], list[float]]:
        """Second moment of the gradient behind each op (NaN where unknown) and the variance of its log between redraws.

        The measured gradient at the end of the net is given, unless distributions are: then it is predicted from the
        logits' (or the predictions') law and the loss.
        """
        return expected_gradients(self.forward) if isinstance(self.forward, Expected) else gradients(self.forward)

    @functools.cached_property
    def curve(self) -> tuple[Point, ...]:
        """The forward and the backward curve, one point an op."""
        reasons = getattr(self.forward, "reasons", {})
        gradient, spread = self.gradients
        points = []
        for op in self.trace.ops:
            state, reason = self.states[op.index], reasons.get(op.index, "")
            if self.given and "hides" in op.facts:  # what follows needs the rest, but the whole has no size to speak of
                state, reason = None, "numbers that hide entries from a softmax outweigh all others"
            points.append(_point(op, state, gradient[op.index], spread[op.index], reason))
        return tuple(points)

    def weight_ops(self) -> list[int]:
        """Indices of the ops that multiply a signal by a weight, in order."""
        ops = self.trace.ops
        return [o.index for o in ops if o.kind in WEIGHT_KINDS and self.forward.weight_of(o) is not None]


def predict(trace: Trace, distributions: Any = None) -> Prediction:
    """The prediction of a trace, from the laws of its weights and its measured inputs.

    Mean-field theory of wide random nets (Poole et al. 2016; Schoenholz et al. 2017) with fluctuations of finite width
    (Hanin & Nica 2020). Without distributions the laws are estimated from the stored values, and ops that theory does
    not model take the measured ratio of output to input. With distributions nothing that was measured behind the inputs
    is looked at: the prediction is what those laws will give before anything is drawn (`docs/decisions/0010-predict.md`).

    Args:
        trace: a watched pass, of a net with any weights.
        distributions: weight name → `Distribution` or plan entry, or a plan: what these weights will be drawn from. The
            other weights keep the laws that their stored values show.

    Returns:
        The prediction; `.curve` has the forward and the backward curve, a `Point` an op, in natural logarithms.

    Raises:
        FaninValueError: a name that the trace does not have.
        FaninTypeError: something that is neither a distribution nor an entry nor a plan.

    Example:
        >>> import torch
        >>> from fanin.distributions import Normal
        >>> from fanin.traces.torch import trace
        >>> net = torch.nn.Sequential(torch.nn.Linear(64, 64, bias=False), torch.nn.ReLU())
        >>> points = predict(trace(net, torch.ones(8, 64)), {"0.weight": Normal(std=0.25)}).curve
        >>> [round(2.718282 ** p.log_second, 3) for p in points]      # 64 · .25², and half of it
        [4.0, 2.0]
    """
    return Prediction(trace, distributions)


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


def _point(op: Op, state: State | None, gradient: float, spread: float, reason: str) -> Point:
    """One op's point of the curve."""
    nan = math.nan
    numbers = (nan, nan, nan, nan)
    if state is not None:
        numbers = (_log(state.q), _log(state.variance), _log(state.s), math.sqrt(max(state.var_q, 0.0)))
    return Point(op.index, op.kind, op.name, op.module, *numbers, _log(gradient), math.sqrt(max(spread, 0.0)), reason)


def _log(x: float) -> float:
    return math.log(x) if x > 0 else -math.inf if x == 0 else math.nan


def _ratio(after: float, before: float) -> float:
    if before <= 0:
        return math.nan
    return math.log(after / before) if after > 0 else -math.inf
