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
        run: runs it.
        x: inputs.
    """
    kinds, outputs = outputs_of(model, run, x)
    return signals_of(kinds, {name: out[None] for name, out in outputs.items()})[0]


def outputs_of(
    model: nn.Module, run: Callable[[Tensor], Any], x: Tensor
) -> tuple[dict[str, nn.Module], dict[str, Tensor]]:
    """The modules that ran and what they gave for the first examples of `x`, by name, in the order in which they ran."""
    kinds: dict[str, nn.Module] = {}
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, out: Any) -> None:
            tensor = out[0] if isinstance(out, tuple) and out and isinstance(out[0], Tensor) else out
            if isinstance(tensor, Tensor) and tensor.is_floating_point() and tensor.dim() >= 2 and name not in outputs:
                kinds[name], outputs[name] = module, tensor.detach().clone()  # what comes next may act in place

        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in watched(model)]
    try:
        run(x[:EXAMPLES])
    finally:
        for handle in handles:
            handle.remove()
    return kinds, outputs


def signals_of(kinds: dict[str, nn.Module], outputs: dict[str, Tensor]) -> list[tuple[LayerSignal, ...]]:
    """The signals of each member.

    Args:
        kinds: the modules by name.
        outputs: by name, shape (members, examples, …).
    """
    alike: dict[tuple[int, ...], list[tuple[str, Tensor]]] = {}
    for name, out in outputs.items():
        rows = _units_last(kinds[name], out).float()
        alike.setdefault(tuple(rows.shape), []).append((name, rows))
    figures: dict[str, list[tuple[float, ...]]] = {}
    for layers in alike.values():  # at once: a deep net has many layers of one width
        of_all = _figures(torch.cat([rows for _, rows in layers]))
        members = len(of_all) // len(layers)
        figures |= {name: of_all[k * members : (k + 1) * members] for k, (name, _) in enumerate(layers)}
    found = [
        [LayerSignal(name or type(module).__name__, type(module).__name__, *own) for own in figures[name]]
        for name, module in kinds.items()
    ]
    return [tuple(layers) for layers in zip(*found, strict=True)]


def _figures(rows: Tensor) -> list[tuple[float, ...]]:
    """Size, share of dead units and effective rank of each entry of `rows`, shape (entries, examples or places, units)."""
    flat = rows.flatten(1)
    rms = (torch.linalg.vector_norm(flat, dim=1, dtype=torch.float64) / math.sqrt(flat.shape[1])).tolist()
    dead = (rows == rows[:, :1]).all(1).double().mean(1).tolist()
    return list(zip(rms, dead, _ranks(rows), strict=True))


def _units_last(module: nn.Module, out: Tensor) -> Tensor:
    """Outputs (members, …) as (members, examples or places, units): channels are units of images, else the last axis."""
    if out.dim() in (5, 6) or (out.dim() == 4 and isinstance(module, nn.Conv1d)):
        out = out.movedim(2, -1)
    return out.flatten(1, -2)


def _ranks(rows: Tensor) -> list[float]:
    """Effective ranks of up to `EXAMPLES` rows over the most that they can be (Roy & Vetterli 2007), NaN where not finite."""
    some = rows[:, :: max(1, math.ceil(rows.shape[1] / EXAMPLES))].double()
    fine = torch.isfinite(some).flatten(1).all(1)
    if not fine.all():
        some = torch.where(fine[:, None, None], some, torch.zeros_like(some))
    turned = some.transpose(1, 2)
    values = torch.linalg.eigvalsh(some @ turned if some.shape[1] <= some.shape[2] else turned @ some).clamp(min=0)
    singular = values.sqrt()
    shares = singular / singular.sum(1, keepdim=True).clamp(min=1e-300)
    ranks = torch.exp(-torch.xlogy(shares, shares).sum(1)) / min(some.shape[1:])
    ranks = torch.where(singular.sum(1) > 0, ranks, torch.zeros_like(ranks))
    return torch.where(fine, ranks, torch.full_like(ranks, math.nan)).tolist()
