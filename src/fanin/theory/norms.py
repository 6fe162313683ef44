"""Norms, of modules and written by hand: to unit size, unless what is divided by is another statistic."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from fanin.theory import elementwise, gaussian, tokens
from fanin.theory.forward import DEFAULT_EPS, WEIGHT_KINDS
from fanin.theory.mixing import BACK
from fanin.theory.state import State, through_norm
from fanin.traces.records import INPUT, Op

if TYPE_CHECKING:
    from fanin.theory.expected import Expected

LENGTHS = ("norm", "vector_norm")
DEVIATIONS = ("std",)
VARIANCES = ("var",)


def norm(walk: "Expected", op: Op, x: State | None) -> State | None:
    """The signal behind a norm, of a module or written by hand."""
    from fanin.theory.expected import constant_part, summed

    x = walk.arriving(op, signal_place(walk, op))
    level = written_power(walk, op)
    if level is None:
        return walk._unknown(op, "a signal over a statistic of itself that is not the root of a mean square")
    scale, shift = walk.law(op, "norm_scale"), walk.law(op, "norm_shift")
    name = op.name if any(k in op.name for k in ("batch", "layer", "group", "instance", "rms")) else "rms"
    if op.name == "normalize":
        n = op.shape[1] if len(op.shape) > 1 else 1
        return State(0.0, 1 / n, (x.s / x.q if x is not None and x.q > 0 else 1.0) / n)
    if op.name == "local_response_norm":
        return x
    if x is None or not x.q > 0:
        x = x if x is not None else State(0.0, 1.0, 1.0, apart=1.0)
    if "batch" in name and not walk.trace.training:
        power = walk.norm_power(op) / (1 + op.facts.get("eps", DEFAULT_EPS))
        y = x.scaled(power, power)  # running statistics as they are before training: mean 0, variance 1
        return y if shift is None or shift.zero else summed(y, constant_part(shift))
    apart = x.apart if math.isfinite(x.apart) else x.s
    if "instance" in name:
        x = x.but(q=apart, mean=0.0, s=min(x.s, apart))
        name = "layer_norm"
    eps = op.facts.get("eps", _written_eps(walk, op))
    over = batch_variance(walk, op, x) if "batch" in name else None
    y = through_norm(x, name, eps, scale, shift, over)
    gain = walk.norm_power(op) * level
    y = y.scaled(level, level) if level != 1 else y
    y = y.but(law=_normed_law(x, y))
    if over is not None:
        factor = gain / (over + eps) if over + eps > 0 else 0.0
        return y.but(apart=factor * min(apart, over), profile=x.profile)
    variance = x.q if "rms" in name else x.variance
    factor = gain / (variance + eps) if variance + eps > 0 else 0.0
    return tokens.normed(x, y.but(apart=factor * min(apart, variance)), "rms" not in name, eps, gain)


def batch_size(walk: "Expected", op: Op) -> tuple[int, int]:
    """(examples, positions of each) that a batch norm is taken over."""
    numbers = math.prod(op.shape) // max(op.shape[1], 1) if len(op.shape) > 1 else 1
    examples = min(max(walk.batch, 1), max(numbers, 1))
    return examples, max(numbers // examples, 1)


def _contrasts(x: State, places: int) -> tuple[float, float]:
    """(contrast of two positions of one example, of two positions of two examples), where there are positions."""
    near = x.apart if places > 1 and math.isfinite(x.apart) else x.s
    return near, max(x.s, near)


def batch_variance(walk: "Expected", op: Op, x: State) -> float:
    """What a batch norm divides by: the mean contrast of all pairs of its numbers.

    Two positions of two examples differ by more than the same position of two does where positions differ in what examples
    have in common: behind zero padding, by the taps that lie outside.
    """
    examples, places = batch_size(walk, op)
    if places == 1:
        return x.s
    near, both = _contrasts(x, places)
    total = (examples - 1) * x.s + (places - 1) * near + (examples - 1) * (places - 1) * both
    return total / (examples * places - 1)


def batch_gradient(walk: "Expected", op: Op, x: State) -> float:
    """What a batch norm without a scale multiplies the second moment of a gradient with, NaN where it has no mean.

    What it divides by fluctuates from unit to unit: a weighted sum of squares, which the mean of 1 / v feels as one of d equal
    squares would be felt, d / (d - 2) (d = (Σλ)² / Σλ² over the directions in which the batch's numbers differ: positions that
    all examples share, examples, and the rest; and no more of them than a unit has weights, so that a depthwise kernel of nine
    feels it most). And the mean and the signal's own direction are taken out of the gradient.
    """
    examples, places = batch_size(walk, op)
    numbers, over = examples * places, batch_variance(walk, op, x)
    eps = op.facts.get("eps", DEFAULT_EPS)
    if not over > 0:
        return 1 / eps if eps > 0 else math.nan
    if numbers < 3:
        return math.nan
    near, both = _contrasts(x, places)
    place, example = both - x.s, both - near  # what all examples share at a position, all positions in an example
    rest = max(both - place - example, 0.0)
    parts = np.array([rest + examples * place, rest + places * example, rest])
    counts = np.array([places - 1.0, examples - 1.0, (examples - 1.0) * (places - 1.0)])
    freedom = float(counts @ parts) ** 2 / float(counts @ parts**2)
    freedom = 1 / (1 / freedom + 1 / weights_behind(walk, op.inputs[0]))
    if freedom <= 2:
        return math.nan
    return (numbers - 2) / (numbers - 1) * freedom / (freedom - 2) / (over + eps)


def weights_behind(walk: "Expected", index: int) -> float:
    """How many independent weights each unit of this op has; infinite where it has none, or such as keep their length."""
    if index == INPUT or walk.trace.ops[index].kind not in WEIGHT_KINDS:
        return math.inf
    weight = walk.weight_of(walk.trace.ops[index])
    odd = weight is None or weight.orthogonal or weight.identity or weight.constant or weight.variance <= 0
    return math.inf if weight is None or odd else weight.fan_in


def shorter(walk: "Expected", op: Op) -> float:
    """E |w|² / v over E |w|² E 1 / v: what a batch norm behind a weight divides by is small where the weight itself is."""
    readers = [walk.trace.ops[i] for i in walk.readers[op.index]]
    if len(readers) != 1 or readers[0].kind != "norm" or "batch" not in readers[0].name or not walk.trace.training:
        return 1.0
    n = weights_behind(walk, op.index)
    return 1 - 2 / n if n > 2 else 1.0


def _normed_law(x: State, y: State) -> tuple[gaussian.Array, gaussian.Array] | None:
    """The law behind a norm of what comes straight out of an activation or a gate."""
    law = elementwise.law_of(x)
    if law is None or x.before is None:
        return None
    center = float(law[1] @ law[0])
    spread = math.sqrt(max(float(law[1] @ (law[0] - center) ** 2), 1e-300))
    return y.mean + math.sqrt(y.variance) / spread * (law[0] - center), law[1]


def _written_eps(walk: "Expected", op: Op) -> float:
    """The number added to the variance in a norm written by hand."""
    for source in _statistic(walk, op):
        if source.kind == "pointwise" and source.name in ("add", "radd") and "constant" in source.facts:
            return source.facts["constant"]
        if source.kind == "reduce":
            break
    return DEFAULT_EPS


def signal_place(walk: "Expected", op: Op) -> int:
    """Which input of a norm is normed: of one written by hand the one that is as large as the output."""
    return 1 if len(op.inputs) == 2 and walk.extents(op) != op.shape == walk.extents(op, 1) else 0


def _statistic(walk: "Expected", op: Op) -> Iterator[Op]:
    """The ops that lead to the number that a norm written by hand divides by, the last first."""
    if len(op.inputs) != 2:
        return
    here = op.inputs[1 - signal_place(walk, op)]
    for _ in range(BACK):
        if here == INPUT:
            return
        source = walk.trace.ops[here]
        yield source
        if not source.inputs:
            return
        here = source.inputs[0]


def written_power(walk: "Expected", op: Op) -> float | None:
    """The second moment behind a norm of unit gain: 1 over the root of a mean square, 1 / n over the length of n numbers.

    None where a signal is divided by something else of itself, such as a plain sum (shares made to sum to one).
    """
    if "div" not in op.name and "mul" not in op.name:
        return 1.0
    root, reduced = False, None
    for source in _statistic(walk, op):
        name = source.name
        if reduced is None and source.kind == "reduce":
            reduced = source
            n = max(math.prod(walk.extents(source)) / max(math.prod(source.shape), 1), 1.0)
            if name in LENGTHS:
                return 1 / n
            if name in DEVIATIONS or (root and name in VARIANCES):
                return 1.0
            if name not in ("mean", "sum") or not root:
                return None
        elif reduced is None:
            root = (
                root or name in ("sqrt", "rsqrt") or (name == "pow" and abs(source.facts.get("constant", 0.0)) == 0.5)
            )
        else:
            if name == "square" or (name == "pow" and source.facts.get("constant") == 2.0):
                return 1.0 if reduced.name == "mean" else 1 / n
            if source.kind == "mul" and len(source.inputs) == 1:
                return 1.0 if reduced.name == "mean" else 1 / n
            if source.kind != "shape":
                return None
    return None
