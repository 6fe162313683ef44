"""Optimizers of a run: torch's own updates, for one model or for a stack of models with a rate each."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from fanin.lab.study.optimizers import parse_optimizer


@dataclass(frozen=True)
class Rule:
    """An optimizer spec, read: `sgd(momentum=0.9, nesterov=True)`, `adam(beta1=0.9, beta2=0.999, eps=1e-08)`, `adamw`.

    Attributes:
        kind: "sgd", "adam" or "adamw".
        momentum, nesterov: of sgd.
        beta1, beta2, eps: of adam and adamw.
        weight_decay: L2 for sgd and adam, decoupled for adamw.
    """

    kind: str
    momentum: float = 0.0
    nesterov: bool = False
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0


def read_optimizer(text: str, weight_decay: float = 0.0) -> Rule:
    """The rule of a spec; `weight_decay` is the study's, for a spec that has none of its own."""
    spec = parse_optimizer(text)
    return Rule(spec.name, **{"weight_decay": weight_decay, **spec.arguments})


@dataclass(eq=False)
class _Group:
    """Parts of parameters that share a rate, with what the optimizer keeps of them."""

    rate: float
    parts: list[Tensor]
    places: list[tuple[int, slice | None]]  # parameter, its members; None for all of them
    buffers: list[Tensor]  # momentum of sgd
    firsts: list[Tensor]  # moments of adam
    seconds: list[Tensor]
    steps: list[Tensor]


class Updates:
    """torch's own updates (what its optimizers call), each member of a stack with a rate of its own.

    Neighbours in the stack with the same rate are one group: their part of a stacked parameter is one tensor to the
    update. (It acts on each number alone, so that it cannot tell a stack from a parameter.)

    Args:
        rule: what to do.
        parameters: of one model, or stacked, shape (members, …) each.
        rates: of each parameter, one a member.
    """

    def __init__(self, rule: Rule, parameters: Sequence[Tensor], rates: Sequence[Sequence[float]]) -> None:
        self.rule = rule
        self.fused = all(p.dtype in (torch.float32, torch.float64) for p in parameters)
        groups: dict[float, _Group] = {}
        for number, (parameter, own) in enumerate(zip(parameters, rates, strict=True)):
            for first, end in _runs(own):
                group = groups.setdefault(own[first], _Group(own[first], [], [], [], [], [], []))
                some = None if (first, end) == (0, len(own)) else slice(first, end)
                part = parameter.detach() if some is None else parameter.detach()[some]
                group.parts.append(part)
                group.places.append((number, some))
                if rule.kind != "sgd":
                    group.firsts.append(torch.zeros_like(part))
                    group.seconds.append(torch.zeros_like(part))
                    group.steps.append(torch.zeros((), device=part.device))
                elif rule.momentum:  # from zero, the first step leaves the gradient there, as torch has it
                    group.buffers.append(torch.zeros_like(part))
        self.groups = list(groups.values())

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor | None], factor: float) -> None:
        """One update with the rates times `factor`; a parameter without a gradient stays as it is.

        Args:
            gradients: in the shapes of the parameters.
            factor: of the schedule.
        """
        update = self._sgd if self.rule.kind == "sgd" else self._adam
        for group in self.groups:
            some = [i for i, (number, _) in enumerate(group.places) if gradients[number] is not None]
            cuts = [_cut(gradients[group.places[i][0]], group.parts[i], group.places[i][1]) for i in some]
            if some:
                update(group, some, cuts, group.rate * factor)

    def _sgd(self, group: _Group, some: list[int], gradients: list[Tensor], rate: float) -> None:
        rule, whole = self.rule, len(some) == len(group.parts)
        parts = group.parts if whole else [group.parts[i] for i in some]
        buffers = group.buffers if whole or not rule.momentum else [group.buffers[i] for i in some]
        if self.fused:  # the kernel itself: what torch does around it takes as long as a small model's update
            torch._fused_sgd_(
                parts, gradients, buffers, weight_decay=rule.weight_decay, momentum=rule.momentum, lr=rate,
                dampening=0.0, nesterov=rule.nesterov, maximize=False, is_first_step=False,
            )  # fmt: skip
            return
        kept: list[Tensor | None] = [*buffers] if rule.momentum else [None] * len(parts)
        sgd(
            parts, gradients, kept, has_sparse_grad=False, foreach=False, weight_decay=rule.weight_decay,
            momentum=rule.momentum, lr=rate, dampening=0.0, nesterov=rule.nesterov, maximize=False,
        )  # fmt: skip

    def _adam(self, group: _Group, some: list[int], gradients: list[Tensor], rate: float) -> None:
        rule = self.rule
        adam(
            [group.parts[i] for i in some], gradients,
            [group.firsts[i] for i in some], [group.seconds[i] for i in some], [], [group.steps[i] for i in some],
            foreach=False, fused=self.fused, decoupled_weight_decay=rule.kind == "adamw", amsgrad=False,
            beta1=rule.beta1, beta2=rule.beta2, lr=rate, weight_decay=rule.weight_decay, eps=rule.eps, maximize=False,
        )  # fmt: skip

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"groups": [[g.buffers, g.firsts, g.seconds, g.steps] for g in self.groups]}

    def restore(self, state: dict[str, Any]) -> None:
        """Puts what `state` gave back."""
        for group, kept in zip(self.groups, state["groups"], strict=True):
            group.buffers, group.firsts, group.seconds, group.steps = kept


class ColumnSGD:
    """torch's SGD for a stack: a member's rate stands in a column, so that all members take one update, whatever their rates.

    Args:
        rule: of kind "sgd".
        parameters: stacked, shape (members, …) each.
        rates: of each parameter, one a member.
    """

    def __init__(self, rule: Rule, parameters: Sequence[Tensor], rates: Sequence[Sequence[float]]) -> None:
        self.rule = rule
        self.parameters = [p.detach() for p in parameters]
        self.columns = [_column(own, p) for own, p in zip(rates, self.parameters, strict=True)]
        self.buffers = [torch.zeros_like(p) for p in self.parameters] if rule.momentum else []

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], factor: float) -> None:
        """One update with the rates times `factor`.

        Args:
            gradients: in the shapes of the parameters; they are left as they are.
            factor: of the schedule.
        """
        rule = self.rule
        for i, (parameter, gradient) in enumerate(zip(self.parameters, gradients, strict=True)):
            if rule.weight_decay:
                gradient = gradient.add(parameter, alpha=rule.weight_decay)
            if rule.momentum:
                buffer = torch.add(gradient, self.buffers[i], alpha=rule.momentum, out=self.buffers[i])
                gradient = gradient.add(buffer, alpha=rule.momentum) if rule.nesterov else buffer
            parameter.addcmul_(gradient, self.columns[i], value=-factor)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"buffers": self.buffers}

    def restore(self, state: dict[str, Any]) -> None:
        """Puts what `state` gave back."""
        for buffer, kept in zip(self.buffers, state["buffers"], strict=True):
            buffer.copy_(kept)


def _column(rates: Sequence[float], parameter: Tensor) -> Tensor:
    """A rate a member, in a shape that meets those of the parameter."""
    return parameter.new_tensor(rates).reshape(-1, *[1] * (parameter.dim() - 1))


def _cut(gradient: Tensor | None, part: Tensor, some: slice | None) -> Tensor:
    """A part's own gradient, in the order in which the part lies in memory: a fused update reads both in one order."""
    assert gradient is not None
    cut = gradient if some is None else gradient[some]
    return cut if cut.stride() == part.stride() else torch.empty_like(part).copy_(cut)


def _runs(values: Sequence[float]) -> list[tuple[int, int]]:
    """Stretches of equal neighbours: (first, end) of each."""
    cuts = [0, *(i for i in range(1, len(values)) if values[i] != values[i - 1]), len(values)]
    return list(itertools.pairwise(cuts))
