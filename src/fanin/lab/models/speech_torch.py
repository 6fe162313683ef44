"""Convolutional nets for short pieces of speech (Sainath & Parada 2015)."""

from torch import nn

from fanin.lab.models.facts import Facts
from fanin.lab.models.layers_torch import activation as activation_of
from fanin.lab.models.layers_torch import check_share, check_whole, dropped

FIRST, SECOND, POOL = (20, 8), (10, 4), 3  # (frames, bands) of the filters; bands of which the largest is kept


def speech_cnn(
    data: Facts, filters: int = 64, narrow: int = 32, width: int = 128, dropout: float = 0.0, activation: str = "relu"
) -> nn.Module:
    """Two convolutions over frames and mel bands, pooling over bands, a linear layer that narrows, one hidden layer.

    The paper's `cnn-trad-fpool3`: on its 32 frames of 40 bands 244,516 parameters, below the 250 thousand that it allows itself.
    Filters are cut to the size of what they see where that is smaller.

    Args:
        data: (1, frames, bands).
        filters: of each convolution.
        narrow: units of the linear layer after them.
        width: units of the hidden layer.
        dropout: share of the hidden units that is dropped.
        activation: by name.
    """
    check_whole(filters=filters, narrow=narrow, width=width)
    check_share(dropout=dropout)
    channels, frames, bands = data.shape
    first = (min(FIRST[0], frames), min(FIRST[1], bands))
    frames, bands = frames - first[0] + 1, bands - first[1] + 1
    pool = min(POOL, bands)
    bands //= pool
    second = (min(SECOND[0], frames), min(SECOND[1], bands))
    frames, bands = frames - second[0] + 1, bands - second[1] + 1
    return nn.Sequential(
        nn.Conv2d(channels, filters, first),
        activation_of(activation),
        nn.MaxPool2d((1, pool)),
        nn.Conv2d(filters, filters, second),
        activation_of(activation),
        nn.Flatten(),
        nn.Linear(filters * frames * bands, narrow),
        nn.Linear(narrow, width),
        activation_of(activation),
        *dropped(dropout),
        nn.Linear(width, data.outputs),
    )
