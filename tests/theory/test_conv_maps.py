"""Convolutions: positions, padding and Fourier modes."""

import math

import numpy as np
import pytest

from fanin.activations import Activation
from fanin.errors import FaninValueError
from fanin.theory import conv_depth_scales, conv_variance_map, kernel_shares


def test_positions_against_a_real_convolution() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    channels, sigma_w = 600, 1.5
    q = torch.linspace(0.2, 3.0, 7)[:, None] * torch.linspace(0.5, 1.5, 6)[None, :]
    h = torch.randn(8, channels, 7, 6) * q.sqrt()
    w = torch.randn(channels, channels, 3, 3) * sigma_w / math.sqrt(9 * channels)
    y = torch.nn.functional.conv2d(torch.nn.functional.gelu(h), w, padding=1)
    expected = conv_variance_map("gelu", q.double().numpy(), sigma_w, 0.0, kernel_shares((3, 3)))
    assert y.square().mean(dim=(0, 1)).numpy() == pytest.approx(expected, rel=0.1)


def test_zero_padding_takes_variance_and_delta_kernels_do_not_notice() -> None:
    ones = np.ones((5, 5))
    padded = conv_variance_map("relu", ones, 2**0.5, kernel=kernel_shares((3, 3)))
    assert (padded[0, 0], padded[0, 2], padded[2, 2]) == (
        pytest.approx(4 / 9),
        pytest.approx(6 / 9),
        pytest.approx(1.0),
    )
    assert conv_variance_map("relu", ones, 2**0.5, kernel=kernel_shares((3, 3), "delta")) == pytest.approx(ones)
    assert conv_variance_map("relu", ones, 2**0.5, kernel=kernel_shares((3, 3)), padding="circular") == pytest.approx(
        ones
    )


def test_fourier_modes() -> None:
    """Xiao et al. 2018: at the edge uniform kernels keep only the mean, delta kernels all modes."""
    uniform = conv_depth_scales("tanh", 1.0, 0.0, 8, kernel_shares(3))
    assert math.isinf(uniform[0])
    shrink = (1 + 2 * math.cos(2 * math.pi / 8)) / 3
    assert uniform[1] == pytest.approx(-1 / math.log(shrink), rel=1e-6)
    assert np.isinf(conv_depth_scales("tanh", 1.0, 0.0, 8, kernel_shares(3, "delta"))).all()


def test_modes_are_the_rates_at_which_a_bump_spreads() -> None:
    """A perturbed variance profile, ordered tanh net: the k-th mode of q decays by slope_q · λ_k a layer."""
    from fanin.theory import fixed_point

    at = fixed_point("tanh", 1.2, 0.3)
    n, k = 16, 2
    q = at.q * (1 + 1e-4 * np.cos(2 * math.pi * k * np.arange(n) / n))
    modes = []
    for _ in range(6):
        modes.append(abs(np.fft.fft(q - at.q)[k]))
        q = conv_variance_map("tanh", q, 1.2, 0.3, kernel_shares(3), "circular")
    shrink = (1 + 2 * math.cos(2 * math.pi * k / n)) / 3
    assert modes[5] / modes[0] == pytest.approx((at.slope_q * shrink) ** 5, rel=1e-2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: conv_variance_map("relu", np.ones((3, 3)), 1.0, kernel=[1.0]), "does not fit q"),
        (lambda: conv_variance_map("relu", [1.0], 1.0, kernel=[0.5]), "does not fit q"),
        (lambda: conv_variance_map("relu", [1.0], 1.0, kernel=[1.0], padding="reflect"), "padding='reflect'"),
        (lambda: kernel_shares(0), "size=0"),
        (lambda: kernel_shares(3, "dirac"), "kind='dirac'"),
        (lambda: conv_depth_scales("relu", 1.0, 0.0, 2, kernel_shares(3)), "does not fit an image"),
    ],
)
def test_bad_kernels(call, message: str) -> None:
    with pytest.raises(FaninValueError, match=message):
        call()


def test_activations_without_kinks_and_with_zero_variance() -> None:
    assert conv_variance_map(Activation.named("relu"), [0.0, 0.0], 1.0, kernel=[1.0]).tolist() == [0.0, 0.0]
