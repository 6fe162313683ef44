"""What `rules=` may be: a mapping, the name of a preset, a preset, or one rule for all weights."""

import difflib
from collections.abc import Mapping
from typing import Any

from fanin.errors import FaninTypeError, FaninValueError
from fanin.plans.matching import plan_from_rules
from fanin.plans.presets.matching import plan_from_preset
from fanin.plans.presets.records import Preset
from fanin.plans.presets.table import find, is_preset, presets
from fanin.plans.records import Plan
from fanin.rules import load_all, parse
from fanin.rules.rule import ALIASES, FACTORIES, Rule
from fanin.traces.records import Trace


def chosen(rules: Any) -> Preset | Mapping[Any, Any]:
    """A preset, or a mapping of keys to rules; raises for anything else.

    A bare name is a preset where there is one of it (`deepnorm` is both a preset and a rule: the rule is `"deepnorm()"`).
    """
    if isinstance(rules, Preset | Mapping):
        return rules
    if isinstance(rules, Rule):
        return {"*": rules}
    if not isinstance(rules, str):
        raise FaninTypeError(
            f"rules={rules!r} cannot be used; accepted are a mapping such as {{'*': fanin.rules.he_normal()}}, the name of a preset "
            "such as 'gpt2', and a rule"
        )
    if is_preset(rules) and not rules.strip().endswith("()"):
        return find(rules)
    load_all()
    name = rules.partition("(")[0].strip()
    if name in FACTORIES or name in ALIASES:
        return {"*": parse(rules)}
    raise FaninValueError(
        f"rules={rules!r} is neither a preset nor a rule{_near(name)} (`fanin rules` and `fanin rules --presets` list them)"
    )


def _near(text: str) -> str:
    """The names that were perhaps meant: case, hyphens and underscores do not count."""
    names = [preset.name for preset in presets()] + [*FACTORIES, *ALIASES]
    plain = {_plain(name): name for name in reversed(names)}  # a preset before a rule of the same name
    close = difflib.get_close_matches(_plain(text), plain, n=1)
    return f"; did you mean {plain[close[0]]!r}?" if close else ""


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def plan_from_recipe(trace: Trace, recipe: Preset | Mapping[Any, Any], seed: int = 0, model: Any = None) -> Plan:
    """The plan for what `chosen` returned."""
    if isinstance(recipe, Preset):
        return plan_from_preset(trace, recipe, seed)
    return plan_from_rules(trace, recipe, seed, model)
