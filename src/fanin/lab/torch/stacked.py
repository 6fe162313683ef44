"""Many models of one shape, trained at once: their weights stacked, each with its own data and learning rate.

Small models spend most of a step between the operations, not in them: a stack pays that time once. Members never
meet: what one of them becomes depends neither on how many others there are nor on which.
"""

import copy
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from fanin.lab.losses_torch import cross_entropy, output_tensor
from fanin.lab.study.rows import LayerSignal
from fanin.lab.torch.chain import (
    Chain,
    as_they_lie,
    chain_layers,
    cross_entropy_and_gradient,
    laid_out,
    stacked_cross_entropy,
)
from fanin.lab.torch.checkpoints import numbers_of, put_numbers
from fanin.lab.torch.optimizers import ColumnSGD, Rule, Updates
from fanin.lab.torch.products import of_members
from fanin.lab.torch.signals import EXAMPLES, Seen, outputs_of, passes_on, signals_of, watched
from fanin.lab.torch.single import EVAL_BATCH, Loss
from fanin.names import canonical_names

LEAST_RATE = 1e-12  # a gradient that is multiplied by less might lose digits in float32


def goes_by_hand(model: nn.Module, loss: Loss) -> bool:
    """Whether one model is trained faster as a stack of one: a chain's gradients need no autograd."""
    return loss is cross_entropy and chain_layers(model) is not None


class Stack:
    """Models with one optimizer between them.

    Args:
        models: initialised, of one structure; one that stands there twice starts two members.
        loss: called as loss(output, targets), of one member.
        rule: of the optimizer.
        lrs: one a member; a stack of equal neighbours is updated in one go.
        scales: factors on the rate by parameter name, one dictionary a member.
        clip: largest norm of a member's whole gradient.
    """

    stacked = True

    def __init__(
        self,
        models: Sequence[nn.Module],
        loss: Loss,
        rule: Rule,
        lrs: Sequence[float],
        scales: Sequence[dict[str, float]],
        clip: float | None,
    ) -> None:
        self.members, self.clip, self.loss = len(models), clip, loss
        self.skeleton = copy.deepcopy(models[0])
        layers = chain_layers(self.skeleton)
        weights = _stacked([dict(m.named_parameters()) for m in models])
        self.weights = laid_out(layers, weights) if layers else weights
        self.buffers = _stacked([dict(m.named_buffers()) for m in models])
        trained = [n for n, p in models[0].named_parameters() if p.requires_grad]
        self.parameters = [self.weights[n].requires_grad_() for n in trained]
        self.chain = Chain(layers, self.weights, trained) if layers else None
        plain = canonical_names(n for n, _ in models[0].named_parameters())
        factors = [[s.get(plain[n], 1.0) for s in scales] for n in trained]
        rates = [[lr * f for lr, f in zip(lrs, own, strict=True)] for own in factors]
        several = any(len(set(own)) > 1 for own in rates)
        self.lying = as_they_lie(self.parameters) if self.chain is not None else self.parameters
        self.rates: Tensor | None = None  # by which the losses are multiplied before anything goes back
        if rule.kind == "sgd" and several and not rule.weight_decay and clip is None and _alike(factors, lrs):
            self.rates = self.lying[0].new_tensor(lrs)
            self.optimizer = Updates(rule, self.lying, factors)
        else:
            self.optimizer = (ColumnSGD if rule.kind == "sgd" and several else Updates)(rule, self.lying, rates)
        self.of_chain = as_they_lie(self.chain.gradients) if self.chain is not None else []
        self.gradients: list[Tensor] = []
        self.begun = False  # whether a step was taken
        places: dict[int, int] = {}  # of each model, among those that are not the same object as one before
        self.of_own = [places.setdefault(id(model), len(places)) for model in models]
        self.own = [self.of_own.index(place) for place in range(len(places))]
        self.start: list[Tensor] = []
        self.ways: list[Tensor] = []  # from there, when they were last asked for
        self.alive: Callable[[], Any] = lambda: None
        self.skeleton.train()

    def remember_start(self) -> None:
        """Keeps the weights of now: `moved` is measured from them."""
        self._set_start([p.detach().clone() for p in self.lying])

    def _set_start(self, start: list[Tensor]) -> None:
        self.start, self.sizes = start, _norms(start)
        self.ways = [torch.empty_like(t) for t in start]

    def step(self, x: Tensor, y: Tensor, factor: float) -> list[float]:
        """One step of every member; x and y have shape (members, batch, …), or x has fewer entries, which the members use in
        turns. The losses before it."""
        self.begun = True
        if self.chain is not None:
            losses = self.chain.step(x, y, self._losses_and_gradient)
            gradients = self.of_chain
        else:
            out = _vmapped(self.skeleton, 0)(self.weights, self.buffers, of_members(x, self.members))
            losses = self._losses(out, y)
            gradients = list(torch.autograd.grad(self._summed(losses), self.parameters))
        self.gradients = self._clipped(gradients)
        self.optimizer.step(self.gradients, factor)
        return losses.tolist()

    def _losses(self, out: Any, y: Tensor) -> Tensor:
        if self._plain_cross_entropy(out, y):
            return stacked_cross_entropy(out, y)
        return vmap(lambda o, t: self.loss(o, t).reshape(()))(out, y)

    def _losses_and_gradient(self, out: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        if self._plain_cross_entropy(out, y):
            return cross_entropy_and_gradient(out, y, self.rates)
        with torch.enable_grad():
            leaf = out.detach().requires_grad_()
            losses = self._losses(leaf, y)
            return losses.detach(), torch.autograd.grad(self._summed(losses), leaf)[0]

    def _summed(self, losses: Tensor) -> Tensor:
        return losses.sum() if self.rates is None else (losses * self.rates).sum()

    def _plain_cross_entropy(self, out: Any, y: Tensor) -> bool:
        plain = self.loss is cross_entropy and isinstance(out, Tensor)
        return plain and y.dim() == 2 and out.dim() == 3 and out.shape[-1] > 1

    def _clipped(self, gradients: list[Tensor]) -> list[Tensor]:
        if self.clip is None:
            return gradients
        shrink = gradients[0].new_tensor((self.clip / (_norms(gradients) + 1e-6)).clip(max=1.0))
        return [g * shrink.reshape(-1, *[1] * (g.dim() - 1)) for g in gradients]

    def evaluate(self, x: Tensor, y: Tensor) -> tuple[np.ndarray, Tensor]:
        """Mean losses, shape (members,), and outputs, shape (members, examples, …), in eval mode."""
        outputs, total = [], np.zeros(self.members)
        self.skeleton.eval()
        try:
            with torch.no_grad():
                for start in range(0, len(x), EVAL_BATCH):
                    self.alive()
                    part, targets = x[start : start + EVAL_BATCH], y[start : start + EVAL_BATCH]
                    if self.chain is not None:
                        out = self.chain.forward(part[None])
                    else:
                        out = _vmapped(self.skeleton, None)(self.weights, self.buffers, part)
                    losses = self._losses(out, targets.expand(self.members, *targets.shape))
                    total += losses.double().cpu().numpy() * len(part)
                    outputs.append(output_tensor(out).clone() if self.chain is not None else output_tensor(out))
        finally:
            self.skeleton.train()
        return total / len(x), torch.cat(outputs, 1)

    def grad_norms(self) -> np.ndarray:
        """Norm of each member's whole gradient in the last step, shape (members,)."""
        if not self.gradients:
            return np.full(self.members, np.nan)
        norms = _norms(self.gradients)
        return norms if self.rates is None else norms / self.rates.cpu().numpy()

    @torch.no_grad()
    def moved(self) -> np.ndarray:
        """Distance from the start over the start's norm, shape (members,)."""
        for now, start, way in zip(self.lying, self.start, self.ways, strict=True):
            torch.sub(now, start, out=way)
        with np.errstate(all="ignore"):
            return _norms(self.ways) / self.sizes

    def signals(self, x: Tensor) -> list[tuple[LayerSignal, ...]]:
        """Signal through depth of each member on the first examples of `x`, in eval mode."""
        self.skeleton.eval()
        try:
            with torch.no_grad():
                seen = self._watched_chain(x) or self._watched(x)
        finally:
            self.skeleton.train()
        if not self.begun:  # members that started from one model are one until then
            seen.outputs = {name: out[self.own] for name, out in seen.outputs.items()}
        found = signals_of(seen)
        return found if self.begun else [found[place] for place in self.of_own]

    def _watched(self, x: Tensor) -> Seen:
        """What the modules to look at give, shape (members, examples, …)."""
        seen = Seen()

        def look(weights: dict[str, Tensor], buffers: dict[str, Tensor]) -> dict[str, Tensor]:
            run = lambda some: functional_call(self.skeleton, (weights, buffers), (some,))  # noqa: E731
            found = outputs_of(self.skeleton, run, x)
            seen.kinds, seen.taken = found.kinds, found.taken
            return found.outputs

        seen.outputs = vmap(look, randomness="error")(self.weights, self.buffers)
        return seen

    def _watched_chain(self, x: Tensor) -> Seen | None:
        """The same of a chain, without `vmap`; None where its layers are not one to one the model's innermost modules."""
        inner = [(name, module) for name, module in self.skeleton.named_modules() if not module._modules]
        if self.chain is None or len(inner) != len(self.chain.layers):
            return None
        wanted = dict(watched(self.skeleton))
        outputs = zip(inner, self.chain.outputs(x[None, :EXAMPLES]), strict=True)
        taken = {a for (a, _), (b, module) in pairwise(inner) if a in wanted and b in wanted and passes_on(module)}
        return Seen(wanted, {name: out for (name, _), out in outputs if name in wanted}, taken)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        weights = {n: w.detach() for n, w in self.weights.items()}
        return {
            "weights": weights,
            "buffers": self.buffers,
            "numbers": numbers_of(self.skeleton),
            "optimizer": self.optimizer.state(),
            "start": self.start,
        }

    @torch.no_grad()
    def restore(self, state: dict[str, Any]) -> None:
        """Puts what `state` gave back."""
        for name, weight in self.weights.items():
            weight.copy_(state["weights"][name])
        for name, buffer in self.buffers.items():
            buffer.copy_(state["buffers"][name])
        put_numbers(self.skeleton, state["numbers"])
        self.optimizer.restore(state["optimizer"])
        self._set_start(state["start"])
        self.begun = True


def _alike(factors: Sequence[Sequence[float]], lrs: Sequence[float]) -> bool:
    """Whether members differ in one rate each, by which the loss may be multiplied instead: all then take one fused update."""
    return all(len(set(own)) == 1 for own in factors) and min(lrs) >= LEAST_RATE


def _stacked(tensors: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """By name, shape (members, …); of one dictionary a member."""
    return {name: torch.stack([own[name].detach() for own in tensors]) for name in tensors[0]}


def _norms(tensors: Sequence[Tensor]) -> np.ndarray:
    """Of each member's numbers together, shape (members,)."""
    if len(tensors[0]) == 1:
        norms = torch.stack(torch._foreach_norm(list(tensors)))[:, None]
    else:
        norms = torch.stack([torch.linalg.vector_norm(t.reshape(len(t), -1), dim=1) for t in tensors])
    return np.sqrt(np.square(norms.double().cpu().numpy()).cumsum(0)[-1])  # one after another, whatever their number


def _vmapped(skeleton: nn.Module, of_inputs: int | None) -> Callable[..., Any]:
    """The model on stacked weights; `of_inputs` None where all members see the same inputs."""

    def call(weights: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor) -> Any:
        return functional_call(skeleton, (weights, buffers), (x,))

    return vmap(call, in_dims=(0, 0, of_inputs), randomness="error")
