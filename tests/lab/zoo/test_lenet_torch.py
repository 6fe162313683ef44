"""LeNet-5."""

import pytest
import torch
from tests.lab.zoo.tools import parameters

from fanin.lab.models.facts import Facts
from fanin.lab.models.lenet_torch import lenet


@pytest.mark.parametrize("edge", [28, 32])
def test_it_has_the_size_that_is_usually_given(edge: int) -> None:
    assert parameters(lenet(Facts((1, edge, edge), "image", 10))) == 61_706


@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 8, 8), (3, 16, 40), (3, 64, 64)])
def test_it_takes_images_of_other_sizes(shape: tuple[int, int, int]) -> None:
    assert lenet(Facts(shape, "image", 3))(torch.randn(2, *shape)).shape == (2, 3)
