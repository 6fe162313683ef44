"""What a model must know of the data that it is built for."""

import math
from dataclasses import dataclass
from typing import Literal

from fanin.lab.data import DataSet
from fanin.records import Record

Kind = Literal["vector", "sequence", "image", "ids"]
IN_WORDS: dict[Kind, str] = {
    "vector": "vectors (features,)",
    "sequence": "sequences (steps, features)",
    "image": "images (channels, height, width)",
    "ids": "ids (positions,)",
}


@dataclass(frozen=True)
class Facts(Record):
    """A data set, as far as the shape of a model depends on it.

    Attributes:
        shape: of one example, as the model takes it.
        kind: what the numbers of that shape are.
        outputs: numbers that the model gives for an example: classes, labels, or elements of the target.
        positions: whether it gives them at each position of the example rather than once.
        vocabulary: number of ids, 0 where the inputs are no ids.
    """

    shape: tuple[int, ...]
    kind: Kind
    outputs: int
    positions: bool = False
    vocabulary: int = 0

    @property
    def size(self) -> int:
        """Numbers in one example."""
        return math.prod(self.shape)


def facts_of(data: DataSet) -> tuple[Facts, ...]:
    """Facts of a data set, one for each form that its examples may be given in, the usual one first."""
    target = data.train_targets.shape[1:]
    outputs = data.classes if data.task != "regression" else math.prod(target)
    return tuple(
        Facts(form, _kind(data, form), outputs, data.task == "language", data.vocabulary)
        for form in data.forms
        if len(form) in (1, 2, 3)
    )


def _kind(data: DataSet, form: tuple[int, ...]) -> Kind:
    if data.train_inputs.dtype.kind in "iu":
        return "ids"
    kinds: dict[int, Kind] = {1: "vector", 2: "sequence", 3: "image"}
    return kinds[len(form)]
