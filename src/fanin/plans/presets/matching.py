"""A preset on a traced model: which of its entries each weight meets, and the plan that this makes."""

import math
import re
from fnmatch import fnmatchcase

from fanin.errors import FaninError, FaninValueError
from fanin.plans.context import in_context
from fanin.plans.entries import Entry
from fanin.plans.matching import UNREAL, Gathered, completed, is_weight_norm_scale, keep_padding, lr_scale
from fanin.plans.presets.records import Preset, Recipe
from fanin.plans.records import Plan
from fanin.rules import parse
from fanin.rules.rule import Rule
from fanin.slots import Slot
from fanin.traces.records import Trace

ATTENTION = ("query", "key", "value", "qkv")


def plan_from_preset(trace: Trace, preset: Preset, seed: int = 0) -> Plan:
    """The plan that a preset makes for a traced model; weights that it says nothing of keep their values, and a note says so.

    Raises:
        FaninValueError: a rule of the preset cannot serve a weight that it is for.
    """
    gathered = Gathered(trace)
    slots = in_context(trace)
    for slot in slots.values():
        if is_weight_norm_scale(slot, trace):
            continue
        chosen = [recipe for recipe in preset.recipes if matches(recipe, slot)]
        if not slot.dtype.startswith(("float", "bfloat")):
            gathered.add(slot, UNREAL.format(slot.dtype), None)
        elif not chosen:
            gathered.add(slot, f"the preset {preset.name!r} says nothing of the role {slot.role!r}", None)
        elif chosen[-1].rule:
            rule = rule_for(preset, chosen[-1], slot)
            gathered.add(slot, _entry(preset, rule, chosen[-1], slot, slots, trace), rule)
    return gathered.plan(seed)


def rule_for(preset: Preset, recipe: Recipe, slot: Slot) -> Rule:
    """The rule of an entry with its numbers filled in."""
    known = dict(preset.parameters)
    if slot.hidden:
        known["per_root_hidden"] = slot.hidden**-0.5
    known["per_root_branches"] = (slot.residual.branches if slot.residual is not None else 1.0) ** -0.5

    def product(found: re.Match[str]) -> str:
        factors = [word.strip() for word in found[1].split("*")]
        lost = [word for word in factors if word not in known and not re.fullmatch(r"[0-9.e-]+", word)]
        if lost:
            raise FaninValueError(f"preset {preset.name!r} needs {lost[0]} for {slot.name}, which is not known of it")
        return repr(math.prod(known[word] if word in known else float(word) for word in factors))

    return parse(re.sub(r"\{([^{}]+)\}", product, recipe.rule))


def _entry(preset: Preset, rule: Rule, recipe: Recipe, slot: Slot, slots: dict[str, Slot], trace: Trace) -> Entry:
    about = slots.get(slot.weight or "", slot) if recipe.from_weight else slot
    try:
        law = completed(rule, about, trace)(about)
    except FaninError as error:
        raise FaninValueError(f"preset {preset.name!r} cannot serve {slot.name}: {error}") from None
    return Entry(keep_padding(slot, law), f"{rule.spec} in {preset.name}", lr_scale(rule, slot))


def matches(recipe: Recipe, slot: Slot) -> bool:
    """Whether all criteria of an entry hold for this weight."""
    if recipe.rank and len(slot.shape) not in recipe.rank:
        return False
    return all(_word(key, slot, words) for key, words in recipe.words.items()) and all(
        _flag(key, slot) == wanted for key, wanted in recipe.flags.items()
    )


def _word(key: str, slot: Slot, words: tuple[str, ...]) -> bool:
    match key:
        case "role":
            return slot.role in words
        case "op":
            return slot.op in words
        case "parts":
            return slot.parts in words
        case "branch":
            return _branch(slot) in words
        case "activation":
            return slot.activation is not None and slot.activation.name in words
        case "module":
            return slot.module_type.removeprefix("Parametrized") in words
    return any(fnmatchcase(name, word) for name in (slot.name, *slot.names) for word in words)


def _branch(slot: Slot) -> str:
    return "none" if slot.residual is None else "last" if slot.residual.last else "inner"


def _flag(key: str, slot: Slot) -> bool:
    match key:
        case "head":
            return slot.head
        case "tied":
            return len(slot.names) > 1
        case "first":
            return slot.depth == 1
        case "normed":
            return slot.residual is not None and slot.residual.normed
        case "norm_before":
            return slot.norm_before
        case "activation":
            return slot.activation is not None
        case "taps":
            return slot.axes is not None and any(f.role == "field" for axis in slot.axes.factors for f in axis)
    return _branch(slot) == "inner" and slot.activation is None and slot.parts not in ATTENTION
