"""Nets that mix patches and channels by turns, without convolution or attention (Tolstikhin et al. 2021)."""

from torch import Tensor, nn

from fanin.lab.models.facts import Facts
from fanin.lab.models.layers_torch import activation as activation_of
from fanin.lab.models.layers_torch import check_whole
from fanin.lab.models.vit_torch import check_patch


def mixer(
    data: Facts,
    patch: int = 4,
    layers: int = 8,
    width: int = 128,
    tokens: int = 64,
    channels: int = 512,
    norm: bool = True,
    activation: str = "gelu",
) -> nn.Module:
    """Patches of an image; each layer mixes the same channel of all patches, then all channels of a patch, in two-layer nets.

    The proportions are those of the paper's S/16 (`patch=16, width=512, tokens=256, channels=2048`), at a quarter of its width.

    Args:
        data: images; both sides must be multiples of `patch`.
        patch: pixels along the edge of a patch.
        layers: of two branches each.
        width: channels of a patch.
        tokens: hidden units of the net that mixes patches.
        channels: hidden units of the net that mixes channels.
        norm: layer norm at the start of each branch, as published.
        activation: by name.
    """
    check_whole(layers=layers, width=width, tokens=tokens, channels=channels)
    return Mixer(data.shape, data.outputs, patch, (layers, width, tokens, channels), norm, activation)


class Mixer(nn.Module):
    """Patches, layers, mean over the patches, head."""

    def __init__(
        self,
        shape: tuple[int, ...],
        outputs: int,
        patch: int,
        sizes: tuple[int, int, int, int],
        norm: bool,
        activation: str,
    ) -> None:
        super().__init__()
        layers, width, tokens, channels = sizes
        patches = check_patch(shape, patch)
        self.patches = nn.Conv2d(shape[0], width, patch, stride=patch)
        self.layers = nn.Sequential(
            *(MixerLayer(patches, width, tokens, channels, norm, activation) for _ in range(layers))
        )
        self.norm = nn.LayerNorm(width) if norm else nn.Identity()
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        row = self.patches(x).flatten(2).transpose(1, 2)
        return self.head(self.norm(self.layers(row)).mean(1))


class MixerLayer(nn.Module):
    """Two branches on the stream: over the patches, and over the channels."""

    def __init__(self, patches: int, width: int, tokens: int, channels: int, norm: bool, activation: str) -> None:
        super().__init__()
        before = [nn.LayerNorm(width) if norm else nn.Identity() for _ in range(2)]
        self.tokens = nn.Sequential(before[0], Transposed(_net(patches, tokens, activation)))
        self.channels = nn.Sequential(before[1], *_net(width, channels, activation))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.tokens(x)
        return x + self.channels(x)


class Transposed(nn.Module):
    """A net on the other axis."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.transpose(1, 2)).transpose(1, 2)


def _net(width: int, hidden: int, activation: str) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), activation_of(activation), nn.Linear(hidden, width))
