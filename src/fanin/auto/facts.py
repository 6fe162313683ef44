"""What the rules of this room read off a trace besides the slots: what stands between two weights, how large the input is."""

import math
from collections.abc import Iterator

from fanin.draws.layout import block_shape
from fanin.slots import Slot
from fanin.traces.records import INPUT, Op, ResidualAdd, Trace

CONVOLUTIONS = ("conv", "conv_transpose")
THROUGH = ("shape", "dropout")  # kinds that leave the size of a signal as it is, in the mean


def op_of(trace: Trace, slot: Slot) -> Op | None:
    """The op that consumes the slot."""
    if slot.op_index is None or not 0 <= slot.op_index < len(trace.ops):
        return None
    return trace.ops[slot.op_index]


def before(trace: Trace, op: Op) -> Iterator[Op]:
    """The ops before this one, back along the first input, until a weight op (included) or the model's input."""
    seen = 0
    while op.inputs and op.inputs[0] != INPUT and seen < 64:
        op = trace.ops[op.inputs[0]]
        yield op
        if op.kind in ("linear", "conv", "conv_transpose", "embedding", "attention", "recurrent"):
            return
        seen += 1


def dropout_before(trace: Trace, slot: Slot) -> float:
    """The share of inputs of this weight that dropout sets to zero (several dropouts together)."""
    op = op_of(trace, slot)
    if op is None or not trace.training:
        return 0.0
    kept = math.prod(1.0 - o.facts.get("p", 0.0) for o in before(trace, op) if o.kind == "dropout")
    return 1.0 - kept


def input_rms(trace: Trace, slot: Slot) -> float:
    """The rms of the signal that a weight meets: measured where it is the batch itself, 1 where the plan will make it so."""
    op = op_of(trace, slot)
    if op is None:
        return 1.0
    steps = list(before(trace, op))
    if not all(o.kind in THROUGH for o in steps) or INPUT not in (steps[-1] if steps else op).inputs:
        return 1.0
    first = steps[-1].index if steps else op.index
    floating = [i for i in trace.inputs if i.floating]
    own = [i for i in floating if i.op == first] or (floating if len(floating) == 1 else [])
    sizes = [math.sqrt(i.mean**2 + i.std**2) for i in own]  # of the whole tensor, where a signal is a sample of places
    rms = sizes[0] if sizes else op.module_input.rms if op.module_input is not None else math.nan
    return rms if math.isfinite(rms) and rms > 0 else 1.0


def branch_scale(trace: Trace, slot: Slot) -> tuple[float, str]:
    """The factor on the last weight of a residual branch, and why.

    1/√branches where branches only add up; where a norm stands on the stream itself (post-norm), each add is set back to unit size
    and the earlier branches fade: their fourth root is between the two (measured; Wang et al. 2022 give the same power).
    """
    place = slot.residual
    assert place is not None
    n = place.branches
    if any(_through_norm(trace, add) for add in trace.residuals if add.stream == place.stream and add.position > 0):
        return n**-0.25, f"last of a residual branch under a norm on the stream: × {n}^(-1/4) for {n} branches"
    return n**-0.5, f"last of a residual branch: × 1/√{n}, so that {n} branches double the stream"


def _through_norm(trace: Trace, add: ResidualAdd) -> bool:
    """Whether the stream comes out of a norm before this add."""
    index = add.skip
    for _ in range(16):
        if index == INPUT or trace.ops[index].kind == "norm":
            return index != INPUT
        op = trace.ops[index]
        if op.kind not in THROUGH or not op.inputs:
            return False
        index = op.inputs[0]
    return False


OUTPUT = 1.0  # standard deviation of a classifier's outputs at the start
REGRESSION = 0.2  # of outputs that stand for quantities: a wrong guess costs its square, 4 % of the targets' (measured: .1 to .3)


def output_size(trace: Trace, slot: Slot) -> float:
    """How large the outputs of a head should be at the start, standard deviation.

    Small where they are quantities: the loss says so, or (where it is not known) they are one number an example, or as
    many as the input has.
    """
    if trace.loss is not None and trace.loss.kind in ("mse", "l1", "smooth_l1", "huber"):
        return REGRESSION
    if trace.loss is not None and trace.loss.kind != "unknown":
        return OUTPUT
    op = op_of(trace, slot)
    if op is None or not op.shape:
        return OUTPUT
    alike = any(i.floating and math.prod(i.shape) == math.prod(op.shape) for i in trace.inputs)
    return REGRESSION if alike or op.shape[-1] == 1 else OUTPUT


def positions(trace: Trace, slot: Slot) -> int:
    """Positions of the image that a convolution gives an output for; 1 for a dense weight."""
    op = op_of(trace, slot)
    return math.prod(op.shape[2:]) if op is not None and op.kind in CONVOLUTIONS else 1


def values_in(trace: Trace, slot: Slot) -> int:
    """How many numbers of one example a weight meets: inputs, times the positions of the image that a convolution slides over."""
    assert slot.axes is not None
    inputs = block_shape(slot.axes)[2]
    op = op_of(trace, slot)
    if op is None or op.kind not in CONVOLUTIONS or not op.inputs:
        return inputs
    source = next((o.shape for o in before(trace, op)), None)
    given = [i.shape for i in trace.inputs if i.floating and len(i.shape) == len(op.shape)]
    shape = source or (given[0] if given else op.shape)
    return inputs * math.prod(shape[2:])


def valid_share(trace: Trace, slot: Slot) -> float:
    """The share of a kernel's taps that meets the image and not its zero padding, in the mean over output positions.

    Of the taps that meet in an output at all: those of a transposed convolution's stride are left out (`Axes.in_taps`).
    """
    op = op_of(trace, slot)
    if op is None or op.kind not in CONVOLUTIONS or slot.axes is None:
        return 1.0
    kernel = [factor.size for axis in slot.axes.factors for factor in axis if factor.role == "field"]
    source = next((o for o in before(trace, op)), None)
    out = op.shape[-len(kernel) :]
    into = source.shape[-len(kernel) :] if source is not None else ()
    if len(into) != len(kernel) or len(out) != len(kernel):
        return 1.0
    valid = _valid if op.kind == "conv" else _valid_transposed
    return math.prod(valid(k, n, m) for k, n, m in zip(kernel, into, out, strict=True))


def _valid(taps: int, inputs: int, outputs: int) -> float:
    """Along one dimension, for a kernel without dilation, padded alike on both sides."""
    stride = max(1, round(inputs / outputs))
    padding = ((outputs - 1) * stride + taps - inputs + 1) // 2
    if padding <= 0:
        return 1.0
    inside = sum(0 <= position * stride + tap - padding < inputs for position in range(outputs) for tap in range(taps))
    return inside / (outputs * taps)


def _valid_transposed(taps: int, inputs: int, outputs: int) -> float:
    """The same of a transposed convolution: of each input's taps, those that land inside the output."""
    stride = max(1, round(outputs / inputs))
    padding = ((inputs - 1) * stride + taps - outputs + 1) // 2
    landed = sum(0 <= place * stride + tap - padding < outputs for place in range(inputs) for tap in range(taps))
    return landed * stride / (outputs * taps)
