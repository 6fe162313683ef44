"""Walks a trace's graph back from the loss and predicts the gradient at every op from the laws of the weights."""

import math

from fanin.theory import gaussian
from fanin.theory.forward import WEIGHT_KINDS, Forward
from fanin.theory.gaussian import Odd
from fanin.theory.state import State, pairs_meet
from fanin.traces.records import INPUT, Op, Trace


def gradients(forward: Forward) -> list[float]:
    """Second moment of the loss gradient with respect to each op's output, per element; NaN where it is not known.

    The walk begins at the outputs with the measured gradient; it adds up over the consumers of each signal, which share
    no weight. Ops that theory does not model take the measured ratio.
    """
    trace = forward.trace
    ends = set(trace.outputs)
    if trace.loss is not None and trace.loss.logits >= 0:
        ends = {trace.loss.logits}
    total: list[float] = [math.nan] * len(trace.ops)
    for end in ends:
        signal = trace.ops[end].signal
        if signal is not None and math.isfinite(signal.grad_rms):
            total[end] = signal.grad_rms**2
    for op in reversed(trace.ops):
        g = total[op.index]
        if not math.isfinite(g):
            continue
        for place, source in enumerate(op.inputs):
            if source == INPUT or source >= op.index or source in ends:
                continue
            part = g * _factor(forward, op, place, source)
            if math.isfinite(part):
                total[source] = part + (total[source] if math.isfinite(total[source]) else 0.0)
    return total


def _factor(forward: Forward, op: Op, place: int, source: int) -> float:
    """Gradient of one input's elements over gradient of the output's elements, in second moments."""
    if op.kind in WEIGHT_KINDS:
        weight, x, y = forward.weight_of(op), forward.arriving(op), forward.states[op.index]
        if weight is not None and x is not None and y is not None and place == 0:
            if pairs_meet(x, weight) and weight.mirrored_out:
                # The half net: ½ of the rows, and the gradient of a pair is a (f'(u) + f'(-u)) where each unit shows a f'(u).
                return weight.fan_out / 2 * weight.variance * _pair_share(forward, op.index, y)
            return weight.fan_out * (weight.variance + weight.mean**2)
    if op.kind in ("activation", "pointwise") and op.activation is not None:
        x = forward.arriving(op)
        if x is not None:
            return gaussian.moments(op.activation, x.mean, x.variance).slope2
    if op.kind == "norm":
        return _norm_factor(forward, op)
    if op.kind == "add":
        return 1.0 if _elements(forward.trace, op.index) == _elements(forward.trace, source) else math.nan
    if op.kind in ("shape", "concat"):
        return 1.0 if op.kind == "concat" else _elements(forward.trace, op.index) / _elements(forward.trace, source)
    return _measured(forward.trace, op, source)


def _pair_share(forward: Forward, index: int, y: State) -> float:
    """E o'² / E f'² of the activation that this op's output meets (2 where it meets none)."""
    for op in forward.trace.ops[index + 1 :]:
        if index in op.inputs and op.activation is not None:
            variance = y.variance
            own = gaussian.moments(op.activation, y.mean, variance).slope2
            return gaussian.moments(Odd(op.activation), 0.0, variance).slope2 / own if own > 0 else math.nan
    return 2.0


def _norm_factor(forward: Forward, op: Op) -> float:
    x, y = forward.arriving(op), forward.states[op.index]
    if x is None or y is None or ("batch" in op.name and not forward.trace.training):
        return _measured(forward.trace, op, op.inputs[0])
    variance = x.s if "batch" in op.name else x.q if "rms" in op.name else x.variance
    gamma = forward.norm_power(op)
    return gamma / (variance + op.facts.get("eps", 1e-5)) if variance > 0 else math.nan


def _measured(trace: Trace, op: Op, source: int) -> float:
    above, below = op.signal, trace.ops[source].signal
    if above is None or below is None or not above.grad_rms > 0 or not math.isfinite(below.grad_rms):
        return math.nan
    return (below.grad_rms / above.grad_rms) ** 2


def _elements(trace: Trace, index: int) -> int:
    return max(math.prod(trace.ops[index].shape), 1)
