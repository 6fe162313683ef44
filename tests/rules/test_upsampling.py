"""A transposed convolution that interpolates."""

import pytest
import torch
from tests.rules.slots import drawn, keeps, slot

from fanin import rules
from fanin.errors import FaninValueError


@pytest.mark.parametrize("stride", [2, 3, 4])
def test_it_upsamples_a_ramp_to_a_ramp(stride):
    """Bilinear interpolation is exact on functions that are linear in each coordinate."""
    taps = 2 * stride - stride % 2
    layer = torch.nn.ConvTranspose2d(3, 3, taps, stride, bias=False)
    w = drawn(rules.bilinear_upsample(), slot("iokk", (3, 3, taps, taps), taps=1 / stride**2))
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(w))
        rows, columns = torch.meshgrid(torch.arange(9.0), torch.arange(9.0), indexing="ij")
        y = layer(torch.stack([rows, columns, rows + 2 * columns])[None])[0]
    inside = y[:, 2 * stride : -2 * stride, 2 * stride : -2 * stride]
    for k, (down, right) in enumerate(((1, 0), (0, 1), (1, 2))):
        assert torch.allclose(inside[k].diff(dim=0), torch.full_like(inside[k].diff(dim=0), down / stride), atol=1e-5)
        assert torch.allclose(inside[k].diff(dim=1), torch.full_like(inside[k].diff(dim=1), right / stride), atol=1e-5)


@pytest.mark.parametrize(
    ("axes", "shape", "taps"),
    [
        ("iok", (4, 4, 4), 0.5),
        ("(s4i)ok", (4, 1, 4), 0.5),
        ("iokkk", (2, 5, 4, 4, 3), 1 / 8),
        ("oikk", (3, 3, 5, 4), 1.0),
    ],
)
def test_every_layout(axes, shape, taps):
    keeps(rules.bilinear_upsample(), slot(axes, shape, taps=taps))


@pytest.mark.parametrize(
    ("of", "words"),
    [
        (slot("iok", (2, 2, 3), taps=1 / 4), "interpolates 2 times, but the layer's strides multiply to 4"),
        (slot("oi", (2, 2)), "it takes the kernel of a transposed convolution"),
        (slot("vo", (2, 2)), "it takes the kernel of a transposed convolution"),
        (slot("iok", (2, 0, 4)), "no elements"),
        (slot(None, (4,)), "needs to know what the axes"),
    ],
)
def test_bad_input(of, words):
    with pytest.raises(FaninValueError, match=words):
        rules.bilinear_upsample()(of)
