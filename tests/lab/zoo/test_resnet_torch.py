"""Residual nets for small images."""

import pytest
import torch
from tests.lab.zoo.tools import CIFAR, parameters, size

from fanin.errors import FaninValueError
from fanin.lab.models.resnet_torch import Shortcut, resnet


@pytest.mark.parametrize(("depth", "millions"), [(20, "0.27"), (32, "0.46"), (44, "0.66"), (56, "0.85"), (110, "1.7")])
def test_sizes_are_those_of_the_paper(depth: int, millions: str) -> None:
    """Table 6 of He et al. 2016."""
    found = size("resnet", CIFAR, depth=depth) / 1e6
    assert f"{found:.{len(millions) - 2}f}" == millions


def test_without_a_norm_only_biases_take_its_place() -> None:
    normed, plain = resnet(CIFAR, 8), resnet(CIFAR, 8, norm=None)
    assert not [m for m in plain.modules() if "Norm" in type(m).__name__]
    channels = sum(m.num_features for m in normed.modules() if isinstance(m, torch.nn.BatchNorm2d))
    assert parameters(normed) - parameters(plain) == channels  # a scale and a shift there, a bias here


def test_a_shortcut_keeps_the_stream_and_adds_channels_of_zeros() -> None:
    x = torch.randn(2, 4, 8, 8)
    out = Shortcut(4, 2)(x)
    assert out.shape == (2, 8, 4, 4)
    assert torch.equal(out[:, 2:6], x[:, :, ::2, ::2])
    assert not out[:, :2].any()
    assert not out[:, 6:].any()


@pytest.mark.parametrize("depth", [2, 21, 20.0, True])
def test_depths_that_there_are_not(depth: object) -> None:
    with pytest.raises(FaninValueError, match="depth="):
        resnet(CIFAR, depth)  # type: ignore[arg-type]
