"""Convolutional nets for speech."""

import pytest
import torch
from tests.lab.zoo.tools import parameters
from torch import nn

from fanin.lab.models.facts import Facts
from fanin.lab.models.speech_torch import speech_cnn


def test_the_layers_of_the_paper_and_its_budget() -> None:
    """Sainath & Parada 2015: 32 frames of 40 bands, filters of 20 × 8 and 10 × 4, below 250 thousand parameters."""
    model = speech_cnn(Facts((1, 32, 40), "image", 4))
    filters = [m.kernel_size for m in model if isinstance(m, nn.Conv2d)]
    assert filters == [(20, 8), (10, 4)]
    assert [m.out_features for m in model if isinstance(m, nn.Linear)] == [32, 128, 4]
    assert 240_000 < parameters(model) < 250_000


@pytest.mark.parametrize("shape", [(1, 64, 40), (1, 5, 6), (3, 8, 8), (1, 1, 1)])
def test_short_pieces_get_shorter_filters(shape: tuple[int, int, int]) -> None:
    assert speech_cnn(Facts(shape, "image", 4), 4, 4, 4)(torch.randn(2, *shape)).shape == (2, 4)
