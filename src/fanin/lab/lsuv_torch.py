"""LSUV: orthogonal weights, then layer after layer rescaled until its output has unit variance on one batch.

D. Mishkin, J. Matas, All you need is a good init, ICLR 2016 (arXiv:1511.06422), algorithm 1.

Layers are found by what consumes a weight, not by module classes: functional code is rescaled as well.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

TOLERANCE = 0.01  # of the variance
TRIALS = 10  # rescalings of one layer; one is enough unless the output is no longer linear in the weight
PRODUCTS = {  # names of the functions that multiply a signal with a weight
    *("linear", "bilinear", "matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "baddbmm", "addmm", "einsum"),
    *("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
}


class _Found(Exception):
    """Leaves the forward pass as soon as the layer in question has been seen."""


class _Watch(TorchFunctionMode):
    """Calls `seen(index of the weight, output)` for every product with one of the weights.

    A view of a weight (transposed, reshaped) shares its memory, and counts as the weight.
    """

    def __init__(self, weights: list[nn.Parameter], seen: Callable[[int, Tensor], None]):
        super().__init__()
        self.index = {w.untyped_storage().data_ptr(): i for i, w in enumerate(weights)}
        self.seen = seen

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") in PRODUCTS and isinstance(out, Tensor):
            for value in [*_tensors(args), *_tensors(tuple((kwargs or {}).values()))]:
                found = self.index.get(value.untyped_storage().data_ptr())
                if found is not None:
                    self.seen(found, out)
                    break
        return out


def _tensors(values: Any) -> list[Tensor]:
    found = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += _tensors(value)
    return found


@torch.no_grad()
def lsuv(model: nn.Module, forward: Callable[[], Any]) -> list[str]:
    """Re-initialises `model` in place; `forward` runs it on the batch. Draws from torch's default generator.

    Weights that a watched product consumes become orthogonal (over all axes but the first) and get unit output
    variance, in the order of their use; their biases become zero. Everything else keeps its values.

    Returns:
        Names of the layers that could not be brought to unit variance (their output is constant or not finite).
    """
    names = {p: name for name, p in model.named_parameters()}
    weights = [p for p in names if p.dim() >= 2 and p.is_floating_point()]
    order: dict[int, None] = {}
    with _Watch(weights, lambda i, out: order.setdefault(i)):
        forward()
    for i in order:
        nn.init.orthogonal_(weights[i].view(len(weights[i]), -1))
        bias = _bias(model, names[weights[i]])
        if bias is not None:
            bias.zero_()
    return [names[weights[i]] for i in order if not _rescale(weights, i, forward)]


def _bias(model: nn.Module, name: str) -> nn.Parameter | None:
    owner, _, leaf = name.rpartition(".")
    module = model.get_submodule(owner)
    other = leaf.replace("weight", "bias")
    bias = getattr(module, other, None) if other != leaf else None
    return bias if isinstance(bias, nn.Parameter) else None


def _rescale(weights: list[nn.Parameter], i: int, forward: Callable[[], Any]) -> bool:
    outputs: list[Tensor] = []

    def seen(index: int, out: Tensor) -> None:
        if index == i:
            outputs.append(out)
            raise _Found

    for _ in range(TRIALS):
        try:
            with _Watch(weights, seen):
                forward()
        except _Found:
            pass
        variance = float(outputs[-1].float().var())
        if abs(variance - 1) < TOLERANCE:
            return True
        if not 0 < variance < float("inf"):
            return False
        weights[i].div_(variance**0.5)
    return False
