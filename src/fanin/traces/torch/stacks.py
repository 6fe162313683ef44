"""Encoder and decoder: which residual streams look at another one, and how many layers each has.

A transformer's layer has two residual adds (attention, feed-forward), that of a decoder which looks at an encoder three. The third
is known by its attention: what it averages does not come from the decoder's own stream. Rules that count layers, or that have one
number for encoders and another for decoders, need to know it.
"""

from dataclasses import dataclass, replace

from fanin.rules.branches import ADDS
from fanin.slots import StackKind
from fanin.traces.torch.graph import Graph, is_weight_op
from fanin.traces.torch.structure import Residual, descendants
from fanin.traces.torch.values import Node

STEPS = 32  # calls that are walked back from an attention to the weight that makes its values


@dataclass(frozen=True)
class Stack:
    """What the weights of one stream are told about it.

    Attributes:
        kind: "alone", "encoder" (another stream looks at it), "decoder" (it looks elsewhere), or "both".
        adds: residual adds a layer; 0 where they do not come at even distances.
        other: of an encoder, the layers of the stream that looks at it; of a decoder, those of the stream that it looks at; 0 where
            there is none, or several that differ.
    """

    kind: StackKind = "alone"
    adds: int = ADDS
    other: float = 0.0


@dataclass(frozen=True)
class Look:
    """One branch whose attention averages values from elsewhere.

    Attributes:
        residual: its add.
        values: what its attention takes in from elsewhere.
        streams: the streams that these come from (none where they come from an input, or from a net without residual adds).
    """

    residual: Residual
    values: tuple[int, ...]
    streams: frozenset[int]


def looks(graph: Graph, joined: list[Residual]) -> list[Look]:
    """The branches that attend to something else than their own stream."""
    streams = {r.add: r.stream for r in joined}
    found = [_look(graph, residual, streams) for residual in joined]
    return [look for look in found if look is not None]


def _look(graph: Graph, residual: Residual, streams: dict[int, int]) -> Look | None:
    inside = descendants(graph, residual)
    taken = [v for i in sorted(inside) for v in _averaged(graph, graph.nodes[i], inside)]
    outside = [v for v in taken if v != residual.skip and graph.values[v].node not in inside]
    sources = {_source(graph, v, streams) for v in outside} - {
        residual.stream
    }  # values of an earlier layer are its own
    if not sources:
        return None
    keys = [
        v for i in inside if graph.nodes[i].kind in ("attention", "matmul") for v in graph.signals_of(graph.nodes[i])
    ]
    values = [v for v in keys if v != residual.skip and graph.values[v].node not in inside]
    return Look(residual, tuple(dict.fromkeys(values)), frozenset(s for s in sources if s is not None))


def _averaged(graph: Graph, node: Node, inside: set[int]) -> list[int]:
    """What an attention averages: the third tensor of a fused call, or what is multiplied by a softmax."""
    if node.kind == "attention":
        return [v for v in node.inputs[2:3] if graph.values[v].data]
    if node.kind != "matmul":
        return []
    shares = [v for v in graph.signals_of(node) if _is_share(graph, v, inside)]
    return [v for v in graph.signals_of(node) if v not in shares] if len(shares) == 1 else []


def _is_share(graph: Graph, value: int, inside: set[int]) -> bool:
    """Whether a softmax is behind the value, with nothing but elementwise and shape-only calls between."""
    for _ in range(STEPS):
        made_by = graph.values[value].node
        if made_by not in inside:
            return False
        node = graph.nodes[made_by]
        if node.kind == "softmax":
            return True
        if node.kind not in ("shape", "dropout", "pointwise", "mul") or not graph.signals_of(node):
            return False
        value = graph.signals_of(node)[0]
    return False


def _source(graph: Graph, value: int, streams: dict[int, int]) -> int | None:
    """The stream of the last residual add before the value."""
    made_by = graph.values[value].node
    before = [add for add in streams if made_by >= 0 and graph.ancestors[made_by] >> add & 1]
    return streams[max(before)] if before else None


def keys_and_values(graph: Graph, look: Look) -> set[int]:
    """The weight ops that make keys and values of what is looked at: they are part of the branch, though not of its stream."""
    found: set[int] = set()
    for value in look.values:
        for _ in range(STEPS):
            made_by = graph.values[value].node
            if made_by < 0:
                break
            node = graph.nodes[made_by]
            if is_weight_op(node) and node.kind in ("linear", "conv"):
                found.add(made_by)
                break
            if node.kind in ("add", "mul", "embedding", "attention", "matmul") or not graph.signals_of(node):
                break
            value = graph.signals_of(node)[0]
    return found


def stacks(joined: list[Residual], found: list[Look]) -> dict[int, Stack]:
    """Stream → what its weights are told; streams that neither look nor are looked at are left out."""
    count = {r.stream: r.count for r in joined}
    at = {stream: {i for look in found if look.residual.stream == stream for i in look.streams} for stream in count}
    looking = {look.residual.stream for look in found}
    seen = set().union(*at.values())
    made: dict[int, Stack] = {}
    for stream in looking:
        made[stream] = Stack("decoder", _adds(count[stream], _positions(stream, found)))
    for stream in seen:
        made[stream] = replace(made[stream], kind="both") if stream in made else Stack("encoder")
    layers = {s: count[s] / stack.adds if stack.adds else 0.0 for s, stack in made.items()}
    partners = {s: at[s] | {d for d in looking if s in at[d]} for s in made}
    return {s: replace(stack, other=_agreed({layers[p] for p in partners[s]})) for s, stack in made.items()}


def _agreed(depths: set[float]) -> float:
    return depths.pop() if len(depths) == 1 else 0.0


def _positions(stream: int, found: list[Look]) -> list[int]:
    return [look.residual.position for look in found if look.residual.stream == stream]


def _adds(count: int, positions: list[int]) -> int:
    """Residual adds a layer of a stream of `count` branches, those at `positions` looking elsewhere; 0 where it is not even.

    Three where there is one of them in every three, at the same place; two where attention to elsewhere stands in the place of
    attention to itself, in any of the layers.
    """
    if count == 3 * len(positions) and all(p % 3 == positions[0] and p // 3 == i for i, p in enumerate(positions)):
        return 3
    return 2 if count % 2 == 0 and all(p % 2 == 0 for p in positions) else 0
