"""From the raw graph of a watched pass to the records of a `Trace`: slots, ops, residual adds."""

import itertools
import math
from dataclasses import replace

import torch

from fanin.activations import KNOWN, Activation
from fanin.slots import Axes, Factor, ResidualPlace, Slot
from fanin.traces.records import INPUT, Op, ResidualAdd
from fanin.traces.torch import stacks, structure
from fanin.traces.torch.graph import THROUGH, Graph, Reach, is_weight_op
from fanin.traces.torch.layout import factor_axes
from fanin.traces.torch.structure import Residual
from fanin.traces.torch.values import Node, Use

ORDER = ("recurrent", "embedding", "weight", "norm_scale", "norm_shift", "bias", "scale", "position", "other")


class Builder:
    """Everything that is read off one graph."""

    def __init__(self, graph: Graph, model: torch.nn.Module, names: dict[str, tuple[str, ...]]) -> None:
        self.graph, self.names = graph, names
        self.modules = dict(model.named_modules())
        self.uses: dict[str, list[tuple[Node, Use]]] = {}
        for node in graph.nodes:
            for use in node.consumed:
                self.uses.setdefault(use.parameter, []).append((node, use))
        self._mark_recurrent()
        self.residuals = structure.residuals(graph)
        counts = {name: len({n.index for n, _ in found}) for name, found in self.uses.items()}
        self.chains = structure.chains(graph, self.residuals, counts)
        self.normed_chains = structure.chains(graph, self.residuals, counts, through_norms=True)
        self._branch_of: dict[int, Residual] = {}
        for residual in self.residuals:
            for index in residual.weights:
                self._branch_of.setdefault(index, residual)
        looks = stacks.looks(graph, self.residuals)
        self.stacks = stacks.stacks(self.residuals, looks)
        for look in looks:
            for index in stacks.keys_and_values(graph, look):
                self._branch_of.setdefault(index, look.residual)
        self._adds = {r.add for r in self.residuals}

    def _mark_recurrent(self) -> None:
        """A weight whose output leads to its own next use in the same direction is recurrent.

        W and then Wᵀ (a tied autoencoder), or one slice of a stack after the other, is no state that comes back.
        """
        for found in self.uses.values():
            weights = [(n, u) for n, u in found if u.role == "weight" and not u.indexed]
            for same in _by_direction(weights):
                pairs = list(itertools.pairwise(same))
                if pairs and all(self.graph.ancestors[b.index] >> a.index & 1 for (a, _), (b, _) in pairs):
                    for node, use in same:
                        use.role = "recurrent"
                        use.hidden = self.graph.values[node.outputs[0]].shape[-1]

    # -- slots -------------------------------------------------------------------------------------------------

    def slot(self, name: str, parameter: torch.Tensor, reached: bool | None, opaque: bool) -> Slot:
        """The slot of one parameter."""
        names = self.names[name]
        owner, _, _ = name.rpartition(".")
        module = self.modules.get(owner)
        base = Slot(
            name=name,
            shape=tuple(parameter.shape),
            dtype=str(parameter.dtype).removeprefix("torch."),
            role="unused",
            names=names,
            module=owner,
            module_type=type(module).__name__ if module is not None else "",
            trainable=parameter.requires_grad,
        )
        found = self.uses.get(name)
        if not found:
            unseen = reached or (reached is None and parameter.requires_grad) or opaque
            return replace(base, role="opaque" if unseen else "unused", uses=0)
        node, use = min(found, key=lambda pair: (ORDER.index(pair[1].role), pair[0].index))
        facts = {
            "role": use.role,
            "op": node.kind
            if node.kind not in ("pointwise", "shape", "other", "mul", "add", "activation")
            else node.name,
            "op_index": node.index,
            "axes": self._axes(base, use, node, found),
            "depth": self.graph.depths[node.index] - (node.name == "multi_head_attention_forward" and use.step == 0),
            "parts": use.parts,
            "hidden": use.hidden,
            "padding_index": use.padding_index,
            "uses": len({n.index for n, _ in found}),
        }
        if use.parts is None and facts["axes"] is not None:
            facts["parts"] = self._parts(node, use)
        if is_weight_op(node):
            others = [(n, u) for n, u in found if u.role in ("weight", "embedding", "recurrent")]
            nodes = [n for n, _ in others]
            if len({u.layout.storage_offset() for _, u in others if u.layout is not None}) > 1:
                # Slices of a stack, one layer each: the second stands for all, which neither first nor last does.
                facts |= self._surroundings(nodes[1], use, nodes)
                facts["head"] = all(self._is_head(n) for n in nodes)
            else:
                facts |= self._surroundings(node, use, nodes)
        if use.role in ("bias", "scale"):
            facts["weight"] = self._partner(node, use)
            if use.role == "bias":
                facts["head"] = self._is_head(node)
        return replace(base, **facts)

    def _axes(self, slot: Slot, use: Use, node: Node, found: list[tuple[Node, Use]]) -> Axes | None:
        if use.axes is None or use.layout is None:
            return None
        taps = 1.0 / use.stride
        in_taps, out_taps = (taps, 1.0) if use.transposed else (1.0, taps)
        axes = factor_axes(use.layout, use.axes, slot.shape, in_taps=in_taps, out_taps=out_taps)
        if axes is None:
            return None
        if use.groups > 1:
            axes = _split(axes, "in" if use.transposed else "out", use.groups)
        blocks = use.blocks if use.blocks > 1 else self._output_blocks(node, use)
        if blocks > 1 and axes.size("out") % blocks == 0:
            axes = _split(axes, "out", blocks)
        return axes

    def _parts(self, node: Node, use: Use) -> str | None:
        blocks = self._output_blocks(node, use)
        if blocks > 1:
            return "qkv" if blocks == 3 and self._meets_attention(node) else "blocks"
        if use.axes and "s" in use.axes:
            return "experts"
        return None

    def _meets_attention(self, node: Node) -> bool:
        following = self.graph.nodes[node.index + 1 :]
        return any(n.kind == "attention" or n.kind == "softmax" for n in following[:48])

    def _output_blocks(self, node: Node, use: Use) -> int:
        """In how many equal blocks the output's units are cut afterwards (fused q, k, v; gates)."""
        if use.role == "embedding" or node.kind not in ("linear", "conv"):
            return 1
        reach = self.graph.reach(node.outputs[0])
        starts: dict[tuple[int, int], set[int]] = {}
        for index in reach.values:
            value = self.graph.values[index]
            if value.origin is None or value.node < 0:
                continue
            root, shown = value.origin
            source = self.graph.values[root]
            if root not in reach.values or not source.shape:
                continue
            unit = source.unit_axis % len(source.shape)
            axes = factor_axes(shown, "".join("o" for _ in shown.shape), source.shape)
            if axes is None:
                continue
            stacked = math.prod(f.size for f in axes.factors[unit] if f.role == "stack")
            if stacked == 1 and self._used_whole(index):
                return 1  # halves that are put together again (rotary positions) are no blocks
            if stacked > 1:
                step = math.prod(source.shape[unit + 1 :])
                offset = int(shown.storage_offset()) // step % source.shape[unit] if step else 0
                starts.setdefault((root, stacked), set()).add(offset)
        for (_, stacked), offsets in starts.items():
            if len(offsets) == stacked:
                return stacked
        return 1

    def _used_whole(self, value: int) -> bool:
        """Whether anything but a shape-only call takes the value, while other calls cut it up."""
        kinds = [self.graph.nodes[i].kind == "shape" for i in self.graph.consumers.get(value, ())]
        return any(kinds) and not all(kinds)

    def _surroundings(self, node: Node, use: Use, nodes: list[Node]) -> dict[str, object]:
        graph = self.graph
        facts: dict[str, object] = {"head": any(self._is_head(n) for n in nodes)}
        facts["activation"] = self._function_met(node)
        if node.kind == "recurrent":
            facts["activation"] = Activation.named({"rnn_relu": "relu"}.get(node.name.removesuffix("_cell"), "tanh"))
        facts["norm_after"] = self._norm_after(node)
        signals = graph.signals_of(node)
        if signals and use.role != "embedding":
            root, value = graph.back(signals[0])
            facts["input_activation"] = graph.function(root, value)
            facts["norm_before"] = facts["input_activation"] is None and self._is_norm(root)
        residual = self._branch_of.get(node.index)
        if residual is not None:
            stack = self.stacks.get(residual.stream, stacks.Stack())
            place = structure.place_of(graph, residual, node.index)
            facts["residual"] = replace(place, stack=stack.kind, adds=stack.adds, other=stack.other)
            facts["head"] = False
        if node.name == "multi_head_attention_forward":
            facts |= self._inside_attention(facts, first=use.step == 0)
        if node.index in self.chains and use.role == "weight":
            facts["chain"] = self.chains[node.index]
        if node.index in self.normed_chains and use.role == "weight":
            facts["normed_chain"] = self.normed_chains[node.index]
        return facts

    def _inside_attention(self, facts: dict[str, object], *, first: bool) -> dict[str, object]:
        """The fused call holds two weights in a row: the first does not meet what follows the call, nor the second what precedes it."""
        place = facts.get("residual")
        if first:
            ahead = replace(place, last=False) if isinstance(place, ResidualPlace) else None
            return {"activation": None, "norm_after": False, "residual": ahead, "head": False}
        return {"input_activation": None, "norm_before": False}

    def _function_met(self, node: Node) -> Activation | None:
        """The activation that an output meets before the next weight, norm or add."""
        way = structure.follow(self.graph, node.outputs[0])
        if way is not None and way.activation is not None:
            return way.activation
        start, reach = node.outputs[0], self.graph.reach(node.outputs[0])
        if reach.last == start:
            return self._sum_function(node)
        taken = {v for _, v in reach.ends} or {reach.last}
        functions = {self.graph.function(start, v) for v in taken}
        return functions.pop() if len(functions) == 1 else self._main_function(start, reach)

    def _main_function(self, start: int, reach: Reach) -> Activation | None:
        """Of several uses of one output, the function that the next weight sees; None for parts with different functions."""
        functions = {self.graph.function(start, v) for n, v in reach.ends if is_weight_op(self.graph.nodes[n])}
        return functions.pop() if len(functions) == 1 else None

    def _sum_function(self, node: Node) -> Activation | None:
        """The activation after a sum of several weights' outputs (a recurrent cell written by hand)."""
        reach = self.graph.reach(node.outputs[0])
        adds = {n for n, _ in reach.ends if self.graph.nodes[n].kind == "add" and n not in self._adds}
        if len(adds) != 1 or len(reach.ends) != 1:
            return None
        total = self.graph.nodes[adds.pop()].outputs[0]
        return self.graph.function(total, self.graph.reach(total).last)

    def _is_norm(self, value: int) -> bool:
        for _ in range(8):
            made_by = self.graph.values[value].node
            if made_by < 0:
                return False
            node = self.graph.nodes[made_by]
            if node.kind == "norm" or any(u.role in ("norm_scale", "norm_shift") for u in node.consumed):
                return True
            if node.kind not in THROUGH:
                return False
            value = self.graph.signals_of(node)[0]
        return False

    def _norm_after(self, node: Node) -> bool:
        todo, seen = list(self.graph.reach(node.outputs[0]).ends), 0
        while todo and seen < 16:
            seen += 1
            index, _ = todo.pop()
            following = self.graph.nodes[index]
            if following.kind == "norm":
                return True
            if following.kind == "reduce" and self._begins_norm(following):
                return True
            if following.kind in THROUGH:
                todo.extend((i, v) for v in following.outputs for i in self.graph.consumers.get(v, ()))
        return False

    def _begins_norm(self, node: Node) -> bool:
        """Whether a mean or variance is the statistic of a norm written by hand."""
        limit = node.index + 8
        return any(n.kind == "norm" for n in self.graph.nodes[node.index : limit])

    def _is_head(self, node: Node) -> bool:
        return node.kind in ("linear", "conv", "conv_transpose") and not self.graph.leads_to_weight[node.index]

    def _partner(self, node: Node, use: Use) -> str | None:
        """The weight of the op that a bias belongs to."""
        own = [u.parameter for u in node.consumed if u.role in ("weight", "recurrent") and u.step == use.step]
        if own:
            return own[0]
        for value in self.graph.signals_of(node)[:1]:
            for _ in range(8):
                made_by = self.graph.values[value].node
                if made_by < 0:
                    return None
                before = self.graph.nodes[made_by]
                weights = [u.parameter for u in before.consumed if u.role in ("weight", "recurrent")]
                if weights:
                    return weights[0]
                if before.kind != "shape":
                    return None
                value = self.graph.signals_of(before)[0]
        return None

    # -- ops ---------------------------------------------------------------------------------------------------

    def ops(self, gradients: dict[int, float]) -> tuple[Op, ...]:
        """The graph as records."""
        return tuple(self._op(node, gradients.get(node.index, math.nan)) for node in self.graph.nodes)

    def _op(self, node: Node, gradient: float) -> Op:
        inputs = []
        for value in dict.fromkeys(node.inputs):
            if self.graph.values[value].data:
                inputs.append(self.graph.values[value].node if self.graph.values[value].node >= 0 else INPUT)
        signal = node.signal
        if signal is not None:
            signal = replace(signal, grad_rms=gradient)
        activation = None
        if node.kind == "activation" and node.name in KNOWN:
            activation = self.graph.function(self.graph.signals_of(node)[0], node.outputs[0])
        return Op(
            index=node.index,
            kind=node.kind,  # type: ignore[arg-type]
            name=node.name,
            module=node.module,
            inputs=tuple(dict.fromkeys(inputs)),
            weights=tuple(dict.fromkeys(u.parameter for u in node.consumed)),
            shape=self.graph.values[node.outputs[0]].shape,
            activation=activation,
            signal=signal,
            depth=self.graph.depths[node.index],
            module_input=node.input_signal,
            facts=node.facts,
            made={
                name: value.made
                for value in (self.graph.values[i] for i in node.inputs)
                if value.made and not value.data
                for name in value.params
            },
        )

    def residual_records(self) -> tuple[ResidualAdd, ...]:
        """The residual adds as records."""

        def weights(nodes: tuple[int, ...]) -> tuple[str, ...]:
            found = [
                u.parameter for i in nodes for u in self.graph.nodes[i].consumed if u.role in ("weight", "recurrent")
            ]
            return tuple(dict.fromkeys(found))

        def op(value: int) -> int:
            made_by = self.graph.values[value].node
            return made_by if made_by >= 0 else INPUT

        return tuple(
            ResidualAdd(
                r.add, op(r.skip), op(r.branch), weights(r.weights), r.stream, r.position, r.normed_after,
                weights(r.skip_weights),
            )
            for r in self.residuals
        )  # fmt: skip


def _by_direction(weights: list[tuple[Node, Use]]) -> list[list[tuple[Node, Use]]]:
    """Uses of one parameter, together where they read the same elements along the same axes."""
    groups: dict[object, list[tuple[Node, Use]]] = {}
    for node, use in weights:
        key = None
        if use.layout is not None and use.axes is not None:
            key = (tuple(sorted(zip(use.axes, use.layout.stride(), strict=True))), int(use.layout.storage_offset()))
        groups.setdefault(key, []).append((node, use))
    return list(groups.values())


def _split(axes: Axes, role: str, blocks: int) -> Axes:
    """`axes` with its `role` factor cut into `blocks` stacked ones, the stack slowest."""
    factors = []
    done = False
    for axis in axes.factors:
        parts: list[Factor] = []
        for factor in axis:
            if factor.role == role and not done and factor.size % blocks == 0:
                parts.append(Factor("stack", blocks))
                parts.append(Factor(factor.role, factor.size // blocks))
                done = True
            else:
                parts.append(factor)
        factors.append(tuple(parts))
    return Axes(tuple(factors), axes.in_taps, axes.out_taps)
