"""The main path of a net: from its output back to its input, along the streams of residual nets.

A branch may be as small as it likes (LayerScale, zero last gammas, LoRA): what has to survive is the stream and the sum.
So at a residual add the path follows the skip. A norm, or an op that theory does not model, begins a new segment,
because a norm makes the scale of everything before it irrelevant (van Laarhoven 2017).
"""

import math
from dataclasses import dataclass, field
from typing import Literal

from fanin.activations import Activation
from fanin.theory import gaussian
from fanin.theory.forward import AFFINE, WEIGHT_KINDS, Forward
from fanin.theory.gaussian import Odd, rounded
from fanin.theory.laws import WeightLaw
from fanin.theory.state import WEIGHT_WOBBLE, State, pairs_meet
from fanin.traces.records import INPUT, Op, ResidualAdd, Trace

OPAQUE_KINDS = ("attention", "recurrent", "softmax", "mul", "matmul", "other", "loss")
End = Literal["norm", "unknown", "output"]


@dataclass(frozen=True)
class Step:
    """One weight on the main path, with the activation that it meets.

    Attributes:
        op: index of the weight op.
        name: name of the weight.
        law: its law.
        activation: what its output meets, None where that is nothing.
        before, between, behind: the signal before the weight, between weight and activation, and behind both.
        power: gain of a contrast or a gradient in the weight alone (mirrored pairs counted as the half net that they are).
        slope2: E f'² there (E o'² for mirrored pairs).
        wobble: variance of the log that this step adds to a gradient.
        head: nothing but the output follows.
    """

    op: int
    name: str
    law: WeightLaw
    activation: Activation | None
    before: State
    between: State
    behind: State
    power: float
    slope2: float
    wobble: float
    head: bool = False


@dataclass(frozen=True)
class Growth:
    """One residual add on the path: ln of the factor on the second moment, its variance, and whether a norm tames the branch."""

    add: ResidualAdd
    log: float
    variance: float
    normed: bool


@dataclass
class Segment:
    """A stretch of the main path without norms: where scale, contrast and gradient have to survive by themselves."""

    start: State
    steps: list[Step] = field(default_factory=list)
    adds: list[Growth] = field(default_factory=list)
    end: End = "output"
    dropout: bool = False
    merged: bool = False  # other signals join it (concatenations, adds that are no residual ones)

    @property
    def judged(self) -> list[Step]:
        """The steps whose output has to carry the signal: all but the head."""
        return [s for s in self.steps if not s.head]


def main_path(trace: Trace) -> list[int]:
    """Indices of the ops on the main path, first to last."""
    adds = {r.add: r for r in trace.residuals}
    ends = [trace.loss.logits] if trace.loss is not None and trace.loss.logits >= 0 else list(trace.outputs)
    if not ends:
        ends = [len(trace.ops) - 1] if trace.ops else []
    here = max(ends, key=lambda i: trace.ops[i].depth, default=INPUT)
    path: list[int] = []
    while here != INPUT and here not in path[-1:]:
        path.append(here)
        op = trace.ops[here]
        if here in adds:
            here = adds[here].skip
        else:
            sources = [i for i in op.inputs if i != INPUT and i < here]
            here = max(sources, key=lambda i: trace.ops[i].depth, default=INPUT)
    return path[::-1]


def segments(forward: Forward) -> list[Segment]:
    """The main path, cut at norms and at ops that theory does not model."""
    trace, states = forward.trace, forward.states
    path = main_path(trace)
    adds = {r.add: r for r in trace.residuals}
    heads = _heads(forward, path)
    found: list[Segment] = []
    current: Segment | None = None
    for place, index in enumerate(path):
        op, state = trace.ops[index], states[index]
        if op.kind in WEIGHT_KINDS and (weight := forward.weight_of(op)) is not None:
            before = forward.arriving(op)
            if before is None or state is None:
                current = _close(found, current, "unknown", state)
                continue
            current = current or Segment(before)
            current.steps.append(_step(forward, op, weight, before, state, path[place + 1 :], index in heads))
        elif index in forward.inner:
            current = current or (Segment(state) if state is not None else None)
        elif op.kind == "norm" or _unknown(op) or (op.kind in OPAQUE_KINDS or op.kind == "embedding"):
            current = _close(found, current, "norm" if op.kind == "norm" else "unknown", state)
        elif current is not None:
            current.dropout |= op.kind == "dropout"
            current.merged |= op.kind == "concat" or (op.kind == "add" and index not in adds and len(op.inputs) > 1)
            if index in adds:
                current.adds.append(_growth(forward, adds[index]))
        elif state is not None:
            current = Segment(state)
    _close(found, current, "output", None)
    return [s for s in found if s.steps or s.adds]


def _unknown(op: Op) -> bool:
    """An elementwise function that is neither recognised nor a shift or a scaling by a constant."""
    return op.kind == "pointwise" and op.activation is None and not op.weights and op.name not in AFFINE


def _close(found: list[Segment], current: Segment | None, end: End, state: State | None) -> Segment | None:
    if current is not None:
        current.end = end
        found.append(current)
    return Segment(state) if state is not None else None


def _heads(forward: Forward, path: list[int]) -> set[int]:
    """The last weight op of the path, where nothing that could restore a signal follows."""
    weights = [i for i in path if forward.trace.ops[i].kind in WEIGHT_KINDS and forward.weight_of(forward.trace.ops[i])]
    return {weights[-1]} if weights else set()


def _step(forward: Forward, op: Op, law: WeightLaw, before: State, between: State, rest: list[int], head: bool) -> Step:
    trace, behind, f = forward.trace, between, None
    for index in rest:
        after, composite = trace.ops[index], forward.composites.get(index)
        if composite is not None:
            f, behind = composite.activation, forward.states[index] or between
            break
        if index in forward.inner:
            continue
        if after.activation is not None and after.kind in ("activation", "pointwise"):
            f, behind = after.activation, forward.states[index] or between
            break
        if after.kind not in ("shape", "pointwise", "add", "dropout", "pool") or after.kind == "add":
            break
        moved = forward.states[index]
        if moved is not None and moved.paired:
            between = moved  # a bias of its own op, which all units of the pairs share
    width = max(law.outputs / (2 if law.mirrored_out else 1), 1.0)
    wobble = law.doubt + (0.0 if law.orthogonal else WEIGHT_WOBBLE / width)
    slope2 = 1.0
    if f is not None:
        g = Odd(f, rounded(between.mean)) if between.paired else f
        mean, variance = 0.0 if between.paired else between.mean, between.variance
        slope2 = gaussian.moments(g, mean, variance).slope2
        wobble += gaussian.wobble_of_slopes(g, mean, variance) / width
    # A mirrored pair hands on o(u), whose contrast the half of the columns receives.
    power = law.power / 2 if pairs_meet(before, law) else law.power + law.fan_in * law.mean**2
    return Step(op.index, law.name, law, f, before, between, behind, power, slope2, wobble, head)


def _growth(forward: Forward, add: ResidualAdd) -> Growth:
    total, skip = forward.states[add.add], forward.states[add.skip] if add.skip != INPUT else None
    normed = _branch_normed(forward.trace, add)
    if total is None or skip is None or skip.q <= 0 or total.q <= 0:
        return Growth(add, 0.0, 0.0, normed)
    branch = forward.states[add.branch]
    share = 1 - skip.q / total.q
    variance = share**2 * (abs(branch.var_q - skip.var_q) if branch is not None else 0.0)
    return Growth(add, math.log(total.q / skip.q), variance, normed)


def _branch_normed(trace: Trace, add: ResidualAdd) -> bool:
    """Whether a norm (or an op that theory does not model) stands on the branch, so that it cannot grow with the stream."""
    queue, seen = [add.branch], set()
    while queue:
        index = queue.pop()
        if index in seen or index == INPUT or index <= add.skip:
            continue
        seen.add(index)
        op = trace.ops[index]
        if op.kind in ("norm", "softmax", "attention", "recurrent"):
            return True
        queue.extend(op.inputs)
    return False
