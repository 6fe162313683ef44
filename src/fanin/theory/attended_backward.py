"""The gradients of attention: fused, or a product of queries and keys, a softmax and a product with values."""

import math
from typing import TYPE_CHECKING

import numpy as np

from fanin.theory import averages as attend
from fanin.theory import coherence, mixing
from fanin.theory.laws import WeightLaw
from fanin.theory.state import State
from fanin.traces.records import Op

if TYPE_CHECKING:
    from fanin.theory.expected import Expected

UNKNOWN = math.nan


def matmul(walk: "Expected", op: Op, place: int, source: int, shared: float = 0.0) -> tuple[float, float]:
    y, n = walk.arriving(op, 1 - place), op.facts.get("contracted", UNKNOWN)
    if y is None:
        return UNKNOWN, 0.0
    uses = coherence.elements(walk, op.index) / coherence.elements(walk, source) * n
    for side in (0, 1):
        softmax = walk.root(op.inputs[min(side, len(op.inputs) - 1)], ("shape", "dropout"))
        found = walk.attends.get(softmax)
        if found is not None and side != place:  # the values, which get Σ_i a_ij of the outputs' gradients
            count, share, both = coherence.overlap(walk.trace.ops[softmax], found.logits)
            return coherence.at_values(count, n, share, both, 1.0, shared)
        if found is not None:
            return uses * y.q, uses * y.q * shared
    # Logits: their gradients sum to zero over the keys, so a query sees what tells its keys apart.
    uses *= op.facts.get("alpha", 1.0) ** 2
    if place == 0:
        factor = uses * mixing._apart(y)
        return factor, factor * shared
    queries, keys = op.shape[-2:] if len(op.shape) > 1 else (1, 1)
    factor = uses * (y.q + max(queries - 1, 0) * shared * max(y.q - mixing._apart(y), 0.0))
    return factor, -factor / max(keys - 1, 1)


def softmax(walk: "Expected", op: Op, place: int, source: int) -> float:
    x = walk.arriving(op)
    if x is None:
        return UNKNOWN
    keys = op.facts.get("keys", float(op.shape[-1]))
    if op.name == "log_softmax":
        return 1.0
    found = walk.attends.get(op.index)
    if found is None:
        return float(attend.slopes(np.array([keys]), x.variance).mean()) / keys
    return float(attend.slopes(found.count, found.logits[0]).mean()) / keys * _value_share(walk, op.index)


def _value_share(walk: "Expected", index: int) -> float:
    """How much of the values tells positions apart: the gradient of a softmax knows only that."""
    for reader in walk.readers[index]:
        op = walk.trace.ops[reader]
        if op.kind in ("shape", "dropout"):
            return _value_share(walk, reader)
        if op.kind == "matmul":
            value = walk.arriving(op, 1 if op.inputs[0] == index else 0)
            return mixing._apart(value) / value.q if value is not None and value.q > 0 else 1.0
    return 1.0


def attention(walk: "Expected", op: Op, place: int, shared: float) -> tuple[float, float]:
    """Of fused attention: the gradients of queries, keys, values and an added mask, those that one op made together."""
    states = mixing.parts_of(walk, op)
    if states is None or "width" not in op.facts or walk.states[op.index] is None:
        return UNKNOWN, 0.0
    query, key, value = states
    inward: tuple[WeightLaw, ...] = ()
    above = 1.0
    if op.name == "multi_head_attention_forward":
        laws = [walk.laws[n] for n in op.weights if walk.slots[n].role == "weight" and n in walk.laws]
        if len(laws) not in (2, 4):
            return UNKNOWN, 0.0
        inward = (laws[0].parts or (laws[0],) * 3) if len(laws) == 2 else tuple(laws[:3])
        above = laws[-1].fan_out * laws[-1].variance
        query, key, value = (
            mixing._projected(walk, s, w, None) for s, w in zip((query, key, value), inward, strict=True)
        )
    parts = _shares_of(walk, op, query, key, value, shared)
    if parts is None:
        return UNKNOWN, 0.0
    names = ("query", "key", "value", "attn_mask")
    scales = [above * w.fan_out * w.variance for w in inward] if inward else [1.0] * 3
    found = [
        (p * scale, kept * scale)
        for name, (p, kept), scale in zip(names, parts, (*scales, above), strict=True)
        if mixing.place_of(op, name) == place
    ]
    return sum(p for p, _ in found), sum(kept for _, kept in found)


def _shares_of(
    walk: "Expected", op: Op, query: State, key: State, value: State, shared: float
) -> list[tuple[float, float]] | None:
    """Of queries, keys, values and the mask, over the second moment of the output's gradient: second moment, product of two
    positions. `shared` is that product at the output."""
    width, scale, p = op.facts["width"], op.facts["scale"], op.facts.get("p", 0.0)
    logits = mixing.logits_of(walk, op, query, key)
    if logits is None:
        return None
    count, share, both = coherence.overlap(op, logits)
    keys, queries = op.facts.get("keys", 1.0), op.facts.get("queries", 1.0)
    kept = 1 / (1 - p) if walk.trace.training and 0 <= p < 1 else 1.0
    inside = (
        width * mixing._apart(value) * float(attend.slopes(count, logits[0]).mean()) * kept
    )  # of all logits of one query
    here = max(math.prod(walk.extents(op, max(mixing.place_of(op, "query"), 0))) / queries, 1.0)
    groups = max(here / max(math.prod(walk.extents(op, max(mixing.place_of(op, "value"), 0))) / keys, 1.0), 1.0)
    back = queries / keys * groups
    masked, added = 0.0, mixing.place_of(op, "attn_mask")
    if added >= 0:  # a mask that all examples share collects their gradients
        logit_count = coherence.elements(walk, op.index) / width * keys
        masked = inside / keys * logit_count / max(math.prod(walk.extents(op, added)), 1)
    inside *= scale**2
    alike = shared * min(both / share, 1.0)  # of two queries' logits
    meet = query.q + max(queries - 1, 0.0) * alike * max(query.q - mixing._apart(query), 0.0)
    to_query, to_key = inside * mixing._apart(key), inside * meet * back
    own, rest = coherence.at_values(count, keys, share, both, 1.0, shared)
    return [
        (to_query, to_query * alike),
        (to_key, -to_key / max(keys - 1, 1.0)),  # the gradients of a query's logits sum to zero
        (own * kept * groups, rest * groups),
        (masked, 0.0),
    ]
