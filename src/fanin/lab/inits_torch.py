"""Carries an init out on a PyTorch model."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from fanin.errors import FaninValueError
from fanin.lab.inits import Init


def initialise(
    model: nn.Module, init: Init, batch: Tensor, targets: Tensor, loss: Callable[..., Tensor], seed: int
) -> dict[str, float]:
    """Changes the model's weights in place, as `init` says.

    Args:
        model: in train mode.
        batch, targets: the first training batch.
        loss: called as loss(output, targets).
        seed: of the draws.

    Returns:
        Factors on the learning rate by parameter name, those that are not 1.
    """
    if init.kind == "default":
        return {}
    if init.kind == "function":
        init.value(model)
        return {}
    if init.kind == "lsuv":
        _lsuv(model, batch)
        return {}
    plan = _plan(model, init, batch, targets, loss, seed)
    plan.apply(model, seed=seed)
    return {name: entry.lr_scale for name, entry in plan.entries.items() if entry.lr_scale != 1}


def _plan(model: nn.Module, init: Init, batch: Tensor, targets: Tensor, loss: Callable[..., Tensor], seed: int) -> Any:
    if init.kind == "plan":
        return init.value
    from fanin.traces.torch import trace

    watched = trace(model, batch, targets, loss, seed=seed)
    if init.kind == "rule":
        from fanin.plans import plan_from_rules

        return plan_from_rules(watched, {"*": init.value})
    from fanin.auto import choose

    return choose(watched, seed=seed)


def _lsuv(model: nn.Module, batch: Tensor) -> None:
    from fanin.lab.lsuv_torch import lsuv

    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}  # batch norm's statistics move in a pass
    stuck = lsuv(model, lambda: model(batch))
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            if name in buffers:
                buffer.copy_(buffers[name])
    if stuck:
        raise FaninValueError(f"lsuv cannot bring the output of {', '.join(stuck)} to unit variance")
