"""Plain chains of layers on stacked weights: one batched product a layer, and gradients by hand.

`vmap` and autograd run any model, but take several operations where a chain of linear layers needs one, and new memory for
each of them. Small models spend most of a step between operations.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fanin.lab.torch.products import Operand, Products, of_members, products_of

ELEMENTWISE = (
    nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.ELU, nn.SELU, nn.CELU, nn.Softplus, nn.Hardswish,
    nn.Hardsigmoid, nn.Hardtanh, nn.Mish, nn.ReLU6, nn.Softsign, nn.Tanhshrink, nn.LogSigmoid, nn.Identity,
)  # fmt: skip
Weights = dict[str, Tensor]
# (outputs, targets) → losses of the members, gradient of their sum
Losses = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

# Activations whose output tells their derivative, with it: both in place. Others are asked of autograd, one layer at a time.
_FROM_OUTPUT: dict[type[nn.Module], tuple[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]] = {
    nn.ReLU: (torch.relu_, lambda g, out: _threshold(g, out, 0, grad_input=g)),
    nn.Tanh: (torch.tanh_, lambda g, out: _tanh(g, out, grad_input=g)),
    nn.Sigmoid: (torch.sigmoid_, lambda g, out: _sigmoid(g, out, grad_input=g)),
}
_threshold = torch.ops.aten.threshold_backward.grad_input
_tanh, _sigmoid = torch.ops.aten.tanh_backward.grad_input, torch.ops.aten.sigmoid_backward.grad_input


@dataclass(frozen=True)
class _Linear:
    weight: str
    bias: str | None


@dataclass(frozen=True)
class _Flatten:
    pass


Layer = _Linear | _Flatten | nn.Module  # the last: an elementwise activation


def chain_layers(model: nn.Module) -> list[Layer] | None:
    """The layers of a chain (`nn.Sequential`, nested too), or None for other models.

    A chain is made of `nn.Linear`, `nn.Flatten` and elementwise activations, exactly of these classes, without hooks or
    a `forward` of their own, and without weights that two layers share.
    """
    layers, names = _layers(model, ""), {name for name, _ in model.named_parameters()}
    used = [name for layer in layers or () if isinstance(layer, _Linear) for name in (layer.weight, layer.bias) if name]
    return layers if sorted(used) == sorted(names) else None


def _layers(model: nn.Module, prefix: str) -> list[Layer] | None:
    if model._forward_hooks or model._forward_pre_hooks or "forward" in vars(model):
        return None
    if type(model) is nn.Sequential:
        found: list[Layer] = []
        for name, child in model._modules.items():
            inside = None if child is None else _layers(child, f"{prefix}{name}.")
            if inside is None:
                return None
            found += inside
        return found
    if type(model) is nn.Linear and model._parameters.keys() == {"weight", "bias"}:
        return [_Linear(f"{prefix}weight", f"{prefix}bias" if model.bias is not None else None)]
    if type(model) is nn.Flatten and (model.start_dim, model.end_dim) == (1, -1):
        return [_Flatten()]
    if type(model) in ELEMENTWISE and not list(model.parameters()):
        return [model]
    return None


def laid_out(layers: Sequence[Layer], weights: Weights) -> Weights:
    """The weights as a chain has them in memory: the first layer's units come last there.

    A product with a transposed matrix on its right takes up to twice as long. A layer forward has one or a layer backward, but
    nothing goes back through the first.
    """
    linear = [layer for layer in layers if isinstance(layer, _Linear)]
    if len(linear) < 2:
        return weights
    name = linear[0].weight
    return weights | {name: weights[name].transpose(1, 2).contiguous().transpose(1, 2)}


def as_they_lie(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The same memory with axes in their order there: what acts on each number alone is twice as fast so."""
    return [t if t.is_contiguous() else t.detach().transpose(1, 2) for t in tensors]


class Chain:
    """A chain on stacked weights.

    Args:
        layers: from `chain_layers`.
        weights: by name, shape (members, …) each, as `laid_out` gives them; whoever changes them does it in place.
        trained: the names whose gradients are wanted.

    Attributes:
        gradients: of the last step, in the order of `trained`; the same memory at every step.
    """

    def __init__(self, layers: Sequence[Layer], weights: Weights, trained: Sequence[str]) -> None:
        self.layers, self.weights, self.members = layers, weights, len(next(iter(weights.values())))
        self.gradients = [torch.zeros_like(weights[name]) for name in trained]
        self.products = products_of(next(iter(weights.values())))
        self._gradient_of = dict(zip(trained, self.gradients, strict=True))
        self._gradient_seen = {name: self.products.see(g) for name, g in self._gradient_of.items()}
        self._buffers: dict[tuple[int, str, tuple[int, ...]], tuple[Tensor, Operand]] = {}
        self._forms_of = {name: _forms(weight.detach(), self.products) for name, weight in weights.items()}
        self.first = next((i for i, layer in enumerate(layers) if isinstance(layer, _Linear)), len(layers))

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Outputs (members, batch, …) for inputs (members, batch, …), or fewer that the members use in turns: (1, batch, …), all
        use one.

        They lie in memory that the next call uses again.
        """
        with self.products.quiet():
            return of_members(self._ahead(x)[-1], self.members)

    @torch.no_grad()
    def outputs(self, x: Tensor) -> list[Tensor]:
        """What each layer gives for such inputs, shape (members, batch, …); in memory that the next call uses again."""
        with self.products.quiet():
            return [of_members(out, self.members) for out in self._ahead(x, apart=True)[1:]]

    @torch.no_grad()
    def step(self, x: Tensor, y: Tensor, losses: Losses) -> Tensor:
        """Losses of the members, shape (members,), for batches (members, batch, …), or fewer inputs that they use in turns;
        `gradients` are then those of their sum."""
        with self.products.quiet():
            seen = self._ahead(x)
            values, g = losses(seen[-1], y)
            for place in range(len(self.layers) - 1, self.first - 1, -1):
                g = self._back(place, seen[place], seen[place + 1], g)
        return values

    def _ahead(self, x: Tensor, apart: bool = False) -> list[Tensor]:
        """The inputs, and what each layer gave: an activation that can puts its output where its input was, if not `apart`."""
        seen, own = [x], False  # own: the signal lies in memory of the chain, and no layer goes back by it
        for place, layer in enumerate(self.layers):
            if isinstance(layer, _Linear):
                out = self._linear(place, layer, _rows(x))
                x, own = out.unflatten(1, x.shape[1:-1]) if x.dim() > 3 else out, True
            elif isinstance(layer, _Flatten):
                x = x.flatten(2)
            elif (known := _FROM_OUTPUT.get(type(layer))) is not None:
                x, own = known[0](x if own and not apart else x.clone()), False
            else:
                x, own = _apart(layer, x), False
            seen.append(x)
        return seen

    def _linear(self, place: int, layer: _Linear, rows: Tensor) -> Tensor:
        """What a linear layer gives, shape (members, rows, units).

        The last one's units come before rows in memory: ten classes are a short line there, for which products take three times
        as long, and the cross-entropy wants them so.
        """
        weight, turned = self._forms_of[layer.weight]
        row, column = self._forms_of[layer.bias] if layer.bias is not None else (None, None)
        seen, units = self.products.see(rows), weight.shape[1]
        if place == len(self.layers) - 1:
            out, to = self._buffer(place, "out", (self.members, units, rows.shape[1]), rows)
            self.products.multiply(weight, seen.swapaxes(1, 2), to)
            return (out if column is None else out.add_(column)).transpose(1, 2)
        out, to = self._buffer(place, "out", (self.members, rows.shape[1], units), rows)
        self.products.multiply(seen, turned, to)
        return out if row is None else out.add_(row)

    def _back(self, place: int, x: Tensor, out: Tensor, g: Tensor) -> Tensor:
        """The gradient of what a layer got, from that of what it gave; those of its weights are written down."""
        layer = self.layers[place]
        if isinstance(layer, _Flatten):
            return g.reshape(x.shape)
        if isinstance(layer, nn.Module):
            known = _FROM_OUTPUT.get(type(layer))
            if known:
                return known[1](g, out)
            with torch.enable_grad():
                leaf = x.detach().requires_grad_()
                return torch.autograd.grad(_apart(layer, leaf), leaf, g)[0]
        rows, g = _rows(x), _rows(g)
        seen = self.products.see(g)
        if (of_weight := self._gradient_seen.get(layer.weight)) is not None:
            inputs = self.products.see(rows)
            if self._gradient_of[layer.weight].is_contiguous():
                self.products.multiply(seen.swapaxes(1, 2), inputs, of_weight)
            else:
                self.products.multiply(inputs.swapaxes(1, 2), seen, of_weight.swapaxes(1, 2))
        if layer.bias is not None and (of_bias := self._gradient_of.get(layer.bias)) is not None:
            torch.sum(g, 1, out=of_bias)
        if place == self.first:
            return g
        before, to = self._buffer(place, "back", rows.shape, rows)
        self.products.multiply(seen, self._forms_of[layer.weight][0], to)
        return before.view(x.shape)

    def _buffer(self, place: int, what: str, shape: Sequence[int], like: Tensor) -> tuple[Tensor, Operand]:
        """Memory for a layer's result, and how the library of products takes it."""
        key = (place, what, tuple(shape))
        found = self._buffers.get(key)
        if found is None:
            made = like.new_empty(key[2])
            found = self._buffers[key] = made, self.products.see(made)
        return found


def _forms(weight: Tensor, products: Products) -> tuple[Any, Any]:
    """A weight and its transpose, as operands; of a bias, (members, units), a row and a column. Made once: each is as dear as
    a short product."""
    if weight.dim() == 2:
        return weight.unsqueeze(1), weight.unsqueeze(2)
    seen = products.see(weight)
    return seen, seen.swapaxes(1, 2)


def _rows(x: Tensor) -> Tensor:
    """(members, …, units) as (members, rows, units)."""
    return x.flatten(1, -2) if x.dim() > 3 else x


def _apart(layer: nn.Module, x: Tensor) -> Tensor:
    """The activation of `x`, which stays as it is."""
    return layer(x.clone() if getattr(layer, "inplace", False) else x)


def cross_entropy_and_gradient(logits: Tensor, targets: Tensor, factors: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy of each member, shape (members,), and the gradient of their sum, in the shape of `logits`.

    Classes come before rows here: torch sums over a short last axis twenty times slower than over one before it.

    Args:
        logits: shape (members, batch, …, classes).
        targets: class indices, shape (members, batch, …).
        factors: of the losses in the sum, one a member.
    """
    logs, chosen, losses = _logs(logits, targets)
    shares = logs.exp_()
    shares.scatter_add_(1, chosen, shares.new_full((), -1.0).expand(chosen.shape))
    share = 1 / chosen.shape[2]
    gradient = shares.mul_(share if factors is None else (factors * share)[:, None, None]).transpose(1, 2)
    return losses, gradient.reshape(logits.shape) if logits.dim() > 3 else gradient


def _logs(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log shares of the classes, shape (members, classes, rows), the rows' own classes, and the losses."""
    chosen = targets.reshape(len(logits), 1, -1)
    logs = torch.log_softmax(logits.flatten(1, -2).transpose(1, 2).contiguous(), 1)
    return logs, chosen, logs.gather(1, chosen).squeeze(1).mean(1).neg()


class _CrossEntropy(torch.autograd.Function):
    """The same for autograd: one node."""

    @staticmethod
    def forward(ctx, logits: Tensor, targets: Tensor) -> Tensor:
        losses, gradient = cross_entropy_and_gradient(logits, targets)
        ctx.save_for_backward(gradient)
        return losses

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * gradients[0].reshape(-1, *[1] * (gradient.dim() - 1)), None


def stacked_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of each member, shape (members,), that autograd can go back through; see the function above."""
    return _CrossEntropy.apply(logits, targets) if torch.is_grad_enabled() else _logs(logits, targets)[2]
