"""Batch norms: what they divide by, and what that does to gradients, against draws."""

import math

import pytest
import torch
from tests.theory.nets import against_draws, named
from torch import nn

import fanin
from fanin import rules
from fanin.theory import predict
from fanin.theory.prediction import Point
from fanin.traces.torch import trace as watch

HE = {"*": rules.he_normal(), nn.BatchNorm2d: rules.ones()}


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def between_norms(conv: nn.Module) -> nn.Module:
    """A convolution of 256 channels behind batch norm and ReLU, with a batch norm behind it."""
    return nn.Sequential(
        nn.Conv2d(32, 256, 1), nn.BatchNorm2d(256), nn.ReLU(), conv, nn.BatchNorm2d(256), nn.Conv2d(256, 16, 1)
    )


def through(after: tuple[Point, float, float], before: tuple[Point, float, float]) -> tuple[float, float]:
    """ln of what an op multiplies the gradient's second moment with on its way back, predicted and measured."""
    return before[0].log_gradient - after[0].log_gradient, before[2] - after[2]


@pytest.mark.slow
@pytest.mark.parametrize("examples", [6, 12, 48])
def test_the_gradient_through_a_norm_over_few_examples(examples: int) -> None:
    """A linear layer behind unrelated inputs: (d - 1) / (d - 2) / v for d + 1 examples, and 1 / v is 4 / 3 times too small at six."""
    net = nn.Sequential(nn.Linear(512, 512, bias=False), nn.BatchNorm1d(512), nn.Linear(512, 512))
    found = against_draws(net, numbers(examples, 512), {"*": rules.he_normal(), nn.BatchNorm1d: rules.ones()}, draws=96)
    predicted, measured = through(named(found, "norm")[0], named(found, "linear")[0])
    assert predicted == pytest.approx(measured, abs=0.03)


@pytest.mark.slow
def test_a_depthwise_kernel_is_short_where_its_norm_divides_by_little() -> None:
    """Nine weights a unit: the gradient behind the norm's back is e^.25 larger, and behind the kernel's it is not."""
    net = between_norms(nn.Conv2d(256, 256, 3, groups=256, bias=False))
    found = against_draws(net, numbers(24, 32, 9, 9), HE, draws=24)
    (_, norm), convs, (activation,) = named(found, "norm"), named(found, "conv"), named(found, "activation")
    for after, before in ((norm, convs[1]), (convs[1], activation)):
        predicted, measured = through(after, before)
        assert predicted == pytest.approx(measured, abs=0.1)


@pytest.mark.slow
def test_positions_behind_padding_differ_more_than_examples_do() -> None:
    """What examples have in common lies lower at a border: a batch norm over 4 × 4 maps divides by an eighth more than by the contrast."""
    net = between_norms(nn.Conv2d(256, 256, 3, padding=1, bias=False))
    x, divided = numbers(16, 32, 4, 4), []
    net[3].register_forward_hook(lambda module, given, out: divided.append(float(out.var((0, 2, 3)).mean())))
    found = against_draws(net, x, HE, draws=12)
    predicted, measured = through(named(found, "norm")[1], named(found, "conv")[1])
    assert predicted == pytest.approx(measured, abs=0.06)
    assert math.log(sum(divided[-12:]) / 12) == pytest.approx(-predicted, abs=0.06)


def test_over_two_examples_a_gradient_has_no_mean() -> None:
    """1 / v of one square: what is predicted is nothing, rather than a number that no mean of draws comes near."""
    net = nn.Sequential(nn.Linear(8, 64), nn.BatchNorm1d(64), nn.Linear(64, 4))
    x = numbers(2, 8)
    first = watch(net, x, torch.tensor([0, 1]), nn.functional.cross_entropy)
    curve = predict(first, fanin.plan(net, x, rules={"*": rules.he_normal()})).curve
    logs = [p.log_gradient for p in curve if p.kind in ("linear", "norm")]
    assert [math.isfinite(g) for g in logs] == [False, True, True]
