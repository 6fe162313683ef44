"""One model, trained the ordinary way."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fanin.errors import FaninValueError
from fanin.lab.losses_torch import output_tensor
from fanin.lab.study.rows import LayerSignal
from fanin.lab.torch.checkpoints import numbers_of, put_numbers
from fanin.lab.torch.optimizers import Rule, Updates
from fanin.lab.torch.signals import EXAMPLES, measure
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
        plain = canonical_names(name for name, _ in model.named_parameters())  # a plan leaves wrappers' prefixes out
        trained = [(plain[name], p) for name, p in model.named_parameters() if p.requires_grad]
        if not trained:
            raise FaninValueError("the model has no parameter that requires a gradient, so there is nothing to train")
        self.parameters = [p for _, p in trained]
        self.gradients: list[Tensor | None] = []
        self.optimizer = Updates(rule, self.parameters, [[lr * scales.get(name, 1.0)] for name, _ in trained])
        self.start: list[Tensor] = []
        self.size = 0.0  # its norm
        self.alive: Callable[[], Any] = lambda: None
        self.model.train()

    def remember_start(self) -> None:
        """Keeps the weights of now: `moved` is measured from them."""
        self._set_start([p.detach().clone() for p in self.parameters])

    def _set_start(self, start: list[Tensor]) -> None:
        self.start, self.size = start, _norm(start)

    def step(self, x: Tensor, y: Tensor, factor: float) -> list[float]:
        """One step with the rates times `factor`; the loss before it."""
        self.gradients = []  # their memory is used again: it is in the cache
        value = scalar(self.loss(self.model(x), y))
        gradients = torch.autograd.grad(value, self.parameters, allow_unused=True)
        self.gradients = self._clipped(list(gradients))
        self.optimizer.step(self.gradients, factor)
        return [value.item()]

    def _clipped(self, gradients: list[Tensor | None]) -> list[Tensor | None]:
        if self.clip is None:
            return gradients
        shrink = min(1.0, self.clip / (_norm(gradients) + 1e-6))
        return [None if g is None else g * shrink for g in gradients]

    def evaluate(self, x: Tensor, y: Tensor) -> tuple[np.ndarray, Tensor]:
        """Mean losses, shape (1,), and outputs, shape (1, examples, …), in eval mode."""
        outputs, total = [], 0.0
        self.model.eval()
        try:
            with random_state(self.seed), torch.no_grad():
                for start in range(0, len(x), EVAL_BATCH):
                    self.alive()
                    # copies: a model of the user's that changes its inputs must not change the data of the runs that follow
                    part, targets = (t[start : start + EVAL_BATCH].clone() for t in (x, y))
                    out = self.model(part)
                    total += float(self.loss(out, targets)) * len(part)
                    outputs.append(output_tensor(out))
        finally:
            self.model.train()
        return np.array([total / len(x)]), torch.cat(outputs)[None]

    def grad_norms(self) -> np.ndarray:
        """Norm of the whole gradient of the last step, shape (1,)."""
        return np.array([_norm(self.gradients)])

    @torch.no_grad()
    def moved(self) -> np.ndarray:
        """Distance from the start over the start's norm, shape (1,)."""
        far = _norm([p - s for p, s in zip(self.parameters, self.start, strict=True)])
        return np.array([far / self.size if self.size else np.nan])

    def signals(self, x: Tensor) -> list[tuple[LayerSignal, ...]]:
        """Signal through depth on the first examples of `x`, in eval mode."""
        self.model.eval()
        try:
            with random_state(self.seed), torch.no_grad():
                return [measure(self.model, self.model, x[:EXAMPLES].clone())]
        finally:
            self.model.train()

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        model = self.model.state_dict()
        return {
            "model": model,
            "buffers": {name: b for name, b in self.model.named_buffers() if name not in model},  # not persistent
            "numbers": numbers_of(self.model),
            "optimizer": self.optimizer.state(),
            "start": self.start,
        }

    @torch.no_grad()
    def restore(self, state: dict[str, Any]) -> None:
        """Puts what `state` gave back."""
        self.model.load_state_dict(state["model"])
        for name, buffer in self.model.named_buffers():
            if name in state["buffers"]:
                buffer.copy_(state["buffers"][name])
        put_numbers(self.model, state["numbers"])
        self.optimizer.restore(state["optimizer"])
        self._set_start(state["start"])


def _norm(tensors: Sequence[Tensor | None]) -> float:
    """Of all numbers together; NaN for none."""
    norms = torch._foreach_norm([t for t in tensors if t is not None])
    return float(torch.stack(list(norms)).double().norm()) if norms else float("nan")
