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
        where: name of the weight, or dotted path of the norm, that it is about; in a plan, what `fanin.torch.edit` needs is a
            weight's name, or for what is about a whole branch the path of the module that the branch ends with ("" where no
            module ends there).
        value: the number that goes with it (DeepNorm's alpha, the multiplier of an op), 0 where there is none.
        detail: the rest in words or as a spec, such as the reshaped activation; "each branch" where it is required of every
            residual branch and no watched pass says which there are (then `where` is "").
        start: in a plan, for what is about a skip path: dotted path of the module that takes the stream as its input; for an
            activation: where it is computed.
        met_by: in a plan, name of the parameter by which the traced model has it already; empty where it does not.
        width: in a plan, channels of the branch (0 where unknown).
        lr_scale: factor on the learning rate that the rule asks for what is put in (Fixup's scalars: a tenth).
    """

    kind: RequirementKind
    where: str
    value: float = 0.0
    detail: str = ""
    start: str = ""
    met_by: str = ""
    width: int = 0
    lr_scale: float = 1.0
