"""Walks a trace's graph back from the loss and predicts the gradient at every op from the laws of the weights."""

import math

from fanin.theory import gaussian
from fanin.theory.forward import AFFINE, FAR, WEIGHT_KINDS, Forward
from fanin.theory.gaussian import Odd
from fanin.theory.state import WEIGHT_WOBBLE, State, pairs_meet
from fanin.traces.records import INPUT, Op, Trace

NOTHING = (math.nan, 0.0)


def gradients(forward: Forward) -> tuple[list[float], list[float]]:
    """Second moment of the loss gradient with respect to each op's output, per element, and the variance of its log.

    The walk begins at the outputs with the measured gradient; it adds up over the consumers of each signal, which share
    no weight. Ops that theory does not model take the measured ratio. NaN where it is not known.
    """
    trace = forward.trace
    ends = {trace.loss.logits} if trace.loss is not None and trace.loss.logits >= 0 else set(trace.outputs)
    total = [math.nan] * len(trace.ops)
    variance = [0.0] * len(trace.ops)
    for end in ends:
        total[end] = _gradient(trace, end)
    for op in reversed(trace.ops):
        g = total[op.index]
        if not math.isfinite(g):
            continue
        composite = forward.composites.get(op.index)
        if composite is None and op.index in forward.inner:
            continue
        for place, source in enumerate(op.inputs if composite is None else (composite.base,)):
            if source == INPUT or source >= op.index or source in ends:
                continue
            factor, wobble = _factor(forward, op, place, source)
            part, part_variance = g * factor, variance[op.index] + wobble
            if not math.isfinite(part):
                continue
            other = total[source] if math.isfinite(total[source]) else 0.0
            total[source] = both = part + other
            seen = _gradient(trace, source)
            if both > 0 and seen > 0 and abs(math.log(both / seen)) > 2 * FAR:
                total[source] = math.nan  # ratios have run away: better no prediction than a wrong one
                continue
            if both > 0:
                variance[source] = (part**2 * part_variance + other**2 * variance[source]) / both**2
    return total, variance


def _gradient(trace: Trace, here: int) -> float:
    """Measured second moment of the gradient at an op's output; shape-only ops, which are not measured, pass it on."""
    share = 1.0
    while here != INPUT:
        op = trace.ops[here]
        if op.signal is not None and math.isfinite(op.signal.grad_rms):
            return op.signal.grad_rms**2 / share
        if op.kind != "shape" or not op.inputs or op.inputs[0] == INPUT:
            return math.nan
        share *= _elements(trace, here) / _elements(trace, op.inputs[0])
        here = op.inputs[0]
    return math.nan


def _factor(forward: Forward, op: Op, place: int, source: int) -> tuple[float, float]:
    """(gradient of one input's elements over that of the output's elements, in second moments; variance of its log)."""
    trace, y = forward.trace, forward.states[op.index]
    composite = forward.composites.get(op.index)
    x = forward.arriving(op) if composite is None else forward.states[composite.base]
    f = op.activation if composite is None else composite.activation
    weight = forward.weight_of(op) if op.kind in WEIGHT_KINDS and place == 0 else None
    if weight is not None and x is not None and y is not None:
        wobble = weight.doubt + (0.0 if weight.orthogonal else WEIGHT_WOBBLE / max(weight.inputs, 1))
        if pairs_meet(x, weight) and weight.mirrored_out:
            # The half net: half of the rows, and the gradient of a pair is a (f'(u) + f'(-u)) where each unit shows a f'(u).
            return weight.fan_out / 2 * weight.variance * _pair_share(forward, op.index, y), 2 * wobble
        return weight.fan_out * (weight.variance + weight.mean**2) * op.facts.get("alpha", 1.0) ** 2, wobble
    if (composite is not None or op.kind in ("activation", "pointwise")) and f is not None and x is not None:
        width = op.signal.units if op.signal is not None else 1
        wobble = gaussian.wobble_of_slopes(f, x.mean, x.variance) / max(width, 1)
        return gaussian.moments(f, x.mean, x.variance).slope2, wobble
    if op.kind == "norm":
        return (_norm_factor(forward, op, x) if place == 0 else math.nan), 0.0
    if op.kind == "dropout":
        p = op.facts.get("p", 0.0) if trace.training else 0.0
        return 1 / (1 - p) if 0 <= p < 1 else math.nan, 0.0
    share = _elements(trace, op.index) / _elements(trace, source)
    if op.kind == "pointwise" and op.name in AFFINE:
        return forward.scaling(op), 0.0
    if op.kind in ("reduce", "pool"):
        power = (
            2
            if op.name == "mean" or "avg" in op.name
            else 0
            if op.name == "sum"
            else 1
            if "max" in op.name
            else math.nan
        )
        return share**power, 0.0
    if op.kind == "add":
        alpha = op.facts.get("alpha", 1.0) if place == 1 else 1.0
        return (alpha**2, 0.0) if share == 1.0 else NOTHING
    if op.kind == "concat":
        return 1.0, 0.0
    if op.kind == "shape":
        return (1.0 if op.name == "pad" else share), 0.0
    return _measured(trace, op, source), 0.0


def _pair_share(forward: Forward, index: int, y: State) -> float:
    """E o'² / E f'² of the activation that this op's output meets (2 where it meets none)."""
    f = next((f for _, f, base in forward.activations if base == index), None)
    if f is None:
        return 2.0
    own = gaussian.moments(f, y.mean, y.variance).slope2
    return gaussian.moments(Odd(f, gaussian.rounded(y.mean)), 0.0, y.variance).slope2 / own if own > 0 else math.nan


def _norm_factor(forward: Forward, op: Op, x: State | None) -> float:
    known = any(k in op.name for k in ("batch", "layer", "group", "instance", "rms"))
    if not known and x is not None and x.q > 0 and op.signal is not None:
        return op.signal.rms**2 / x.q
    if x is None or forward.states[op.index] is None or ("batch" in op.name and not forward.trace.training):
        return _measured(forward.trace, op, op.inputs[0])
    variance = x.s if "batch" in op.name else x.q if "rms" in op.name else x.variance
    source = op.inputs[0]
    signal = forward.trace.ops[source].signal if source != INPUT else None
    if "batch" not in op.name and len(forward.readers[source]) == 1 and signal is not None and x.q > 0:
        # Each token is divided by a size of its own, and the gradient may sit on a few small ones (class tokens).
        return _measured(forward.trace, op, source) * signal.rms**2 / x.q
    return forward.norm_power(op) / (variance + op.facts.get("eps", 1e-5)) if variance > 0 else math.nan


def _measured(trace: Trace, op: Op, source: int) -> float:
    above, below = _gradient(trace, op.index), _gradient(trace, source)
    return below / above if above > 0 else math.nan


def _elements(trace: Trace, index: int) -> int:
    return max(math.prod(trace.ops[index].shape), 1)
