"""Ops that mix signals with each other: products, attention."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fanin.theory import averages as attend
from fanin.theory import gaussian, steps, tokens
from fanin.theory.laws import WeightLaw
from fanin.theory.state import State, added, times
from fanin.traces.records import INPUT, Op

if TYPE_CHECKING:
    from fanin.theory.expected import Expected

BACK = 12  # ops looked back for where a signal comes from
WHOLE = frozenset(
    (
        "contiguous",
        "expand",
        "flatten",
        "movedim",
        "permute",
        "repeat_interleave",
        "reshape",
        "squeeze",
        "to",
        "transpose",
        "unflatten",
        "unsqueeze",
        "view",
    )
)  # views of all elements, where others take a part


@dataclass(frozen=True)
class Attends:
    """A softmax over keys: how many each query has, whether those before it, its logits' variances, dropout behind it."""

    count: np.ndarray
    causal: bool
    logits: tuple[float, float]
    p: float = 0.0


def product(walk: "Expected", op: Op, x: State | None) -> State | None:
    """A product of two signals that are made by different weights (a gate), or the square of one."""
    if x is None:
        return None
    if op.name == "glu":
        gate = gaussian.moments(steps._sigmoid, x.mean, x.variance)
        return _multiplied(x, State(gate.mean, gate.second, gaussian.contrast(steps._sigmoid, x.mean, x.q, x.s)))
    y, sources = walk.arriving(op, 1), list(op.inputs)
    if len(sources) > 2 or y is None:
        return None
    if "together" in op.facts:
        return x
    source = walk.trace.ops[sources[0]] if sources[0] != INPUT else None
    if len(sources) == 1 and not (source is not None and source.name in ("chunk", "split", "unbind", "tensor_split")):
        fourth = 3 * x.variance**2 + 6 * x.mean**2 * x.variance + x.mean**4
        return State(x.q, fourth, min(2 * x.s * (2 * x.q - x.s), 2 * fourth))
    if len(sources) == 2 and (_again(walk, sources[0], sources[1]) or _again(walk, sources[1], sources[0])):
        return walk._unknown(op, "multiplied with the same signal again (a recurrence written step by step)")
    return _multiplied(x, y)


def _again(walk: "Expected", factor: int, other: int) -> bool:
    """Whether the other signal has been multiplied with this one, or with another part of it, before."""
    root, todo, seen = walk.root(factor), [other], 0
    while todo and seen < BACK and root != INPUT:
        here = todo.pop()
        seen += 1
        if here == INPUT or here <= root:
            continue
        op = walk.trace.ops[here]
        if op.kind == "mul" and len(op.inputs) == 2 and root in (walk.root(i) for i in op.inputs):
            return True
        if op.kind in ("mul", "add", "shape") or (op.kind == "pointwise" and not op.weights):
            todo += op.inputs
    return False


def _multiplied(x: State, y: State) -> State:
    q = x.q * y.q
    near = (x.q - _apart(x)) * (y.q - _apart(y))
    s = q - (x.q - x.s) * (y.q - y.s)
    profile = x.profile or y.profile
    z = State(x.mean * y.mean, q, s, 0.0, x.var_q + y.var_q, x.var_r, apart=q - near, profile=profile)
    return tokens.multiplied(x, y, z)


def matmul(walk: "Expected", op: Op, x: State | None) -> State | None:
    """Inner products of two signals (logits), or an average of values with the weights of a softmax."""
    y = walk.arriving(op, 1)
    if x is None or y is None:
        return None
    for place in (0, 1):
        source = op.inputs[min(place, len(op.inputs) - 1)]
        look = walk.root(source, ("shape", "dropout"))
        found = walk.attends.get(look)
        if found is not None:
            drop = next((p for p in _dropouts(walk, source)), 0.0)
            value = _block(walk, op, 1 - place, 2) or (y if place == 0 else x)
            return attend.averaged(value, found.count, found.causal, found.logits, drop)
    n = op.facts.get("contracted", math.nan)
    if not math.isfinite(n):
        return None
    a, b = _block(walk, op, 0, 0) or x, _block(walk, op, 1, 1) or y
    q = n * a.q * b.q + n * (n - 1) * (a.mean * b.mean) ** 2
    common = 1 - _apart(a) / a.q if a.q > 0 else 0.0
    # `apart` is over the keys of one query; what two queries have in common of it is kept in `shared`.
    apart = n * a.q * _apart(b)
    logits = State(n * a.mean * b.mean, q, q, shared=apart * max(common, 0.0), apart=apart)
    return with_summand(walk, op, logits)


def with_summand(walk: "Expected", op: Op, y: State | None) -> State | None:
    """A product multiplied by alpha, and a constant added to it (`addmm`, `baddbmm`)."""
    if "summand" in op.facts:
        return walk._unknown(op, f"{op.name} of a product and a signal, or a weight times beta")
    if y is None:
        return None
    y = times(y, op.facts.get("alpha", 1.0))
    if op.facts.get("constant_rms", 0.0) == 0.0:
        return y
    mean, q = op.facts["constant"], op.facts["constant_rms"] ** 2
    return added(y, State(mean, q, 0.0)).but(shared=y.shared, apart=y.apart + max(q - mean**2, 0.0))


def _dropouts(walk: "Expected", index: int) -> list[float]:
    found = []
    while index != INPUT and walk.trace.ops[index].kind in ("shape", "dropout") and walk.trace.ops[index].inputs:
        op = walk.trace.ops[index]
        if op.kind == "dropout" and walk.trace.training:
            found.append(op.facts.get("p", 0.0))
        index = op.inputs[0]
    return found


def _block(walk: "Expected", op: Op, place: int, part: int) -> State | None:
    """The state of one stacked block (0 queries, 1 keys, 2 values), where blocks have laws of their own."""
    if not walk.blocks or not op.inputs:
        return None
    found = walk.blocks.get(walk.root(op.inputs[min(place, len(op.inputs) - 1)], ("shape", "pointwise", "concat")))
    return found[part] if found is not None and len(found) == 3 else None


def softmax(walk: "Expected", op: Op, x: State | None) -> State | None:
    """Shares over keys where logits come in, over classes or units otherwise."""
    if x is None or not op.shape:
        return None
    logits = _logits(walk, op)
    n = op.facts.get("keys", float(op.shape[-1]))
    variance = (x.apart, x.shared) if logits else (x.variance, 0.0)
    if op.name == "log_softmax":
        level = math.log(n) + variance[0] / 2
        return State(-level, level**2 + variance[0], min(x.s + level**2 * 0, variance[0]))
    count = attend.looks(op, int(n), op.shape[-2] if len(op.shape) > 1 else 1)
    causal = bool(op.facts.get("causal", 0.0))
    if logits:
        walk.attends[op.index] = Attends(count, causal, (variance[0], variance[1]))
    return attend.weights(count, int(n), variance[0])


def masked(walk: "Expected", op: Op, x: State) -> State:
    """A mask before a softmax hides some keys; hidden logits are no numbers and count as zeros."""
    here = op.index
    for _ in range(BACK):
        readers = walk.readers[here]
        if len(readers) != 1:
            return x
        here = readers[0]
        reader = walk.trace.ops[here]
        if reader.kind == "softmax":
            count = attend.looks(reader, int(reader.shape[-1]), 1)
            kept = float(np.mean(count)) / reader.facts.get("keys", float(reader.shape[-1]))
            return x.but(q=x.q * kept, s=x.s * kept, mean=x.mean * kept)
        if reader.kind not in ("pointwise", "shape"):
            return x
    return x


def _logits(walk: "Expected", op: Op) -> bool:
    """Whether a product of two signals comes in, through scalings and masks."""
    here = op.inputs[0] if op.inputs else INPUT
    for _ in range(BACK):
        if here == INPUT:
            return False
        source = walk.trace.ops[here]
        if source.kind == "matmul":
            return True
        if source.kind not in ("pointwise", "shape", "add") or not source.inputs:
            return False
        here = source.inputs[0]
    return False


def place_of(op: Op, part: str) -> int:
    """Which of an attention's inputs is this part of it; -1 where none is. Traces from before that was noted have q, k, v in order."""
    last = len(op.inputs) - 1
    usual = {"query": 0, "key": min(1, last), "value": last, "attn_mask": -1}
    return int(op.facts.get(f"{part} input", usual[part]))


def parts_of(walk: "Expected", op: Op) -> tuple[State, State, State] | None:
    """The queries, keys and values that come into an attention, None where one is not known."""
    places = [place_of(op, part) for part in ("query", "key", "value")]
    states = [walk.arriving(op, place) if place >= 0 else None for place in places]
    query, key, value = states
    return None if query is None or key is None or value is None else (query, key, value)


def logits_of(walk: "Expected", op: Op, query: State, key: State) -> tuple[float, float] | None:
    """Variance of an attention's logits over keys, and covariance between queries, with the mask that is added to them.

    What a mask adds to all keys of a query alike drops out of the softmax. None where the mask is not known.
    """
    variance, common = attend.logit_variance(query, key, op.facts["width"], op.facts["scale"])
    place = place_of(op, "attn_mask")
    mask = walk.arriving(op, place) if place >= 0 else None
    if place >= 0 and mask is None:
        return None
    if op.name == "scaled_dot_product_attention" and (table := walk.law(op, "embedding", "other")) is not None:
        mask = State(table.mean, table.variance + table.mean**2, table.variance, apart=table.variance)
    if mask is None or not mask.q > 0:
        return variance, common
    return variance + _apart(mask), common + _apart(mask) * max(1 - mask.s / mask.q, 0.0)


def _one(walk: "Expected", op: Op, first: str, second: str) -> bool:
    """Whether two parts of an attention are one signal, seen through views of all its elements."""
    found = []
    for part in (first, second):
        here = op.inputs[place_of(op, part)]
        while here != INPUT and walk.trace.ops[here].name in WHOLE and len(walk.trace.ops[here].inputs) == 1:
            here = walk.trace.ops[here].inputs[0]
        found.append(here)
    return found[0] == found[1]


def _along_query(op: Op, y: State, query: State, key: State, share: float) -> State:
    """Keys that are their own values: their average leans to the query by scale · contrast · (1 - E Σ a²) of it (Stein)."""
    lean = (op.facts["scale"] * _apart(key) * (1 - share)) ** 2
    more = lean * query.q
    return y.but(q=y.q + more, s=y.s + lean * query.s, apart=y.apart + lean * _apart(query), kernel=None)


def attention(walk: "Expected", op: Op, x: State | None) -> State | None:
    """A fused attention: of queries, keys and values that come in, or with its projections inside."""
    states = parts_of(walk, op)
    if states is None or "width" not in op.facts:
        return None
    query, key, value = states
    outward = None
    if op.name == "multi_head_attention_forward":
        laws = [walk.laws[n] for n in op.weights if walk.slots[n].role == "weight" and n in walk.laws]
        biases = [walk.laws[n] for n in op.weights if walk.slots[n].role == "bias" and n in walk.laws]
        if len(laws) not in (2, 4):
            return None
        inward, outward = (laws[0].parts or (laws[0],) * 3) if len(laws) == 2 else tuple(laws[:3]), laws[-1]
        inside = biases[0] if biases else None
        beside = (inside.parts or (inside,) * 3) if inside is not None else (None,) * 3
        query, key, value = (
            _projected(walk, s, w, b) for s, w, b in zip((query, key, value), inward, beside, strict=True)
        )
    else:
        query, key, value = (
            _block(walk, op, place_of(op, part), i) or s
            for i, (part, s) in enumerate(zip(("query", "key", "value"), states, strict=True))
        )
    count = attend.looks(op, int(op.facts.get("keys", 1)), int(op.facts.get("queries", 1)))
    causal = bool(op.facts.get("causal", 0.0))
    logits = logits_of(walk, op, query, key)
    if logits is None:
        return None
    y = attend.averaged(value, count, causal, logits, op.facts.get("p", 0.0) if walk.trace.training else 0.0)
    if outward is None and _one(walk, op, "query", "key"):
        return walk._unknown(op, "queries and keys are one signal, so that each position looks at itself")
    if outward is None and _one(walk, op, "key", "value"):
        y = _along_query(op, y, query, key, float(attend.shares(count, logits[0]).mean()))
    if outward is None:
        return y
    bias = next((walk.laws[n] for n in op.weights[::-1] if walk.slots[n].role == "bias" and n in walk.laws), None)
    return _projected(walk, y, outward, bias)


def _projected(walk: "Expected", x: State, law: WeightLaw, bias: WeightLaw | None) -> State:
    from fanin.theory.expected import weighted

    return weighted(x, law, bias, walk.batch)


def _apart(x: State) -> float:
    return min(x.apart if math.isfinite(x.apart) else x.s, 2 * x.q)
