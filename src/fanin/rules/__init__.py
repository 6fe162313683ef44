"""Rules: why a weight is drawn as it is. A rule is a function from `Slot` to `Distribution`, with formula, paper and promise.

Each file of this folder holds one family; every function in it under `@rule()` is a rule, under its name and its aliases
here. `fanin rules` lists them, `fanin explain NAME` prints one. A rule of your own is one small file with such a function; a
package offers it to everybody by an entry point of the group `fanin.rules` that names the module. `get`, `parse`, `table`
and `explain` find rules by name.
"""

import difflib
import importlib
import pkgutil
from collections.abc import Callable

from fanin.rules.registry import RuleInfo, explain, get, load_all, parse, table
from fanin.rules.rule import ALIASES, FACTORIES, Rule, rule

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

_rules = {**FACTORIES, **{alias: FACTORIES[name] for alias, name in ALIASES.items()}}
globals().update(_rules)  # editors and type checkers read `__init__.pyi`, which `python -m tests.stubs` writes

__all__ = ["Rule", "RuleInfo", "explain", "get", "load_all", "parse", "rule", "table", *sorted(_rules)]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Callable[..., Rule]:
    """The rule of an installed package, or one that was added after this module was imported."""
    if not name.startswith("_"):
        if ALIASES.get(name, name) not in FACTORIES:
            load_all()
        if ALIASES.get(name, name) in FACTORIES:
            return FACTORIES[ALIASES.get(name, name)]
    near = difflib.get_close_matches(name, __all__, n=1)
    raise AttributeError(f"module {__name__!r} has no rule {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
