"""Twin of the two factors of an adapter that use different halves of one basis."""

import torch
from torch import Tensor


def disjoint_halves(
    shape: tuple[int, ...], axes: str, factor: float, device: torch.device, generator: torch.Generator | None
) -> Tensor:
    """A (factor 0) or B (factor 1) of a dense layer; generators of one state give the two factors of one adapter, B A = 0."""
    out, in_ = shape if axes.index("o") < axes.index("i") else shape[::-1]
    rank, wide = (in_, out) if factor else (out, in_)
    q, r = torch.linalg.qr(torch.randn(rank, rank, device=device, generator=generator))
    q = q * r.diagonal().sign()
    made = torch.randn(wide, rank // 2, device=device, generator=generator) @ q[int(factor) :: 2] / 10.0
    made = made if factor else made.T
    return made if axes.index("o") < axes.index("i") else made.T
