"""The law that a weight was drawn from, estimated from its stored values."""

import math
from dataclasses import dataclass, field
from typing import Any

from fanin.records import changed
from fanin.slots import Slot
from fanin.traces.records import Trace, WeightFacts

MEAN_SIGMAS = 5.0  # a sample mean within this many standard errors of zero counts as zero
ORTHOGONAL = 0.3  # rms deviation of the Gram matrix from I, times sqrt of width, under which rows count as orthogonal


@dataclass(frozen=True)
class WeightLaw:
    """What theory needs of one weight.

    Attributes:
        name: the slot's name.
        fan_in, fan_out: from the slot's axes (1 where they are not known).
        inputs, outputs: extents of the in and out axes, all stacked blocks together.
        mean, variance: of one entry; the mean is 0 where the sample does not show another.
        doubt: variance of ln(variance) that the estimate from a finite sample has.
        kurtosis: of the entries.
        orthogonal: rows or columns are orthonormal up to scale.
        mirrored_in, mirrored_out: columns, rows come in opposite pairs.
        constant: all entries are equal.
        sparse: fraction of entries that are exactly zero (a Dirac or an identity has most of them).
        centre: of a kernel, all taps but the central one are zero.
        identity: each output is a multiple of one input (its own), or zero.
        centred: each output's weights sum to zero over the inputs.
        parts: the laws of equal blocks stacked on the outputs (gates; queries, keys and values), where they are stated apart.
        source: (distribution, shape, multiplier) where the law is stated and not estimated.
    """

    name: str
    fan_in: float
    fan_out: float
    inputs: int
    outputs: int
    mean: float
    variance: float
    doubt: float
    kurtosis: float
    orthogonal: bool
    mirrored_in: bool
    mirrored_out: bool
    constant: bool
    sparse: float
    centre: bool = False
    identity: bool = False
    centred: bool = False
    parts: tuple["WeightLaw", ...] = ()
    source: tuple[Any, tuple[int, ...], float] | None = field(default=None, compare=False)

    def named(self, name: str) -> "WeightLaw":
        """This law, and its blocks', as one weight's."""
        return changed(self, name=name, parts=tuple(part.named(name) for part in self.parts))

    @property
    def power(self) -> float:
        """fan_in · E[w²] about the mean: the gain of the second moment for a signal without mean."""
        return self.fan_in * self.variance

    @property
    def zero(self) -> bool:
        """All entries are zero."""
        return self.constant and self.mean == 0.0


def law_of(slot: Slot, facts: WeightFacts) -> WeightLaw:
    """The law of one slot's values."""
    variance = facts.std**2 if math.isfinite(facts.std) else 0.0
    n = max(facts.sampled, 1)
    error = facts.std / math.sqrt(n)
    constant = facts.constant or variance == 0.0
    mean = facts.mean if constant or abs(facts.mean) > MEAN_SIGMAS * error else 0.0
    kurtosis = facts.kurtosis if math.isfinite(facts.kurtosis) else 3.0
    axes = slot.axes
    return WeightLaw(
        name=slot.name,
        fan_in=axes.fan_in if axes else 1.0,
        fan_out=axes.fan_out if axes else 1.0,
        inputs=max(axes.size("in"), 1) if axes else 1,
        outputs=max(axes.size("out") * axes.size("stack"), 1) if axes else max(slot.shape[0] if slot.shape else 1, 1),
        mean=mean if math.isfinite(mean) else 0.0,
        variance=0.0 if constant else variance,
        doubt=0.0 if constant else max(kurtosis - 1.0, 0.0) / n,
        kurtosis=kurtosis,
        orthogonal=facts.orthogonality < ORTHOGONAL,  # False for NaN
        mirrored_in=facts.mirrored_in,
        mirrored_out=facts.mirrored_out,
        constant=constant,
        sparse=facts.zeros,
    )


def laws_of(trace: Trace) -> dict[str, WeightLaw]:
    """The law of every slot that has facts, by every one of its names."""
    laws = {}
    for slot in trace.slots:
        facts = trace.weights.get(slot.name)
        if facts is not None:
            law = law_of(slot, facts)
            laws |= dict.fromkeys((slot.name, *slot.names), law)
    return laws
