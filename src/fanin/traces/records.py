"""What a watched pass leaves behind: ops, signals, slots and facts about weights. Pure data, no framework.

`Trace.ops` is in the order of execution. An op's `inputs` are indices into that list (`INPUT` stands for a model input),
so the list is the graph. Everything a check or a rule needs is here: none of them sees the model.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

from fanin.activations import Activation
from fanin.records import Record
from fanin.slots import Slot

INPUT = -1  # stands for a model input in `Op.inputs`

OpKind = Literal[
    "linear",  # dense product of a signal with a weight: linear, matmul, addmm, einsum, bmm on stacked weights
    "conv",
    "conv_transpose",
    "embedding",
    "attention",  # fused: multi_head_attention_forward, scaled_dot_product_attention
    "recurrent",  # fused: lstm, gru, rnn
    "norm",
    "softmax",
    "activation",  # a named nonlinear function of one signal
    "pointwise",  # any other elementwise function (one signal, or a signal with constants and parameters)
    "add",  # of two signals
    "mul",  # of two signals (gates)
    "matmul",  # of two signals (attention logits and values written by hand)
    "shape",  # moves elements only: view, transpose, chunk, flatten, index, …
    "concat",
    "pool",
    "reduce",  # mean, sum, …
    "dropout",
    "loss",
    "other",
]


@dataclass(frozen=True)
class Signal(Record):
    """What went through one op's output, measured on a bounded sample. NaN where it could not be measured.

    A *unit* is one index of the channel axis, an *example* one index of the batch axis (the first).

    Attributes:
        rms: root mean square over everything.
        mean: mean over everything.
        std: standard deviation over everything.
        spread: rms over units of the standard deviation *across examples* (what distinguishes the inputs).
        correlation: mean cosine between pairs of different examples (not centred), NaN with one example.
        rank: effective rank, exp of the entropy of the normalised singular values of (examples × units), centred.
        max_rank: the largest that `rank` could be: min(examples - 1, units).
        dead: fraction of units that are exactly zero (or constant, or in the flat part) for every example.
        saturated: fraction of elements in the flat part of a bounded activation (slope under 5 % of its largest).
        nonfinite: fraction of elements that are NaN or infinite.
        units: extent of the unit axis.
        examples: rows that the sample holds.
        grad_rms: rms of the loss gradient with respect to this output, NaN without a backward pass.
        second: E[x²] at interior positions of a convolution (padding excluded); equal to rms² elsewhere.
    """

    rms: float
    mean: float
    std: float
    spread: float
    correlation: float
    rank: float
    max_rank: float
    dead: float
    saturated: float
    nonfinite: float
    units: int
    examples: int
    grad_rms: float = float("nan")
    second: float = float("nan")


def forget_bias(weight: str) -> str:
    """The name among an op's facts of the mean bias (both biases summed) of the forget gate beside a recurrent weight."""
    return f"forget_bias {weight}"


@dataclass(frozen=True)
class Made(Record):
    """One step of the arithmetic between a weight and the op that it meets, such as `exp` or `1 +`.

    Attributes:
        name: the framework's name of it.
        facts: the number beside it (`constant`, `constant_rms`) or its bounds (`min`, `max`).
    """

    name: str
    facts: dict[str, float] = field(default_factory=dict)

    @property
    def affine(self) -> tuple[float, float, float] | None:
        """(factor, number added, second moment of the factor over the square of its mean); None for another function.

        Example:
            >>> Made("add", {"constant": 1.0, "constant_rms": 1.0}).affine      # 1 + w
            (1.0, 1.0, 1.0)
        """
        c, rms = self.facts.get("constant", math.nan), self.facts.get("constant_rms", math.nan)
        if self.name in ("neg", "negative"):
            return -1.0, 0.0, 1.0
        if not math.isfinite(c):
            return None
        if self.name in ("mul", "rmul", "multiply"):
            return (c, 0.0, (rms / c) ** 2) if c else None
        if not rms - abs(c) < 1e-9:  # an array of different numbers
            return None
        if self.name in ("div", "true_divide"):
            return (1 / c, 0.0, 1.0) if c else None
        sign = {"add": 1.0, "radd": 1.0, "sub": -1.0, "subtract": -1.0}.get(self.name)
        if sign is not None:
            return 1.0, sign * c, 1.0
        return (-1.0, c, 1.0) if self.name == "rsub" else None


@dataclass(frozen=True)
class Op(Record):
    """One call in the watched pass.

    Attributes:
        index: position in `Trace.ops`.
        kind: what it does, in a small vocabulary.
        name: the framework's name of it ("linear", "conv2d", "__add__", …).
        module: dotted path of the innermost module that was running ("" for the root).
        inputs: indices of the ops whose outputs are its signal inputs; INPUT for a model input.
        weights: names of the slots that it consumes (canonical names).
        shape: shape of its (first) output.
        activation: for "activation" ops (and "recurrent", "pointwise" where known), the function.
        signal: what went through, None for shape-only ops and where it was not measured.
        depth: weight ops on the longest path from a model input, this one included.
        module_input: for weight ops, signal of the data input (None where not measured).
        facts: numbers of one kind of op only, e.g. attention: "logit_std", "logit_max", "entropy", "max_entropy", "heads";
            recurrent: "steps", an LSTM's `forget_bias(weight)` for each recurrent weight; dropout: "p";
            norm: "width", "eps"; conv: "groups"; softmax: "classes", "entropy".
            What no weight changes (windows, constants, who sees whom, the input's own moments) is listed in
            `fanin.traces.torch.geometry`.
        made: of weights that it meets behind arithmetic (-exp(w), 1 + w), the steps in order, by name.
    """

    index: int
    kind: OpKind
    name: str
    module: str
    inputs: tuple[int, ...]
    weights: tuple[str, ...]
    shape: tuple[int, ...]
    activation: Activation | None = None
    signal: Signal | None = None
    depth: int = 0
    module_input: Signal | None = None
    facts: dict[str, float] = field(default_factory=dict)
    made: dict[str, tuple[Made, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class ResidualAdd(Record):
    """One residual add: op `add` joins the stream (`skip`, an op index or INPUT) and a branch (`branch`, an op index).

    Attributes:
        weights: weights that lie on the branch only, in order of execution.
        stream: index of the first add of the same stream.
        position: place along the stream, from 0.
        normed_after: a norm follows the add at once (post-norm).
        skip_weights: weights on the skip path (projection shortcuts).
    """

    add: int
    skip: int
    branch: int
    weights: tuple[str, ...]
    stream: int
    position: int
    normed_after: bool = False
    skip_weights: tuple[str, ...] = ()


@dataclass(frozen=True)
class WeightFacts(Record):
    """Facts of one weight's stored values, from a bounded sample of large ones (`sampled` numbers looked at).

    Attributes:
        std, mean, low, high: of the finite values.
        nonfinite: fraction that is NaN or infinite.
        zeros: fraction that is exactly zero.
        kurtosis: E[(x-mean)⁴] / std⁴: 3 normal, 1.8 uniform, 2.37 normal cut at 2 sigmas.
        constant: all values equal.
        duplicate_units: pairs of output units with equal incoming weights, bias included (symmetry), (i, j).
        duplicate_count: how many units have an equal partner before them.
        digest: hash of the values; equal digests of equal shapes are equal weights.
        grad_rms: rms of the loss gradient, NaN without backward or where autograd does not reach it.
        reached: whether autograd reaches it from the loss or output (None without a backward pass).
        orthogonality: for two-dimensional blocks, rms deviation of the smaller Gram matrix / its mean diagonal from I,
            times sqrt of its width: ~1 or more for independent entries on square blocks, 0 for orthogonal; NaN where not measured.
        mirrored_out, mirrored_in: whether the units come in exactly opposite pairs along outputs, inputs (halves).
        uninitialised: looks like memory that nobody wrote (absurd magnitudes or denormals).
        equal_gradients: of the pairs in `duplicate_units`, whether both units also get equal gradients (None where unknown).
    """

    std: float
    mean: float
    low: float
    high: float
    nonfinite: float
    zeros: float
    kurtosis: float
    sampled: int
    constant: bool
    duplicate_units: tuple[tuple[int, int], ...] = ()
    duplicate_count: int = 0
    digest: str = ""
    grad_rms: float = float("nan")
    reached: bool | None = None
    orthogonality: float = float("nan")
    mirrored_out: bool = False
    mirrored_in: bool = False
    uninitialised: bool = False
    equal_gradients: bool | None = None


@dataclass(frozen=True)
class LossFacts(Record):
    """The loss at the start, and what the head should give.

    Attributes:
        value: the measured loss (mean), NaN where there is none.
        kind: "cross_entropy", "bce", "mse", "l1", … where the loss was recognised, else "unknown".
        classes: classes of a cross-entropy (0 where not known).
        chance: the loss of constant logits: log(classes) or the entropy that label smoothing leaves; NaN where not known.
        logit_std: standard deviation of the logits within an example (averaged over examples), NaN where not known.
        target_rms: rms of the targets (regression), NaN where not known.
        op: index of the op that made the loss, -1 where there is none.
        logits: index of the op that made the loss's input (logits or predictions), -1 where not known.
        smoothing: label smoothing of a cross-entropy.
        weighted: whether the loss has class weights, an ignored index or another change of the plain mean.
    """

    value: float
    kind: str = "unknown"
    classes: int = 0
    chance: float = float("nan")
    logit_std: float = float("nan")
    target_rms: float = float("nan")
    op: int = -1
    logits: int = -1
    smoothing: float = 0.0
    weighted: bool = False


@dataclass(frozen=True)
class InputFacts(Record):
    """One tensor of the batch.

    Attributes:
        name: its place ("input", "input[1]", "input_ids", …).
        shape: its shape.
        dtype: its element type.
        floating: whether it holds real numbers (else indices or flags).
        mean, std, low, high: over all elements (NaN where not floating).
        nonfinite: fraction that is NaN or infinite.
        feature_spread: largest / median per-feature standard deviation (NaN where not floating).
        op: index of the first op that consumes it, -1 where none does.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    floating: bool
    mean: float
    std: float
    low: float
    high: float
    nonfinite: float
    feature_spread: float = float("nan")
    op: int = -1


@dataclass(frozen=True)
class Trace(Record):
    """One watched pass of one model on one batch.

    Attributes:
        framework: "torch".
        model: class name of the model.
        parameters: number of elements of all slots.
        ops: the graph, in order of execution.
        slots: one for each parameter (tied ones once), in the model's order.
        weights: facts of each slot's values, by slot name.
        residuals: residual adds, in order.
        inputs: the batch.
        loss: the loss, None where the pass had no loss.
        backward: "loss" (gradients of the loss), "probe" (gradients of a random projection of the output) or "none".
        training: the model was watched in train mode.
        outputs: indices of the ops that made the model's outputs.
        notes: what the pass could not see or do, one sentence each.
        seed: seed of the forked random state in which the pass ran.
    """

    framework: str
    model: str
    parameters: int
    ops: tuple[Op, ...]
    slots: tuple[Slot, ...]
    weights: dict[str, WeightFacts]
    residuals: tuple[ResidualAdd, ...]
    inputs: tuple[InputFacts, ...]
    loss: LossFacts | None
    backward: Literal["loss", "probe", "none"]
    training: bool
    outputs: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    seed: int = 0

    def slot(self, name: str) -> Slot:
        """The slot of this name (any of a tied weight's names)."""
        for slot in self.slots:
            if name == slot.name or name in slot.names:
                return slot
        raise KeyError(name)

    @property
    def depth(self) -> int:
        """Weight ops on the longest path."""
        return max((op.depth for op in self.ops), default=0)
