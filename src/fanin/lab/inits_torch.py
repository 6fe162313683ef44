"""Carries an init out on a PyTorch model."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from fanin.errors import FaninError, FaninValueError
from fanin.lab.inits import Init


@dataclass(frozen=True)
class Initialised:
    """What an init asks for beside the weights.

    Attributes:
        lr_scales: factors on the learning rate by parameter name, those that are not 1.
        note: what it could not do, "" for nothing.
    """

    lr_scales: dict[str, float] = field(default_factory=dict)
    note: str = ""


def initialise(
    model: nn.Module, init: Init, batch: Tensor, targets: Tensor, loss: Callable[..., Tensor], seed: int
) -> Initialised:
    """Changes the model's weights in place, as `init` says.

    Args:
        model: in train mode.
        batch, targets: the first training batch.
        loss: called as loss(output, targets).
        seed: of the draws.
    """
    if init.kind == "default":
        return Initialised()
    if init.kind == "function":
        given = init.value(model)  # what a user's own function gives back says nothing
        return given if isinstance(given, Initialised) else Initialised()
    if init.kind == "sum":
        given = initialise(model, init.value.base, batch, targets, loss, seed)
        return _then(given, _add(model, init, batch, targets, loss, seed))
    if init.kind == "lsuv":
        stuck = _lsuv(model, batch)
        return Initialised(note=f"could not bring the output of {', '.join(stuck)} to unit variance" if stuck else "")
    plan = plan_of(model, init, batch, targets, loss, seed)
    return apply_plan(model, plan, init.kind in ("preset", "rule"), seed)


def apply_plan(model: nn.Module, plan: Any, edited: bool, seed: int) -> Initialised:
    """Draws the weights of a plan, after the edits that it requires where `edited` says that they may be made."""
    from fanin.plans.torch.groups import rate_factors

    note = ""
    if plan.architecture and edited:
        from fanin.plans.requirements import listed
        from fanin.plans.torch.edits import edit

        edit(model, plan)
        note = f"the model was edited as the init requires: {listed(plan.architecture)}"
    plan.apply(model, seed=seed)
    return Initialised(rate_factors(plan), note)


def _then(first: Initialised, second: Initialised) -> Initialised:
    """What two inits ask for, one carried out after the other."""
    notes = [given.note for given in (first, second) if given.note]
    return Initialised({**first.lr_scales, **second.lr_scales}, "; ".join(notes))


def _add(
    model: nn.Module, init: Init, batch: Tensor, targets: Tensor, loss: Callable[..., Tensor], seed: int
) -> Initialised:
    """Draws the weights that the additions of a sum are for."""
    from fanin.plans.completed import completed
    from fanin.plans.context import in_context
    from fanin.plans.entries import Entry
    from fanin.plans.matching import Gathered, keep_padding, lr_scale
    from fanin.traces.torch import trace

    watched = trace(model, batch, targets, loss, seed=seed)
    slots = tuple(in_context(watched).values())
    gathered = Gathered(watched)
    for addition in init.value.additions:
        rule, needs = addition.rule, ()
        found = [slot for slot in slots if addition.holds(slot)]
        if (
            addition.where == "scales"
        ):  # what the rule is for is perhaps not there yet: it is put in behind these weights
            needs = tuple(need for slot in slots if slot.role == "weight" for need in rule.requires(slot))
            gathered.needs += needs
        if not found and not needs:
            words = "residual branches" if addition.where == "scales" else addition.words
            raise FaninValueError(f"inits has {init.name!r}, but the model has no {words}")
        for slot in found:
            whole = completed(rule, slot, watched)
            try:
                law = keep_padding(slot, whole(slot))
            except FaninError as error:
                raise FaninValueError(f"inits has {init.name!r}, but {error}") from error
            gathered.add(slot, Entry(law, f"{rule.spec} for {addition.words}", lr_scale(whole, slot)), whole)
    return apply_plan(model, gathered.plan(seed), True, seed)


def plan_of(
    model: nn.Module, init: Init, batch: Tensor, targets: Tensor, loss: Callable[..., Tensor], seed: int
) -> Any:
    """The plan of an init that has one: a rule, a preset, a plan, or "fanin"; arguments as of `initialise`.

    Raises:
        FaninValueError: for an init that is none of these.
    """
    if init.kind in ("default", "function", "lsuv", "sum"):
        raise FaninValueError(f"init={init.name!r} is not one plan; accepted are rules, presets, plans and 'fanin'")
    if init.kind == "plan":
        return init.value
    if init.kind == "rule":
        from fanin.plans import plan_from_rules
        from fanin.traces.torch import trace

        return plan_from_rules(trace(model, batch, targets, loss, seed=seed), {"*": init.value})
    if init.kind == "preset":
        from fanin.plans.presets import plan_from_preset
        from fanin.traces.torch import trace

        return plan_from_preset(trace(model, batch, targets, loss, seed=seed), init.value)
    from fanin import auto

    return auto.plan(model, batch, targets, loss, seed=seed)


def _lsuv(model: nn.Module, batch: Tensor) -> list[str]:
    from fanin.lab.lsuv_torch import lsuv

    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}  # batch norm's statistics move in a pass
    stuck = lsuv(model, lambda: model(batch))
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            if name in buffers:
                buffer.copy_(buffers[name])
    return stuck
