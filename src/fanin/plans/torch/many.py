"""A plan put into many models of one structure, each with a seed of its own: every weight is drawn for all of them at once."""

from collections.abc import Sequence

import torch
from torch import nn

from fanin.draws.torch import fill_seeds_
from fanin.plans import laws
from fanin.plans.records import Plan
from fanin.plans.torch.apply import Chosen, apply, checked, fill_times_
from fanin.plans.torch.shards import is_dtensor
from fanin.plans.torch.targets import Target, find_targets


def apply_many(plan: Plan, models: Sequence[nn.Module], seeds: Sequence[int]) -> None:
    """`plan.apply(model, seed=seed)` for each model, with the same numbers and the same errors.

    Args:
        plan: that requires no edit.
        models: fresh: where this raises, some of them may have been drawn.
        seeds: one a model.

    Raises:
        FaninValueError: the plan does not fit one of the models; nothing was drawn then.
    """
    chosen = [checked(plan, find_targets(model)) for model in models]
    if not chosen or not _alike(chosen):
        for model, seed in zip(models, seeds, strict=True):
            apply(plan, model, seed)
        return
    with torch.no_grad():
        for place, (name, entry, _) in enumerate(chosen[0]):
            law, factor = laws.drawn(entry)
            tensors = [own[place][2].tensor for own in chosen]
            if factor != 1:
                for tensor, seed in zip(tensors, seeds, strict=True):
                    fill_times_(tensor, law, tuple(tensor.shape), factor, seed=seed, name=name)
                continue
            fill_seeds_(tensors, law, seeds=seeds, name=name)


def _alike(chosen: Sequence[Chosen]) -> bool:
    """Whether every weight is a whole plain tensor of the processor's memory, of one shape and dtype in all models."""
    kinds = [[_kind(target) for _, _, target in own] for own in chosen]
    return None not in kinds[0] and all(own == kinds[0] for own in kinds)


def _kind(target: Target) -> tuple[object, ...] | None:
    tensor = target.tensor
    if not target.plain or target.flat is not None or tensor.device.type != "cpu" or is_dtensor(tensor):
        return None
    return target.shape, tuple(tensor.shape), tensor.dtype
