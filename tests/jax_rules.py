"""Rules to try in JAX: every one in the table, with arguments where it cannot do without."""

import inspect
from typing import Any

from fanin import rules
from fanin.errors import FaninError
from fanin.rules.rule import FACTORIES, FACTS

# Values for arguments that a rule cannot do without and of which it gives no sample.
GIVEN: dict[str, Any] = {"std": 0.02, "bound": 0.05, "value": 0.7, "low": -1.0, "high": 1.0, "sparsity": 0.3}
NAMES = [info.name for info in rules.table() if info.name != "mirrored"]
# Shapes with what their axes mean; the last is three projections in one.
SHAPES = {(9, 6): "io", (8, 8): "io", (9, 1, 6): "kio", (3, 3, 6, 12): "kkio", (3, 3, 6, 6): "kkio", (24,): None}
SHAPES |= {(16, 48): "i(s3o)"}


def arguments(name: str) -> dict[str, Any]:
    """Arguments that the rule accepts."""
    needed = {
        p.name: GIVEN.get(p.name, 0.5)
        for p in inspect.signature(FACTORIES[name]).parameters.values()
        if p.default is p.empty
    }
    for tried in (*map(dict, FACTS[name].samples), needed, {**needed, "bound": GIVEN["bound"]}):
        try:
            FACTORIES[name](**tried)
        except FaninError:
            continue
        return tried
    raise AssertionError(f"no arguments are known for {name}; give its rule a sample")
