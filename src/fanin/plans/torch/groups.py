"""Optimizer groups with the learning rates that a plan asks for."""

from typing import Any

from torch import nn

from fanin.errors import FaninTypeError, FaninValueError
from fanin.plans.records import Plan
from fanin.plans.torch.architecture import put_in
from fanin.plans.torch.targets import find_targets


def rate_factors(plan: Plan) -> dict[str, float]:
    """Factors on the learning rate that are not 1, by name: of the plan's weights, and of what an edit puts in for them."""
    asked = {name: need.lr_scale for need in plan.architecture for name in put_in(need)}
    asked |= {name: entry.lr_scale for name, entry in plan.entries.items()}
    return {name: scale for name, scale in asked.items() if scale != 1}


def param_groups(
    plan: Plan, model: Any, lr: float, weight_decay: float, options: dict[str, Any]
) -> list[dict[str, Any]]:
    """See `Plan.param_groups`."""
    if not isinstance(model, nn.Module):
        raise FaninTypeError(f"model={type(model).__name__} cannot be used; groups are made of a torch.nn.Module")
    for name, value, least in (("lr", lr, 0.0), ("weight_decay", weight_decay, 0.0)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < float("inf"):
            raise FaninValueError(f"{name}={value!r} cannot be used; {name} must be a finite number of at least 0")
    targets = find_targets(model)
    lost = [name for name in plan.entries if name not in targets]
    if lost:
        raise FaninValueError(f"the plan names weights that the model does not have: {', '.join(lost)}")
    scales = {
        id(t): scale for name, scale in rate_factors(plan).items() if name in targets for t in targets[name].tensors
    }
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            groups.setdefault((scales.get(id(parameter), 1.0), parameter.ndim > 1), []).append(parameter)
    return [
        {
            **options,
            "params": parameters,
            "lr": lr * scale,
            "weight_decay": weight_decay / scale if matrix and scale else 0.0,
        }
        for (scale, matrix), parameters in groups.items()
    ]
