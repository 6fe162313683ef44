"""Classifiers of texts given as ids; id 0 pads short texts at their end."""

import torch
from torch import Tensor, nn

from fanin.errors import FaninValueError
from fanin.lab.models.facts import Facts
from fanin.lab.models.layers_torch import activation as activation_of
from fanin.lab.models.layers_torch import check_share, check_whole, dropped

PADDING = 0


def read(ids: Tensor) -> Tensor:
    """Which positions hold words (batch, positions); the first one of an empty text counts as one, so that it has a mean."""
    words = ids != PADDING
    first = torch.arange(ids.shape[1], device=ids.device) == 0
    return words | (first & ~words.any(1, keepdim=True))


def mean_of_words(row: Tensor, ids: Tensor) -> Tensor:
    """The mean (batch, width) of a row of vectors (batch, positions, width) over the positions that hold words."""
    words = read(ids).to(row.dtype).unsqueeze(-1)
    return (row * words).sum(1) / words.sum(1)


def text_embedding(
    data: Facts, width: int = 64, depth: int = 0, activation: str = "relu", dropout: float = 0.0
) -> nn.Module:
    """The mean of the words' embeddings, then hidden layers, if any, and the output.

    Args:
        data: ids, with one target each.
        width: of the embedding, and of the hidden layers.
        depth: hidden layers: 0 is fastText's classifier, more are a deep averaging network.
        activation: after each hidden layer, by name.
        dropout: share of the hidden units that is dropped.
    """
    check_whole(width=width)
    check_whole(0, depth=depth)
    check_share(dropout=dropout)
    hidden = [[nn.Linear(width, width), activation_of(activation), *dropped(dropout)] for _ in range(depth)]
    return TextEmbedding(data.vocabulary, width, [layer for part in hidden for layer in part], data.outputs)


class TextEmbedding(nn.Module):
    """Embedding, mean over the words, layers."""

    def __init__(self, ids: int, width: int, hidden: list[nn.Module], outputs: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(ids, width, padding_idx=PADDING)
        self.layers = nn.Sequential(*hidden, nn.Linear(width, outputs))

    def forward(self, ids: Tensor) -> Tensor:
        return self.layers(mean_of_words(self.embedding(ids), ids))


def text_cnn(
    data: Facts,
    width: int = 300,
    filters: int = 100,
    windows: tuple[int, ...] = (3, 4, 5),
    dropout: float = 0.5,
    activation: str = "relu",
) -> nn.Module:
    """Convolutions over windows of words, the largest value of each over the text, dropout, and the output layer.

    Args:
        data: ids, with one target each.
        width: of the embedding.
        filters: feature maps of each window.
        windows: numbers of words that a convolution sees.
        dropout: share of the features that is dropped.
        activation: after the convolutions, by name.
    """
    check_whole(width=width, filters=filters)
    check_share(dropout=dropout)
    windows = tuple(windows) if isinstance(windows, list | tuple) else (windows,)
    for window in windows:
        check_whole(windows=window)
    if not windows or max(windows) > data.shape[0]:
        raise FaninValueError(f"windows={windows!r} must be of 1 to {data.shape[0]} words, the length of a text")
    return TextCnn(data, width, filters, windows, dropout, activation)


class TextCnn(nn.Module):
    """Embedding, convolutions beside each other, largest values, output."""

    def __init__(
        self, data: Facts, width: int, filters: int, windows: tuple[int, ...], dropout: float, activation: str
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(data.vocabulary, width, padding_idx=PADDING)
        self.convolutions = nn.ModuleList(
            nn.Sequential(nn.Conv1d(width, filters, window), activation_of(activation)) for window in windows
        )
        self.head = nn.Sequential(*dropped(dropout), nn.Linear(filters * len(windows), data.outputs))

    def forward(self, ids: Tensor) -> Tensor:
        words = self.embedding(ids).transpose(1, 2)
        return self.head(torch.cat([convolution(words).amax(-1) for convolution in self.convolutions], 1))
