"""One run of the coordinate check on a PyTorch model."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def moved(
    model: nn.Module,
    plan_of: Callable[[Any, Any], Any],
    data: tuple[Tensor, Tensor],
    steps: int,
    lr: float,
    optimizer: str,
    loss: Callable[[Any, Any], Any] | None,
    seed: int,
) -> dict[str, list[float]]:
    """Module → the rms of its output at the start, and after each step the rms of what it has moved since."""
    x, y = data
    loss = loss or F.cross_entropy
    plan = plan_of(model, x)
    plan.apply(model, seed=seed)
    groups = plan.param_groups(model, lr=lr)
    kind = torch.optim.Adam if optimizer == "adam" else torch.optim.SGD
    optim = kind(groups)
    start = _outputs(model, x)
    found = {name: [_rms(output)] for name, output in start.items()}
    for _ in range(steps):
        optim.zero_grad(set_to_none=True)
        loss(model(x), y).backward()
        optim.step()
        for name, output in _outputs(model, x).items():
            if name in found:
                found[name].append(_rms(output - start[name]))
    return found


def _rms(x: Tensor) -> float:
    return float(x.double().square().mean().sqrt())


def _outputs(model: nn.Module, x: Any) -> dict[str, Tensor]:
    """What each module with weights of its own makes of the batch."""
    kept: dict[str, Tensor] = {}
    handles = [
        module.register_forward_hook(_keeper(name, kept))
        for name, module in model.named_modules()
        if name and any(True for _ in module.parameters(recurse=False))
    ]
    try:
        with torch.no_grad():
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    return kept


def _keeper(name: str, kept: dict[str, Tensor]) -> Callable[..., None]:
    def keep(module: nn.Module, args: Any, output: Any) -> None:
        kept.setdefault(name, _first(output).detach().clone())

    return keep


def _first(output: Any) -> Tensor:
    return output[0] if isinstance(output, tuple) else output
