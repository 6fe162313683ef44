"""Norms, of modules and written by hand: to unit size, unless what is divided by is another statistic."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fanin.theory import elementwise, gaussian, tokens
from fanin.theory.forward import DEFAULT_EPS
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
    y = through_norm(x, name, eps, scale, shift)
    gain = walk.norm_power(op) * level
    y = y.scaled(level, level) if level != 1 else y
    y = y.but(law=_normed_law(x, y))
    if "batch" in name:
        factor = gain / (x.s + eps) if x.s + eps > 0 else 0.0
        return y.but(apart=factor * min(apart, x.s), profile=x.profile)
    variance = x.q if "rms" in name else x.variance
    factor = gain / (variance + eps) if variance + eps > 0 else 0.0
    return tokens.normed(x, y.but(apart=factor * min(apart, variance)), "rms" not in name, eps, gain)


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
