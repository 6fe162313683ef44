"""Numbers that a rule needs and a slot cannot know of itself, from the whole trace: layers of the model, and its width."""

import functools
from typing import Any

from fanin.plans.requirements import channels
from fanin.rules.branches import deepest
from fanin.rules.rule import Rule
from fanin.slots import Slot
from fanin.traces.records import ResidualAdd, Trace

RATIOS = ("in_ratio", "out_ratio")  # how many times as wide as the base model


def completed(value: Any, slot: Slot, trace: Trace) -> Any:
    """The rule with what it lacks for this weight filled in; what is no rule, or lacks nothing, as it is.

    `layers` of embeddings and scales outside of branches are those of the model's longest stream. Ratios of widths (muP) are
    those of the residual stream, where there is one: a feed-forward of 4 d, an embedding and a head all grow with d.
    """
    if not isinstance(value, Rule):
        return value
    found: dict[str, float] = {}
    if value.arguments.get("layers", 0) is None and _asks_for_layers(slot):
        layers = deepest(trace.slots)
        found = {"layers": layers} if layers else {}
    base = value.arguments.get("base_width")
    lacking = [name for name in RATIOS if value.arguments.get(name, 0) is None]
    width = stream_width(trace, slot) if lacking else None
    if width is not None and isinstance(base, int | float):
        found |= dict.fromkeys(lacking, width / base)
    return Rule(value.name, {**value.arguments, **found}) if found else value


def _asks_for_layers(slot: Slot) -> bool:
    aside = slot.role == "scale" or (slot.axes is not None and slot.axes.size("lookup") > 1)
    return aside and slot.residual is None


def stream_width(trace: Trace, slot: Slot) -> int | None:
    """Channels of the residual stream that the weight's branch is added to; beside branches, of the model's, where it has one width.

    A skip inside of a branch (Mamba's D, around the scan) makes no stream of the model.
    """
    outer = _outermost(trace.residuals)
    own = [add for add in outer if slot.name in add.weights or slot.weight in add.weights]
    ends = {add.weights[-1] for add in own or outer}
    widths = {channels(s) for s in trace.slots if s.name in ends}
    return widths.pop() if len(widths) == 1 and 0 not in widths else None


@functools.lru_cache(maxsize=4)
def _outermost(adds: tuple[ResidualAdd, ...]) -> tuple[ResidualAdd, ...]:
    """The adds with weights that lie on no other add's branch."""
    sets = [frozenset(add.weights) for add in adds]
    return tuple(add for add, own in zip(adds, sets, strict=True) if own and not any(own < other for other in sets))
