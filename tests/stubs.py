"""Writes `src/fanin/torch.pyi`, which tells editors and type checkers the functions that `fanin.torch` makes from the rules.

python -m tests.stubs
"""

import inspect
import re
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fanin.torch as face

HEADER = '''"""The functions of `fanin.torch`, for editors and type checkers. Written by `python -m tests.stubs`; do not edit."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fanin.activations import Activation
from fanin.slots import Axes

__all__: list[str]
FUNCTIONS: dict[str, Callable[..., Tensor]]
'''
LINE = 120


def stub() -> str:
    """The text of the stub file."""
    return HEADER + "".join(_function(getattr(face, name)) for name in sorted(face.__all__))


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
    return re.sub(r"\b(?:fanin\.\w+|collections\.abc|typing|torch(?=\.(?:Tensor|nn)\b))\.", "", text)


if __name__ == "__main__":
    Path(face.__file__).with_suffix(".pyi").write_text(stub(), encoding="utf-8")
