"""Families of weights whose names differ in one number and that are drawn alike, so that a plan reads short."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from fanin.plans.records import Entry, Plan

NUMBER = re.compile(
    r"(?<![0-9A-Za-z_])\d+(?![0-9A-Za-z_])"
)  # a whole component of a name, such as the 3 of layers.3.weight


@dataclass(frozen=True)
class Group:
    """Weights that are drawn alike.

    Attributes:
        template: the name with `{i}` where the number stands ("" in the template of a single weight is its name).
        numbers: the values of the number, in order; empty for a single weight.
        names: the names, in order.
        entries: their entries, in order; all have the same distribution, multiplier and lr_scale.
    """

    template: str
    numbers: tuple[int, ...]
    names: tuple[str, ...]
    entries: tuple[Entry, ...]

    @property
    def title(self) -> str:
        """The names in one: `layers.{0…28 step 2}.weight`."""
        if not self.numbers:
            return self.names[0]
        return self.template.replace("{i}", "{" + numbers_text(self.numbers) + "}")


def numbers_text(numbers: tuple[int, ...]) -> str:
    """Numbers in a few characters: "0…28 step 2", or a list."""
    steps = progression(numbers)
    if steps is None:
        return ",".join(map(str, numbers))
    if len(numbers) == 2:
        return f"{numbers[0]},{numbers[1]}"
    return f"{numbers[0]}…{numbers[-1]}" + (f" step {steps.step}" if steps.step != 1 else "")


def progression(numbers: tuple[int, ...]) -> range | None:
    """The range that these numbers are, or None."""
    if len(numbers) < 2:
        return None
    step = numbers[1] - numbers[0]
    steps = range(numbers[0], numbers[-1] + 1, step) if step > 0 else None
    return steps if steps is not None and tuple(steps) == numbers else None


def group_entries(plan: Plan) -> list[Group]:
    """The plan's entries in groups, in the order of each group's first weight.

    Two weights stand together where their names differ in one number, they are drawn alike and have one shape.
    """
    left = dict.fromkeys(plan.entries)
    families: dict[tuple[object, ...], list[tuple[int, str]]] = {}
    for name, entry in plan.entries.items():
        need = plan.requires.get(name)
        alike = (replace(entry, reason=""), need.shape if need else None)
        for template, number in _templates(name):
            families.setdefault((template, alike), []).append((number, name))
    groups = []
    for name in plan.entries:
        if name not in left:
            continue
        entry = plan.entries[name]
        need = plan.requires.get(name)
        alike = (replace(entry, reason=""), need.shape if need else None)
        best: tuple[str, list[tuple[int, str]]] = (name, [])
        for template, _ in _templates(name):
            members = [(i, n) for i, n in families[(template, alike)] if n in left]
            if len(members) > max(1, len(best[1])):
                best = (template, members)
        members = sorted(best[1])
        names = tuple(n for _, n in members) or (name,)
        for n in names:
            del left[n]
        groups.append(Group(best[0], tuple(i for i, _ in members), names, tuple(plan.entries[n] for n in names)))
    return groups


def _templates(name: str) -> Iterator[tuple[str, int]]:
    """The name with one of its numbers taken out, for each of its numbers, with that number."""
    for found in NUMBER.finditer(name):
        if found.group() == str(int(found.group())):
            yield f"{name[: found.start()]}{{i}}{name[found.end() :]}", int(found.group())
