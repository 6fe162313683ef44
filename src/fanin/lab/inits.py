"""Inits by name: what a comparison may start its runs from. Parsing only; `inits_torch` carries them out."""

import difflib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fanin.errors import FaninTypeError, FaninValueError
from fanin.lab.additions import Addition, parse_addition, split_additions
from fanin.lab.specs import split_outside

NAMED = {
    "default": "the weights that the factory itself gives",
    "fanin": "the plan that fanin chooses from the trace of one training batch",
    "lsuv": "orthogonal, then each layer rescaled to unit output variance (Mishkin & Matas 2015)",
}


@dataclass(frozen=True, eq=False)
class Init:
    """One way to start.

    Attributes:
        name: unique in a comparison.
        kind: what `value` is.
        value: a rule, a preset, a plan, a function that is given the model and changes its weights in place, or a `Sum`.
    """

    name: str
    kind: Literal["default", "fanin", "lsuv", "rule", "preset", "plan", "function", "sum"]
    value: Any = None


@dataclass(frozen=True, eq=False)
class Sum:
    """One init, and rules that draw some of the weights anew after it, in order."""

    base: Init
    additions: tuple[Addition, ...]


def parse_inits(inits: Any) -> tuple[Init, ...]:
    """Every init of a comparison: names, rules, plans, plan files, functions, or a mapping name → any of them.

    A text may add rules for some weights to an init for the whole model: "default+forget_bias" draws the biases of gates anew,
    "he_normal+zeros@head" the weights of the head (see `fanin.lab.additions`).

    Raises `FaninValueError` for an unknown name, two inits of the same name, or none at all.
    """
    if isinstance(inits, str):
        inits = split_names(inits)
    if isinstance(inits, dict):
        parsed = [Init(str(name), *_kind(value)) for name, value in inits.items()]
    elif isinstance(inits, list | tuple):
        parsed = [parse_init(value) for value in inits]
    else:
        raise FaninTypeError(
            f"inits={inits!r} is a {type(inits).__name__}, but must be a list of names, rules or plans"
        )
    if not parsed:
        raise FaninValueError("inits is empty, but must name at least one init")
    names = [init.name for init in parsed]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FaninValueError(f"inits has {', '.join(twice)} more than once; give each a name: inits={{name: init}}")
    return tuple(parsed)


def split_names(text: str) -> list[str]:
    """`"default,he_normal(a=0.1, mode='fan_out'),fanin"` at its commas, those in brackets aside."""
    return [part.strip() for part in split_outside(text, ",") if part.strip()]


def parse_init(value: Any) -> Init:
    """One init with a name of its own."""
    kind, what = _kind(value)
    if isinstance(value, str):
        return Init(Path(value).stem if kind == "plan" else value, kind, what)
    if kind in ("rule", "preset"):
        return Init(what.spec.removesuffix("()"), kind, what)
    name = getattr(value, "__name__", "") or type(value).__name__.lower()
    return Init(name, kind, what)


def _kind(value: Any) -> tuple[Any, Any]:
    if isinstance(value, str):
        return _from_text(value)
    from fanin.plans import Plan
    from fanin.plans.presets import Preset
    from fanin.rules.rule import FACTORIES, Rule

    if isinstance(value, os.PathLike):
        return "plan", Plan.load(os.fspath(value))
    if isinstance(value, Plan):
        return "plan", value
    if isinstance(value, Rule):
        return "rule", value
    if isinstance(value, Preset):
        return "preset", value
    if value in FACTORIES.values():
        return "rule", value()  # `rules.he_normal` for `rules.he_normal()`
    if callable(value):
        return "function", value
    raise FaninTypeError(
        f"inits holds a {type(value).__name__}, but accepted are names, rules, plans, plan files and functions of the model"
    )


def _from_text(text: str) -> tuple[Any, Any]:
    from fanin.rules import registry

    first, *rest = split_additions(text)
    if rest:
        return "sum", Sum(parse_init(first), tuple(parse_addition(part, text) for part in rest))
    if text in NAMED:
        return text, None
    if text.endswith(".json"):
        from fanin.plans import Plan

        return "plan", Plan.load(text)
    from fanin.plans.presets import find, is_preset, presets

    if is_preset(text) and not text.endswith("()"):  # `deepnorm` is the recipe for a whole model, `deepnorm()` the rule
        return "preset", find(text)
    if "(" in text:
        return "rule", registry.parse(text)
    try:
        return "rule", registry.parse(text)
    except FaninValueError as error:
        rules = registry.table()
        accepted = [*NAMED, *(preset.name for preset in presets()), *(info.name for info in rules)]
        accepted += [alias for info in rules for alias in info.aliases]
        close = difflib.get_close_matches(text, accepted, 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise FaninValueError(
            f"inits has {text!r}, which is unknown; accepted are {', '.join(NAMED)}, "
            "a preset (`fanin rules --presets` lists them), a rule (see `fanin rules`), "
            f"a plan file that ends in .json, and any of these with rules for some weights, as in default+forget_bias{hint}"
        ) from error
