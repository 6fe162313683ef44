"""Weights of torch models that go by several names, or that a parametrisation computes: for `verify`."""

import torch
from torch import nn

from fanin.fingerprints.records import Held
from fanin.plans.records import Plan
from fanin.plans.torch.apply import HALF_TOLERANCE, TOLERANCE, planned_value
from fanin.plans.torch.targets import find_targets


def aliases(model: nn.Module, names: dict[str, Held]) -> dict[str, Held]:
    """Other names of tied weights → the tensor that they are."""
    targets = find_targets(model)
    by_key = {targets[name].key: held for name, held in names.items() if name in targets}
    return {name: by_key[t.key] for name, t in targets.items() if t.plain and t.key in by_key}


def compare_behind(model: nn.Module, plan: Plan) -> dict[str, str]:
    """What is wrong with each planned weight that a parametrisation stands before; "" where it is what the plan gives."""
    found: dict[str, str] = {}
    targets = find_targets(model)
    with torch.no_grad():
        for name, entry in plan.entries.items():
            target, need = targets.get(name), plan.requires.get(name)
            if target is None or target.plain:
                continue
            if target.shape is None or (need is not None and need.shape != target.shape):
                found[name] = f"its shape is {target.shape}"
                continue
            wanted, given = planned_value(entry, target, plan.seed, name).double(), target.effective().double()
            if target.scaled is not None:  # the plan decides the direction only
                wanted, given = wanted / wanted.norm(), given / given.norm()
            half = target.tensor.dtype in (torch.float16, torch.bfloat16)
            apart = float((given - wanted).norm() / wanted.norm().clamp_min(1e-30))
            close = apart <= (HALF_TOLERANCE if half else TOLERANCE) or not (given.any() or wanted.any())
            found[name] = "" if close else f"the weight in effect is off by {apart:.2g} of its size"
    return found
