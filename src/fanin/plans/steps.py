"""Biases behind the step sizes of state spaces (Mamba), which a blanket rule for biases would undo."""

from collections.abc import Iterator

from fanin.traces.records import INPUT, Op, Trace

AROUND = ("shape", "pointwise")  # between the bias, the softplus and the product: reshapes, casts, clamps


def step_biases(trace: Trace) -> frozenset[str]:
    """Names of biases whose softplus is a step size, that is, multiplied by a trainable decay.

    Zero, which is right for most biases, would make every step softplus(0) = .69, and the state forget all but the last few tokens.
    """
    scales, biases = ({s.name for s in trace.slots if s.role == role} for role in ("scale", "bias"))
    steps = (
        op for op in trace.ops if op.name == "softplus" and any(scales & set(o.weights) for o in _after(trace, op))
    )
    return frozenset(name for op in steps for before in _before(trace, op) for name in before.weights if name in biases)


def _after(trace: Trace, op: Op) -> Iterator[Op]:
    """The ops that take this one's output, through reshapes and elementwise ops without weights."""
    reached = {op.index}
    for other in trace.ops[op.index + 1 :]:
        if reached & set(other.inputs):
            yield other
            if other.kind in AROUND and not other.weights:
                reached.add(other.index)


def _before(trace: Trace, op: Op) -> Iterator[Op]:
    """The ops that this one's input came through, back to the first that is more than a reshape or elementwise."""
    while op.inputs and op.inputs[0] != INPUT:
        op = trace.ops[op.inputs[0]]
        yield op
        if op.kind not in AROUND:
            return
