"""The gradient at every op, from the laws of the weights alone: back from the loss that the predicted logits will have."""

import functools
import math
from collections.abc import Callable

import numpy as np

from fanin.theory import attended_backward as attended
from fanin.theory import averages as attend
from fanin.theory import coherence, gaussian, made, masked, norms, skips, steps
from fanin.theory.backward import _pair_share
from fanin.theory.coherence import elements
from fanin.theory.elementwise import Named
from fanin.theory.expected import Expected, walk_windows
from fanin.theory.forward import DEFAULT_EPS, WEIGHT_KINDS
from fanin.theory.state import WEIGHT_WOBBLE, State, pairs_meet
from fanin.theory.taps import inner, pairs, passed
from fanin.traces.records import INPUT, LossFacts, Op

UNKNOWN = math.nan
AFFINE = frozenset(
    (
        "add", "radd", "sub", "subtract", "rsub", "mul", "rmul", "multiply", "div", "true_divide",
        "neg", "negative", "positive", "masked_fill", "where",
    )
)  # fmt: skip

# Ops through which a gradient goes; of the others (a sort, an index, a mask) an unknown one may be none.
CARRIES = frozenset(
    (
        "linear", "conv", "conv_transpose", "norm", "activation", "add", "mul", "matmul", "attention", "softmax", "pool",
        "recurrent", "concat",
    )
)  # fmt: skip


def expected_gradients(walk: Expected) -> tuple[list[float], list[float]]:
    """Second moment of the loss gradient with respect to each op's output, per element, and the variance of its log.

    Gradients that meet at one signal from different ops are taken as unrelated, as are the weights of the way back from those of the way
    forward (Schoenholz et al. 2017; Yang 2020 says when that holds). NaN where it is not known.
    """
    trace = walk.trace
    total = [UNKNOWN] * len(trace.ops)
    variance = [0.0] * len(trace.ops)
    near = [0.0] * len(trace.ops)  # of two positions of one example
    where: dict[int, np.ndarray | None] = {}  # among the tokens
    by_value: dict[int, np.ndarray | None] = {}  # of the signal, where its law is known
    mixes = any(op.kind in ("attention", "softmax") for op in trace.ops)
    lost: set[int] = set()  # where a part of the gradient is not known
    loss = trace.loss
    if trace.backward == "loss" and loss is not None and loss.logits >= 0:
        total[loss.logits] = at_the_loss(walk, loss)
        ends = {loss.logits}
    else:
        ends = set(trace.outputs)
        for end in ends:
            total[end] = 1 / elements(walk, end) if trace.backward == "probe" else UNKNOWN
    for op in reversed(trace.ops):
        if op.index in lost:
            total[op.index] = UNKNOWN
            lost.update(op.inputs)
        g = total[op.index]
        composite = walk.composites.get(op.index)
        if not math.isfinite(g) or (composite is None and op.index in walk.inner):
            continue
        shared = near[op.index] / g if mixes and g > 0 else 0.0
        for place, source in enumerate(op.inputs if composite is None else (composite.base,)):
            if source == INPUT or source >= op.index:
                continue
            factor, wobble, kept = (
                _passed(walk, op, place, source, shared) if mixes else (*_factor(walk, op, place, source), 0.0)
            )
            at, more = coherence.placed(walk, op, place, source, where.get(op.index)) if mixes else (None, 1.0)
            here, passing = None, 1.0
            if composite is None:
                slopes = _slopes(walk, op, source)
                here, passing = masked.followed(walk, op, place, source, by_value.get(op.index), slopes)
            part, own = g * factor * more * passing, variance[op.index] + wobble
            if not math.isfinite(part):
                if op.kind in CARRIES and not _statistic(walk, op, place):
                    lost.add(source)
                continue
            other = total[source] if math.isfinite(total[source]) else 0.0
            total[source] = both = part + other
            near[source] += g * kept * more
            by_value[source] = masked.merged(part, here, other, by_value.get(source))
            if at is not None or source in where:
                where[source] = coherence.merged(at, part, where.get(source), other)
            if both > 0:
                variance[source] = (part**2 * own + other**2 * variance[source]) / both**2
    return total, variance


def _statistic(walk: Expected, op: Op, place: int) -> bool:
    """Whether an input is the statistic of a norm written by hand: the norm's own factor counts what goes through it."""
    return op.kind == "norm" and place != norms.signal_place(walk, op)


def _passed(walk: Expected, op: Op, place: int, source: int, shared: float) -> tuple[float, float, float]:
    """As `_factor`, and the mean product of two positions' gradients at the input over the output's second moment."""
    if op.kind == "attention":
        factor, kept = attended.attention(walk, op, place, shared)
        return factor, 0.0, kept
    if op.kind == "matmul":
        factor, kept = attended.matmul(walk, op, place, source, shared)
        return factor, 0.0, kept
    factor, wobble = _factor(walk, op, place, source)
    composite = walk.composites.get(op.index)
    if shared and (composite is not None or op.kind == "activation"):
        f = composite.activation if composite is not None else op.activation or Named.of(op.name, op.facts)
        shared *= coherence.bent(walk.states[composite.base] if composite is not None else walk.arriving(op), f)
    elif shared and op.kind == "softmax" and (found := walk.attends.get(op.index)) is not None:
        _, share, both = coherence.overlap(op, found.logits)
        shared *= min(both / share, 1.0)
    return factor, wobble, coherence.passed_back(walk, op, 1.0, shared, factor, source)


def at_the_loss(walk: Expected, loss: LossFacts) -> float:
    """Second moment of the gradient at the loss's input, from the predicted signal there; NaN for a loss that is not known."""
    z, n = walk.states[loss.logits], elements(walk, loss.logits)
    if z is None or loss.weighted:
        return UNKNOWN
    if loss.kind == "cross_entropy" and loss.classes > 1:
        c, e = loss.classes, loss.smoothing
        share = float(attend.shares(np.array([float(c)]), z.variance)[0])  # Σ p²
        target = (1 - e + e / c) ** 2 + (c - 1) * (e / c) ** 2  # Σ y²
        return max(share - 2 / c + target, 0.0) / c / (n / c) ** 2
    if loss.kind == "bce":
        return gaussian.moments(steps._sigmoid, z.mean, z.variance).second / n**2
    if loss.kind == "mse" and math.isfinite(loss.target_rms):
        return 4 * (z.q + loss.target_rms**2) / n**2
    return 1 / n**2 if loss.kind == "l1" else UNKNOWN


def _factor(walk: Expected, op: Op, place: int, source: int) -> tuple[float, float]:
    """(gradient of one input's elements over that of the output's, in second moments; variance of its log)."""
    composite = walk.composites.get(op.index)
    if composite is not None:
        return _slope(walk.states[composite.base], composite.activation, op)
    x = walk.arriving(op, place)
    if op.kind in WEIGHT_KINDS:
        return _weight(walk, op, x) if place == 0 else (UNKNOWN, 0.0)
    if op.kind == "activation" or (op.kind == "pointwise" and not _affine(op)):
        f = op.activation or Named.of(op.name, op.facts)
        factor, wobble = _slope(x, f, op)
        return factor * _chosen(walk, op, x, f), wobble
    if op.kind == "attention":
        return attended.attention(walk, op, place, 0.0)[0], 0.0
    if op.kind == "matmul":
        return attended.matmul(walk, op, place, source)[0], 0.0
    step = BACK.get(op.kind)
    return (step(walk, op, place, source) if step is not None else UNKNOWN), 0.0


def _affine(op: Op) -> bool:
    return op.activation is None and op.name in AFFINE


def _weight(walk: Expected, op: Op, x: State | None) -> tuple[float, float]:
    weight, y = walk.weight_of(op), walk.states[op.index]
    if weight is None or x is None or y is None or op.name == "bilinear":
        return UNKNOWN, 0.0
    wobble = weight.doubt + (0.0 if weight.orthogonal else WEIGHT_WOBBLE / max(weight.inputs, 1))
    slot = walk.slots[weight.name]
    shared = op.kind == "linear" and len(slot.shape) == 2 and slot.axes is not None
    blocks = slot.axes.size("stack") if shared and slot.axes is not None else 1  # all read the same inputs
    border = blocks * math.prod(passed(w, None, weight.centre).back for w in walk_windows(walk, op))
    if pairs_meet(x, weight) and weight.mirrored_out:
        # The half net: half of the rows, and the gradient of a pair is a (f'(u) + f'(-u)) where each unit shows a f'(u).
        return weight.fan_out / 2 * weight.variance * _pair_share(walk, op.index, y) * border, 2 * wobble
    power = (weight.variance + weight.mean**2) * op.facts.get("alpha", 1.0) ** 2
    return weight.fan_out * power * border * norms.shorter(walk, op), wobble


def _slope(x: State | None, f: gaussian.Function | None, op: Op) -> tuple[float, float]:
    if x is None or f is None:
        return UNKNOWN, 0.0
    width = max((op.shape[1] if len(op.shape) == 4 else op.shape[-1]) if op.shape else 1, 1)
    wobble = gaussian.wobble_of_slopes(f, x.mean, x.variance) / width
    if x.law is not None:
        return float(x.law[1] @ _squared_slopes(x, f, x.law[0])), wobble
    return gaussian.moments(f, x.mean, x.variance).slope2, wobble


def _slopes(walk: Expected, op: Op, source: int) -> masked.Slopes | None:
    """Squares of an activation's slopes at given points, None for other ops."""
    x, f = walk.states[source], op.activation
    return (
        functools.partial(_squared_slopes, x, f)
        if op.kind == "activation" and f is not None and x is not None
        else None
    )


def _squared_slopes(x: State, f: gaussian.Function, values: np.ndarray) -> np.ndarray:
    h = 1e-4 * max(math.sqrt(x.variance), 1e-6)
    return ((f(values + h) - f(values - h)) / (2 * h)) ** 2


def _chosen(walk: Expected, op: Op, x: State | None, f: gaussian.Function | None) -> float:
    """Where only a max pool reads an activation, its gradient comes back to the largest, where the slope is another one."""
    readers = walk.readers[op.index]
    pool = walk.trace.ops[readers[0]] if len(readers) == 1 else None
    if pool is None or pool.kind != "pool" or "max" not in pool.name or x is None or f is None:
        return 1.0
    window = walk_windows(walk, pool)
    count = (
        math.prod(len(pairs(w)[0]) / max(w.after, 1) for w in window) if window else 1 / _share(walk, pool, op.index)
    )
    z, chance = gaussian._grid(gaussian.COARSE)
    top = np.diff(np.cumsum(chance) ** max(count, 1.0), prepend=0.0)
    slopes = _squared_slopes(x, f, x.mean + math.sqrt(x.variance) * z)
    return float(top @ slopes) / max(float(chance @ slopes), 1e-300)


def _pointwise(walk: Expected, op: Op, place: int, source: int) -> float:
    share = _share(walk, op, source)
    if "itself" in op.facts:
        return share * op.facts["itself"] ** 2
    if op.name not in ("mul", "rmul", "multiply", "div", "true_divide"):
        return share
    law = walk.law(op, "norm_scale", "scale", "position", "other")
    if law is not None:
        found = made.factor(walk, op, law)
        return found[0] * share if found is not None else UNKNOWN
    rms = op.facts.get("constant_rms", UNKNOWN)
    return share * (rms**2 if "mul" in op.name else 1 / rms**2 if rms else UNKNOWN)


def _norm(walk: Expected, op: Op, place: int, source: int) -> float:
    """γ² / variance, less the directions that a norm takes out (van Laarhoven 2017); through its statistics nothing goes."""
    signal = norms.signal_place(walk, op)
    x, level = walk.arriving(op, signal), norms.written_power(walk, op)
    if place != signal or x is None or level is None or op.name in ("normalize", "local_response_norm"):
        return UNKNOWN
    power, eps = walk.norm_power(op) * level, op.facts.get("eps", DEFAULT_EPS)
    if "batch" in op.name:
        return power * (norms.batch_gradient(walk, op, x) if walk.trace.training else 1 / (1 + eps))
    if "instance" in op.name:
        variance = x.apart if math.isfinite(x.apart) else x.s
    else:
        variance = x.variance if any(k in op.name for k in ("layer", "group")) else x.q
    width = op.shape[-1] if op.shape else 1
    left = max(1 - (2 if "layer" in op.name else 1) / max(width, 1), 0.0)
    return power * left / (variance + eps) if variance + eps > 0 else UNKNOWN


def _dropout(walk: Expected, op: Op, place: int, source: int) -> float:
    p = op.facts.get("p", 0.0) if walk.trace.training else 0.0
    return 1 / (1 - p) if 0 <= p < 1 else UNKNOWN


def _shape(walk: Expected, op: Op, place: int, source: int) -> float:
    if op.name != "pad":
        return _share(walk, op, source)
    if op.facts.get("mode", 0.0):  # what copies get comes back to what they are copies of
        return _share(walk, op, source)
    readers, factor = walk.readers[op.index], 1.0
    for axis, n in enumerate(walk.extents(op)):  # what is cut off gets nothing
        cut = sum(max(-int(op.facts.get(f"{end} {axis}", 0)), 0) for end in ("low", "high"))
        factor *= max(n - cut, 0) / max(n, 1)
    reader = walk.trace.ops[readers[0]] if len(readers) == 1 else None
    if reader is not None and reader.kind == "conv":  # fewer windows reach what was put around than what is inside
        for axis, window in enumerate(walk_windows(walk, reader), start=2):
            low, high = (max(int(op.facts.get(f"{end} {axis}", 0)), 0) for end in ("low", "high"))
            factor *= inner(window, low, high)
    return factor


def _add(walk: Expected, op: Op, place: int, source: int) -> float:
    factor = op.facts.get("alpha", 1.0) ** 2 if place == 1 else 1.0
    found = skips.again(walk, op)
    if found is not None and found.place == place:  # what comes back the other way is not unrelated
        factor = max(found.second - found.part, 0.0)
    return _share(walk, op, source) * factor


def _concat(walk: Expected, op: Op, place: int, source: int) -> float:
    return 1.0


def _reduce(walk: Expected, op: Op, place: int, source: int) -> float:
    share = _share(walk, op, source)
    return share**2 if op.name in ("mean", "nanmean") else 1.0 if op.name == "sum" else UNKNOWN


def _pool(walk: Expected, op: Op, place: int, source: int) -> float:
    share, window = _share(walk, op, source), walk_windows(walk, op)
    if "max" in op.name:
        return share
    if "avg" not in op.name:
        return UNKNOWN
    if not window:
        return share**2
    return math.prod(len(pairs(w)[0]) / w.before / w.kernel**2 for w in window)


def _mul(walk: Expected, op: Op, place: int, source: int) -> float:
    x, y = walk.arriving(op, place), walk.arriving(op, 1 - place)
    if x is None or y is None:
        return UNKNOWN
    if op.name == "glu":
        m = gaussian.moments(steps._sigmoid, x.mean, x.variance)
        return (m.second + x.q * m.slope2) / 2
    if len(op.inputs) == 1:
        chunked = walk.trace.ops[source].name in ("chunk", "split", "unbind", "tensor_split")
        return 2 * x.q if chunked else 4 * x.q
    return y.q * _share(walk, op, source)


def _recurrent(walk: Expected, op: Op, place: int, source: int) -> float:
    """Back through the steps of every layer, to the input."""
    past = walk.past.get(op.index)
    if past is None or op.name.endswith("_cell") or place > 0:
        return UNKNOWN
    kind, length = op.name, int(op.facts.get("steps", 1))
    n = len(past[0][1].q)  # the last of them, where there are more than are followed
    arriving = _read_at(walk, op, length)[-n:, -n:]
    for gates, found, ratio in past[::-1]:
        arriving = steps.back_through_time(kind, gates, found, arriving)[0] * ratio
    return float(np.diagonal(arriving).mean()) * op.facts.get("directions", 1.0)


def _read_at(walk: Expected, op: Op, length: int) -> np.ndarray:
    """Covariance of the gradient over the steps, 1 in the mean: one step where only that is read, all alike under a mean."""
    readers = walk.readers[op.index]
    if len(readers) == 1:
        reader = walk.trace.ops[readers[0]]
        if reader.facts.get("extent") == length and "index" in reader.facts:
            only = np.zeros((length, length))
            only[int(reader.facts["index"]), int(reader.facts["index"])] = length
            return only
        if reader.kind == "reduce" and reader.name == "mean" and length not in reader.shape:
            return np.ones((length, length))
    return np.eye(length)


def _share(walk: Expected, op: Op, source: int) -> float:
    return elements(walk, op.index) / elements(walk, source)


BACK: dict[str, Callable[[Expected, Op, int, int], float]] = {
    "pointwise": _pointwise,
    "norm": _norm,
    "dropout": _dropout,
    "shape": _shape,
    "add": _add,
    "concat": _concat,
    "reduce": _reduce,
    "pool": _pool,
    "mul": _mul,
    "softmax": attended.softmax,
    "recurrent": _recurrent,
}
