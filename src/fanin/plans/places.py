"""Plans and axes matched to the weights that a model of some framework holds, without a watched pass."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, Protocol, TypeVar

from fanin.draws.largest import largest
from fanin.errors import FaninTypeError, FaninValueError
from fanin.plans import laws
from fanin.plans.records import Entry, Plan
from fanin.slots import Axes, Slot


class Place(Protocol):
    """One weight of a model: every path to it (the first counts), its shape, and its element type."""

    names: list[str]

    @property
    def shape(self) -> tuple[int, ...]:
        """Its global shape."""
        ...

    @property
    def dtype(self) -> Any:
        """Its element type; `str` of it is what errors say."""
        ...


P = TypeVar("P", bound=Place)


def fitted(
    plan: Plan,
    places: Sequence[P],
    *,
    what: str,
    largest: Callable[[P], float | None],
    lacking: Sequence[str],
) -> list[tuple[str, Entry, P]]:
    """Every entry of a plan with its place in the model.

    Args:
        plan: the plan.
        places: one for each weight.
        what: what the framework calls a weight.
        largest: the largest number of a place's type; None where it holds no floating-point numbers.
        lacking: what the plan requires of the architecture and the model does not have, one sentence each.

    Raises:
        FaninValueError: the plan does not fit: all that is wrong is listed.
    """
    known = {name: place for place in places for name in place.names}
    wrong: list[str] = []
    chosen: list[tuple[str, Entry, P]] = []
    taken: dict[int, str] = {}
    for name, entry in plan.entries.items():
        place, need = known.get(name), plan.requires.get(name)
        if place is None:
            wrong.append(f"{name}: the model has no such {what}")
            continue
        limit = largest(place)
        if need is not None and need.shape != place.shape:
            wrong.append(f"{name}: its shape is {place.shape}, but the plan is for {need.shape}")
        elif limit is None:
            kind = "complex" if str(place.dtype).startswith("complex") else "integer"
            wrong.append(f"{name} is {kind} ({place.dtype}); only real floating-point weights are drawn")
        else:
            wrong += _value_problems(name, entry, place, limit)
        if id(place) in taken:
            wrong.append(f"{name} and {taken[id(place)]} are one {what} here, but the plan draws them apart")
        taken.setdefault(id(place), name)
        wrong += [
            f"{other}: it is not the same {what} as {name} here, but the plan has tied them"
            for other in (need.names if need is not None else ())
            if known.get(other) is not place
        ]
        chosen.append((name, entry, place))
    wrong += lacking
    if wrong:
        raise FaninValueError("the plan does not fit the model, and nothing was changed:\n  " + "\n  ".join(wrong))
    return chosen


def as_real(slots: Sequence[Slot]) -> tuple[Slot, ...]:
    """The slots with every type taken for a real one, so that a plan has entries for integers, too, and `fitted` names them.

    A plan alone notes that it leaves them; to draw a model that holds some is refused, since biases without their weights are
    no initialization.
    """
    return tuple(s if s.dtype.startswith(("float", "bfloat")) else replace(s, dtype="float32") for s in slots)


def _value_problems(name: str, entry: Entry, place: Place, limit: float) -> list[str]:
    law, factor = laws.drawn(entry)
    bound = largest(law)
    if bound is not None and not bound * abs(factor) <= limit:
        return [f"{name} would get numbers that are too large for {place.dtype}"]
    refused = laws.refused(law, place.shape, name, str(place.dtype), factor)
    return [f"{name} could not be drawn: {refused}"] if refused else []


def given_axes(axes: Any, places: Sequence[Place], what: str) -> dict[str, str | Axes]:
    """What a user says of weights' axes, by each weight's first name; the last pattern that matches wins.

    Raises:
        FaninTypeError: it is no mapping from patterns.
        FaninValueError: a pattern matches nothing.
    """
    if axes is None:
        return {}
    if not isinstance(axes, Mapping) or not all(isinstance(k, str) for k in axes):
        raise FaninTypeError(f"axes={axes!r} cannot be used; give a mapping such as {{'*.w': 'io'}}")
    found: dict[str, str | Axes] = {}
    for pattern, meaning in axes.items():
        names = [p.names[0] for p in places if any(fnmatchcase(name, pattern) for name in p.names)]
        if not names:
            raise FaninValueError(f"axes: {pattern!r} matches no {what} of the model")
        found.update((name, meaning) for name in names)
    return found
