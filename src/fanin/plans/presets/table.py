"""Reads presets: their files, and texts such as "gpt2(std=0.01)"."""

import ast
import difflib
import functools
import tomllib
from dataclasses import replace
from importlib import resources
from typing import Any

from fanin.errors import FaninValueError
from fanin.plans.presets.records import CRITERIA, FLAGS, WORDS, Preset, Recipe

FACTS = ("title", "source", "assumes", "verified")


@functools.cache
def presets() -> tuple[Preset, ...]:
    """Every preset, by name.

    Example:
        >>> [preset.title for preset in presets() if preset.name == "gpt2"]
        ['GPT-2']
    """
    folder = resources.files("fanin.plans.presets")
    files = {f.name.removesuffix(".toml"): f for f in folder.iterdir() if f.name.endswith(".toml")}
    return tuple(read(name, files[name].read_text(encoding="utf-8")) for name in sorted(files))


def read(name: str, text: str) -> Preset:
    """The preset that a file's text holds; raises `FaninValueError` where it does not keep to the schema."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FaninValueError(f"preset {name!r} is not TOML: {error}") from None
    unknown = sorted(set(data) - {*FACTS, "parameters", "weights"})
    lacking = [key for key in (*FACTS, "weights") if not data.get(key)]
    if unknown or lacking:
        raise FaninValueError(
            f"preset {name!r} lacks {lacking} and has unknown {unknown}; see fanin.plans.presets.records"
        )
    recipes = tuple(_recipe(name, entry) for entry in data["weights"])
    parameters = {key: float(value) for key, value in data.get("parameters", {}).items()}
    facts = {key: " ".join(data[key].split()) for key in FACTS}
    return Preset(name=name, parameters=parameters, recipes=recipes, **facts)


def _recipe(name: str, entry: dict[str, Any]) -> Recipe:
    unknown = sorted(set(entry) - {*CRITERIA, "rule", "keep", "from_weight"})
    if unknown or ("rule" in entry) == ("keep" in entry):
        raise FaninValueError(f"preset {name!r}: {entry} has unknown {unknown}, or not one of rule and keep")
    words = {key: _tuple(entry[key]) for key in WORDS if key in entry}
    flags = {key: bool(entry[key]) for key in FLAGS if key in entry}
    met = entry.get("activation")
    if isinstance(met, bool):
        flags["activation"] = met
    elif met is not None:
        words["activation"] = _tuple(met)
    return Recipe(entry.get("rule", ""), words, flags, tuple(entry.get("rank", ())), bool(entry.get("from_weight")))


def _tuple(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def is_preset(text: str) -> bool:
    """Whether this text begins with the name of a preset, with or without numbers in brackets."""
    return text.partition("(")[0].strip() in {preset.name for preset in presets()}


def find(text: str, **parameters: float) -> Preset:
    """The preset of this name, with numbers of one's own.

    Args:
        text: a name, or a name with numbers in brackets.
        parameters: numbers by name, besides those in brackets.

    Raises:
        FaninValueError: an unknown name or parameter, or a value that is no number.

    Example:
        >>> find("gpt2(std=0.01)").parameters
        {'std': 0.01}
    """
    name, bracket, _ = text.partition("(")
    name = name.strip()
    known = {preset.name: preset for preset in presets()}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise FaninValueError(f"preset {name!r} is not known; accepted are {', '.join(known)}{hint}")
    given = {**(_numbers(text) if bracket else {}), **parameters}
    unknown = sorted(set(given) - set(known[name].parameters))
    if unknown:
        takes = ", ".join(known[name].parameters) or "none"
        raise FaninValueError(f"preset {name!r} has no parameter {', '.join(unknown)}; it takes {takes}")
    wrong = [k for k, v in given.items() if isinstance(v, bool) or not isinstance(v, int | float) or v - v != 0]
    if wrong:
        raise FaninValueError(
            f"preset {name!r}: {wrong[0]}={given[wrong[0]]!r} cannot be used; it must be a finite number"
        )
    return replace(known[name], parameters={**known[name].parameters, **{k: float(v) for k, v in given.items()}})


def _numbers(text: str) -> dict[str, Any]:
    """The numbers in the brackets of "name(a=1)"; no code is run."""
    wrong = FaninValueError(f"preset {text!r} does not parse; write a name, or numbers by name as in 'gpt2(std=0.01)'")
    try:
        call = ast.parse("f" + text[text.index("(") :], mode="eval").body
        if not isinstance(call, ast.Call) or call.args:
            raise wrong
        return {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    except (SyntaxError, ValueError):
        raise wrong from None
