"""Recurrent nets on ids and on sequences of numbers."""

import torch
from torch import Tensor, nn

from fanin.errors import FaninValueError
from fanin.lab.models.facts import Facts
from fanin.lab.models.layers_torch import check_share, check_whole
from fanin.lab.models.text_torch import PADDING, read

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
POOLS = ("last", "mean")


def lstm(
    data: Facts, width: int = 128, layers: int = 1, embedding: int = 128, pool: str = "last", dropout: float = 0.0
) -> nn.Module:
    """Long short-term memory; the output at each position where the data has a target there, else one for the sequence.

    Args:
        data: ids, or sequences (steps, features). Of ids with one target each, id 0 is padding at the end and not read.
        width: units of each layer.
        layers: on top of each other.
        embedding: numbers that an id is turned into; sequences of numbers are read as they are.
        pool: what the output of a sequence is made of: "last", the state after its last step, or the "mean" over steps.
        dropout: share that is dropped between layers.
    """
    return Recurrent("lstm", data, width, layers, embedding, pool, dropout)


def gru(
    data: Facts, width: int = 128, layers: int = 1, embedding: int = 128, pool: str = "last", dropout: float = 0.0
) -> nn.Module:
    """Gated recurrent units; otherwise as `lstm`.

    Args:
        data: ids, or sequences (steps, features). Of ids with one target each, id 0 is padding at the end and not read.
        width: units of each layer.
        layers: on top of each other.
        embedding: numbers that an id is turned into.
        pool: "last" or "mean", as in `lstm`.
        dropout: share that is dropped between layers.
    """
    return Recurrent("gru", data, width, layers, embedding, pool, dropout)


def rnn(
    data: Facts,
    width: int = 128,
    layers: int = 1,
    embedding: int = 128,
    pool: str = "last",
    dropout: float = 0.0,
    activation: str = "tanh",
) -> nn.Module:
    """A recurrent net without gates; otherwise as `lstm`.

    Args:
        data: ids, or sequences (steps, features). Of ids with one target each, id 0 is padding at the end and not read.
        width: units of each layer.
        layers: on top of each other.
        embedding: numbers that an id is turned into.
        pool: "last" or "mean", as in `lstm`.
        dropout: share that is dropped between layers.
        activation: "tanh" or "relu".
    """
    if activation not in ("tanh", "relu"):
        raise FaninValueError(
            f"activation={activation!r} is unknown; accepted are tanh and relu, which torch.nn.RNN has"
        )
    return Recurrent("rnn", data, width, layers, embedding, pool, dropout, nonlinearity=activation)


def series_lstm(data: Facts, width: int = 32, layers: int = 1) -> nn.Module:
    """A small LSTM on a window of a series, with one output after its last step.

    Args:
        data: sequences (steps, features), or vectors that are read as one feature a step.
        width: units of each layer.
        layers: on top of each other.
    """
    return Recurrent("lstm", data, width, layers, 0, "last", 0.0)


class Recurrent(nn.Module):
    """Embedding (of ids), recurrent layers, output layer."""

    def __init__(
        self,
        cell: str,
        data: Facts,
        width: int,
        layers: int,
        embedding: int,
        pool: str,
        dropout: float,
        **options: str,
    ) -> None:
        super().__init__()
        check_whole(width=width, layers=layers)
        check_share(dropout=dropout)
        if pool not in POOLS:
            raise FaninValueError(f"pool={pool!r} is unknown; accepted are {' and '.join(POOLS)}")
        if dropout and layers == 1:
            raise FaninValueError(f"dropout={dropout!r} is between layers, and layers=1 has nothing in between")
        self.kind, self.positions, self.pool = data.kind, data.positions, pool
        inside = 1 if data.kind == "vector" else data.shape[-1]
        if data.kind == "ids":
            check_whole(embedding=embedding)
            padding = None if data.positions else PADDING
            self.embedding, inside = nn.Embedding(data.vocabulary, embedding, padding_idx=padding), embedding
        self.layers = CELLS[cell](inside, width, layers, batch_first=True, dropout=dropout, **options)
        self.head = nn.Linear(width, data.outputs)

    def forward(self, x: Tensor) -> Tensor:
        row = self.embedding(x) if self.kind == "ids" else x.unsqueeze(-1) if self.kind == "vector" else x
        states, _ = self.layers(row)
        return self.head(states if self.positions else self._pooled(states, x))

    def _pooled(self, states: Tensor, x: Tensor) -> Tensor:
        if self.kind != "ids":
            return states[:, -1] if self.pool == "last" else states.mean(1)
        words = read(x)
        count = words.sum(1)
        if self.pool == "last":
            return states[torch.arange(len(x), device=x.device), count - 1]
        return (states * words.unsqueeze(-1)).sum(1) / count.unsqueeze(-1)
