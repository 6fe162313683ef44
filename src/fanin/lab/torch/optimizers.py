"""Optimizers of a run: torch's own for one model, and the same updates for a stack of models with a rate each."""

import itertools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from fanin.errors import FaninValueError
from fanin.lab.specs import parse_spec


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
    spec = parse_spec(text, "optimizer")
    if spec.name not in ("sgd", "adam", "adamw"):
        raise FaninValueError(f"optimizer={text!r} is unknown; accepted are sgd, adam, adamw")
    try:
        return Rule(spec.name, **{"weight_decay": weight_decay, **spec.arguments})
    except TypeError:
        raise FaninValueError(f"optimizer={text!r} has an argument that is unknown") from None


def torch_optimizer(rule: Rule, groups: list[dict[str, Any]], lr: float) -> torch.optim.Optimizer:
    """torch's own optimizer; fused where it can be, which is faster and keeps one order of sums."""
    floats = all(p.dtype in (torch.float32, torch.float64) for g in groups for p in g["params"])
    if rule.kind == "sgd":
        return torch.optim.SGD(
            groups, lr=lr, momentum=rule.momentum, nesterov=rule.nesterov, weight_decay=rule.weight_decay, fused=floats
        )
    kind = torch.optim.Adam if rule.kind == "adam" else torch.optim.AdamW
    return kind(
        groups, lr=lr, betas=(rule.beta1, rule.beta2), eps=rule.eps, weight_decay=rule.weight_decay, fused=floats
    )


@dataclass(eq=False)
class _Group:
    """Parts of stacked parameters that share a rate, with what the optimizer keeps of them."""

    rate: float
    parts: list[Tensor]
    places: list[tuple[int, int, int]]  # parameter, first member, end
    slots: list[list[Tensor]]
    steps: list[Tensor]


class StackedOptimizer:
    """torch's own updates on stacked parameters, each member with a rate of its own.

    Neighbours in the stack with the same rate are one group: their part of a stacked parameter is one tensor to the
    update. (It acts on each number alone, so that it cannot tell a stack from a parameter.)

    Args:
        rule: what to do.
        parameters: stacked, shape (members, …) each.
        rates: of each parameter, one a member.
    """

    def __init__(self, rule: Rule, parameters: list[Tensor], rates: list[list[float]]) -> None:
        self.rule = rule
        self.begun = False
        self.fused = all(p.dtype in (torch.float32, torch.float64) for p in parameters)
        groups: dict[float, _Group] = {}
        for number, (parameter, own) in enumerate(zip(parameters, rates, strict=True)):
            for first, end in _runs(own):
                group = groups.setdefault(own[first], _Group(own[first], [], [], [[], []], []))
                part = parameter.detach()[first:end]
                group.parts.append(part)
                group.places.append((number, first, end))
                for slot in group.slots:
                    slot.append(torch.zeros_like(part))
                group.steps.append(torch.zeros((), device=part.device))
        self.groups = list(groups.values())

    @torch.no_grad()
    def step(self, gradients: list[Tensor], factor: float) -> None:
        """One update with the rates times `factor`."""
        ordered = [g.contiguous() for g in gradients]  # a fused update reads them in the weights' order
        update = self._sgd if self.rule.kind == "sgd" else self._adam
        for group in self.groups:
            update(group, [ordered[number][first:end] for number, first, end in group.places], group.rate * factor)
        self.begun = True

    def _sgd(self, group: _Group, gradients: list[Tensor], rate: float) -> None:
        rule = self.rule
        buffers: list[Tensor | None] = list(group.slots[0]) if self.begun and rule.momentum else [None] * len(gradients)
        sgd(
            group.parts, gradients, buffers, has_sparse_grad=False, foreach=False, fused=self.fused,
            weight_decay=rule.weight_decay, momentum=rule.momentum, lr=rate, dampening=0.0, nesterov=rule.nesterov,
            maximize=False,
        )  # fmt: skip
        if not self.begun and rule.momentum:
            group.slots[0] = [b for b in buffers if b is not None]

    def _adam(self, group: _Group, gradients: list[Tensor], rate: float) -> None:
        rule = self.rule
        adam(
            group.parts, gradients, group.slots[0], group.slots[1], [], group.steps, foreach=False, fused=self.fused,
            decoupled_weight_decay=rule.kind == "adamw", amsgrad=False, beta1=rule.beta1, beta2=rule.beta2, lr=rate,
            weight_decay=rule.weight_decay, eps=rule.eps, maximize=False,
        )  # fmt: skip

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"begun": self.begun, "groups": [{"slots": g.slots, "steps": g.steps} for g in self.groups]}

    def restore(self, state: dict[str, Any]) -> None:
        """Puts what `state` gave back."""
        self.begun = state["begun"]
        for group, kept in zip(self.groups, state["groups"], strict=True):
            group.slots, group.steps = kept["slots"], kept["steps"]


def _runs(values: list[float]) -> list[tuple[int, int]]:
    """Stretches of equal neighbours: (first, end) of each."""
    cuts = [0, *(i for i in range(1, len(values)) if values[i] != values[i - 1]), len(values)]
    return list(itertools.pairwise(cuts))
