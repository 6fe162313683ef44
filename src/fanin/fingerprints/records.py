"""Fingerprints and the outcome of a verification, and what both are computed from."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from fanin.fingerprints.hashing import Bits
from fanin.plans.parts import Part
from fanin.records import Record

# How words of many processes become one: summed with copies counted once, summed over all copies, or the largest.
Join = Literal["once", "every", "largest"]


@dataclass(frozen=True)
class Held:
    """One tensor, of which this process holds some blocks.

    Attributes:
        name: canonical name.
        dtype: its type, such as "float32".
        shape: its global shape.
        parts: the blocks held here.
        bits: one block, or a piece of one → its numbers as unsigned integers.
        shared: whether other processes hold blocks of it.
        first: whether this process speaks for its blocks among those of its mesh that hold the same.
        group: the first process of its mesh; of several meshes with copies of a tensor, that with the lowest speaks.
        uncut: whether a piece of a block costs as much as the whole tensor.
        others: further names of it.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    parts: tuple[Part, ...]
    bits: Callable[[Part], Bits]
    shared: bool = False
    first: bool = True
    group: int = 0
    uncut: bool = False
    others: tuple[str, ...] = ()

    def called(self, others: tuple[str, ...]) -> "Held":
        """The same with these further names."""
        return replace(self, others=others)


@dataclass(frozen=True)
class Fingerprint(Record):
    """The hash of a model, and of each of its tensors.

    Equal for equal names, types, shapes and bits, whatever the framework, the shards and the order. -0.0 differs from 0.0,
    and NaNs by their bits.

    Attributes:
        whole: 32 hexadecimal digits.
        tensors: name → 32 hexadecimal digits.
    """

    whole: str
    tensors: dict[str, str] = field(default_factory=dict)

    def differences(self, other: "Fingerprint") -> tuple[str, ...]:
        """Names of the tensors that are not the same in both, or are in one only."""
        names = {**self.tensors, **other.tensors}
        return tuple(name for name in names if self.tensors.get(name) != other.tensors.get(name))

    def __str__(self) -> str:
        return self.whole


@dataclass(frozen=True)
class Verified(Record):
    """One weight of a plan, compared with what the plan gives.

    Attributes:
        name: of the weight.
        problem: "" where it is the same; else what is wrong, in a few words.
        count: how many numbers differ.
        largest: the largest difference.
    """

    name: str
    problem: str = ""
    count: int = 0
    largest: float = 0.0


@dataclass(frozen=True)
class Verification(Record):
    """Every weight of a plan, compared with what the plan gives."""

    weights: tuple[Verified, ...]

    @property
    def same(self) -> bool:
        """Whether all of them are what the plan gives."""
        return not self.different

    @property
    def different(self) -> tuple[Verified, ...]:
        """Those that are not."""
        return tuple(w for w in self.weights if w.problem)

    def __bool__(self) -> bool:
        return self.same

    def __str__(self) -> str:
        count = len(self.weights)
        if self.same:
            return f"the same: {count} weight{'s' * (count != 1)} as the plan gives them"
        lines = [f"{w.name}: {w.problem}" for w in self.different]
        return "\n".join([f"different: {len(lines)} of {count} weights are not what the plan gives", *lines])
