"""Plain chains of layers on stacked weights, without `vmap`: one batched product a layer.

`vmap` runs any model, but takes two or three operations where a chain of linear layers needs one.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

ELEMENTWISE = (
    nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.ELU, nn.SELU, nn.CELU, nn.Softplus, nn.Hardswish,
    nn.Hardsigmoid, nn.Hardtanh, nn.Mish, nn.ReLU6, nn.Softsign, nn.Tanhshrink, nn.LogSigmoid, nn.Identity,
)  # fmt: skip
Weights = dict[str, Tensor]
Layer = Callable[[Weights, Tensor], Tensor]


def stacked_forward(model: nn.Module) -> Callable[[Weights, Weights, Tensor], Tensor] | None:
    """A function of (stacked weights, stacked buffers, inputs) that does what `model` does, or None for other models.

    Inputs have shape (members, batch, …). It knows chains (`nn.Sequential`, nested too) of `nn.Linear`, `nn.Flatten` and
    elementwise activations, exactly of these classes and without hooks.
    """
    layers = _layers(model, "")
    if layers is None:
        return None

    def forward(weights: Weights, buffers: Weights, x: Tensor) -> Tensor:
        for layer in layers:
            x = layer(weights, x)
        return x

    return forward


def _layers(model: nn.Module, prefix: str) -> list[Layer] | None:
    if model._forward_hooks or model._forward_pre_hooks:
        return None
    if type(model) is nn.Sequential:
        found: list[Layer] = []
        for name, child in model.named_children():
            inside = _layers(child, f"{prefix}{name}.")
            if inside is None:
                return None
            found += inside
        return found
    if type(model) is nn.Linear and model._parameters.keys() == {"weight", "bias"}:
        return [_linear(f"{prefix}weight", f"{prefix}bias" if model.bias is not None else None)]
    if type(model) is nn.Flatten and (model.start_dim, model.end_dim) == (1, -1):
        return [lambda weights, x: x.flatten(2)]
    if type(model) in ELEMENTWISE and not list(model.parameters()):
        return [lambda weights, x: model(x)]
    return None


def _linear(weight: str, bias: str | None) -> Layer:
    def layer(weights: Weights, x: Tensor) -> Tensor:
        rows = x.flatten(1, -2) if x.dim() > 3 else x
        out = _Linear.apply(rows, weights[weight], None if bias is None else weights[bias])
        return out.reshape(*x.shape[:-1], out.shape[-1]) if x.dim() > 3 else out  # type: ignore[union-attr]

    return layer


class _Linear(torch.autograd.Function):
    """Batched `x Wᵀ + b` whose gradients lie in memory as the weights do, as fused optimizers need them."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        turned = weight.transpose(1, 2)
        return torch.bmm(x, turned) if bias is None else torch.baddbmm(bias.unsqueeze(1), x, turned)

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        (g,) = gradients
        of_x = torch.bmm(g, weight) if ctx.needs_input_grad[0] else None
        of_weight = torch.bmm(g.transpose(1, 2), x) if ctx.needs_input_grad[1] else None
        of_bias = g.sum(1) if ctx.needs_input_grad[2] else None
        return of_x, of_weight, of_bias


class _CrossEntropy(torch.autograd.Function):
    """Log-softmax and the choice of the target's entry in one node.

    Classes come before rows here: torch sums over a short last axis twenty times slower than over one before it.
    """

    @staticmethod
    def forward(ctx, logits: Tensor, targets: Tensor) -> Tensor:
        members = logits.shape[0]
        columns = logits.flatten(1, -2).transpose(1, 2).contiguous()
        chosen = targets.reshape(members, 1, -1)
        logs = torch.log_softmax(columns, 1)
        ctx.save_for_backward(logs, chosen)
        ctx.shape = logits.shape
        return logs.gather(1, chosen).squeeze(1).mean(1).neg()

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> tuple[Tensor, None]:
        logs, chosen = ctx.saved_tensors
        shares = logs.exp()
        shares.scatter_add_(1, chosen, shares.new_full((), -1.0).expand(chosen.shape))
        scale = (gradients[0] / logs.shape[2]).reshape(-1, 1, 1)
        return shares.mul_(scale).transpose(1, 2).reshape(ctx.shape), None


def stacked_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of each member, shape (members,).

    Args:
        logits: shape (members, batch, …, classes).
        targets: class indices, shape (members, batch, …).
    """
    return _CrossEntropy.apply(logits, targets)  # type: ignore[return-value]
