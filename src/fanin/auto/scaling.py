"""Distributions times a factor."""

import dataclasses

from fanin.distributions import Centred, DeltaOrthogonal, Distribution, Mirrored, Normal, Orthogonal, ZeroRows


def times(law: Distribution, factor: float) -> Distribution | None:
    """The distribution scaled, None where this kind is not scaled."""
    match law:
        case Orthogonal() | DeltaOrthogonal():
            return dataclasses.replace(law, gain=law.gain * factor)
        case Normal(mean=0.0):
            return Normal(law.std * factor)
        case Mirrored() | Centred() | ZeroRows():
            base = times(law.base, factor)
            return dataclasses.replace(law, base=base) if base is not None else None
    return None
