"""A topic told with the numbers of the user's own model: sentences, and a curve where there is one."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from fanin.activations import Activation
from fanin.distributions import Normal
from fanin.reports.words import number
from fanin.rules.parametrization import kind_of, mup, umup
from fanin.slots import Slot
from fanin.traces.records import INPUT, Op, Trace

SHOWN = 6  # weights that are named one by one
WIDER = (2.0, 4.0, 16.0)  # times the model's width, for which a parametrization is told


@dataclass(frozen=True)
class Own:
    """What a topic is in one model.

    Attributes:
        sentences: what was measured, a sentence each.
        x, y: a curve over the weights in order, empty where there is none.
        y_name: what it shows.
        log: whether it is drawn on a logarithmic axis.
    """

    sentences: tuple[str, ...]
    y: Sequence[float] = ()
    y_name: str = ""
    log: bool = True


def own(topic: str, trace: Trace) -> Own:
    """The topic in this model; a topic without numbers says so."""
    return TOLD.get(topic, _nothing)(trace)


def _nothing(trace: Trace) -> Own:
    return Own((f"This idea has no single number; `fanin check` measures {trace.model} as a whole.",))


def _weights(trace: Trace) -> list[Slot]:
    return [s for s in trace.slots if s.role in ("weight", "recurrent") and s.axes is not None and s.op is not None]


def _signals(trace: Trace) -> list[Op]:
    """The ops that multiply a signal by a weight, in order."""
    names = {s.name for s in _weights(trace)}
    return [op for op in trace.ops if op.signal is not None and names & set(op.weights)]


def _std(trace: Trace, slot: Slot) -> float:
    facts = trace.weights.get(slot.name)
    return math.hypot(facts.std, facts.mean) if facts is not None else math.nan


def _first_last(values: Sequence[float]) -> str:
    seen = [v for v in values if math.isfinite(v)]
    return f"{number(seen[0])} at the first weight and {number(seen[-1])} at the last" if seen else "not measured"


def _gradients(trace: Trace) -> Own:
    rms = [op.signal.rms for op in _signals(trace) if op.signal is not None]
    grads = [op.signal.grad_rms for op in _signals(trace) if op.signal is not None]
    forward = f"The signal's rms is {_first_last(rms)} of {len(rms)} weights."
    if not any(math.isfinite(g) and g > 0 for g in grads):
        return Own((forward, "No gradient reached the weights' outputs in this pass."), rms, "rms of the signal")
    seen = [g for g in grads if math.isfinite(g) and g > 0]
    what = (
        "the loss" if trace.backward == "loss" else "a random projection of the output (give --loss for the loss's own)"
    )
    text = f"The gradient of {what} has an rms of {_first_last(grads)}."
    per = math.exp(2 * (math.log(seen[0]) - math.log(seen[-1])) / max(len(seen) - 1, 1))
    scale = f", a depth scale of {number(1 / abs(math.log(per)))} layers" if abs(math.log(per)) > 1e-3 else ""
    return Own(
        (forward, text, f"On its way back its mean square changes by {number(per)} a layer in the mean{scale}."),
        grads, "rms of the gradient",
    )  # fmt: skip


def _dead(trace: Trace) -> Own:
    ops = [op for op in trace.ops if op.activation is not None and op.signal is not None and op.kind != "recurrent"]
    dead = [op.signal.dead for op in ops if op.signal is not None and math.isfinite(op.signal.dead)]
    if not dead:
        return Own(("No activation was seen in this pass.",))
    examples = max(op.signal.examples for op in ops if op.signal is not None)
    worst = max(range(len(dead)), key=lambda k: dead[k])
    return Own(
        (
            f"{len(dead)} activations were watched on {examples} examples.",
            f"The share of units that are off for all of them is {number(dead[0])} behind the first, {number(dead[-1])} behind the "
            f"last, and {number(dead[worst])} at most (activation {worst + 1}).",
        ),
        dead, "share of dead units", log=False,
    )  # fmt: skip


def _activations(trace: Trace) -> Own:
    found: dict[Activation, int] = {}
    for slot in _weights(trace):
        if slot.activation is not None:
            found[slot.activation] = found.get(slot.activation, 0) + 1
    if not found:
        return Own(("No weight's output meets an activation.",))
    lines = [
        f"{count} weight{'s' * (count != 1)} meet {f}: gain {number(f.gain)}, E f'(z)² = {number(f.slope_moment(1.0))}, "
        f"mean {number(f.mean(1.0))} at z ~ N(0, 1)."
        for f, count in found.items()
    ]
    return Own((*lines, *_gains(trace).sentences))


def _gains(trace: Trace) -> Own:
    ratios = []
    for slot in _weights(trace):
        std = _std(trace, slot)
        if slot.axes is not None and slot.input_activation is not None and std > 0:
            ratios.append(std * math.sqrt(slot.axes.fan_in) / slot.input_activation.gain)
    if not ratios:
        return Own(("No weight stands behind an activation, so no gain was needed.",))
    return Own(
        (
            f"Of {len(ratios)} weights behind an activation, the deviation times √fan_in over that activation's gain is "
            f"{number(median(ratios))} in the middle, {number(min(ratios))} to {number(max(ratios))}: 1 keeps the second moment.",
        ),
        ratios, "gain over the one that keeps the signal", log=False,
    )  # fmt: skip


def _fans(trace: Trace) -> Own:
    lines = []
    for slot in _weights(trace):
        assert slot.axes is not None
        shape = slot.shape
        guess = math.prod(shape[1:]) if len(shape) > 1 else math.prod(shape)  # what `torch.nn.init` takes for it
        if guess != slot.axes.fan_in:
            lines.append(
                f"{slot.name} of shape {shape}: fan_in is {number(slot.axes.fan_in)}, its shape alone would say {guess}."
            )
    count = len(_weights(trace))
    if not lines:
        return Own((f"All {count} weights have the fan_in that their shape suggests.",))
    more = [f"So it is with {len(lines) - SHOWN} more."] if len(lines) > SHOWN else []
    return Own(
        (f"{len(lines)} of {count} weights have another fan_in than their shape suggests.", *lines[:SHOWN], *more)
    )


def _symmetry(trace: Trace) -> Own:
    units = {s.name: s.axes.size("out") * s.axes.size("stack") for s in _weights(trace) if s.axes is not None}
    equal = {}
    for name, count in units.items():
        facts = trace.weights[name]
        same = count - 1 if facts.constant else facts.duplicate_count
        if same:
            equal[name] = same
    total = sum(units.values())
    if not equal:
        return Own((f"None of the {total} units has incoming weights equal to another's.",))
    return Own(
        (
            f"{sum(equal.values())} of {total} units have incoming weights equal to those of a unit before them, in "
            f"{', '.join(list(equal)[:SHOWN])}.",
        )
    )


def _chaos(trace: Trace) -> Own:
    chi = []
    for slot in _weights(trace):
        if slot.input_activation is not None and slot.axes is not None and slot.op_index is not None:
            q = _size_before(trace, slot.op_index)
            chi.append(slot.axes.fan_in * _std(trace, slot) ** 2 * slot.input_activation.slope_moment(round(q, 6)))
    if not chi:
        return Own(("No weight stands behind an activation, so there is no χ.",))
    middle = median(chi)
    where = "in order" if middle < 0.95 else "chaotic" if middle > 1.05 else "near the edge"
    depth = _trainable(trace, middle)
    return Own(
        (
            f"χ = fan_in σ² E f'(z)², with the measured sizes of z, is {number(middle)} in the middle of {len(chi)} weights, "
            f"{number(min(chi))} to {number(max(chi))}: {where}.{depth}",
        ),
        chi, "χ",
    )  # fmt: skip


def _trainable(trace: Trace, chi: float) -> str:
    """What χ says of depth: six depth scales in a chain of weights and activations, nothing where something else carries the signal."""
    kinds = {op.kind for op in trace.ops}
    carried = {
        "residual adds": bool(trace.residuals),
        "norms": "norm" in kinds,
        "attention": "attention" in kinds or {"softmax", "matmul"} <= kinds,
        "recurrent cells": "recurrent" in kinds,
    }
    past = [name for name, there in carried.items() if there]
    if past:
        several = f"{', '.join(past[:-1])} and {past[-1]}" if past[1:] else past[0]
        return (
            f" It has {several}, which keep a signal where weights alone would lose or blow it up, so no trainable depth follows "
            "from χ; `fanin explain residual-streams` and `fanin check` look at the whole."
        )
    return f" Such a net trains to about {number(6 / abs(math.log(chi)))} layers." if abs(math.log(chi)) > 0.02 else ""


def _size_before(trace: Trace, index: int) -> float:
    """The measured mean square of what went into the activation before an op; 1 where it was not measured."""
    source = _source(trace, index)
    while source is not None and source.activation is None:
        source = _source(trace, source.index)
    before = _source(trace, source.index) if source is not None else None
    rms = before.signal.rms if before is not None and before.signal is not None else 1.0
    return rms**2 if math.isfinite(rms) else 1.0


def _source(trace: Trace, index: int) -> Op | None:
    first = next(iter(trace.ops[index].inputs), INPUT)
    return None if first == INPUT else trace.ops[first]


def _isometry(trace: Trace) -> Own:
    found = [(s.name, trace.weights[s.name].orthogonality) for s in _weights(trace)]
    known = [v for _, v in found if math.isfinite(v)]
    orthogonal = sum(v < 0.1 for v in known)
    text = f"{orthogonal} of {len(known)} weights whose blocks were looked at have orthonormal rows or columns."
    ranks = [
        op.signal.rank / op.signal.max_rank
        for op in _signals(trace)
        if op.signal is not None and op.signal.max_rank > 0
    ]
    ranks = [r for r in ranks if math.isfinite(r)]
    if not ranks:
        return Own((text,))
    return Own(
        (text, f"The effective rank of the signal over what it could be is {_first_last(ranks)}: 1 where no direction is lost."),
        ranks, "effective rank over the largest", log=False,
    )  # fmt: skip


def _width(trace: Trace) -> Own:
    widths = [s.axes.size("out") for s in _weights(trace) if s.axes is not None]
    ratio = sum(1 / w for w in widths if w)
    return Own(
        (
            f"{len(widths)} weights, narrowest {min(widths)}, widest {max(widths)} units: Σ 1/width is {number(ratio)}.",
            f"With Gaussian weights and ReLU the size of the signal would differ between redraws by a factor of "
            f"e^±{number(math.sqrt(5 * ratio) / 2)} (one deviation of the rms), if nothing normalises it.",
        )
    )  # fmt: skip


def _residual(trace: Trace) -> Own:
    if not trace.residuals:
        return Own(("No residual add was seen in this pass.",))
    sizes = []
    for add in trace.residuals:
        signal = trace.ops[add.add].signal
        sizes.append(signal.rms if signal is not None else math.nan)
    return Own(
        (f"{len(sizes)} residual adds. The stream's rms is {_first_last(sizes).replace('weight', 'add')}.",),
        sizes, "rms of the stream",
    )  # fmt: skip


def _alike(trace: Trace) -> Own:
    cosine = [op.signal.correlation for op in _signals(trace) if op.signal is not None]
    if not any(math.isfinite(c) for c in cosine):
        return Own(("With one example there is no pair of inputs to compare.",))
    return Own(
        (f"The mean cosine between two examples is {_first_last(cosine)}; near 1 the net learns their mean first.",),
        [1 - c for c in cosine], "1 − cosine between examples",
    )  # fmt: skip


def _chains(trace: Trace) -> Own:
    found: dict[str, list[Slot]] = {}
    for slot in trace.slots:
        if slot.chain is not None:
            found.setdefault(slot.chain.id, []).append(slot)
    if not found:
        return Own(("No two weights follow each other with nothing but activations between them.",))
    longest = max(found.values(), key=len)
    mirrored = sum(trace.weights[s.name].mirrored_out or trace.weights[s.name].mirrored_in for s in longest)
    return Own(
        (
            f"{len(found)} chain{'s' * (len(found) != 1)}, the longest of {len(longest)} weights, from {longest[0].name} to "
            f"{longest[-1].name}; {mirrored} of them hold mirrored halves.",
        )
    )  # fmt: skip


def _parametrization(trace: Trace) -> Own:
    """What each parametrization asks of these weights: as they are, and with the model made wider."""
    weights = [s for s in _weights(trace) if s.size]
    if not weights:
        return Own(("No weight of an op was seen in this pass.",))
    first = {kind_of(s): s for s in reversed(weights)}  # one of each kind: the first
    counts = {kind: sum(kind_of(s) == kind for s in weights) for kind in ("input", "hidden", "output") if kind in first}
    told = [
        f"{len(weights)} weights: "
        + ", ".join(
            f"{n} {kind}{'' if kind == 'hidden' else '-like'} ({first[kind].name}, …)" for kind, n in counts.items()
        )
        + "."
    ]
    for wide in WIDER:
        asked = mup(base_width=1.0, std=1.0, in_ratio=wide, out_ratio=wide)
        parts = []
        for kind in counts:
            law = asked(first[kind])
            size = f", deviation × {number(law.std)}" if isinstance(law, Normal) else ""
            parts.append(f"{kind} lr × {number(asked.lr_scale(first[kind]))}{size}")
        told.append(f"muP (Adam, this model as the base) at {wide:g} times the width: {'; '.join(parts)}.")
    factors = [(s, needs[0].value, umup().lr_scale(s)) for s in weights if (needs := umup().requires(s))]
    for kind in counts:
        found = [(factor, speed) for s, factor, speed in factors if kind_of(s) == kind]
        if found:
            told.append(
                f"u-muP at its own widths, {kind}: multiplier {_range([f for f, _ in found])}, lr × {_range([v for _, v in found])}."
            )
    return Own(tuple(told), [factor for _, factor, _ in factors], "multiplier of u-muP")


def _range(values: Sequence[float]) -> str:
    low, high = number(min(values)), number(max(values))
    return low if low == high else f"{low} to {high}"


TOLD: dict[str, Callable[[Trace], Own]] = {
    "activations": _activations,
    "backpropagation": _gradients,
    "convergence-speed": _alike,
    "dead-relu": _dead,
    "dynamical-isometry": _isometry,
    "edge-of-chaos": _chaos,
    "fan": _fans,
    "finite-width": _width,
    "gain": _gains,
    "mirrored-chains": _chains,
    "parametrization": _parametrization,
    "residual-streams": _residual,
    "symmetry-breaking": _symmetry,
    "vanishing-exploding-gradients": _gradients,
}
