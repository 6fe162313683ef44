"""Twin of the queries and keys of which each head looks at one neighbour on a grid."""

import torch
from torch import Tensor


def grid_positions(height: int, width: int, channels: int, device: torch.device) -> Tensor:
    """Sinusoids of a grid (half of the channels for the column, half for the row), normed over the channels."""
    place = torch.arange(height * width, device=device, dtype=torch.float64)
    half, quarter = channels // 2, channels // 4
    speed = 10000.0 ** (-2.0 * torch.arange(quarter, device=device, dtype=torch.float64) / half)
    column, row = (torch.outer(index, speed) for index in (place % width, place // width))
    table = torch.cat([column.sin(), column.cos(), row.sin(), row.cos()], 1)
    table = table - table.mean(1, keepdim=True)
    return table / table.std(1, correction=0, keepdim=True)


def window_offset(head: int, kernel: int) -> tuple[int, int]:
    """The offset (down, right) of a head within a window, the middle first."""
    offsets = [(k // kernel - kernel // 2, k % kernel - kernel // 2) for k in range(kernel**2)]
    return sorted(offsets, key=lambda o: (abs(o[0]) + abs(o[1]), o))[head % kernel**2]


def impulse_heads(
    shape: tuple[int, ...],
    axes: str,
    heads: float,
    height: float,
    width: float,
    kernel: float,
    norm: float,
    noise: float,
    device: torch.device,
    generator: torch.Generator | None,
) -> Tensor:
    """Queries and keys, one after the other, (2 · out, in) or (in, 2 · out)."""
    outputs_first = axes.index("o") < axes.index("i")
    rows, channels = shape if outputs_first else shape[::-1]
    size, n, down, across = rows // 2 // int(heads), int(height * width), int(height), int(width)
    positions = grid_positions(down, across, channels, device)
    rank = min(size, int(torch.linalg.matrix_rank(positions)))
    left, values, right = torch.linalg.svd(positions, full_matrices=False)
    inverse = right[:rank].T @ (left[:, :rank] / values[:rank]).T
    blocks: list[list[Tensor]] = [[], []]
    place = torch.arange(n, device=device)
    for head in range(int(heads)):
        lower, further = window_offset(head, int(kernel))
        row, column = place // across + lower, place % across + further
        inside = (row >= 0) & (row < down) & (column >= 0) & (column < across)
        target = torch.zeros(n, n, device=device, dtype=torch.float64)
        target[place[inside], (row * across + column)[inside]] = 1.0
        random = torch.randn(n, n, device=device, generator=generator).double()
        u, s, v = torch.linalg.svd(inverse @ (target + noise * random * (target == 0)) @ inverse.T)
        root = s[:size].sqrt()
        for k, part in enumerate(((u[:, :size] * root).T, root[:, None] * v[:size])):
            blocks[k].append(norm * part / torch.linalg.norm(part))
    whole = torch.cat([torch.cat(block) for block in blocks]).float()
    return whole if outputs_first else whole.T
