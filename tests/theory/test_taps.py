"""Taps of windows against real convolutions and pools of constant power."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from fanin.theory.taps import Window, merged, overlap, pairs, passed

CASES = list(itertools.product((4, 7, 16), (1, 3, 5), (1, 2, 3), (0, 1, 2), (1, 2)))


@pytest.mark.parametrize(("n", "kernel", "stride", "padding", "dilation"), CASES)
def test_taps_of_a_convolution_are_counted(n: int, kernel: int, stride: int, padding: int, dilation: int) -> None:
    """A kernel of ones on ones counts the taps that meet the signal at each output, and on the way back at each input."""
    if n + 2 * padding < dilation * (kernel - 1) + 1:
        pytest.skip("the kernel does not fit")
    x = torch.ones(1, 1, n, requires_grad=True)
    y = F.conv1d(x, torch.ones(1, 1, kernel), None, stride, padding, dilation)
    (g,) = torch.autograd.grad(y.sum(), x)
    result = passed(Window(n, y.shape[-1], kernel, stride, padding, dilation), None)
    assert result.factor == pytest.approx(float(y.mean()) / kernel)
    assert result.back == pytest.approx(float(g.mean()) / (kernel / stride))
    if float(y.detach().mean()) > 0:
        assert result.profile == pytest.approx((y / y.mean()).flatten().tolist())


@pytest.mark.parametrize(("n", "kernel", "stride", "padding", "dilation"), CASES)
def test_taps_that_outputs_have_in_common(n: int, kernel: int, stride: int, padding: int, dilation: int) -> None:
    """Each tap as a kernel of its own says at which outputs it lies inside."""
    if n + 2 * padding < dilation * (kernel - 1) + 1:
        pytest.skip("the kernel does not fit")
    inside = F.conv1d(torch.ones(1, 1, n), torch.eye(kernel)[:, None], None, stride, padding, dilation)[0]
    window = Window(n, inside.shape[1], kernel, stride, padding, dilation)
    assert overlap(window) == pytest.approx(float((inside.T @ inside).mean()) / kernel)


@pytest.mark.parametrize(
    ("n", "kernel", "stride", "padding", "extra"), [(5, 4, 2, 1, 0), (7, 3, 2, 1, 1), (6, 2, 2, 0, 0), (4, 5, 3, 2, 1)]
)
def test_phases_of_a_strided_transposed_convolution(n: int, kernel: int, stride: int, padding: int, extra: int) -> None:
    y = F.conv_transpose1d(torch.ones(1, 1, n), torch.ones(1, 1, kernel), None, stride, padding, extra)
    result = passed(Window(n, y.shape[-1], kernel, stride, padding, 1, True), None)
    assert result.factor == pytest.approx(float(y.mean()) * stride / kernel)
    assert result.profile == pytest.approx((y / y.mean()).flatten().tolist())


def test_a_profile_goes_through_a_second_convolution() -> None:
    """Borders lose at each layer: the second convolution's borders see the first one's."""
    x = torch.ones(1, 1, 6)
    y = F.conv1d(F.conv1d(x, torch.ones(1, 1, 3), padding=1), torch.ones(1, 1, 3), padding=1)
    window = Window(6, 6, 3, 1, 1)
    first = passed(window, None)
    second = passed(window, first.profile)
    assert first.factor * second.factor == pytest.approx(float(y.mean()) / 9)


def test_only_the_centre_of_a_delta_kernel_counts() -> None:
    assert passed(Window(8, 8, 3, 1, 1), None, centre=True).factor == 1.0
    assert len(pairs(Window(8, 8, 3, 1, 1))[0]) == 8 * 3 - 2


def test_profiles_of_a_sum_are_weighted_with_their_power() -> None:
    assert merged([(1.0, ((0.5, 1.5),)), (3.0, ())]) == ((0.875, 1.125),)
    assert merged([(1.0, ((0.5, 1.5),)), (1.0, ((1.0, 1.0, 1.0),))]) == ()
