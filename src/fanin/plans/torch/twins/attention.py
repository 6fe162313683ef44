"""Twin of attention's projections that mimic trained ones."""

import torch
from torch import Tensor


def split_product(
    width: int, alpha: float, beta: float, device: torch.device, generator: torch.Generator
) -> list[Tensor]:
    """L and R with L R = alpha Z + beta I, Z ~ N(0, 1 / width), split evenly by its singular values."""
    z = torch.randn(width, width, device=device, dtype=torch.float64, generator=generator) / width**0.5
    u, s, v = torch.linalg.svd(alpha * z + beta * torch.eye(width, device=device, dtype=torch.float64))
    return [u * s.sqrt(), s.sqrt()[:, None] * v]


def mimetic_projection(
    shape: tuple[int, ...],
    axes: str,
    part: float,
    heads: float,
    a_qk: float,
    b_qk: float,
    a_vo: float,
    b_vo: float,
    device: torch.device,
    generator: torch.Generator | None,
) -> Tensor:
    """Part 0: q, k and v stacked; 1: q, 2: k, 3: v, 4: the output. Generators of one state give the parts of one attention."""
    outputs_first = axes.index("o") < axes.index("i")
    width = shape[1] if outputs_first else shape[0]
    size = width // int(heads)
    source = torch.Generator(device=device)
    source.manual_seed(int(torch.randint(2**62, (1,), device=device, generator=generator)))
    pairs = [split_product(width, a_qk, b_qk, device, source) for _ in range(int(heads))]
    output, value = split_product(width, a_vo, -b_vo, device, source)
    query = torch.cat([left[:, :size].T for left, _ in pairs])
    key = torch.cat([right[:size] for _, right in pairs])
    whole = (torch.cat([query, key, value]), query, key, value, output)[int(part)].float()
    return whole if outputs_first else whole.T
