"""What a plan's rules require of the architecture, placed in the traced model: which module ends the branch, who has it already."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from fanin.errors import FaninError
from fanin.plans.context import branch_end
from fanin.rules.requirement import Requirement
from fanin.slots import ResidualPlace, Slot
from fanin.traces.records import ResidualAdd, Trace

OF_BRANCH = ("branch_scalar", "branch_vector", "skip_weight")
WORDS = {
    "branch_scalar": "a trainable scalar on the residual branch that {where!r} ends",
    "branch_vector": "a trainable number a channel on the residual branch that {where!r} ends",
    "scalar_biases": "scalar biases before and after {where!r}",
    "no_norm": "no norm at {where!r}",
    "skip_weight": "a factor of {value:.4g} on the skip path of the add after {where!r}",
    "branch_norm": "a norm before {where!r}",
    "activation": "a reshaped activation after {where!r}",
    "op_scale": "a factor of {value:.4g} on the product with {where!r}",
}
EACH = "each branch"  # `detail` of what every residual branch must have, where no watched pass says which there are
EVERYWHERE = {
    "branch_scalar": "a trainable scalar on each residual branch",
    "branch_vector": "a trainable number a channel on each residual branch",
    "scalar_biases": "scalar biases before and after each weight of a residual branch",
    "skip_weight": "a factor on the skip path of each residual add",
    "branch_norm": "a norm before the last weight of each residual branch",
}
SOME = ResidualPlace(branch=0, branches=2, last=True)  # a place on a branch, to ask a rule what it requires there


def placed(trace: Trace, needs: Iterable[Requirement]) -> tuple[Requirement, ...]:
    """The requirements with what the trace knows: where a branch starts and ends, its width, and what the model has already."""
    ends = {weight: add for add in trace.residuals for weight in add.weights}
    slots = {slot.name: slot for slot in trace.slots}
    done: dict[tuple[str, str], Requirement] = {}
    for need in needs:
        if need.kind in OF_BRANCH and need.where in ends:
            need = _on_branch(trace, slots, need, ends[need.where])
        elif need.kind == "branch_norm":
            need = replace(need, width=_fan_in(trace, need.where))
        elif need.kind == "activation":
            need = replace(need, start=_activation_module(trace, need.where))
        done.setdefault((need.kind, need.where), need)
    return tuple(done.values())


def _on_branch(trace: Trace, slots: dict[str, Slot], need: Requirement, add: ResidualAdd) -> Requirement:
    weight = slots[need.where]
    size = 1 if need.kind == "branch_scalar" else channels(weight)
    has = "" if need.kind == "skip_weight" else _own(trace, add, slots, size)
    return replace(
        need, where=_last_module(trace, add), start=_first_module(trace, add), width=channels(weight), met_by=has
    )


def channels(slot: Slot) -> int:
    """Channels of what the weight makes; 0 where its axes are not known."""
    return slot.axes.size("out") * slot.axes.size("stack") if slot.axes is not None else 0


def _fan_in(trace: Trace, name: str) -> int:
    slot = next((s for s in trace.slots if s.name == name), None)
    return slot.axes.size("in") if slot is not None and slot.axes is not None else 0


def _own(trace: Trace, add: ResidualAdd, slots: dict[str, Slot], size: int) -> str:
    """The name of a scale of this size that the model itself has on the branch."""
    for op in branch_end(trace, add):
        for name in op.weights:
            if slots[name].role == "scale" and slots[name].size == size:
                return name
    return ""


def _last_module(trace: Trace, add: ResidualAdd) -> str:
    """The module whose output is the branch's, but for dropout and shape; "" where it is not one of its own."""
    home = trace.ops[add.add].module
    return next((op.module for op in branch_end(trace, add) if not _around(op.module, home)), "")


def _first_module(trace: Trace, add: ResidualAdd) -> str:
    """The first module inside the branch that takes the stream as its input; "" where none does."""
    home = trace.ops[add.add].module
    same = {add.skip}
    for op in trace.ops[max(add.skip, 0) : add.add]:
        if same & set(op.inputs):  # INPUT stands for a stream that begins with the model
            if not _around(op.module, home):
                return op.module
            if op.kind in ("shape", "dropout"):
                same.add(op.index)
    return ""


def _activation_module(trace: Trace, weight: str) -> str:
    """The module of the activation that follows this weight's op; "" where it is not one of its own."""
    made = {op.index for op in trace.ops if weight in op.weights}
    for op in trace.ops:
        if made & set(op.inputs):
            if op.kind == "activation":
                return "" if any(o.module == op.module and o.kind != "activation" for o in trace.ops) else op.module
            if op.kind in ("norm", "shape", "dropout"):
                made.add(op.index)
    return ""


def of_each_branch(rule: Any, slot: Slot) -> tuple[Requirement, ...]:
    """What a rule would require of residual branches that nobody sees, as of each one: as if this weight ended one.

    What it requires of the slot where it stands is left out.
    """
    if slot.residual is not None:
        return ()
    kinds = {need.kind for need in rule.requires(slot)}
    there = [n for n in asked(rule, replace(slot, residual=SOME)) if n.kind in EVERYWHERE and n.kind not in kinds]
    return tuple(Requirement(n.kind, "", detail=EACH, lr_scale=n.lr_scale) for n in there)


def asked(rule: Any, slot: Slot) -> tuple[Requirement, ...]:
    """What a rule requires of a slot that is not there; nothing where it cannot say."""
    try:
        return rule.requires(slot)
    except FaninError:
        return ()


def _around(module: str, home: str) -> bool:
    """Whether `module` is the one that the add is in, or one around it."""
    return module == home or module == "" or home.startswith(f"{module}.")


def in_words(need: Requirement) -> str:
    """One requirement as a phrase.

    Example:
        >>> in_words(Requirement("no_norm", "blocks.0.norm1"))
        "no norm at 'blocks.0.norm1'"
    """
    if need.detail == EACH:
        return EVERYWHERE[need.kind]
    return WORDS[need.kind].format(where=need.where, value=need.value)


def listed(needs: Iterable[Requirement]) -> str:
    """Several requirements as a phrase, alike ones counted.

    Example:
        >>> listed([Requirement("no_norm", f"blocks.{i}.norm1") for i in range(12)])
        "no norm at 'blocks.0.norm1' (and 11 more alike)"
    """
    kinds: dict[str, list[Requirement]] = {}
    for need in needs:
        kinds.setdefault(need.kind, []).append(need)
    shown = [
        in_words(group[0]) + (f" (and {len(group) - 1} more alike)" if len(group) > 1 else "")
        for group in kinds.values()
    ]
    return ", ".join(shown)
