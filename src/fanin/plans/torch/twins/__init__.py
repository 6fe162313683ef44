"""The named functions of `fanin.formulas` in plain torch, for `Plan.to_python`: each of the same name as its original.

- a formula: `name(shape, axes, *arguments, device)` → tensor of that shape
- a mapping: `name(x, *arguments)` → tensor
- a builder: `name(shape, axes, *arguments, device, generator)` → tensor of that shape

`axes` is the text of the axes ("oikk"), or None. Their sources are copied into the code that `to_python` writes, so each needs
nothing but torch, math and the functions of its own file; one file a family.
"""

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any


@functools.cache
def twins() -> dict[str, Callable[..., Any]]:
    """Every function of the files here, by name."""
    found: dict[str, Callable[..., Any]] = {}
    for each in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{each.name}")
        found |= {n: f for n, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__}
    return found
