"""Walks the graph of a watched pass: consumers, ancestors, and the elementwise function between two values."""

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from fanin.activations import Activation, Array
from fanin.traces.torch.values import Blank, Node, Ref, Value

WEIGHT_ROLES = frozenset(("weight", "recurrent", "embedding"))
TRANSPARENT = frozenset(("shape", "dropout"))  # moves or drops elements, changes no unit into another
THROUGH = frozenset(("shape", "dropout", "pool"))


@dataclass(frozen=True)
class Reach:
    """What the elementwise neighbourhood of a value leads to.

    Attributes:
        values: the values in it, in order.
        ends: (node, value): calls outside that consume one of its values.
        last: the last value of it that something outside consumes (or the last one of all).
    """

    values: tuple[int, ...]
    ends: tuple[tuple[int, int], ...]
    last: int


class Graph:
    """The nodes and values of one watched pass, with the questions that the analysis asks of them."""

    def __init__(self, nodes: list[Node], values: list[Value]) -> None:
        self.nodes, self.values = nodes, values

    @cached_property
    def consumers(self) -> dict[int, list[int]]:
        """Value → nodes that take it as a signal."""
        found: dict[int, list[int]] = {}
        for node in self.nodes:
            for value in dict.fromkeys(node.inputs):
                if self.values[value].data:
                    found.setdefault(value, []).append(node.index)
        return found

    @cached_property
    def ancestors(self) -> list[int]:
        """Node → bit mask of the nodes that lead to it, itself included."""
        masks: list[int] = []
        for node in self.nodes:
            mask = 1 << node.index
            for value in node.inputs:
                made_by = self.values[value].node
                if made_by >= 0:
                    mask |= masks[made_by]
            masks.append(mask)
        return masks

    @cached_property
    def weighted(self) -> int:
        """Bit mask of the nodes that multiply by a weight."""
        mask = 0
        for node in self.nodes:
            if is_weight_op(node):
                mask |= 1 << node.index
        return mask

    @cached_property
    def depths(self) -> list[int]:
        """Node → weight ops on the longest path to it, itself included."""
        depths: list[int] = []
        for node in self.nodes:
            before = max((depths[m] for v in node.inputs if (m := self.values[v].node) >= 0), default=0)
            steps = 2 if node.name == "multi_head_attention_forward" else 1
            depths.append(before + steps * is_weight_op(node))
        return depths

    @cached_property
    def leads_to_weight(self) -> list[bool]:
        """Node → whether a weight op follows it anywhere."""
        follows = [False] * len(self.nodes)
        for node in reversed(self.nodes):
            if is_weight_op(node) or follows[node.index]:
                for value in node.inputs:
                    made_by = self.values[value].node
                    if made_by >= 0:
                        follows[made_by] = True
        return follows

    def signals_of(self, node: Node) -> list[int]:
        """The node's distinct signal inputs."""
        return self._signals[node.index]

    @cached_property
    def _signals(self) -> list[list[int]]:
        return [[v for v in dict.fromkeys(node.inputs) if self.values[v].data] for node in self.nodes]

    def is_elementwise(self, node: Node, inside: set[int]) -> bool:
        """Whether the node is an elementwise function of values `inside` alone."""
        if node.kind not in ("pointwise", "activation", "shape", "dropout", "add", "mul"):
            return False
        if any(u.role in ("embedding", "position", "weight") for u in node.consumed):
            return False
        if any(u.role == "scale" for u in node.consumed) and node.name != "prelu":
            return False
        return all(v in inside for v in self.signals_of(node))

    def reach(self, start: int) -> Reach:
        """The values that are elementwise functions of `start` alone, and who consumes them."""
        inside, order = {start}, [start]
        part = {start: start}  # the slice that a value belongs to: two slices of one signal are different units
        queue = list(self.consumers.get(start, ()))
        heapq.heapify(queue)
        seen: set[int] = set()
        outside: list[int] = []
        while queue:
            index = heapq.heappop(queue)
            if index in seen:
                continue
            seen.add(index)
            node = self.nodes[index]
            parts = {part[v] for v in self.signals_of(node) if v in inside}
            if len(parts) > 1 or not self.is_elementwise(node, inside):
                outside.append(index)
                continue
            for value in node.outputs:
                inside.add(value)
                part[value] = value if self._cuts(node, value) else min(parts)
                order.append(value)
                for consumer in self.consumers.get(value, ()):
                    heapq.heappush(queue, consumer)
        ends = tuple((n, v) for n in outside for v in self.signals_of(self.nodes[n]) if v in inside)
        return Reach(tuple(order), ends, ends[-1][1] if ends else order[-1])

    def _cuts(self, node: Node, value: int) -> bool:
        """Whether a value is only a part of what went into the call (a chunk, a slice)."""
        if node.kind != "shape":
            return False
        before = self.values[self.signals_of(node)[0]].shape
        return len(node.outputs) > 1 or math.prod(self.values[value].shape) < math.prod(before)

    def back(self, value: int) -> tuple[int, int]:
        """(root, value): the nearest value before that this one is an elementwise function of, through pools too."""
        current = value
        while True:
            node_index = self.values[current].node
            if node_index < 0:
                return current, value
            node = self.nodes[node_index]
            if node.kind in THROUGH and self.signals_of(node):
                current = self.signals_of(node)[0]
                continue
            root = self._elementwise_root(current)
            if root == current or current not in self.reach(root).values:
                return current, value
            current = root

    def _elementwise_root(self, value: int) -> int:
        """The value that all elementwise paths into `value` start from (itself where there is none)."""
        frontier, inside = {value}, set()
        while frontier:
            latest = max(frontier, key=lambda v: self.values[v].node)
            if len(frontier) == 1 and inside and not self._opens(latest):
                return latest
            node_index = self.values[latest].node
            if node_index < 0 or not self._opens(latest) or len(inside) > 64:
                return next(iter(frontier)) if len(frontier) == 1 else value
            frontier.discard(latest)
            inside.add(latest)
            frontier.update(v for v in self.signals_of(self.nodes[node_index]) if v not in inside)
        return value

    def _opens(self, value: int) -> bool:
        """Whether the value was made by an elementwise call of one signal (or of several with one root)."""
        node_index = self.values[value].node
        if node_index < 0:
            return False
        node = self.nodes[node_index]
        signals = set(self.signals_of(node))
        if node.kind in ("add", "mul") and len(signals) > 1:
            # x * f(x) opens; a sum of two streams does not: the signals must share an elementwise root near by.
            return self._share_root(signals)
        return bool(signals) and self.is_elementwise(node, signals)

    def _share_root(self, signals: set[int]) -> bool:
        masks = []
        for value in signals:
            mask, todo = {value}, [value]
            while todo and len(mask) < 32:
                node_index = self.values[todo.pop()].node
                if node_index < 0:
                    continue
                node = self.nodes[node_index]
                inner = self.signals_of(node)
                if self.is_elementwise(node, set(inner)) and not is_weight_op(node):
                    todo.extend(v for v in inner if v not in mask)
                    mask.update(inner)
            masks.append(mask)
        shared = set.intersection(*masks)
        # One of the two must be a function of the other, or both of one value that is not itself a sum of streams.
        return bool(shared)

    def function(self, root: int, value: int) -> Activation | None:
        """The elementwise function from `root` to `value`; None for the identity and where it cannot be replayed."""
        if root == value:
            return None
        path = self._between(root, value)
        calls = [self.nodes[i] for i in path if self.nodes[i].kind not in THROUGH]
        if not calls:
            return None

        def replayed(z: Array) -> Array:
            known: dict[int, torch.Tensor] = {root: torch.tensor(z)}
            with torch.no_grad():
                for index in path:
                    self._replay(self.nodes[index], known)
            y = known[value]
            if y.shape != z.shape or not torch.isfinite(y).all():
                raise ValueError("it is not elementwise, or not finite")
            return y.numpy()

        try:
            result = Activation.tabulated(replayed, "·".join(dict.fromkeys(c.name for c in calls)))
        except Exception:  # user code replayed on other shapes may fail in any way; then the function is not known
            return None
        return None if result.name == "linear" else result

    def _between(self, root: int, value: int) -> list[int]:
        """The nodes on the elementwise paths from `root` to `value`, in order."""
        found: set[int] = set()
        todo = [value]
        while todo:
            current = todo.pop()
            node_index = self.values[current].node
            if current == root or node_index < 0 or node_index in found:
                continue
            found.add(node_index)
            todo.extend(self.signals_of(self.nodes[node_index]))
        return sorted(found)

    def _replay(self, node: Node, known: dict[int, torch.Tensor]) -> None:
        first = self.signals_of(node)[0]
        if node.kind in THROUGH or any(u.role == "bias" for u in node.consumed):
            result = known[first]
        elif node.name == "prelu":
            slope = self.values[node.inputs[-1]]
            weight = slope.scalar.double() if slope.scalar is not None else torch.tensor(0.25, dtype=torch.float64)
            result = torch.where(known[first] > 0, known[first], weight * known[first])
        else:
            args, kwargs = self._fill(node.args, known), self._fill(node.kwargs, known)
            result = node.func(*args, **kwargs)
        for value in node.outputs:
            known[value] = result

    def _fill(self, template: Any, known: dict[int, torch.Tensor]) -> Any:
        if isinstance(template, Ref):
            if template.value in known:
                return known[template.value].clone()
            scalar = self.values[template.value].scalar
            if scalar is None:
                raise ValueError("a tensor of this call was not kept")
            return scalar.double() if scalar.is_floating_point() else scalar
        if isinstance(template, Blank):
            raise ValueError("a constant of this call was not kept")
        if isinstance(template, tuple | list):
            return type(template)(self._fill(t, known) for t in template)
        if isinstance(template, dict):
            return {k: self._fill(v, known) for k, v in template.items() if k != "out"}
        if isinstance(template, torch.dtype) and template.is_floating_point:
            return torch.float64
        return template

    def weight_nodes(self) -> Iterator[Node]:
        """The nodes that multiply a signal by a weight, in order."""
        return (node for node in self.nodes if is_weight_op(node))


def is_weight_op(node: Node) -> bool:
    """Whether the node multiplies by (or looks up) a weight."""
    return any(use.role in WEIGHT_ROLES for use in node.consumed)


def mark_norms(graph: Graph) -> None:
    """Finds norms written by hand: a signal times or divided by a function of its own mean square or variance."""
    for node in graph.nodes:
        if node.kind not in ("mul", "pointwise") or node.name not in ("mul", "div", "true_divide", "rmul"):
            continue
        signals = graph.signals_of(node)
        if len(signals) == 2 and _normalises(graph, *signals):
            node.kind = "norm"
    for node in graph.nodes:
        for use in node.consumed:
            if use.role == "scale" and _follows_norm(graph, node) and _counts_units(graph, node, use.parameter):
                use.role = "norm_scale"
            elif use.role == "bias" and node.kind == "pointwise":
                use.role = _bias_role(graph, node, use.parameter)


def _closure(graph: Graph, value: int, *, reduces: bool) -> tuple[set[int], bool]:
    """Values behind `value` through elementwise calls (and reductions), and whether a reduction was passed."""
    found, todo, reduced = {value}, [value], False
    while todo and len(found) < 24:
        node_index = graph.values[todo.pop()].node
        if node_index < 0:
            continue
        node = graph.nodes[node_index]
        if node.kind == "reduce" and reduces:
            reduced = True
        elif node.kind not in ("pointwise", "shape", "activation", "add", "mul") or is_weight_op(node):
            continue
        for v in graph.signals_of(node):
            if v not in found:
                found.add(v)
                todo.append(v)
    return found, reduced


def _normalises(graph: Graph, a: int, b: int) -> bool:
    for signal, statistic in ((a, b), (b, a)):
        shape, other = graph.values[signal].shape, graph.values[statistic].shape
        if len(shape) != len(other) or not any(p != q and q == 1 for p, q in zip(shape, other, strict=True)):
            continue
        behind, reduced = _closure(graph, statistic, reduces=True)
        own, _ = _closure(graph, signal, reduces=False)
        if reduced and own & behind:
            return True
    return False


def _follows_norm(graph: Graph, node: Node) -> bool:
    for value in graph.signals_of(node):
        current = value
        for _ in range(4):
            made_by = graph.values[current].node
            if made_by < 0:
                break
            before = graph.nodes[made_by]
            if before.kind == "norm":
                return True
            if before.kind != "shape":
                break
            current = graph.signals_of(before)[0]
    return False


def _counts_units(graph: Graph, node: Node, parameter: str) -> bool:
    """Whether the parameter has a number for each unit, or for each element that a norm written by hand averages over.

    A norm's own scale has. A temperature behind a norm (CLIP's `logit_scale`, ScaleNorm's g, a number a head) has not: its value is
    chosen, and one is no neutral start for it.
    """
    joined = next((graph.values[v] for v in node.inputs if parameter in graph.values[v].params), None)
    out = graph.values[node.outputs[0]]
    if joined is None or not joined.shape or len(joined.shape) > len(out.shape):
        return False
    n = len(out.shape)
    sizes = (1,) * (n - len(joined.shape)) + joined.shape
    axes = {out.unit_axis % n}
    signal = graph.values[graph.signals_of(node)[0]]
    norm = graph.nodes[signal.node]
    if norm.kind == "norm":
        shapes = [graph.values[v].shape for v in graph.signals_of(norm)]
        axes |= {i for s in shapes if len(s) == n for i in range(n) if s[i] == 1 < out.shape[i]}
    return any(sizes[i] == out.shape[i] for i in axes)


def _wide(graph: Graph, node: Node, parameter: str) -> int:
    """Axes of more than one element that the parameter brings to this call; a single number (a temperature) has none."""
    brought = next((graph.values[v] for v in node.inputs if parameter in graph.values[v].params), None)
    return sum(size > 1 for size in brought.shape) if brought is not None else 0


def _bias_role(graph: Graph, node: Node, parameter: str) -> str:
    """A parameter added to a signal is a norm's shift, a bias, or a position."""
    made_by = graph.values[graph.signals_of(node)[0]].node
    previous = graph.nodes[made_by] if made_by >= 0 else None
    while previous is not None and previous.kind == "shape":
        made_by = graph.values[graph.signals_of(previous)[0]].node
        previous = graph.nodes[made_by] if made_by >= 0 else None
    wide = _wide(graph, node, parameter)
    if not wide and not (previous is not None and previous.kind == "norm"):
        return "bias"  # one number for all channels and positions, as in Fixup
    if previous is not None and wide <= 1:
        if previous.kind == "norm" or any(u.role == "norm_scale" for u in previous.consumed):
            return "norm_shift" if _counts_units(graph, node, parameter) else "bias"
        if is_weight_op(previous) or previous.kind in ("matmul", "add"):
            return "bias"
    return "bias" if wide <= 1 and previous is not None and previous.kind == "pointwise" else "position"
