"""Writes the stubs that tell editors and type checkers what is made while it is imported.

`src/fanin/torch.pyi`: the functions that `fanin.torch` makes from the rules; `src/fanin/jax.pyi`: likewise;
`src/fanin/rules/__init__.pyi`: the rules.

python -m tests.stubs
"""

import inspect
import re
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fanin.torch as face
from fanin import rules
from fanin.rules.rule import ALIASES, FACTORIES

HEADER = '''"""The functions of `fanin.torch`, for editors and type checkers. Written by `python -m tests.stubs`; do not edit."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fanin.activations import Activation
from fanin.plans.records import Plan
from fanin.rules.requirement import Requirement
from fanin.slots import Axes

__all__: list[str]
FUNCTIONS: dict[str, Callable[..., Tensor]]
'''
LINE = 120
RULES = Path(rules.__file__).with_suffix(".pyi")
RULES_HEADER = '"""The rules, for editors and type checkers. Written by `python -m tests.stubs`; do not edit."""\n\n'


def stub() -> str:
    """The text of the stub file."""
    return HEADER + "".join(_function(getattr(face, name)) for name in sorted(face.__all__))


def rules_stub() -> str:
    """The text of the stub of `fanin.rules`: what each name is imported from."""
    own = {name: f.__module__ for name, f in FACTORIES.items() if f.__module__.startswith("fanin.rules.")}
    pairs = [(module, name) for name, module in own.items()]
    pairs += [("fanin.rules.registry", n) for n in ("RuleInfo", "explain", "get", "load_all", "parse", "table")]
    pairs += [("fanin.rules.rule", n) for n in ("Rule", "rule")]
    lines = [f"from {module} import {name} as {name}\n" for module, name in sorted(pairs)]
    lines += ["\n", *(f"{alias} = {name}\n" for alias, name in sorted(ALIASES.items()) if name in own)]
    return RULES_HEADER + "".join(lines)


def _function(function: Callable[..., Any]) -> str:
    signature = inspect.signature(function)
    texts = [_parameter(p) for p in signature.parameters.values()]
    first = next((k for k, p in enumerate(signature.parameters.values()) if p.kind is p.KEYWORD_ONLY), None)
    if first is not None:
        texts.insert(first, "*")
    returns = _annotation(signature.return_annotation)
    head = f"def {function.__name__}({', '.join(texts)}) -> {returns}:"
    if len(head) > LINE:
        inside = "".join(f"    {text},\n" for text in texts)
        head = f"def {function.__name__}(\n{inside}) -> {returns}:"
    summary = " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())
    return f'\n{head}\n    """{summary}"""\n'


def _parameter(p: inspect.Parameter) -> str:
    default = "" if p.default is p.empty else f" = {p.default!r}".replace("'", '"')
    return f"{p.name}: {_annotation(p.annotation)}{default}"


def _annotation(annotation: Any) -> str:
    plain = isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias)
    text = annotation.__name__ if plain else str(annotation)
    text = "torch.Generator | None" if "Generator" in text else text
    text = "nn.Module" if text == "Module" else text
    return re.sub(r"\b(?:fanin(?:\.[a-z]\w*)+|collections\.abc|typing|torch(?=\.(?:Tensor|nn)\b))\.", "", text)


if __name__ == "__main__":
    Path(face.__file__).with_suffix(".pyi").write_text(stub(), encoding="utf-8")
    RULES.write_text(rules_stub(), encoding="utf-8")
    from tests.stubs_jax import write

    write()
