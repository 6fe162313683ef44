"""Residual branches as users tell them, where no watched pass sees them: the modules that each one is made of."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from fanin.errors import FaninTypeError, FaninValueError
from fanin.plans.requirements import OF_BRANCH
from fanin.rules.requirement import Requirement
from fanin.slots import ResidualPlace, Slot

ACCEPTED = "accepted are a pattern over modules' paths, and a list of patterns or of tuples of them, such as [('*.up', '*.down')]"


@dataclass(frozen=True)
class Branch:
    """One residual branch.

    Attributes:
        modules: paths, in the order in which they are called: the first takes the stream, what the last gives is added to it.
        slots: names of the weights in them, in that order.
        last: name of the last of these that multiplies.
    """

    modules: tuple[str, ...]
    slots: tuple[str, ...]
    last: str


def told_branches(branches: Any, slots: Sequence[Slot]) -> tuple[Branch, ...]:
    """The branches that a user tells, in the model's order of the modules that end them.

    Args:
        branches: a pattern over modules' paths (each one that it matches is a whole branch), or a list of patterns and of tuples of
            them: the modules of a branch in the order in which they are called. Patterns of a tuple match equally many modules.
        slots: of the model, in its order.

    Raises:
        FaninTypeError: it is none of these.
        FaninValueError: a pattern matches no module with weights, those of a tuple match unequally many, a branch has no weight that
            multiplies, or a weight is on two branches.

    Example:
        >>> paths = [f"blocks.{i}.{layer}" for i in range(2) for layer in ("up", "down")]
        >>> slots = [Slot(f"{path}.kernel", (4, 4), "float32", "weight", module=path) for path in paths]
        >>> [branch.last for branch in told_branches([("*.up", "*.down")], slots)]
        ['blocks.0.down.kernel', 'blocks.1.down.kernel']
    """
    given = [branches] if isinstance(branches, str) else branches
    if not isinstance(given, list | tuple):
        raise FaninTypeError(f"branches={branches!r} cannot be used; {ACCEPTED}")
    paths = dict.fromkeys(path for slot in slots for path in _around(slot.module))
    order = {slot.name: place for place, slot in enumerate(slots)}
    found: list[Branch] = []
    for one in given:
        patterns = (one,) if isinstance(one, str) else one
        if not isinstance(patterns, tuple) or not patterns or not all(isinstance(p, str) for p in patterns):
            raise FaninTypeError(f"branches={branches!r} cannot be used; {ACCEPTED}")
        found += [_branch(modules, slots) for modules in _matched(patterns, list(paths))]
    taken: dict[str, Branch] = {}
    for branch in found:
        for name in branch.slots:
            if taken.setdefault(name, branch) is not branch:
                raise FaninValueError(f"branches: {name!r} is on two of them")
    return tuple(sorted(found, key=lambda branch: order[branch.last]))


def _around(module: str) -> list[str]:
    """A module's path and those of the modules around it, outermost first."""
    parts = module.split(".") if module else []
    return [".".join(parts[: k + 1]) for k in range(len(parts))]


def _matched(patterns: tuple[str, ...], paths: list[str]) -> list[tuple[str, ...]]:
    """The modules that each branch is made of; of modules within each other the outermost counts."""
    columns: list[list[str]] = []
    for pattern in patterns:
        hits = [path for path in paths if fnmatchcase(path, pattern)]
        column = [path for path in hits if not set(_around(path)[:-1]) & set(hits)]
        if not column:
            raise FaninValueError(f"branches: {pattern!r} matches no module with weights")
        columns.append(column)
    if len({len(column) for column in columns}) > 1:
        counts = ", ".join(f"{p!r} {len(c)}" for p, c in zip(patterns, columns, strict=True))
        raise FaninValueError(f"branches: the patterns of one branch match equally many modules, but {counts}")
    return list(zip(*columns, strict=True))


def _branch(modules: tuple[str, ...], slots: Sequence[Slot]) -> Branch:
    inside = [slot for module in modules for slot in slots if module in _around(slot.module)]
    weights = [slot.name for slot in inside if slot.role == "weight"]
    if not weights:
        raise FaninValueError(f"branches: {' and '.join(modules)} have no weight that multiplies")
    return Branch(modules, tuple(slot.name for slot in inside), weights[-1])


def on_branches(slots: Sequence[Slot], branches: Sequence[Branch]) -> tuple[Slot, ...]:
    """The slots with their places on these branches, all of one stream."""
    places: dict[str, ResidualPlace] = {}
    came_through: dict[str, Any] = {}
    known = {slot.name: slot for slot in slots}
    for index, branch in enumerate(branches):
        end = branch.slots.index(branch.last)
        normed = any(known[name].role == "norm_scale" for name in branch.slots[end + 1 :])
        before = None
        for place, name in enumerate(branch.slots):
            slot = known[name]
            if slot.role == "weight":
                came_through[name] = before
                before = slot.activation
            ends = place > end and slot.role in ("norm_scale", "norm_shift", "scale")
            if slot.role in ("weight", "recurrent") or ends:
                places[name] = ResidualPlace(index, len(branches), place >= end, normed)
    return tuple(
        replace(slot, residual=places[slot.name], input_activation=slot.input_activation or came_through.get(slot.name))
        if slot.name in places
        else slot
        for slot in slots
    )


def placed_on(
    needs: Iterable[Requirement],
    branches: Sequence[Branch],
    slots: Sequence[Slot],
    followed: Mapping[str, str],
) -> tuple[Requirement, ...]:
    """The requirements with their places in the model.

    Args:
        needs: as rules ask for them, about weights.
        branches: those that the user tells.
        slots: of the model.
        followed: path of a module → the place of the activation that follows it, "" where none does.
    """
    ends = {branch.last: branch for branch in branches}
    known = {slot.name: slot for slot in slots}
    found: list[Requirement] = []
    for need in needs:
        slot = known.get(need.where)
        if need.kind in OF_BRANCH and need.where in ends and slot is not None:
            modules = ends[need.where].modules
            width = slot.axes.size("out") * slot.axes.size("stack") if slot.axes is not None else 0
            found.append(replace(need, where=modules[-1], start=modules[0], width=width))
        elif need.kind == "activation" and slot is not None and slot.module in followed:
            if followed[slot.module]:
                found.append(replace(need, start=followed[slot.module]))
        else:
            found.append(need)
    return tuple(found)
