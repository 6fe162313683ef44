"""A preset on a traced model: which of its entries each weight meets, and the plan that this makes."""

import math
import re
from fnmatch import fnmatchcase

from fanin.distributions import Constant
from fanin.errors import FaninError, FaninValueError
from fanin.plans.completed import completed
from fanin.plans.context import in_context
from fanin.plans.entries import Entry
from fanin.plans.matching import UNREAL, Gathered, as_stored, is_weight_norm_scale, keep_padding, lr_scale
from fanin.plans.presets.records import Preset, Recipe
from fanin.plans.records import Plan
from fanin.plans.steps import step_biases
from fanin.rules import parse
from fanin.rules.rule import Rule
from fanin.slots import Slot
from fanin.traces.records import Trace

ATTENTION = ("query", "key", "value", "qkv")
SILENT = "the preset {!r} has no entry for them (role {!r})"
STEP = "the preset {!r} does not name the bias behind step sizes"


def plan_from_preset(trace: Trace, preset: Preset, seed: int = 0) -> Plan:
    """The plan that a preset makes for a traced model; weights that it says nothing of keep their values, and a note says so.

    Raises:
        FaninValueError: a rule of the preset cannot serve a weight that it is for.
    """
    gathered = Gathered(trace)
    slots, steps = in_context(trace), step_biases(trace)
    for slot in slots.values():
        if is_weight_norm_scale(slot, trace):
            continue
        chosen = [recipe for recipe in preset.recipes if matches(recipe, slot, trace)]
        if slot.name in steps:
            chosen = [recipe for recipe in chosen if "name" in recipe.words]
        if not slot.dtype.startswith(("float", "bfloat")):
            gathered.add(slot, UNREAL.format(slot.dtype), None)
        elif not chosen:
            why = STEP if slot.name in steps else SILENT
            gathered.add(slot, why.format(preset.name, slot.role), None)
        elif chosen[-1].rule:
            about = slots.get(slot.weight or "", slot) if chosen[-1].from_weight else slot
            rule = rule_for(preset, chosen[-1], about)
            whole = completed(rule, about, trace)
            gathered.add(slot, _entry(preset, rule, whole, slot, about), whole)
    return gathered.plan(seed)


def rule_for(preset: Preset, recipe: Recipe, slot: Slot) -> Rule:
    """The rule of an entry with its numbers filled in, as far as the weight knows them."""
    inputs = [f.size for axis in (slot.axes.factors if slot.axes is not None else ()) for f in axis if f.role == "in"]
    sizes = {
        "per_root_hidden": slot.hidden,
        "per_root_branches": slot.residual.branches if slot.residual is not None else 1.0,
        "per_root_channels": slot.shape[-1] if slot.shape else 0,
        "per_root_first_in": inputs[0] if inputs else 0,
    }
    known = {**preset.parameters, **{name: size**-0.5 for name, size in sizes.items() if size}}

    def product(found: re.Match[str]) -> str:
        factors = [word.strip() for word in found[1].split("*")]
        lost = [word for word in factors if word not in known and not re.fullmatch(r"[0-9.e-]+", word)]
        if lost:
            raise FaninValueError(f"preset {preset.name!r} needs {lost[0]} for {slot.name}, which is not known of it")
        return repr(math.prod(known[word] if word in known else float(word) for word in factors))

    return parse(re.sub(r"\{([^{}]+)\}", product, recipe.rule))


def _entry(preset: Preset, rule: Rule, whole: Rule, slot: Slot, about: Slot) -> Entry:
    """The entry of a rule, where it is known as `rule` and has all its numbers as `whole`."""
    try:
        law = whole(about)
    except FaninError as error:
        raise FaninValueError(f"preset {preset.name!r} cannot serve {slot.name}: {error}") from None
    reason = f"{rule.spec} in {preset.name}"
    if isinstance(law, Constant) and slot.offset:  # presets speak of the factor that a norm multiplies by
        law, reason = as_stored(law, slot), f"{reason}, less the {slot.offset:g} that the norm adds"
    return Entry(keep_padding(slot, law), reason, lr_scale(whole, slot))


def matches(recipe: Recipe, slot: Slot, trace: Trace | None) -> bool:
    """Whether all criteria of an entry hold for this weight; without a trace, those that only it tells do not."""
    if (recipe.rank and len(slot.shape) not in recipe.rank) or (recipe.from_weight and slot.weight is None):
        return False
    return all(_word(key, slot, words) for key, words in recipe.words.items()) and all(
        _flag(key, slot, trace) == wanted for key, wanted in recipe.flags.items()
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


def _flag(key: str, slot: Slot, trace: Trace | None) -> bool:
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
        case "scalar":
            return slot.size == 1
        case "tokens":
            if trace is None or slot.role != "embedding" or slot.op_index is None:
                return False
            return bool(trace.ops[slot.op_index].inputs)
    return _branch(slot) == "inner" and slot.activation is None and slot.parts not in ATTENTION
