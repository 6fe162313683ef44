"""Signal through depth of a model at work: size, dead units and effective rank of each layer's output."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from fanin.lab.study.rows import LayerSignal

EXAMPLES = 32  # that a layer is looked at with: ranks are then at most this
LAYERS = 32  # of a deeper model, evenly spread
ACTIVATIONS = tuple(
    kind for kind in vars(nn.modules.activation).values() if isinstance(kind, type) and issubclass(kind, nn.Module)
)


def watched(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The modules whose outputs are measured: those with weights of their own, and activations; evenly thinned."""
    found = [
        (name, module)
        for name, module in model.named_modules()
        if module._parameters or (isinstance(module, ACTIVATIONS) and not list(module.children()))
    ]
    if len(found) <= LAYERS:
        return found
    return [found[round(i * (len(found) - 1) / (LAYERS - 1))] for i in range(LAYERS)]


def measure(model: nn.Module, run: Callable[[Tensor], Any], x: Tensor) -> tuple[LayerSignal, ...]:
    """Signals of one pass over the first examples of `x`, in the order in which the layers ran.

    Args:
        model: whose modules are watched.
        run: runs it (`model` itself, or with weights of another member).
        x: inputs.
    """
    outputs: dict[str, tuple[nn.Module, Tensor]] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, out: Any) -> None:
            tensor = out[0] if isinstance(out, tuple) and out and isinstance(out[0], Tensor) else out
            if isinstance(tensor, Tensor) and tensor.is_floating_point() and tensor.dim() >= 2:
                outputs.setdefault(name, (module, tensor.detach()))

        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in watched(model)]
    try:
        run(x[:EXAMPLES])
    finally:
        for handle in handles:
            handle.remove()
    return tuple(_signal(name, module, out) for name, (module, out) in outputs.items())


def _signal(name: str, module: nn.Module, out: Tensor) -> LayerSignal:
    rows = _units_last(module, out).float()
    rms = float(rows.double().square().mean().sqrt())
    dead = float((rows == rows[:1]).all(0).double().mean())
    return LayerSignal(name or type(module).__name__, type(module).__name__, rms, dead, _rank(rows))


def _units_last(module: nn.Module, out: Tensor) -> Tensor:
    """The output as (examples or places, units): channels are units of images, the last axis of everything else."""
    if out.dim() in (4, 5) or (out.dim() == 3 and isinstance(module, nn.Conv1d)):
        out = out.movedim(1, -1)
    return out.flatten(0, -2)


def _rank(rows: Tensor) -> float:
    """Effective rank of up to `EXAMPLES` rows over the most that it can be (Roy & Vetterli 2007)."""
    some = rows[:: max(1, math.ceil(len(rows) / EXAMPLES))].double()
    if not bool(torch.isfinite(some).all()):
        return math.nan
    values = torch.linalg.eigvalsh(some @ some.T if some.shape[0] <= some.shape[1] else some.T @ some).clamp(min=0)
    singular = values.sqrt()
    total = float(singular.sum())
    if total == 0:
        return 0.0
    shares = singular[singular > 0] / total
    return float(torch.exp(-(shares * shares.log()).sum())) / min(some.shape)
