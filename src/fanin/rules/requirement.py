"""What a rule needs the architecture to have, such as a scalar on every residual branch (ReZero)."""

from dataclasses import dataclass
from typing import Literal

from fanin.records import Record

RequirementKind = Literal[
    "branch_scalar",  # one trainable scalar multiplies each residual branch (ReZero, SkipInit, Fixup's multiplier)
    "branch_vector",  # one trainable number a channel multiplies each residual branch (LayerScale)
    "scalar_biases",  # scalar biases before each weight and activation of a residual branch (Fixup)
    "no_norm",  # the norms are gone (Fixup, T-Fixup)
    "skip_weight",  # a factor on the skip path of each residual add (Admin's omega, DeepNorm's alpha)
    "branch_norm",  # a norm inside each sublayer, before its last weight (Sub-LN)
    "activation",  # the activations are reshaped (DKS, TAT)
    "op_scale",  # the op multiplies its output by a number (u-muP, NTK parametrization)
]


@dataclass(frozen=True)
class Requirement(Record):
    """One thing that the architecture must have.

    Attributes:
        kind: what.
        where: dotted path of the module, or name of the weight, that it is about.
        value: the number that goes with it (DeepNorm's alpha, the multiplier of an op), 0 where there is none.
        detail: the rest in words or as a spec, such as the reshaped activation.
    """

    kind: RequirementKind
    where: str
    value: float = 0.0
    detail: str = ""
