"""Walks a trace's graph from its inputs with nothing but the laws of the weights: no measured signal but the input's."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from fanin.records import changed
from fanin.theory import elementwise, gaussian, made, mixing, norms, positions, recurrence, skips, steps, tokens
from fanin.theory.elementwise import Named, activated
from fanin.theory.forward import Forward, _from_facts, _measured
from fanin.theory.laws import WeightLaw
from fanin.theory.state import State, added, alike, pairs_meet, through_dropout, through_weight, times
from fanin.theory.taps import Window, merged, overlap, passed, windows
from fanin.traces.records import INPUT, Op, Trace

MEASURED = ("logit_std", "logit_max", "entropy")  # facts of an op that follow from the weights
MASKS = ("masked_fill", "where", "nan_to_num", "tril", "triu")


def strip(trace: Trace) -> Trace:
    """The trace without anything that was measured behind its inputs: signals, gradients, logits, the loss.

    What is left is the graph, the geometry of its ops, what goes into ops that read the batch, and the weights' facts.
    """

    def bare(op: Op) -> Op:
        if op.signal is None and op.module_input is None and not op.facts:
            return op
        facts = {k: v for k, v in op.facts.items() if k not in MEASURED and not k.startswith("forget_bias")}
        given = op.module_input if op.inputs[:1] == (INPUT,) else None
        return changed(op, signal=None, module_input=given, facts=facts)

    loss = trace.loss
    if loss is not None:
        loss = replace(loss, value=math.nan, logit_std=math.nan)
    return replace(trace, ops=tuple(bare(op) for op in trace.ops), loss=loss)


class Expected(Forward):
    """One walk over a stripped trace.

    Attributes:
        reasons: of the ops behind which the signal is not known, why (by index).
        blocks: the states of stacked blocks (queries, keys, values), by op, where their laws are stated apart.
        batch: examples of the batch.
        sliding: the windows of each op that was asked for them.
        makes: the laws of weights behind arithmetic, by weight and op.
        past: (gates, steps, fan_out / fan_in of the input weight) of each layer of a recurrent call.
        attends: (keys of each query, causal, variances of the logits, dropout) behind each softmax over keys.
    """

    def __init__(self, trace: Trace, laws: Mapping[str, WeightLaw]) -> None:
        self.reasons: dict[int, str] = {}
        self.blocks: dict[int, tuple[State, ...]] = {}
        self.attends: dict[int, mixing.Attends] = {}
        self.makes: dict[tuple[str, int], WeightLaw | None] = {}
        self.replays: dict[int, gaussian.Array] = {}
        self.steps: dict[str, list[float]] = {}
        self.sliding: dict[int, list[Window]] = {}
        self.batch = max((f.shape[0] for f in trace.inputs if f.shape), default=1)
        self.past: dict[int, list[tuple[list[steps.Gate], steps.Steps, float]]] = {}
        super().__init__(trace, laws)

    def arriving(self, op: Op, position: int = 0) -> State | None:
        """The signal that arrives at one of an op's inputs (calls that take one op's output twice name it once)."""
        if not op.inputs:
            return None
        source = op.inputs[min(position, len(op.inputs) - 1)]
        if source != INPUT:
            return self.states[source]
        facts = op.facts
        if "input_second" in facts:
            mean, q = facts["input_mean"], facts["input_second"]
            s = facts.get("input_contrast", q - mean**2)
            return State(mean, q, s, apart=facts.get("input_apart", math.nan), shared=s / _width(op))
        return _measured(op.module_input) or _from_facts(self.inputs.get(op.index))

    def extents(self, op: Op, position: int = 0) -> tuple[int, ...]:
        """The shape of one of an op's inputs, () where it is not known."""
        if not op.inputs:
            return ()
        source = op.inputs[min(position, len(op.inputs) - 1)]
        if source != INPUT:
            return self.trace.ops[source].shape
        facts = self.inputs.get(op.index)
        return facts.shape if facts is not None else ()

    def law(self, op: Op, *roles: str) -> WeightLaw | None:
        """The law of the op's weight with one of these roles."""
        return self._law(op, *roles)

    def _law(self, op: Op, *roles: str) -> WeightLaw | None:
        law = super()._law(op, *roles)
        return law if law is None or not op.made else made.law_in(self, op, law)

    def root(self, index: int, kinds: tuple[str, ...] = ("shape",)) -> int:
        """The op from which this one's output came, through ops of these kinds with one input."""
        while index != INPUT and self.trace.ops[index].kind in kinds and len(self.trace.ops[index].inputs) == 1:
            index = self.trace.ops[index].inputs[0]
        return index

    def _behind(self, op: Op) -> State | None:
        composite = self.composites.get(op.index)
        if composite is not None and (u := self.states[composite.base]) is not None:
            return activated(u, composite.activation, _width(op), self.batch)
        if op.index in self.inner:
            return self._inside(op)
        if op.made and (why := made.unknown(self, op)):
            return self._unknown(op, why)
        step = STEPS.get(op.kind)
        x = self.arriving(op)
        if step is None:
            return self._unknown(op, f"theory has no word on {op.name}")
        try:
            y = step(self, op, x)
        except (OverflowError, ZeroDivisionError, FloatingPointError):
            y = None
        if y is None:
            missing = x is None and op.kind not in ("embedding", "loss")
            return self._unknown(
                op, "what comes in is not known" if missing else f"theory has no word on this {op.name}"
            )
        return y if math.isfinite(y.q) else self._unknown(op, f"the second moment behind {op.name} does not exist")

    def _unknown(self, op: Op, why: str) -> None:
        self.reasons.setdefault(op.index, why)  # a step that knows why has said so

    def _inside(self, op: Op) -> State | None:
        """An op inside an activation written by hand, as a function of what went into the whole."""
        home = next(c for c in self.composites.values() if op.index in c.inner)
        u = self.states[home.base]
        z, weights = gaussian._grid(gaussian.COARSE)
        if u is not None:
            self.replays[home.base] = u.mean + math.sqrt(u.variance) * z
        arguments = [self.replays[i] for i in op.inputs if i in self.replays]
        y = elementwise.replayed(op, arguments) if u is not None and len(arguments) == len(op.inputs) else None
        if y is None:
            return self._unknown(op, "inside an activation written by hand")
        self.replays[op.index] = y
        mean, q = float(weights @ y), float(weights @ y**2)
        share = u.s / u.variance if u is not None and u.variance > 0 else 1.0
        return State(mean, q, min(share, 1.0) * max(q - mean * mean, 0.0))


Step = Callable[[Expected, Op, State | None], State | None]


def _linear(walk: Expected, op: Op, x: State | None) -> State | None:
    weight = walk.weight_of(op)
    if x is None or weight is None or walk.slots[weight.name].axes is None:
        return None
    bias = walk.law(op, "bias")
    if op.name == "bilinear":
        other = walk.arriving(op, 1)
        x = x.scaled(other.q, other.q) if other is not None else None
        if x is None:
            return None
    if "summand" in op.facts or "alpha" in op.facts or "constant" in op.facts:
        product = mixing.with_summand(walk, op, weighted(x, weight, None, walk.batch))
        return product if product is None or bias is None or bias.zero else added(product, constant_part(bias))
    y = weighted(x, weight, bias, walk.batch)
    if weight.parts or (bias is not None and bias.parts and len(bias.parts) == len(weight.parts)):
        parts = bias.parts if bias is not None and len(bias.parts) == len(weight.parts) else (bias,) * len(weight.parts)
        walk.blocks[op.index] = tuple(weighted(x, w, b, walk.batch) for w, b in zip(weight.parts, parts, strict=True))
    return y


def weighted(x: State, weight: WeightLaw, bias: WeightLaw | None, examples: int) -> State:
    """The signal behind a weight, with what tells positions apart."""
    if weight.identity:
        power = weight.fan_in * weight.variance
        y = x.scaled(power, power)
        return y if bias is None or bias.zero else added(y, constant_part(bias))
    if weight.centred:  # the weights of an output sum to zero, so what its inputs share is lost
        rest = weight.inputs / max(weight.inputs - 1, 1)
        x = x.but(mean=0.0, q=max(x.variance - x.shared, 0.0) * rest, s=x.s * rest, before=None)
    y = through_weight(x, weight, bias, examples)
    if not math.isfinite(x.apart):
        return y.but(profile=x.profile)
    if pairs_meet(x, weight):
        apart = through_weight(_apart_as_contrast(x), weight, None, examples).s
    else:
        power = weight.fan_in * (weight.variance + weight.mean**2)
        return tokens.linear(x, y.but(apart=power * x.apart, profile=x.profile), power)
    return y.but(apart=apart, profile=x.profile)


def _apart_as_contrast(x: State) -> State:
    assert x.before is not None
    u = x.before.state
    return x.but(s=x.apart, before=replace(x.before, state=u.but(s=u.apart if math.isfinite(u.apart) else u.s)))


def constant_part(law: WeightLaw) -> State:
    """Numbers of a weight that are added as they are: the same for all examples and positions."""
    return State(law.mean, law.variance + law.mean**2, 0.0, apart=0.0)


def _conv(walk: Expected, op: Op, x: State | None) -> State | None:
    weight = walk.weight_of(op)
    if x is None or weight is None or walk.slots[weight.name].axes is None:
        return None
    bias = walk.law(op, "bias")
    y = weighted(x.but(profile=()), weight, None, walk.batch)
    factor, profile = 1.0, []
    for axis, window in enumerate(walk_windows(walk, op)):
        level = x.profile[axis] if len(x.profile) > axis and len(x.profile[axis]) == window.before else None
        result = passed(window, level, weight.centre)
        factor *= result.factor
        profile.append(result.profile)
    if op.kind == "conv_transpose" and math.isfinite(y.apart):
        # Only places that are a multiple of the stride apart meet the same taps, and share anything.
        same = math.prod(int(op.facts.get(f"stride {axis}", 1)) for axis in range(len(op.shape) - 2))
        y = y.but(apart=y.q - max(y.q - y.apart, 0.0) / same)
    if factor != 1.0:
        paired = y.paired
        y = y.scaled(factor, factor).but(paired=paired)
    if op.kind == "conv" and math.isfinite(y.apart) and factor > 0:
        y = y.but(apart=y.q - max(y.q - y.apart, 0.0) * _in_common(walk, op, weight.centre) / factor)
    y = y.but(profile=tuple(profile))
    if bias is not None and not bias.zero:
        y = summed(y, constant_part(bias), keep=alike(bias))
    return y


def _in_common(walk: Expected, op: Op, centre: bool) -> float:
    """Taps that two different outputs of a convolution have in common, a share of the kernel: fewer where one lies at a border."""
    windows, places = walk_windows(walk, op), math.prod(op.shape[2:])
    if not windows or places < 2:
        return math.prod(passed(window, None, centre).factor for window in windows)
    every = math.prod(overlap(window, centre) for window in windows)
    alone = math.prod(passed(window, None, centre).factor for window in windows)
    return (places * every - alone) / (places - 1)


def walk_windows(walk: Expected, op: Op) -> list[Window]:
    """The sliding windows of a convolution or pool, an axis each."""
    found = walk.sliding.get(op.index)
    if found is None:
        before, after = walk.extents(op)[2:], op.shape[2:]
        fits = before and len(before) == len(after)
        found = windows(op.facts, before, after, op.kind == "conv_transpose") if fits else []
        walk.sliding[op.index] = found
    return found


def summed(a: State, b: State, *, keep: bool = False) -> State:
    """The sum of two signals that share no weight; `keep` where the second moves the units of every pair alike."""
    y = added(a, b)
    apart = a.apart + b.apart  # unknown where one is
    if not math.isfinite(apart):
        apart = (a.apart if math.isfinite(a.apart) else a.s) + (b.apart if math.isfinite(b.apart) else b.s)
    profile = merged([(a.q, a.profile), (b.q, b.profile)]) if a.profile or b.profile else ()
    law = elementwise.sum_law(a, b)
    return tokens.summed(a, b, y.but(apart=apart, profile=profile, paired=a.paired and keep, law=law))


def _embedding(walk: Expected, op: Op, x: State | None) -> State | None:
    weight = walk.law(op, "embedding", "weight", "position", "other")
    if weight is None:
        return None
    facts = op.facts
    variance, mean = weight.variance, weight.mean
    kept = 1.0
    slot = walk.slots[weight.name]
    if slot.padding_index is not None and "padded" in facts and slot.shape:
        # The law counts the zero row once in all rows; the batch reads it as often as it does.
        kept = (1 - facts["padded"]) / (1 - 1 / slot.shape[0]) if slot.shape[0] > 1 else 1.0
    q = (variance + mean**2) * kept
    s, apart = variance * (1 - facts.get("shared", 0.0)), variance * (1 - facts.get("repeats", 0.0))
    return State(mean, q, s, apart=apart, var_q=weight.doubt)


def _activation(walk: Expected, op: Op, x: State | None) -> State | None:
    f = op.activation or Named.of(op.name, op.facts)
    return activated(x, f, _width(op), walk.batch) if x is not None and f is not None else None


def _pointwise(walk: Expected, op: Op, x: State | None) -> State | None:
    if x is None:
        return None
    if op.activation is not None:
        return _activation(walk, op, x)
    if "itself" in op.facts:
        return times(x, op.facts["itself"])
    if "alpha" in op.facts:
        return walk._unknown(op, "a sum of which alpha multiplies the first operand, or a weight")
    if op.weights:
        return made.with_weight(walk, op, x)
    if op.name in MASKS:
        return mixing.masked(walk, op, x)
    constant, rms = op.facts.get("constant"), op.facts.get("constant_rms", math.nan)
    if op.name in ("add", "radd", "sub", "subtract", "rsub"):
        if constant is None:
            return x
        sign = -1.0 if op.name.startswith("sub") else 1.0
        x = x.but(mean=-x.mean, before=None) if op.name == "rsub" else x
        varied = max(rms**2 - constant**2, 0.0)
        y = summed(x, State(sign * constant, rms**2, 0.0, apart=varied), keep=varied == 0)
        return y.but(shared=x.shared)
    if op.name in ("mul", "rmul", "multiply", "div", "true_divide") and constant is not None:
        if op.name in ("div", "true_divide"):
            constant, rms = (1 / constant, 1 / constant) if constant else (math.nan, math.nan)
        near = max(x.q - x.apart, 0.0) * constant**2
        y = x.scaled(rms**2, rms**2).but(mean=x.mean * constant)
        return y.but(apart=max(x.q * rms**2 - near, 0.0) if math.isfinite(x.apart) else math.nan)
    f = Named.of(op.name, op.facts)
    if f is not None and f.name in elementwise.POSITIVE and x.mean > 0:
        return elementwise.of_positive(x, f)
    return activated(x, f, _width(op), walk.batch) if f is not None else None


def _add(walk: Expected, op: Op, x: State | None) -> State | None:
    y = walk.arriving(op, 1)
    sources = list(op.inputs)
    if x is None or y is None or len(sources) > 2:
        return None
    if len(sources) == 1:
        return x if "together" in op.facts else x.scaled(4.0, 4.0)
    if (found := skips.again(walk, op)) is not None:
        inner, place = found.inner
        stream, rest = walk.arriving(op, found.place), walk.arriving(inner, place)
        if stream is None or rest is None:
            return None
        return summed(walk._broadcast(op, found.place, found.stream(stream)), walk._broadcast(inner, place, rest))
    sign, alpha = -1.0 if op.name.startswith("sub") else 1.0, op.facts.get("alpha", 1.0)
    if sign < 0 and alpha == 1.0 and positions.mean_of(walk, sources[1], sources[0]):
        return x.but(mean=0.0, q=x.variance, before=None, law=None)
    a, b = walk._broadcast(op, 0, x), times(walk._broadcast(op, 1, y), alpha)
    b = b.but(mean=sign * b.mean, before=None, law=None) if sign < 0 else b
    return summed(a, b)


def _dropout(walk: Expected, op: Op, x: State | None) -> State | None:
    if x is None or not walk.trace.training:
        return x
    y = through_dropout(x, op.facts.get("p", math.nan))
    return tokens.dropped(x, y.but(apart=x.apart + y.q - x.q, law=None, before=None))


def _width(op: Op) -> int:
    return max((op.shape[1] if len(op.shape) == 4 else op.shape[-1]) if op.shape else 1, 1)


STEPS: dict[str, Step] = {
    "linear": _linear,
    "conv": _conv,
    "conv_transpose": _conv,
    "embedding": _embedding,
    "norm": norms.norm,
    "activation": _activation,
    "pointwise": _pointwise,
    "add": _add,
    "dropout": _dropout,
    "mul": mixing.product,
    "matmul": mixing.matmul,
    "softmax": mixing.softmax,
    "attention": mixing.attention,
    "recurrent": recurrence.recurrent,
    "concat": positions.concat,
    "shape": positions.shape,
    "pool": positions.pool,
    "reduce": positions.reduce,
}
