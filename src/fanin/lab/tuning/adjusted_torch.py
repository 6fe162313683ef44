"""An init with its sizes changed, carried out on a PyTorch model."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from fanin.distributions import Constant
from fanin.lab.inits import parse_init
from fanin.lab.inits_torch import Initialised, apply_plan, plan_of
from fanin.lab.tuning.records import Adjustment
from fanin.plans import Plan
from fanin.slots import Slot
from fanin.traces.torch import trace

WEIGHTS = ("weight", "recurrent")  # roles of slots that a gain is for


@dataclass(frozen=True, eq=False)
class Adjusted:
    """A function of a model that initialises it as `start` says; its seed is drawn from torch's default generator.

    Attributes:
        start: what to do.
        inputs, targets: a batch of the training part, shape (examples, …), to trace the model with.
        loss: called as loss(output, targets).
    """

    start: Adjustment
    inputs: np.ndarray
    targets: np.ndarray
    loss: Callable[..., Tensor]

    def __call__(self, model: nn.Module) -> Initialised:
        seed = int(torch.randint(2**62, ()))
        plan = self.plan(model, seed)
        if plan is not None:
            return apply_plan(model, plan, True, seed)
        self._scale(model, seed)
        return Initialised()

    def _scale(self, model: nn.Module, seed: int) -> None:
        """The model's own weights, times the factors."""
        if self.start == Adjustment(self.start.init):
            return
        parameters = dict(model.named_parameters())
        x, y = self._batch(model)
        with torch.no_grad():
            for slot in trace(model, x, y, self.loss, seed=seed).slots:
                if slot.role in WEIGHTS:
                    parameters[slot.name].mul_(_factor(slot, self.start))
                elif slot.role == "bias" and self.start.bias and not slot.head:
                    parameters[slot.name].fill_(self.start.bias)

    def _batch(self, model: nn.Module) -> tuple[Tensor, Tensor]:
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        return torch.tensor(self.inputs, device=device), torch.tensor(self.targets, device=device)

    def plan(self, model: nn.Module, seed: int = 0) -> Plan | None:
        """What is drawn; None where the model keeps its own weights as they are."""
        x, y = self._batch(model)
        init = parse_init(self.start.init)
        if init.kind == "default":
            return None
        plan = plan_of(model, init, x, y, self.loss, seed)
        return adjust(plan, self.start)


def adjust(plan: Plan, start: Adjustment) -> Plan:
    """The plan with its weights multiplied and its biases set, as `start` says; made from a trace just now."""
    entries = dict(plan.entries)
    for slot in plan.slots:
        entry = entries.get(slot.name)
        if entry is None:
            continue
        if slot.role in WEIGHTS:
            entries[slot.name] = replace(entry, multiplier=entry.multiplier * _factor(slot, start))
        elif slot.role == "bias" and start.bias and not slot.head:
            entries[slot.name] = replace(entry, distribution=Constant(start.bias), reason="bias that was tuned")
    return replace(plan, entries=entries)


def _factor(slot: Slot, start: Adjustment) -> float:
    ends_branch = slot.residual is not None and slot.residual.last
    return start.gain * (start.residual if ends_branch else 1.0)


def has_branches(model: nn.Module, inputs: np.ndarray, targets: np.ndarray, loss: Callable[..., Tensor]) -> bool:
    """Whether the model has residual branches, so that their scale is worth searching."""
    x, y = torch.tensor(inputs), torch.tensor(targets)
    return any(slot.residual is not None and slot.residual.last for slot in trace(model, x, y, loss).slots)
