"""Convolutional nets for speech."""

import pytest
import torch
from torch import nn

from fanin.lab.models.facts import Facts
from fanin.lab.models.speech_torch import speech_cnn


def test_sizes_are_those_of_the_paper() -> None:
    """Table 1 of Sainath & Parada 2015, `cnn-trad-fpool3`, on 32 frames of 40 bands, in thousands of weights."""
    model = speech_cnn(Facts((1, 32, 40), "image", 4))
    weights = [m.weight.numel() for m in model if isinstance(m, nn.Conv2d | nn.Linear)]
    assert [f"{n / 1e3:.1f}" for n in weights] == ["10.2", "163.8", "65.5", "4.1", "0.5"]


@pytest.mark.parametrize("shape", [(1, 64, 40), (1, 5, 6), (3, 8, 8), (1, 1, 1)])
def test_short_pieces_get_shorter_filters(shape: tuple[int, int, int]) -> None:
    assert speech_cnn(Facts(shape, "image", 4), 4, 4, 4)(torch.randn(2, *shape)).shape == (2, 4)
