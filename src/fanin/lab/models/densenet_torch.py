"""Densely connected nets for small images (Huang et al. 2017)."""

import torch
from torch import Tensor, nn

from fanin.errors import FaninValueError
from fanin.lab.models.facts import Facts
from fanin.lab.models.layers_torch import activation as activation_of
from fanin.lab.models.layers_torch import check_whole, image_norm

COMPRESSION = 2  # of the channels between stages, with bottlenecks


def densenet(
    data: Facts,
    depth: int = 40,
    growth: int = 12,
    bottleneck: bool = False,
    norm: str | None = "batch",
    activation: str = "relu",
) -> nn.Module:
    """Three stages in which every layer reads what all layers before it gave; mean pooling between them.

    Args:
        data: images.
        depth: layers with weights: 3 n + 4, or 6 n + 4 with bottlenecks. Published: 40, and 100 with bottlenecks.
        growth: channels that each layer adds.
        bottleneck: a 1 × 1 convolution to 4 · growth channels before each 3 × 3 one, and half of the channels between stages
            (DenseNet-BC).
        norm: before each activation: "batch" as published, "group", "layer", or None (convolutions have biases then).
        activation: before each convolution, by name.
    """
    check_whole(depth=depth, growth=growth)
    unit = 6 if bottleneck else 3
    if depth < unit + 4 or (depth - 4) % unit:
        raise FaninValueError(f"depth={depth!r} must be {unit} n + 4: {unit + 4}, {unit * 2 + 4} and so on")
    layers = (depth - 4) // unit
    channels = 2 * growth if bottleneck else 16
    bias = norm is None

    def convolution(inside: int, outside: int, edge: int) -> list[nn.Module]:
        taps = nn.Conv2d(inside, outside, edge, padding=edge // 2, bias=bias)
        return [*image_norm(norm, inside), activation_of(activation), taps]

    stages: list[nn.Module] = [nn.Conv2d(data.shape[0], channels, 3, padding=1, bias=bias)]
    for stage in range(3):
        for _ in range(layers):
            narrow = convolution(channels, 4 * growth, 1) if bottleneck else []
            stages.append(Dense(*narrow, *convolution(4 * growth if bottleneck else channels, growth, 3)))
            channels += growth
        if stage < 2:
            left = channels // COMPRESSION if bottleneck else channels
            stages += [*convolution(channels, left, 1), nn.AvgPool2d(2, ceil_mode=True)]
            channels = left
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, data.outputs)]
    return nn.Sequential(*stages, *image_norm(norm, channels), activation_of(activation), *head)


class Dense(nn.Module):
    """The input, and beside it what the layers make of it."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.layers(x)], 1)
