"""One model, trained the ordinary way."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fanin.errors import FaninValueError
from fanin.lab.losses_torch import output_tensor
from fanin.lab.torch.optimizers import Rule, torch_optimizer
from fanin.lab.torch.state import random_state
from fanin.names import canonical_names

EVAL_BATCH = 512
Loss = Callable[[Any, Tensor], Tensor]


def scalar(value: Any) -> Tensor:
    """A loss as one number; raises where it is none."""
    if not isinstance(value, Tensor) or value.numel() != 1:
        what = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"type {type(value).__name__}"
        raise FaninValueError(f"loss gives a value of {what}, but must give one number (a tensor with one element)")
    return value.reshape(())


class Single:
    """A model with its optimizer.

    Args:
        model: initialised, on its device.
        loss: called as loss(output, targets).
        rule, lr, scales: of the optimizer; `scales` holds factors on the rate by parameter name.
        clip: largest norm of the whole gradient.
        evaluation_seed: of the random state in which it is evaluated.
    """

    members, stacked = 1, False

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        rule: Rule,
        lr: float,
        scales: dict[str, float],
        clip: float | None,
        evaluation_seed: int,
    ) -> None:
        self.model, self.loss, self.clip, self.seed = model, loss, clip, evaluation_seed
        groups = parameter_groups(model, lr, scales)
        self.parameters = [p for group in groups for p in group["params"]]
        self.optimizer = torch_optimizer(rule, groups, lr)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.factor = 1.0
        self.start: list[Tensor] = []
        self.model.train()

    def remember_start(self) -> None:
        """Keeps the weights of now: `moved` is measured from them."""
        self.start = [p.detach().clone() for p in self.parameters]

    def step(self, x: Tensor, y: Tensor, factor: float) -> list[float]:
        """One step with the rates times `factor`; the loss before it."""
        if factor != self.factor:
            self.factor = factor
            for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
                group["lr"] = rate * factor
        self.optimizer.zero_grad(set_to_none=True)
        value = scalar(self.loss(self.model(x), y))
        value.backward()
        if self.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.clip)
        self.optimizer.step()
        return [value.item()]

    def evaluate(self, x: Tensor, y: Tensor) -> tuple[np.ndarray, Tensor]:
        """Mean losses, shape (1,), and outputs, shape (1, examples, …), in eval mode."""
        outputs, total = [], 0.0
        self.model.eval()
        try:
            with random_state(self.seed), torch.no_grad():
                for start in range(0, len(x), EVAL_BATCH):
                    part, targets = x[start : start + EVAL_BATCH], y[start : start + EVAL_BATCH]
                    out = self.model(part)
                    total += float(self.loss(out, targets)) * len(part)
                    outputs.append(output_tensor(out))
        finally:
            self.model.train()
        return np.array([total / len(x)]), torch.cat(outputs)[None]

    def grad_norms(self) -> np.ndarray:
        """Norm of the whole gradient of the last step, shape (1,)."""
        norms = [p.grad.norm() for p in self.parameters if p.grad is not None]
        return np.array([float(torch.stack(norms).norm()) if norms else np.nan])

    @torch.no_grad()
    def moved(self) -> np.ndarray:
        """Distance from the start over the start's norm, shape (1,)."""
        far = sum(float((p - s).double().square().sum()) for p, s in zip(self.parameters, self.start, strict=True))
        size = sum(float(s.double().square().sum()) for s in self.start)
        return np.array([(far / size) ** 0.5 if size else np.nan])

    def with_member(self, member: int, use: Callable[[nn.Module, Callable[[Tensor], Any]], Any]) -> Any:
        """What `use` gives for the model and a function that runs it, in eval mode and without gradients."""
        self.model.eval()
        try:
            with random_state(self.seed), torch.no_grad():
                return use(self.model, self.model)
        finally:
            self.model.train()

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "start": self.start}

    def restore(self, state: dict[str, Any]) -> None:
        """Puts what `state` gave back."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.start = state["start"]
        self.factor = float("nan")  # the groups' rates are those of the step before


def parameter_groups(model: nn.Module, lr: float, scales: dict[str, float]) -> list[dict[str, Any]]:
    """Groups of one learning rate each, of the parameters that are trained."""
    groups: dict[float, list[nn.Parameter]] = {}
    plain = canonical_names(name for name, _ in model.named_parameters())  # a plan leaves wrappers' prefixes out
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(scales.get(plain[name], 1.0), []).append(parameter)
    if not groups:
        raise FaninValueError("the model has no parameter that requires a gradient, so there is nothing to train")
    return [{"params": parameters, "lr": lr * scale} for scale, parameters in groups.items()]
