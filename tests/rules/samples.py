"""For each rule a call that works on a bare tensor: arguments, shape and axes. For the tests of the frameworks' faces.

Rules that need to know more of the model (a place in a residual stream, a chain) are not here: they are drawn through plans.
"""

import functools
from dataclasses import dataclass
from typing import Any

from fanin.errors import FaninError
from fanin.rules.rule import FACTORIES, FACTS, Rule
from fanin.slots import Axes, Slot

SHAPES = {
    (8, 6): "oi",
    (8, 8): "oi",
    (8, 6, 3, 3): "oikk",
    (8, 8, 3, 3): "oikk",
    (8, 8, 4, 4): "oikk",
    (8,): None,
}
# For arguments that a family cannot do without and has no sample of.
ARGUMENTS: dict[str, Any] = {"std": 0.3, "bound": 0.3, "value": 2.0}


@dataclass(frozen=True)
class Sample:
    """One call: `rule` on a tensor of this shape whose axes mean `axes`."""

    name: str
    arguments: dict[str, Any]
    shape: tuple[int, ...]
    axes: str | None

    @property
    def rule(self) -> Rule:
        return FACTORIES[self.name](**self.arguments)


@functools.cache
def samples() -> dict[str, Sample]:
    """A sample for each of fanin's own rules that has one."""
    found = {}
    for name, factory in FACTORIES.items():
        if not factory.__module__.startswith("fanin.rules."):
            continue
        given = dict(FACTS[name].samples[0]) or _needed(name)
        for shape, axes in SHAPES.items():
            try:
                factory(**given)(Slot("w", shape, "float32", "weight", axes=Axes.parse(axes, shape) if axes else None))
            except FaninError:
                continue
            found[name] = Sample(name, given, shape, axes)
            break
    return found


def _needed(name: str) -> dict[str, Any]:
    import inspect

    parameters = inspect.signature(FACTORIES[name]).parameters.values()
    given = {p.name: ARGUMENTS[p.name] for p in parameters if p.default is p.empty}
    return {"bound": ARGUMENTS["bound"]} if name == "uniform" else given
