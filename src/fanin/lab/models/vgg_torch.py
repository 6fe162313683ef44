"""Plain deep convolutional nets (Simonyan & Zisserman 2015)."""

from torch import nn

from fanin.errors import FaninValueError
from fanin.lab.models.facts import Facts
from fanin.lab.models.layers_torch import activation as activation_of
from fanin.lab.models.layers_torch import check_share, check_whole, dropped, image_norm

# Convolutions of each of the five stages, table 1 of the paper (columns A, B, D, E).
STAGES = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
CHANNELS = (1, 2, 4, 8, 8)  # of each stage, in units of the first one's


def vgg(
    data: Facts,
    config: int = 16,
    norm: str | None = None,
    width: int = 64,
    hidden: int = 512,
    dropout: float = 0.0,
    activation: str = "relu",
) -> nn.Module:
    """Five stages of 3 × 3 convolutions, each ended by 2 × 2 max pooling, then three layers.

    A pool is left out where a side of the image is one pixel already, so that small images are taken too.

    Args:
        data: images.
        config: layers with weights: 11, 13, 16 or 19.
        norm: after each convolution: "batch", "group", "layer", or None as published.
        width: channels of the first stage.
        hidden: units of the two hidden layers at the end: 4096 for the paper's ImageNet, 512 as is usual for CIFAR.
        dropout: share of these that is dropped; the paper's is 0.5.
        activation: by name.
    """
    if config not in STAGES or isinstance(config, bool):
        raise FaninValueError(f"config={config!r} is unknown; accepted are {', '.join(map(str, STAGES))}")
    check_whole(width=width, hidden=hidden)
    check_share(dropout=dropout)
    inside, high, wide = data.shape
    features: list[nn.Module] = []
    for convolutions, times in zip(STAGES[config], CHANNELS, strict=True):
        for _ in range(convolutions):
            features.append(nn.Conv2d(inside, width * times, 3, padding=1, bias=norm is None))
            features += [*image_norm(norm, width * times), activation_of(activation)]
            inside = width * times
        if min(high, wide) > 1:
            features.append(nn.MaxPool2d(2))
            high, wide = high // 2, wide // 2
    layers = [nn.Linear(inside * high * wide, hidden), activation_of(activation), *dropped(dropout)]
    layers += [nn.Linear(hidden, hidden), activation_of(activation), *dropped(dropout)]
    return nn.Sequential(*features, nn.Flatten(), *layers, nn.Linear(hidden, data.outputs))
