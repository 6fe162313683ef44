"""The maximal update parametrization by comparison with a base model: which sides of each weight have grown, and by how much."""

from collections.abc import Iterable

from fanin.errors import FaninValueError
from fanin.rules.parametrization import VECTORS, mup
from fanin.rules.rule import Rule
from fanin.slots import Slot
from fanin.traces.records import Trace


def mup_rules(
    trace: Trace,
    base: Trace,
    optimizer: str = "adam",
    std: float | None = None,
    gain: float | None = None,
    *,
    zero_output: bool = False,
) -> dict[str, Rule]:
    """A muP rule for each weight, from the watched passes of a model and of the same model at its base width.

    What has grown on both sides is hidden, on the side of its outputs input-like, on that of its inputs output-like; what has
    not grown is left as it is in the standard parametrization. This is what `mup.set_base_shapes` of Microsoft's library does.

    Args:
        trace: of the model that is to be drawn.
        base: of the base model: the same weights, narrower or of equal size.
        optimizer, std, gain: as for `fanin.rules.mup`.
        zero_output: whether the head starts at zero, as the paper advises (appendix D.2): the random output at the
            start, which shrinks with width, then does not blur what is compared between widths.

    Returns:
        Name → rule, for `plan(..., rules=...)`.

    Raises:
        FaninValueError: the two models do not have the same weights.
    """
    known = {slot.name: slot for slot in base.slots}
    lost = sorted({slot.name for slot in trace.slots} ^ set(known))
    if lost:
        raise FaninValueError(f"base: the two models do not have the same weights: {', '.join(lost)}")
    rules = {slot.name: _rule(slot, known[slot.name], optimizer, std, gain) for slot in trace.slots}
    outputs = [s.name for s in trace.slots if zero_output and s.head and s.role == "weight"]
    return rules | {name: Rule("mup", {**rules[name].arguments, "std": 0.0}) for name in outputs}


def _rule(slot: Slot, base: Slot, optimizer: str, std: float | None, gain: float | None) -> Rule:
    into, out = _growth(slot, base, ("in",)), _growth(slot, base, ("out",))
    if slot.role in VECTORS or slot.axes is None:
        into, out = 1.0, _size(slot.shape) / max(_size(base.shape), 1)
        kind = "vector" if out != 1 else "fixed"
    else:
        kind = {(1, 1): "hidden", (0, 1): "input", (1, 0): "output"}.get((into != 1, out != 1), "fixed")
    return mup(1.0, optimizer, kind, std, gain, into, out)


def _growth(slot: Slot, base: Slot, roles: Iterable[str]) -> float:
    if slot.axes is None or base.axes is None:
        return 1.0
    ratio = 1.0
    for role in roles:
        ratio *= slot.axes.size(role) / max(base.axes.size(role), 1)  # type: ignore[arg-type]
    return ratio


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for extent in shape:
        size *= extent
    return size
