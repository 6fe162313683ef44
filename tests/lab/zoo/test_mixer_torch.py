"""MLP-Mixer."""

import torch
from tests.lab.zoo.tools import IMAGENET, size

from fanin.lab.models.mixer_torch import Transposed


def test_the_size_of_the_published_model() -> None:
    """Mixer-S/16: 18.5 million, exact as timm has it."""
    assert size("mixer", IMAGENET, patch=16, width=512, tokens=256, channels=2048) == 18_528_264


def test_a_transposed_net_mixes_the_patches_of_each_channel() -> None:
    mix = torch.nn.Linear(5, 5, bias=False)
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(Transposed(mix)(x), torch.einsum("oi,bic->boc", mix.weight, x))
