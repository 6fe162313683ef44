"""Small outputs: made by the head alone in dense chains, on the way where kernels are shared by positions."""

import itertools

import pytest
import torch
from torch import Tensor, nn

from fanin.auto import plan
from fanin.auto.facts import REGRESSION, valid_share
from fanin.distributions import Mirrored
from fanin.traces.torch import trace

from .nets import mlp, rms

IMAGES = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def autoencoder(width: int = 16) -> nn.Sequential:
    return nn.Sequential(
        *[nn.Conv2d(1, width, 3, 2, 1), nn.ReLU(), nn.Conv2d(width, width, 3, 2, 1), nn.ReLU()],
        *[nn.ConvTranspose2d(width, width, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(width, 1, 4, 2, 1)],
    )


def sizes(model: nn.Sequential, x: Tensor) -> list[float]:
    found = []
    with torch.no_grad():
        for layer in model:
            x = layer(x)
            if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                found.append(rms(x))
    return found


def test_the_signal_declines_evenly_to_a_small_output() -> None:
    model = autoencoder()
    plan(model, IMAGES).apply(model)
    found = sizes(model, IMAGES)
    steps = [b / a for a, b in itertools.pairwise(found)]
    assert abs(found[-1] / REGRESSION - 1) < 0.35
    assert max(steps) < 1.8 * min(steps)


def test_in_a_dense_chain_the_head_alone_makes_it_small() -> None:
    model = mlp([64, 64, 64, 64])
    x = IMAGES.flatten(1)
    plan(model, x).apply(model)
    first, second, last = sizes(model, x)
    assert second > first / 1.4
    assert last < second / 3


def test_a_waist_of_an_image_net_is_not_paired() -> None:
    """16 channels at 2 × 2 positions hold the 64 values of the input; half of them would not."""
    entries = plan(autoencoder(), IMAGES).entries
    waist = entries["2.weight"].distribution
    assert not isinstance(waist, Mirrored) or waist.out is None
    wider = plan(autoencoder(32), IMAGES).entries["2.weight"].distribution
    assert isinstance(wider, Mirrored)
    assert wider.out is not None


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "extra"), [(4, 2, 1, 0), (3, 1, 1, 0), (3, 2, 1, 1), (5, 3, 0, 0)]
)
def test_the_share_of_a_transposed_kernels_taps_that_meet_the_image(
    kernel: int, stride: int, padding: int, extra: int
) -> None:
    layer = nn.ConvTranspose2d(1, 1, kernel, stride, padding, extra, bias=False)
    net = nn.Sequential(nn.Conv2d(1, 1, 1), layer)
    slot = trace(net, torch.randn(2, 1, 5, 5)).slot("1.weight")
    assert slot.axes is not None
    with torch.no_grad():
        layer.weight.fill_(1.0)
        met = layer(torch.ones(1, 1, 5, 5)).mean()  # taps that meet a value, per output
    said = valid_share(trace(net, torch.randn(2, 1, 5, 5)), slot) * slot.axes.in_taps * kernel**2
    assert said == pytest.approx(float(met), rel=1e-6)
