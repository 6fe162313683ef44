"""Densely connected nets."""

import pytest
import torch
from tests.lab.zoo.tools import CIFAR, size

from fanin.errors import FaninValueError
from fanin.lab.models.densenet_torch import Dense, densenet


@pytest.mark.parametrize(("depth", "bottleneck", "millions"), [(40, False, "1.0"), (100, True, "0.8")])
def test_sizes_are_those_of_the_paper(depth: int, bottleneck: bool, millions: str) -> None:
    """Table 2 of Huang et al. 2017, growth rate 12."""
    assert f"{size('densenet', CIFAR, depth=depth, bottleneck=bottleneck) / 1e6:.1f}" == millions


def test_a_layer_hands_on_what_it_reads() -> None:
    layer = Dense(torch.nn.Conv2d(4, 2, 1))
    x = torch.randn(2, 4, 3, 3)
    assert layer(x).shape == (2, 6, 3, 3)
    assert torch.equal(layer(x)[:, :4], x)


@pytest.mark.parametrize(("depth", "bottleneck"), [(4, False), (41, False), (13, True)])
def test_depths_that_there_are_not(depth: int, bottleneck: bool) -> None:
    with pytest.raises(FaninValueError, match=f"depth={depth} must be"):
        densenet(CIFAR, depth, bottleneck=bottleneck)
