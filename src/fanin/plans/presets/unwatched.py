"""Presets on models that no pass was watched of: which of them need to know what only a watched pass tells."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from fanin.errors import FaninError, FaninValueError
from fanin.plans.presets.matching import matches, rule_for
from fanin.plans.presets.records import Preset
from fanin.rules.rule import Rule
from fanin.slots import ResidualPlace, Slot

# Criterion → what it asks for. The others (role, module, name, rank, taps, tied, parts) are declared by layers.
ASKS = {
    "op": "which op takes a weight",
    "head": "which layer is the head",
    "first": "which layer is the first",
    "branch": "where residual branches end",
    "normed": "where norms stand",
    "norm_before": "where norms stand",
    "activation": "which activations stand where",
    "gate": "which weights are gates",
    "tokens": "which embeddings are of tokens",
}
BRANCHES = ASKS["branch"]
SOME = ResidualPlace(branch=0, branches=2, last=True)


def refuse_unseen(preset: Preset, slots: Sequence[Slot], told: bool) -> None:
    """Raise where a preset asks for what layers do not declare.

    Args:
        preset: the recipe.
        slots: that layers declared.
        told: whether the user has told the residual branches.

    Raises:
        FaninValueError: it does; the sentence says what it asks for, and what to do.
    """
    lost = sorted({what for what in _asked(preset, slots) if what != BRANCHES or not told})
    if not lost:
        return
    what_to_do = (
        "tell the branches by branches=[('*.up', '*.down')]"
        if lost == [BRANCHES]
        else f"give its rules by pattern here, as fanin.plans.presets.find({preset.name!r}).recipes lists them"
    )
    raise FaninValueError(
        f"rules={preset.name!r} is a preset that needs to know {' and '.join(lost)}, and no pass of this model is watched (fanin.plan "
        f"watches PyTorch models); {what_to_do}"
    )


def _asked(preset: Preset, slots: Sequence[Slot]) -> Iterator[str]:
    """What a preset asks for, by its criteria or within its rules."""
    for recipe in preset.recipes:
        yield from (ASKS[key] for key in (*recipe.words, *recipe.flags) if key in ASKS)
    for slot in slots:
        chosen = [recipe for recipe in preset.recipes if matches(recipe, slot, None)]
        if not chosen or not chosen[-1].rule:
            continue
        try:
            rule = rule_for(preset, chosen[-1], slot)
        except FaninError:  # needs a number that the slot has not got: said when the plan is made
            continue
        guesses = {ASKS["head"]: replace(slot, head=True), ASKS["first"]: replace(slot, depth=1)}
        if slot.residual is None:
            guesses[BRANCHES] = replace(slot, residual=SOME)
        for what, guess in guesses.items():
            try:
                if _said(rule, guess) != _said(rule, slot):
                    yield what
            except FaninError:
                yield what


def _said(rule: Rule, slot: Slot) -> tuple[object, ...]:
    """All that a rule says of a weight."""
    return rule(slot), rule.requires(slot), rule.lr_scale(slot)
