"""Finds residual streams and plain chains in the graph of a watched pass."""

from dataclasses import dataclass

from fanin.activations import Activation
from fanin.slots import ChainLink, Pairing, ResidualPlace
from fanin.traces.torch.graph import THROUGH, TRANSPARENT, Graph, is_weight_op
from fanin.traces.torch.values import Node, Value


@dataclass
class Residual:
    """One residual add, in the terms of the raw graph."""

    add: int
    skip: int  # value
    branch: int  # value
    weights: tuple[int, ...]  # nodes on the branch
    skip_weights: tuple[int, ...]
    stream: int = 0
    position: int = 0
    count: int = 1
    normed: bool = False
    normed_after: bool = False
    layers: int = 0
    ends: tuple[frozenset[int], ...] = ()  # per parallel branch, its last weights


def residuals(graph: Graph) -> list[Residual]:
    """The residual adds in order, with their streams."""
    found: list[Residual] = []
    by_add: dict[int, Residual] = {}
    for node in graph.nodes:
        if node.kind != "add":
            continue
        signals = graph.signals_of(node)
        if len(signals) != 2 or _makes_shares(graph, node):
            continue
        residual = _residual(graph, node, signals[0], signals[1])
        if residual is None:
            continue
        previous = _previous(graph, residual.skip, by_add)
        residual.stream = previous.stream if previous else node.index
        residual.position = previous.position + len(previous.ends) if previous else 0
        residual.normed_after = _meets_norm_first(graph, node)
        residual.normed = _normed_end(graph, residual.branch)
        residual.layers = _layers(graph, residual.weights)
        residual.ends = _ends(graph, residual)
        by_add[node.index] = residual
        found.append(residual)
    lengths: dict[int, int] = {}
    for r in found:
        lengths[r.stream] = max(lengths.get(r.stream, 0), r.position + len(r.ends))
    for r in found:
        r.count = lengths[r.stream]
    return found


def _makes_shares(graph: Graph, node: Node) -> bool:
    """Whether the sum goes into an attention's softmax and nowhere else: logits plus a bias for positions are no stream."""
    for kinds in (("softmax",), ("matmul",)):
        following = _following(graph, node)
        if len(following) != 1 or following[0].kind not in kinds:
            return False
        node = following[0]
    return True


def _following(graph: Graph, node: Node) -> list[Node]:
    """The calls that take what a call made, through shape-only ones and those that put a mask on it."""
    found = [graph.nodes[i] for v in node.outputs for i in graph.consumers.get(v, ())]
    while len(found) == 1 and found[0].kind in (*TRANSPARENT, "pointwise"):
        found = [graph.nodes[i] for v in found[0].outputs for i in graph.consumers.get(v, ())]
    return found


def _residual(graph: Graph, node: Node, a: int, b: int) -> Residual | None:
    """Which of the two is the skip: the one that leads to the other, or the one with fewer weights since they parted."""
    mask_a, mask_b = _mask(graph, a), _mask(graph, b)
    if _leads(graph, a, b):
        skip, branch = a, b
    elif _leads(graph, b, a):
        skip, branch = b, a
    else:
        if not mask_a & mask_b:
            return None
        only_a, only_b = mask_a & ~mask_b & graph.weighted, mask_b & ~mask_a & graph.weighted
        if only_a.bit_count() == only_b.bit_count():
            return None
        skip, branch = (a, b) if only_a.bit_count() < only_b.bit_count() else (b, a)
    own = _mask(graph, branch) & ~_mask(graph, skip)
    from_skip = _descends(graph, own, skip)
    weights = tuple(i for i in _bits(own & graph.weighted) if from_skip is None or i in from_skip)
    if not weights or any(u.role == "recurrent" for u in graph.nodes[weights[-1]].consumed):
        return None  # a sum of input and state inside a recurrent cell is no residual stream
    skipped = tuple(_bits(_mask(graph, skip) & ~_mask(graph, branch) & graph.weighted))
    return Residual(node.index, skip, branch, weights, skipped)


def _ends(graph: Graph, residual: Residual) -> tuple[frozenset[int], ...]:
    """The last weights of each branch that the add takes in: attention and a feed-forward beside each other are two branches."""
    own = _mask(graph, residual.branch) & ~_mask(graph, residual.skip)
    mixing = sum(1 << i for i in _bits(own) if graph.nodes[i].kind in ("attention", "matmul"))
    ends = [w for w in residual.weights if not any(graph.ancestors[v] >> w & 1 for v in residual.weights if v != w)]
    attends = frozenset(w for w in ends if graph.ancestors[w] & mixing)
    return tuple(part for part in (attends, frozenset(ends) - attends) if part)


def _layers(graph: Graph, weights: tuple[int, ...]) -> int:
    """How many of a branch's weights follow each other; the fused attention call is two of them."""
    lengths: dict[int, int] = {}
    for w in weights:
        before = max((n for v, n in lengths.items() if graph.ancestors[w] >> v & 1), default=0)
        lengths[w] = before + 1 + (graph.nodes[w].name == "multi_head_attention_forward")
    return max(lengths.values())


def _mask(graph: Graph, value: int) -> int:
    made_by = graph.values[value].node
    return graph.ancestors[made_by] if made_by >= 0 else 0


def _leads(graph: Graph, a: int, b: int) -> bool:
    """Whether value `a` is an ancestor of value `b`."""
    mask = _mask(graph, b)
    return any(mask >> consumer & 1 for consumer in graph.consumers.get(a, ()))


def _descends(graph: Graph, own: int, skip: int) -> set[int] | None:
    """Of the nodes in `own`, those that descend from `skip`; None where the two parted before it."""
    inside: set[int] = set()
    for i in _bits(own):
        node = graph.nodes[i]
        if skip in node.inputs or any(graph.values[v].node in inside for v in node.inputs):
            inside.add(i)
    return inside or None


def descendants(graph: Graph, residual: Residual) -> set[int]:
    """The nodes of a branch that descend from its skip (all of its nodes where the two parted before it)."""
    own = _mask(graph, residual.branch) & ~_mask(graph, residual.skip)
    found = _descends(graph, own, residual.skip)
    return set(_bits(own)) if found is None else found


def _bits(mask: int) -> list[int]:
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found


def _previous(graph: Graph, value: int, by_add: dict[int, Residual]) -> Residual | None:
    """The residual add that this skip comes from, through norms, activations and projections."""
    for _ in range(64):
        made_by = graph.values[value].node
        if made_by < 0:
            return None
        if made_by in by_add:
            return by_add[made_by]
        node = graph.nodes[made_by]
        signals = graph.signals_of(node)
        if not signals or node.kind == "add":
            return None
        value = signals[0]
    return None


def _meets_norm_first(graph: Graph, node: Node) -> bool:
    consumers = [graph.nodes[i] for v in node.outputs for i in graph.consumers.get(v, ())]
    while len(consumers) == 1 and consumers[0].kind in THROUGH:
        consumers = [graph.nodes[i] for v in consumers[0].outputs for i in graph.consumers.get(v, ())]
    return len(consumers) >= 1 and all(c.kind == "norm" or _starts_norm(graph, c) for c in consumers)


def _starts_norm(graph: Graph, node: Node) -> bool:
    """A norm written by hand begins with a power or a mean of the signal."""
    return node.kind == "reduce" or node.name in ("pow", "square", "to", "float")


def _normed_end(graph: Graph, value: int) -> bool:
    """Whether a norm stands between the branch's last weight and the add."""
    for _ in range(16):
        made_by = graph.values[value].node
        if made_by < 0:
            return False
        node = graph.nodes[made_by]
        if node.kind == "norm" or any(u.role == "norm_scale" for u in node.consumed):
            return True
        if is_weight_op(node) or not graph.signals_of(node):
            return False
        value = graph.signals_of(node)[0]
    return False


def place_of(graph: Graph, residual: Residual, node: int) -> ResidualPlace:
    """The place of a weight op on a residual branch."""
    last = any(node in ends for ends in residual.ends)
    beside = next((i for i, ends in enumerate(residual.ends) if any(_before(graph, node, end) for end in ends)), 0)
    branch = residual.position + beside
    return ResidualPlace(branch, residual.count, last, residual.normed, residual.stream, residual.layers)


def _before(graph: Graph, node: int, end: int) -> bool:
    return node == end or bool(graph.ancestors[end] >> node & 1)


# -- chains ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Link:
    """Weight op `source` feeds weight op `target` and nothing else, through an elementwise function."""

    source: int
    target: int
    activation: Activation
    pairing: Pairing
    normed: bool


def chains(
    graph: Graph, joined: list[Residual], uses: dict[str, int], *, through_norms: bool = False
) -> dict[int, ChainLink]:
    """Weight op → its place in a chain of weight ops with nothing but activations (and pools) between them.

    With `through_norms`, norms may stand between them too, and only chains that have one are returned.
    """
    ends = {r.weights[-1] for r in joined}
    links: dict[int, Link] = {}
    for node in graph.weight_nodes():
        if node.index not in ends and _chainable(node, uses):
            link = _link(graph, node, uses, through_norms)
            if link is not None:
                links[node.index] = link
    targets = {link.target: link for link in links.values()}
    places: dict[int, ChainLink] = {}
    for start in links:
        if start in targets:
            continue
        path = [start]
        while path[-1] in links:
            path.append(links[path[-1]].target)
        if through_norms and not any(links[index].normed for index in path[:-1]):
            continue
        name = _weight_name(graph.nodes[start])
        for position, index in enumerate(path):
            before = targets.get(index) if position else None
            after = links.get(index)
            places[index] = ChainLink(
                id=name,
                position=position,
                length=len(path),
                before=before.activation if before else None,
                after=after.activation if after else None,
                in_pairing=before.pairing if before else None,
                normed=before.normed if before else False,
            )
    return places


def _weight_name(node: Node) -> str:
    return next(u.parameter for u in node.consumed if u.role == "weight")


def _chainable(node: Node, uses: dict[str, int]) -> bool:
    weights = [u for u in node.consumed if u.role == "weight"]
    return (
        node.kind in ("linear", "conv", "conv_transpose")
        and len(weights) == 1
        and weights[0].groups == 1
        and weights[0].axes is not None
        and set(weights[0].axes) <= set("oik")
        and not weights[0].indexed
        and uses.get(weights[0].parameter, 0) == 1
    )


def _link(graph: Graph, node: Node, uses: dict[str, int], through_norms: bool) -> Link | None:
    way = follow(graph, node.outputs[0], through_norms=through_norms)
    if way is None:
        return None
    target = graph.nodes[way.node]
    if not _chainable(target, uses) or len(graph.signals_of(target)) != 1:
        return None
    pairing = _pairing(graph, graph.values[way.value], target)
    if pairing is None:
        return None
    return Link(node.index, way.node, way.activation or Activation("linear"), pairing, way.normed)


@dataclass(frozen=True)
class Way:
    """Where a signal goes when it has one way only: through `activation` to `node`, as `value`."""

    node: int
    value: int
    activation: Activation | None
    normed: bool = False


def follow(graph: Graph, value: int, *, through_norms: bool = False) -> Way | None:
    """Follows a value through elementwise calls, pools and means over positions to the call that takes it; None where it parts."""
    function: Activation | None = None
    normed = False
    for _ in range(32):
        reach = graph.reach(value)
        if len({v for _, v in reach.ends}) != 1 or len({n for n, _ in reach.ends}) != 1:
            return None
        step = graph.function(value, reach.last)
        function = _compose(function, step) if step is not None else function
        index, taken = reach.ends[0]
        node = graph.nodes[index]
        averages = node.kind == "reduce" and node.name == "mean" and _keeps_units(graph, node)
        norm = through_norms and node.kind == "norm" and len(graph.signals_of(node)) == 1
        normed |= norm
        if node.kind != "pool" and not averages and not norm:
            return Way(index, taken, function, normed)
        value = node.outputs[0]
    return None


def _compose(first: Activation | None, then: Activation) -> Activation:
    if first is None or (first == then and first.name in ("relu", "relu6")):
        return then
    inner = first  # for the function below
    return Activation.tabulated(lambda z: then(inner(z)), f"{first.name}·{then.name}")


def _keeps_units(graph: Graph, node: Node) -> bool:
    """Whether a mean leaves the axis of the units whole."""
    before, after = graph.values[graph.signals_of(node)[0]], graph.values[node.outputs[0]]
    axis = before.unit_axis % len(before.shape)
    return bool(after.shape) and before.shape[axis] in after.shape[1:]


def _pairing(graph: Graph, value: Value, target: Node) -> Pairing | None:
    """How the producer's units lie along the target's input axis."""
    n = len(value.shape)
    if n == 0:
        return None
    use = next(u for u in target.consumed if u.role == "weight")
    axis = value.unit_axis % n
    expected = n - 1 if target.kind == "linear" else axis
    if target.name == "einsum" and "k" not in (use.axes or ""):
        expected = axis
    if value.origin is None:
        return None
    root, shown = value.origin
    source = graph.values[root]
    unit = source.unit_axis % max(len(source.shape), 1)
    units = source.shape[unit]
    step = _product(source.shape[unit + 1 :])
    size, stride = shown.shape[expected], shown.stride(expected)
    if size == 1:
        return Pairing(units) if units == 1 else None
    if stride == step and size == units:
        return Pairing(units)
    if stride < step and step % stride == 0:
        inner = step // stride
        if size == inner * units:
            return Pairing(units, 1, inner)
        if size > inner * units and size % (inner * units) == 0:
            return Pairing(units, size // (inner * units), inner)
        return None
    if stride == step and size > units and size % units == 0:
        return Pairing(units, size // units, 1)
    return None


def _product(sizes: tuple[int, ...]) -> int:
    result = 1
    for size in sizes:
        result *= size
    return result
