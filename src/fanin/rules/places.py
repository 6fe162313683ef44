"""Where each element of a weight stands, for rules whose values follow from the place: block, output, input and taps."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fanin.formulas import Places
from fanin.slots import Axes

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Standing:
    """Indices of the places of a window, each of a shape that broadcasts to the window's.

    Attributes:
        stack, out, in_: index within the stacked blocks, a block's outputs and its inputs (lookups count as inputs).
        field: one pair (index, extent) for each axis of the receptive field.
    """

    stack: Index
    out: Index
    in_: Index
    field: tuple[tuple[Index, int], ...]

    @property
    def tap(self) -> Index:
        """Index of the tap, row by row."""
        found = np.zeros(1, dtype=np.int64)
        for index, size in self.field:
            found = found * size + index
        return found


def standing(places: Places, axes: Axes) -> Standing:
    """What the places are for, by the meaning of the axes; a role that is spread over several axes counts the first slowest."""
    found = {role: np.zeros(1, dtype=np.int64) for role in ("stack", "out", "in")}
    field: list[tuple[Index, int]] = []
    for place, axis in zip(places, axes.factors, strict=True):
        rest = place
        inside = []
        for factor in reversed(axis):
            inside.append((factor, rest % factor.size))
            rest = rest // factor.size
        for factor, index in reversed(inside):
            if factor.role == "field":
                field.append((index, factor.size))
            else:
                role = "in" if factor.role == "lookup" else factor.role
                found[role] = found[role] * factor.size + index
    return Standing(found["stack"], found["out"], found["in"], tuple(field))
