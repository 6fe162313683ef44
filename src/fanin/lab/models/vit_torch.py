"""Vision transformers (Dosovitskiy et al. 2021; the small sizes from Touvron et al. 2021)."""

import torch
from torch import Tensor, nn

from fanin.errors import FaninValueError
from fanin.lab.models.attention_torch import Blocks
from fanin.lab.models.facts import Facts
from fanin.lab.models.layers_torch import check_whole

STD = 0.02  # of the positions' weights, which PyTorch has no default for


def vit(
    data: Facts,
    patch: int = 4,
    layers: int = 12,
    width: int = 192,
    heads: int = 3,
    norm: str | None = "pre",
    activation: str = "gelu",
    dropout: float = 0.0,
) -> nn.Module:
    """An image as a row of patches through transformer blocks, read off at a token of its own.

    The default is DeiT-Ti, whose 5,717,416 parameters (16 × 16 patches of ImageNet) come out here as well.

    Args:
        data: images; both sides must be multiples of `patch`.
        patch: pixels along the edge of a patch.
        layers: transformer blocks.
        width: of the stream.
        heads: of each attention.
        norm: "pre" as published, "post" or None.
        activation: by name.
        dropout: share that is dropped of what a branch adds.
    """
    return Vit(data.shape, data.outputs, patch, Blocks(layers, width, heads, False, norm, activation, dropout), width)


def check_patch(shape: tuple[int, ...], patch: int) -> int:
    """How many patches there are; raises `FaninValueError` where they do not tile the image."""
    check_whole(patch=patch)
    _, height, width = shape
    if height % patch or width % patch:
        raise FaninValueError(f"patch={patch!r} does not divide an image of {height} × {width}")
    return (height // patch) * (width // patch)


class Vit(nn.Module):
    """Patches, a token in front of them, positions, blocks, head."""

    def __init__(self, shape: tuple[int, ...], outputs: int, patch: int, blocks: Blocks, width: int) -> None:
        super().__init__()
        patches = check_patch(shape, patch)
        self.patches = nn.Conv2d(shape[0], width, patch, stride=patch)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(torch.empty(1, patches + 1, width))
        nn.init.trunc_normal_(self.position, std=STD)
        self.blocks = blocks
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        row = self.patches(x).flatten(2).transpose(1, 2)
        row = torch.cat([self.token.expand(len(row), -1, -1), row], 1) + self.position
        return self.head(self.blocks(row)[:, 0])
