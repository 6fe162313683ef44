"""What is known about one weight before it is drawn: the meaning of its axes, and its place in the model.

Fans come from `Axes`, never from the raw shape, because the op that consumes a weight decides what its axes mean:
GPT-2's `Conv1D` stores (in, out), a fused projection stacks q, k and v on one axis, and a grouped convolution
stacks its groups on the axis of its outputs.
"""

import math
import re
from dataclasses import dataclass
from typing import Literal

from fanin.activations import Activation
from fanin.errors import FaninTypeError, FaninValueError
from fanin.records import Record

AxisRole = Literal["out", "in", "field", "stack", "lookup"]
LETTERS: dict[str, AxisRole] = {"o": "out", "i": "in", "k": "field", "s": "stack", "v": "lookup"}
LETTER_OF = {role: letter for letter, role in LETTERS.items()}


@dataclass(frozen=True)
class Factor(Record):
    """One meaning and its extent; an axis of a weight is a product of factors, the slowest first."""

    role: AxisRole
    size: int


@dataclass(frozen=True)
class Axes(Record):
    """What each axis of a weight means: *out*, *in*, receptive *field*, *stack*ed blocks, *lookup* (embedding rows).

    Attributes:
        factors: per axis of the weight, the factors that it is a product of, the slowest first.
        in_taps: share of a kernel's taps that meet in one output (1 / product of strides for a transposed convolution).
        out_taps: share of a kernel's taps that one input reaches (1 / product of strides for a convolution).

    Example:
        >>> Axes.parse("oi", (256, 128)).fan_in
        128.0
        >>> Axes.parse("(s3o)i", (192, 64)).fan_out     # fused q, k and v: three blocks of 64 outputs
        64.0
        >>> Axes.parse("(s8o)ikk", (64, 1, 3, 3)).fan_in     # 8 groups, depthwise
        9.0
    """

    factors: tuple[tuple[Factor, ...], ...]
    in_taps: float = 1.0
    out_taps: float = 1.0

    @classmethod
    def parse(cls, spec: str, shape: tuple[int, ...], *, in_taps: float = 1.0, out_taps: float = 1.0) -> "Axes":
        """Axes from a spec: one letter an axis (o, i, k, s, v) or a group such as `(s3o)`, at most one size left open.

        Raises:
            FaninTypeError: the spec is no text.
            FaninValueError: it does not parse, or does not fit the shape.
        """
        if not isinstance(spec, str):
            raise FaninTypeError(f"axes={spec!r} cannot be used; give a text such as 'oi', or fanin.slots.Axes")
        groups = re.findall(r"\(([^()]*)\)|([a-z])", spec)
        if "".join(f"({g})" if g else letter for g, letter in groups) != spec or not spec:
            raise FaninValueError(
                f"axes={spec!r} does not parse; write one of o, i, k, s, v an axis, or (s3o) for blocks"
            )
        if len(groups) != len(shape):
            raise FaninValueError(
                f"axes={spec!r} names {len(groups)} axes, but the shape {tuple(shape)} has {len(shape)}"
            )
        factors = tuple(
            _parse_axis(group or letter, size, spec) for (group, letter), size in zip(groups, shape, strict=True)
        )
        return cls(factors, in_taps, out_taps)

    def fitting(self, shape: tuple[int, ...]) -> "Axes":
        """These axes, for a weight of this shape; raises FaninValueError where they are of another."""
        if self.shape != tuple(shape):
            raise FaninValueError(
                f"axes={self.spec!r} are of the shape {self.shape}, but the weight has {tuple(shape)}"
            )
        return self

    @property
    def spec(self) -> str:
        """The spec that `parse` reads again."""
        return "".join(self._axis_spec(axis) for axis in self.factors)

    @staticmethod
    def _axis_spec(axis: tuple[Factor, ...]) -> str:
        if len(axis) == 1:
            return LETTER_OF[axis[0].role]
        return "(" + "".join(f"{LETTER_OF[f.role]}{f.size}" for f in axis) + ")"

    @property
    def shape(self) -> tuple[int, ...]:
        """The global shape of the weight."""
        return tuple(math.prod(f.size for f in axis) for axis in self.factors)

    def size(self, role: AxisRole) -> int:
        """The product of the extents of all factors with this role (1 where there is none)."""
        return math.prod(f.size for axis in self.factors for f in axis if f.role == role)

    @property
    def fan_in(self) -> float:
        """How many products are summed into one output element."""
        return self.size("in") * self.size("field") * self.in_taps

    @property
    def fan_out(self) -> float:
        """How many output elements one input element reaches."""
        return self.size("out") * self.size("field") * self.out_taps

    @property
    def receptive_field(self) -> int:
        """Taps of the kernel (1 for a dense weight)."""
        return self.size("field")


def _parse_axis(text: str, size: int, spec: str) -> tuple[Factor, ...]:
    parts = re.findall(r"([a-z])(\d*)", text)
    if "".join(a + b for a, b in parts) != text or not parts:
        raise FaninValueError(f"axes={spec!r} does not parse at {text!r}; a group is letters with sizes, such as (s3o)")
    unknown = [letter for letter, _ in parts if letter not in LETTERS]
    if unknown:
        raise FaninValueError(f"axes={spec!r} has the letter {unknown[0]!r}; accepted are {', '.join(LETTERS)}")
    open_ = [i for i, (_, digits) in enumerate(parts) if not digits]
    known = math.prod(int(digits) for _, digits in parts if digits)
    if len(open_) > 1 or (open_ and (known == 0 or size % known)) or (not open_ and known != size):
        raise FaninValueError(f"axes={spec!r}: the group {text!r} does not divide an axis of {size} elements")
    return tuple(Factor(LETTERS[letter], int(digits) if digits else size // known) for letter, digits in parts)


@dataclass(frozen=True)
class Pairing(Record):
    """How the units of a mirrored producer lie along one axis: the axis is (outer, units, inner), slowest first.

    Unit c and unit c + units // 2 are a pair (f(u), f(-u)); with an odd number of units the last one has no partner.
    `outer` and `inner` are 1 for dense layers; a flatten of (channels, height, width) gives inner = height * width.
    """

    units: int
    outer: int = 1
    inner: int = 1


@dataclass(frozen=True)
class ChainLink(Record):
    """The place of a weight in a chain of layers that follow each other with nothing but activations between them.

    Attributes:
        id: the name of the chain's first weight.
        position: 0 for the first weight, counted along the chain.
        length: how many weights the chain has.
        before: the activation that the weight's input came through (None for the first).
        after: the activation that its output meets (None for the last).
        in_pairing: how the units of the weight before lie along this weight's input axis (None for the first).
        normed: whether a norm stands between the weight before and this one (only in `Slot.normed_chain`).
    """

    id: str
    position: int
    length: int
    before: Activation | None = None
    after: Activation | None = None
    in_pairing: Pairing | None = None
    normed: bool = False

    @property
    def place(self) -> Literal["first", "inner", "last"]:
        """Where in the chain this weight stands."""
        return "first" if self.position == 0 else "last" if self.position == self.length - 1 else "inner"


StackKind = Literal["alone", "encoder", "decoder", "both"]


@dataclass(frozen=True)
class ResidualPlace(Record):
    """The place of a weight in a residual stream: x + branch(x).

    Attributes:
        branch: index of the weight's branch, counted along its stream from 0.
        branches: how many branches are added to the stream (one an add; attention and a feed-forward that are added at once,
            beside each other, are two).
        last: whether this is the last weight of its branch, whose output is added to the stream.
        normed: whether the branch's output passes a norm before it is added.
        stream: identifies the stream (the op index of its first add).
        layers: how many weights follow each other on the branch (2 for attention and for a feed-forward), 0 if unknown.
        stack: whether the stream is an "encoder" (another stream attends to it), a "decoder" (it attends to an encoder), "both" (as in
            a chain of three), or "alone".
        adds: branches a transformer layer of this stream: 2, or 3 for a decoder with attention to itself and to an encoder; 0 where
            they do not come at even distances.
        other: layers of the encoder's decoder, or of the decoder's encoder; 0 where there is none, or several that differ.
    """

    branch: int
    branches: int
    last: bool
    normed: bool = False
    stream: int = 0
    layers: int = 0
    stack: StackKind = "alone"
    adds: int = 2
    other: float = 0.0


SlotRole = Literal[
    "weight",  # multiplies a signal: linear, convolution, attention projection, …
    "recurrent",  # multiplies a state that it also makes
    "bias",
    "norm_scale",
    "norm_shift",
    "scale",  # multiplies a signal elementwise, outside a norm (LayerScale, ReZero, PReLU's slope)
    "embedding",  # rows looked up by index
    "position",  # added to a signal, broadcast over the batch (positions, class tokens)
    "unused",  # no op consumed it and autograd does not reach it
    "opaque",  # something consumed it that the watched pass cannot see into
    "other",
]


@dataclass(frozen=True)
class Slot(Record):
    """One weight: name, shape, axes, the op that consumes it, and its place in the model.

    Attributes:
        name: canonical name (wrappers' prefixes taken off).
        names: every name of a tied weight, `name` first.
        shape: global shape.
        dtype: element type, such as "float32".
        role: what the weight is for.
        op: kind of the op that consumes it ("linear", "conv", …), None when unused.
        op_index: index of that op in the trace's list of ops (the first, where there are several), None when unused.
        module: dotted path of the module that owns it ("" for the root).
        module_type: class name of that module (for display and patterns, never for decisions).
        axes: what its axes mean, where known.
        activation: the activation that the op's output meets before the next weight; None where it meets none.
        input_activation: the activation that the op's input came through; None where there is none.
        depth: number of weight ops on the longest path from the input to this op's output (1 for the first).
        head: whether nothing but shape-only ops, activations and the loss follow it.
        norm_after: whether its output meets a norm before the next weight or add.
        norm_before: whether its input comes out of a norm with nothing but shape-only ops between.
        parts: what stacked blocks are ("qkv", "lstm", "gru", "groups", "experts", …).
        hidden: hidden size of a recurrent weight (0 otherwise).
        padding_index: row of an embedding that stays zero.
        residual: its place in a residual stream, or None.
        chain: its place in a plain chain, or None.
        normed_chain: its place in a chain that also goes on through norms (pairs f(u), f(-u) survive them); None where
            no norm stands in it.
        uses: how many ops consume it.
        trainable: whether it requires a gradient.
        weight: for a bias or a scale, the name of the weight of the same op.
        offset: what its module adds to it before use: 1 where a norm multiplies by 1 + w, as Gemma's do. Filled in where plans
            are made.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    role: SlotRole
    names: tuple[str, ...] = ()
    op: str | None = None
    op_index: int | None = None
    module: str = ""
    module_type: str = ""
    axes: Axes | None = None
    activation: Activation | None = None
    input_activation: Activation | None = None
    depth: int | None = None
    head: bool = False
    norm_after: bool = False
    norm_before: bool = False
    parts: str | None = None
    hidden: int = 0
    padding_index: int | None = None
    residual: ResidualPlace | None = None
    chain: ChainLink | None = None
    normed_chain: ChainLink | None = None
    uses: int = 1
    trainable: bool = True
    weight: str | None = None
    offset: float = 0.0

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)
