"""Walks a trace's graph from the inputs and predicts every signal from the laws of the weights."""

import functools
import math
from collections.abc import Mapping
from dataclasses import replace

from fanin.activations import Activation
from fanin.slots import Slot
from fanin.theory import skips
from fanin.theory.composite import Composite, composites, consumers_of
from fanin.theory.laws import WeightLaw
from fanin.theory.state import (
    State,
    added,
    alike,
    through_activation,
    through_dropout,
    through_norm,
    through_unknown_norm,
    through_weight,
    times,
)
from fanin.traces.records import INPUT, InputFacts, Op, Signal, Trace

WEIGHT_KINDS = ("linear", "conv", "conv_transpose")
AFFINE = ("add", "sub", "rsub", "mul", "div", "true_divide", "neg", "negative", "positive")  # by a constant or a weight
AGREES = 0.2  # of ln of a second moment, between a scale's power and what it is seen to do
FAR = 4.0  # of ln of a second moment, at ops that theory does not model
DEFAULT_EPS = 1e-5


class Forward:
    """One walk: `states[i]` is the predicted signal behind op i, None where neither theory nor a measurement says."""

    def __init__(self, trace: Trace, laws: Mapping[str, WeightLaw]) -> None:
        self.trace, self.laws = trace, laws
        self.slots: dict[str, Slot] = {n: s for s in trace.slots for n in (s.name, *s.names)}
        self.inputs = {f.op: f for f in reversed(trace.inputs)}
        self.examples = max((o.signal.examples for o in trace.ops if o.signal is not None), default=1)
        self.readers = consumers_of(trace)
        found = composites(trace, self.slots, WEIGHT_KINDS, self.readers)
        self.composites: dict[int, Composite] = {c.end: c for c in found}
        self.inner: frozenset[int] = frozenset().union(*(c.inner for c in self.composites.values()))
        self.states: list[State | None] = []
        for op in trace.ops:
            self.states.append(self._behind(op))

    @functools.cached_property
    def activations(self) -> list[tuple[Op, Activation, int]]:
        """(op behind which it is done, function, op whose output goes in), for named activations and for those written by hand."""
        found = [(self.trace.ops[c.end], c.activation, c.base) for c in self.composites.values()]
        found += [
            (op, op.activation, op.inputs[0])
            for op in self.trace.ops
            if op.activation is not None
            and len(op.inputs) == 1
            and op.index not in self.inner
            and op.inputs[0] != INPUT
        ]
        return sorted(found, key=lambda item: item[0].index)

    def weight_of(self, op: Op) -> WeightLaw | None:
        """The law of the weight that multiplies the signal in this op."""
        law = self._law(op, "weight", "recurrent", "embedding")
        if law is None or op.kind not in WEIGHT_KINDS or self.slots[law.name].role != "embedding":
            return law
        # A tied head reads the embedding the other way round: rows are its outputs.
        axes = self.slots[law.name].axes
        if axes is None:
            return law
        width, rows = axes.size("out"), axes.size("lookup")
        return replace(law, fan_in=float(width), fan_out=float(rows), inputs=width, outputs=rows)

    def _law(self, op: Op, *roles: str) -> WeightLaw | None:
        for name in op.weights:
            slot = self.slots.get(name)
            if slot is not None and slot.role in roles:
                return self.laws.get(slot.name)
        return None

    def arriving(self, op: Op, position: int = 0) -> State | None:
        """The signal that arrives at one of an op's inputs."""
        if position >= len(op.inputs):
            return _measured(op.module_input)
        source = op.inputs[position]
        if source != INPUT:
            return self.states[source]
        return _measured(op.module_input) or _from_facts(self.inputs.get(op.index))

    def _behind(self, op: Op) -> State | None:
        composite = self.composites.get(op.index)
        before = self.states[composite.base] if composite is not None else None
        if composite is not None and before is not None:
            return through_activation(before, composite.activation, _width(op), self.examples)
        x = self.arriving(op)
        step = getattr(self, f"_{op.kind}", None)
        predicted = step(op, x) if step is not None and x is not None else None
        modelled = predicted is not None and op.kind not in ("mul", "matmul")
        predicted = predicted if predicted is not None else self._ratio(op, x)
        measured = _measured(op.signal)
        if not modelled and predicted is not None and measured is not None and measured.q > 0:
            # Ratios compound where a scan multiplies a state again and again: then only the measurement is worth something.
            far = not (predicted.q > 0 and math.isfinite(predicted.q)) or abs(math.log(predicted.q / measured.q)) > FAR
            return measured if far else predicted
        return predicted

    # One method a kind of op; None where theory has no word and the measured ratio is taken.

    def _linear(self, op: Op, x: State) -> State | None:
        weight = self.weight_of(op)
        if weight is None or self.slots[weight.name].axes is None:
            return None
        return through_weight(times(x, op.facts.get("alpha", 1.0)), weight, self._law(op, "bias"), self.examples)

    def _conv(self, op: Op, x: State) -> State | None:
        y = self._linear(op, x)
        border = _border(op.signal)
        return y.scaled(border, border) if y is not None and border != 1.0 and not y.paired else y

    _conv_transpose = _conv

    def _embedding(self, op: Op, x: State) -> State | None:
        weight, measured = self.weight_of(op), _measured(op.signal)
        if weight is None or measured is None or measured.q <= 0:
            return measured
        q = weight.variance + weight.mean**2
        return State(weight.mean, q, q * measured.s / measured.q, 0.0, weight.doubt, weight.doubt)

    def _norm(self, op: Op, x: State) -> State | None:
        if not any(k in op.name for k in ("batch", "layer", "group", "instance", "rms")):
            after, before = _measured(op.signal), _measured(self._signal(op, 0))
            return through_unknown_norm(x, before, after) if after is not None and before is not None else None
        if "batch" in op.name and not self.trace.training:
            return None  # running statistics: only the measurement knows them
        return through_norm(
            x, op.name, op.facts.get("eps", DEFAULT_EPS), self._law(op, "norm_scale"), self._law(op, "norm_shift")
        )

    def norm_power(self, op: Op) -> float:
        """E γ² of a norm's scale (1 where it has none)."""
        scale = self._law(op, "norm_scale")
        return scale.variance + scale.mean**2 if scale is not None else 1.0

    def _activation(self, op: Op, x: State) -> State | None:
        if op.activation is None or len(op.inputs) != 1 or op.inputs[0] == INPUT:
            return None
        return through_activation(x, op.activation, _width(op), self.examples)

    def _pointwise(self, op: Op, x: State) -> State | None:
        if op.activation is not None:
            return self._activation(op, x)
        bias = self._law(op, "bias", "norm_shift")
        if bias is not None and len(op.weights) == 1:
            if bias.zero:
                return x
            moved = added(x, State(bias.mean, bias.variance + bias.mean**2, 0.0))
            return replace(moved, paired=x.paired and alike(bias))
        if self._law(op, "norm_scale", "scale") is not None and op.name == "mul" and len(op.weights) == 1:
            scale = self.scaling(op)
            return x.scaled(scale, scale)
        return None

    def scaling(self, op: Op) -> float:
        """Factor on second moments, forward and backward, of an elementwise product with a weight or a constant."""
        if op.name not in ("mul", "div", "true_divide"):
            return 1.0
        weight = self._law(op, "norm_scale", "scale")
        before, after = _measured(self._signal(op, 0)), _measured(op.signal)
        seen = after.q / before.q if before is not None and after is not None and before.q > 0 else math.nan
        if weight is None:
            return seen
        power = weight.variance + weight.mean**2
        # Gemma multiplies by 1 + w: the weight's own power is not the factor then.
        other = math.isfinite(seen) and not (power > 0 and seen > 0 and abs(math.log(seen / power)) < AGREES)
        return seen if other and max(seen, power) > 0 else power

    def _dropout(self, op: Op, x: State) -> State | None:
        return through_dropout(x, op.facts.get("p", math.nan)) if self.trace.training else x

    def _shape(self, op: Op, x: State) -> State | None:
        if op.name == "pad" and op.inputs and op.inputs[0] != INPUT:
            kept = min(math.prod(self.trace.ops[op.inputs[0]].shape) / max(math.prod(op.shape), 1), 1.0)
            return x.scaled(kept, kept) if kept < 1 else x
        return x

    def _add(self, op: Op, x: State) -> State | None:
        y = self.arriving(op, 1)
        if y is None or len(op.inputs) != 2:
            return None
        if op.inputs[0] == op.inputs[1]:
            return x.scaled(4.0, 4.0)
        if (found := skips.again(self, op)) is not None and (rest := self.arriving(*found.inner)) is not None:
            stream = found.stream(self._broadcast(op, found.place, (x, y)[found.place]))
            return added(stream, self._broadcast(*found.inner, rest))
        return added(self._broadcast(op, 0, x), times(self._broadcast(op, 1, y), op.facts.get("alpha", 1.0)))

    def _broadcast(self, op: Op, place: int, x: State) -> State:
        """A part that is the same for all examples (positions, class tokens) adds no contrast."""
        shape = self.trace.ops[op.inputs[place]].shape if op.inputs[place] != INPUT else op.shape
        same = len(shape) < len(op.shape) or (shape[:1] == (1,) and op.shape[:1] != (1,))
        return replace(x, s=0.0, noise=0.0) if same else x

    def _concat(self, op: Op, x: State) -> State | None:
        parts = [(self.arriving(op, i), self._extent(source)) for i, source in enumerate(op.inputs)]
        known = [(p, n) for p, n in parts if p is not None and n > 0]
        total = sum(n for _, n in known)
        if len(known) != len(parts) or total == 0:
            return None

        def average(field: str) -> float:
            return sum(n * getattr(p, field) for p, n in known) / total

        mean, q, s, noise = (average(f) for f in ("mean", "q", "s", "noise"))
        return State(mean, q, s, noise, average("var_q"), average("var_r"), average("shared"))

    def _extent(self, source: int) -> int:
        return math.prod(self.trace.ops[source].shape) if source != INPUT else 0

    def _mul(self, op: Op, x: State) -> State | None:
        return self._product(op, x)

    def _matmul(self, op: Op, x: State) -> State | None:
        return self._product(op, x)

    def _product(self, op: Op, x: State) -> State | None:
        """A product of two signals follows the scales of both; what it does besides is measured."""
        y, out = self.arriving(op, 1), _measured(op.signal)
        if len(op.inputs) != 2 or y is None or out is None:
            return None
        was = [_measured(self._signal(op, i)) for i in (0, 1)]
        if was[0] is None or was[1] is None or was[0].q * was[1].q <= 0:
            return None
        change = x.q * y.q / (was[0].q * was[1].q)
        return State(out.mean * math.sqrt(change), out.q * change, out.s * change, 0.0, x.var_q + y.var_q, x.var_r)

    def _ratio(self, op: Op, x: State | None) -> State | None:
        """The measured output, rescaled by how far the predicted input is from the measured one."""
        out = _measured(op.signal)
        if out is None:
            return x
        place = 0
        if (
            op.kind == "attention" and len(op.inputs) >= 3
        ):  # queries and keys only weigh: the size is that of the values
            place, x = 2, self.arriving(op, 2) or x
        before = _measured(self._signal(op, place))
        if x is None or before is None or op.kind in ("softmax", "loss", "recurrent"):
            return out
        q = x.q / before.q if before.q > 0 else 1.0
        s = x.s / before.s if before.s > 0 else 1.0
        noise = out.s * s * x.noise / x.s if x.s > 0 else 0.0
        return State(out.mean * math.sqrt(q), out.q * q, out.s * s, noise, x.var_q, x.var_r, out.shared * s)

    def _signal(self, op: Op, position: int) -> Signal | None:
        """The measured signal at an input, looked up through shape-only ops, which are not measured."""
        if position == 0 and op.module_input is not None:
            return op.module_input
        source = op.inputs[position] if position < len(op.inputs) else INPUT
        while source != INPUT:
            producer = self.trace.ops[source]
            if producer.signal is not None or producer.kind != "shape" or not producer.inputs:
                return producer.signal
            source = producer.inputs[0]
        return None


def _width(op: Op) -> int:
    return op.signal.units if op.signal is not None else op.shape[-1] if op.shape else 1


def _measured(signal: Signal | None) -> State | None:
    if signal is None or not math.isfinite(signal.rms):
        return None
    q = signal.rms**2
    s = signal.spread**2 if math.isfinite(signal.spread) else q
    return State(signal.mean, q, s, shared=s / max(signal.units, 1))


def _from_facts(facts: InputFacts | None) -> State | None:
    if facts is None or not facts.floating or not math.isfinite(facts.std):
        return None
    return State(facts.mean, facts.mean**2 + facts.std**2, facts.std**2)


def _border(signal: Signal | None) -> float:
    """What zero padding leaves of the second moment, averaged over the whole image: geometry, not luck."""
    if signal is None or not (signal.second > 0 and math.isfinite(signal.rms)):
        return 1.0
    return min(signal.rms**2 / signal.second, 1.0)
