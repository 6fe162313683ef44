"""A plan put into a model: everything is checked, then everything is drawn, then everything is written."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fanin.distributions import Distribution, Normal
from fanin.draws import draw_distribution
from fanin.errors import FaninError, FaninTypeError, FaninValueError
from fanin.plans.records import Entry, Need, Plan
from fanin.plans.torch.targets import Target, find_targets

TOLERANCE = 1e-3  # of the effective weight against the planned one, where a parametrisation stands between them
HALF_TOLERANCE = 2e-2  # the same in float16 and bfloat16


def apply(plan: Plan, model: Any, seed: int | None = None) -> nn.Module:
    """See `Plan.apply`."""
    if not isinstance(model, nn.Module):
        raise FaninTypeError(f"model={type(model).__name__} cannot be used; a plan is applied to a torch.nn.Module")
    if seed is not None:
        plan = Plan(plan.entries, seed, plan.requires, plan.notes, plan.slots)  # the record checks the seed
    chosen = _checked(plan, find_targets(model))
    with torch.no_grad():
        _write(chosen, _drawn(plan, chosen), plan.seed)
        _report_scales(chosen)
    return model


Chosen = list[tuple[str, Entry, Target]]


def _checked(plan: Plan, targets: dict[str, Target]) -> Chosen:
    """The target of every entry; raises one error with every mismatch in it."""
    wrong: list[str] = []
    chosen: Chosen = []
    owner: dict[tuple[int, str], str] = {}
    for name, entry in plan.entries.items():
        target = targets.get(name)
        if target is None:
            wrong.append(f"{name}: the model has no such weight")
            continue
        problem = target.problem()
        need = plan.requires.get(name)
        if problem is not None:
            wrong.append(f"{name} {problem}")
        elif need is not None and target.shape != need.shape:
            wrong.append(f"{name}: its shape is {target.shape}, but the plan is for {need.shape}")
        if target.key in owner:
            wrong.append(f"{name} and {owner[target.key]} are one weight here, but the plan draws them apart")
        owner.setdefault(target.key, name)
        wrong += _tie_problems(name, need, targets)
        chosen.append((name, entry, target))
    if wrong:
        raise FaninValueError("the plan does not fit the model, and nothing was changed:\n  " + "\n  ".join(wrong))
    return chosen


def _tie_problems(name: str, need: Need | None, targets: dict[str, Target]) -> list[str]:
    wrong = []
    for other in need.names if need is not None else ():
        if other not in targets:
            wrong.append(f"{other}: the model has no such weight, which the plan has tied to {name}")
        elif name in targets and targets[other].key != targets[name].key:
            wrong.append(f"{name} and {other} are two weights here, but one (tied) in the plan")
    return wrong


def _drawn(plan: Plan, chosen: Chosen) -> list[np.ndarray]:
    values = []
    for name, entry, target in chosen:
        try:
            values.append(_value(entry.distribution, entry.multiplier, target, plan.seed, name))
        except FaninError as error:
            raise type(error)(f"{name} could not be drawn, and nothing was changed: {error}") from None
    return values


def _value(distribution: Distribution, multiplier: float, target: Target, seed: int, name: str) -> np.ndarray:
    """The numbers, in float32 unless the weight is float64: every lower precision is the float32 number rounded."""
    assert target.shape is not None
    dtype = "float64" if target.tensor.dtype == torch.float64 else "float32"
    value = draw_distribution(distribution, target.shape, seed=seed, name=name, dtype=dtype)
    if multiplier != 1:
        value *= multiplier
    limit = torch.finfo(target.tensor.dtype).max
    if not np.all(np.abs(value) <= limit):
        raise FaninValueError(f"its numbers are too large for {str(target.tensor.dtype).removeprefix('torch.')}")
    return value


def _write(chosen: Chosen, values: list[np.ndarray], seed: int) -> None:
    """Write every value, or put every old one back. Drawn values are let go as old ones are kept."""
    kept: list[Callable[[], None]] = []
    wrong: list[str] = []
    try:
        for name, _, target in chosen:
            value = torch.from_numpy(values.pop(0))
            kept.append(target.keep())
            wrong += _assigned(name, target, value.to(target.tensor.device), seed)
    except BaseException:
        _restore(kept)
        raise
    if wrong:
        _restore(kept)
        raise FaninValueError("the plan does not fit the model, and nothing was changed:\n  " + "\n  ".join(wrong))


def _assigned(name: str, target: Target, value: Tensor, seed: int) -> list[str]:
    """Assign one value and compare the effective weight with it; what is wrong, in words."""

    def directions() -> Tensor:  # for the slices of a weight norm that are zero
        drawn = draw_distribution(Normal(1.0), tuple(value.shape), seed=seed, name=f"{name}#direction")
        return torch.from_numpy(drawn)

    if target.plain:
        target.assign(value, directions)
        return []
    value = value.to(target.tensor.dtype)
    try:
        target.assign(value, directions)
    except (NotImplementedError, RuntimeError, ValueError, TypeError) as error:
        return [
            f"{name} cannot be set through its parametrisation: {str(error).splitlines()[0] if str(error) else error!r}"
        ]
    effective = target.effective()
    if target.scaled is not None:
        return [] if torch.isfinite(effective).all() else [f"{name} is not finite behind {target.scaled}"]
    half = target.tensor.dtype in (torch.float16, torch.bfloat16)
    tolerance = HALF_TOLERANCE if half else TOLERANCE
    apart = (effective.float() - value.float()).norm() / value.float().norm().clamp_min(1e-30)
    if (value.any() and not apart <= tolerance) or not torch.isfinite(effective).all():
        return [
            f"{name} does not take the planned values through its parametrisation ({float(apart):.2g} of them are lost)"
        ]
    return []


def _restore(kept: list[Callable[[], None]]) -> None:
    for put_back in reversed(kept):
        put_back()


def _report_scales(chosen: Chosen) -> None:
    names = [f"{name} ({target.scaled})" for name, _, target in chosen if target.scaled is not None]
    if names:
        warnings.warn(
            f"the scale of {', '.join(names)} is fixed by a parametrisation: the plan decides the direction only",
            stacklevel=4,
        )
