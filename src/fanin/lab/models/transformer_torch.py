"""Transformers of ids: one that predicts the next, one that classifies a text."""

import torch
from torch import Tensor, nn

from fanin.errors import FaninValueError
from fanin.lab.models.attention_torch import Blocks
from fanin.lab.models.facts import Facts
from fanin.lab.models.layers_torch import check_whole
from fanin.lab.models.text_torch import PADDING, mean_of_words, read


def char_transformer(
    data: Facts,
    layers: int = 4,
    width: int = 128,
    heads: int = 4,
    context: int | None = None,
    norm: str | None = "pre",
    activation: str = "gelu",
    dropout: float = 0.0,
    tied: bool = False,
) -> nn.Module:
    """A decoder in which each position sees itself and those before it; the sizes of nanoGPT's small Shakespeare model.

    Weights start as PyTorch's layers do; GPT-2's own initialization is the preset `gpt2`.

    Args:
        data: ids, with a target at each position.
        layers: transformer blocks.
        width: of the stream.
        heads: of each attention.
        context: positions that it has weights for; None: as many as an example of the data has.
        norm: "pre" as in GPT-2, "post" as in the first transformer, or None.
        activation: by name.
        dropout: share that is dropped of what a branch adds.
        tied: whether the output layer is the embedding, as in GPT-2.
    """
    positions = data.shape[0] if context is None else context
    check_whole(context=positions)
    if positions < data.shape[0]:
        raise FaninValueError(f"context={context!r} is too short for rows of {data.shape[0]}")
    if tied and data.vocabulary != data.outputs:
        raise FaninValueError(
            f"tied=True needs as many outputs as ids, but there are {data.outputs} and {data.vocabulary}"
        )
    blocks = Blocks(layers, width, heads, True, norm, activation, dropout)
    return CharTransformer(data.vocabulary, data.outputs, positions, width, blocks, tied)


class CharTransformer(nn.Module):
    """Embedding and positions, blocks, output at each position."""

    def __init__(self, ids: int, outputs: int, positions: int, width: int, blocks: Blocks, tied: bool) -> None:
        super().__init__()
        self.embedding, self.position = nn.Embedding(ids, width), nn.Embedding(positions, width)
        self.blocks = blocks
        self.head = nn.Linear(width, outputs, bias=not tied)
        if tied:
            self.head.weight = self.embedding.weight

    def forward(self, ids: Tensor) -> Tensor:
        places = torch.arange(ids.shape[1], device=ids.device)
        return self.head(self.blocks(self.embedding(ids) + self.position(places)))


def text_transformer(
    data: Facts,
    layers: int = 2,
    width: int = 128,
    heads: int = 4,
    norm: str | None = "pre",
    activation: str = "gelu",
    dropout: float = 0.0,
) -> nn.Module:
    """A small encoder; the mean over the words of the text goes into the output layer. Id 0 is padding and not looked at.

    Args:
        data: ids, with one target each.
        layers: transformer blocks.
        width: of the stream.
        heads: of each attention.
        norm: "pre", "post" as in the first transformer, or None.
        activation: by name.
        dropout: share that is dropped of what a branch adds.
    """
    return TextTransformer(data, width, Blocks(layers, width, heads, False, norm, activation, dropout))


class TextTransformer(nn.Module):
    """Embedding and positions, blocks, mean over the words, output."""

    def __init__(self, data: Facts, width: int, blocks: Blocks) -> None:
        super().__init__()
        self.embedding = nn.Embedding(data.vocabulary, width, padding_idx=PADDING)
        self.position = nn.Embedding(data.shape[0], width)
        self.blocks = blocks
        self.head = nn.Linear(width, data.outputs)

    def forward(self, ids: Tensor) -> Tensor:
        places = torch.arange(ids.shape[1], device=ids.device)
        row = self.blocks(self.embedding(ids) + self.position(places), read(ids))
        return self.head(mean_of_words(row, ids))
