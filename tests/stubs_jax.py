"""The stub of `fanin.jax`: the factories that it makes from the rules. Written by `python -m tests.stubs`."""

import inspect
import re
from pathlib import Path
from typing import Any

from tests.stubs import LINE, _annotation, _parameter

import fanin.jax as face

HEADER = '''"""The factories of `fanin.jax`, for editors and type checkers. Written by `python -m tests.stubs`; do not edit."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from jax import Array

from fanin.activations import Activation
from fanin.distributions import Distribution
from fanin.draws.jax_initializer import Axis, Initializer
from fanin.plans.records import Plan
from fanin.rules.requirement import Requirement
from fanin.slots import Axes, Slot

__all__: list[str]
FUNCTIONS: dict[str, Callable[..., Initializer]]
'''
PATH = Path(face.__file__).with_suffix(".pyi")


def stub() -> str:
    """The text of the stub file."""
    return HEADER + "".join(
        _function(name, getattr(face, name)) for name in sorted(face.__all__) if name != "Initializer"
    )


def _function(name: str, function: Any) -> str:
    """One function, as `tests.stubs` writes them, under its name in the face."""
    signature = inspect.signature(function)
    texts = [_jax(_parameter(p)) for p in signature.parameters.values()]
    first = next((k for k, p in enumerate(signature.parameters.values()) if p.kind is p.KEYWORD_ONLY), None)
    if first is not None:
        texts.insert(first, "*")
    returns = _jax(_annotation(signature.return_annotation))
    head = f"def {name}({', '.join(texts)}) -> {returns}:"
    if len(head) > LINE:
        inside = "".join(f"    {text},\n" for text in texts)
        head = f"def {name}(\n{inside}) -> {returns}:"
    summary = " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())
    return f'\n{head}\n    """{summary}"""\n'


def _jax(text: str) -> str:
    text = re.sub(r"\bint \| (?:collections\.abc\.)?Sequence\[int\]", "Axis", text)
    return re.sub(
        r"\bfanin\.(?:plans\.)?\w+\.(?=[A-Z])|\bjax_initializer\.|\b(?:jax\.jaxlib\._jax|jaxlib\._jax|jax)\.(?=Array\b)",
        "",
        text,
    )


def write() -> None:
    """Write the stub file."""
    PATH.write_text(stub(), encoding="utf-8")


if __name__ == "__main__":
    write()
