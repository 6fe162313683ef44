"""Plain deep convolutional nets."""

import pytest
import torch
from tests.lab.zoo.tools import CIFAR, IMAGENET, size

from fanin.errors import FaninValueError
from fanin.lab.models.facts import Facts
from fanin.lab.models.vgg_torch import vgg


@pytest.mark.parametrize(
    ("config", "parameters"), [(11, 132_863_336), (13, 133_047_848), (16, 138_357_544), (19, 143_667_240)]
)
def test_sizes_are_those_of_the_paper(config: int, parameters: int) -> None:
    """Table 2 of Simonyan & Zisserman 2015: 133, 133, 138 and 144 millions; exact as torchvision has them."""
    assert size("vgg", IMAGENET, config=config, hidden=4096) == parameters


def test_small_images_are_pooled_until_one_pixel_is_left() -> None:
    model = vgg(Facts((1, 8, 8), "image", 10), 11, width=4, hidden=8)
    assert sum(isinstance(m, torch.nn.MaxPool2d) for m in model) == 3
    assert model(torch.randn(2, 1, 8, 8)).shape == (2, 10)


def test_other_configurations_are_refused() -> None:
    with pytest.raises(FaninValueError, match="config=12 is unknown; accepted are 11, 13, 16, 19"):
        vgg(CIFAR, 12)
