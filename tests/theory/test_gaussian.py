"""Gaussian integrals against closed forms and against samples."""

import math

import numpy as np
import pytest

from fanin.activations import KNOWN, Activation
from fanin.theory.gaussian import Odd, contrast, moments, orthant, wobble_of_slopes

RELU = Activation.named("relu")
SMOOTH = ("tanh", "sigmoid", "gelu", "silu", "softplus", "elu", "mish", "selu")


def arc_cosine(q: float, rho: float) -> float:
    """E[relu(u) relu(v)] for unit correlation rho and second moment q (Cho & Saul 2009)."""
    theta = math.acos(rho)
    return q / (2 * math.pi) * (math.sin(theta) + (math.pi - theta) * rho)


@pytest.mark.parametrize("q", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("rho", [0.0, 0.3, 0.9, 0.999])
def test_relu_contrast_is_the_arc_cosine_kernel(q: float, rho: float) -> None:
    assert contrast(RELU, 0.0, q, q * (1 - rho)) == pytest.approx(q / 2 - arc_cosine(q, rho), rel=2e-3)


@pytest.mark.parametrize("name", ["linear", "leaky_relu", "relu"])
def test_moments_of_piecewise_linear_functions(name: str) -> None:
    f = Activation.named(name)
    slope = {"linear": 1.0, "leaky_relu": 0.01, "relu": 0.0}[name]
    for q in (0.04, 1.0, 9.0):
        m = moments(f, 0.0, q)
        assert m.second == pytest.approx(q * (1 + slope**2) / 2, rel=1e-3)
        assert m.slope2 == pytest.approx((1 + slope**2) / 2, rel=1e-3)
        assert m.elasticity == pytest.approx(1.0, rel=1e-3)


def test_relu_and_linear_fluctuations_are_those_of_hanin_and_nica() -> None:
    assert 2 + wobble_of_slopes(RELU, 0.0, 1.0) == pytest.approx(5.0, rel=1e-2)
    assert 2 * moments(RELU, 0.0, 1.0).elasticity ** 2 + moments(RELU, 0.0, 1.0).wobble == pytest.approx(5.0, rel=1e-2)
    assert wobble_of_slopes(Activation.named("linear"), 0.0, 1.0) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("name", SMOOTH)
def test_small_contrasts_shrink_by_the_squared_slope(name: str) -> None:
    """s' / s → E f'² as s → 0, on both sides of the switch to the small-contrast formula."""
    f = Activation.named(name)
    for s in (1e-30, 1e-12, 1e-5):
        assert contrast(f, 0.1, 1.0, s) / s == pytest.approx(moments(f, 0.1, 0.99).slope2, rel=5e-3)


@pytest.mark.parametrize("name", SMOOTH)
def test_unrelated_examples_have_the_variance_of_f_as_contrast(name: str) -> None:
    f = Activation.named(name)
    m = moments(f, 0.0, 2.0)
    assert contrast(f, 0.0, 2.0, 2.0) == pytest.approx(m.second - m.mean**2, rel=1e-3)


@pytest.mark.parametrize("name", ["relu", "gelu", "silu", "softplus", "hardswish"])
def test_mirrored_pairs_hand_on_a_straight_line(name: str) -> None:
    o = Odd(Activation.named(name))
    for q in (0.1, 1.0, 4.0):
        assert moments(o, 0.0, q).second == pytest.approx(q, rel=1e-3)
        assert contrast(o, 0.0, q, 0.3 * q) == pytest.approx(0.3 * q, rel=1e-3)


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_contrast_against_a_sample(name: str) -> None:
    if name in ("exp", "square", "relu_squared"):
        pytest.skip("heavy tails: a sample does not converge")
    f, rng = Activation.named(name), np.random.default_rng(0)
    u, w = rng.standard_normal((2, 100_000))
    v = 0.6 * u + 0.8 * w
    sampled = 0.5 * float(np.mean((f(0.2 + u) - f(0.2 + v)) ** 2))
    assert contrast(f, 0.2, 1.04, 0.4) == pytest.approx(sampled, rel=0.03)


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.8])
def test_orthant_of_two_is_sheppards(rho: float) -> None:
    assert orthant(2, rho) == pytest.approx(0.25 + math.asin(rho) / (2 * math.pi), rel=1e-3)
    assert orthant(1, rho) == pytest.approx(0.5, rel=1e-6)


def test_orthant_ends() -> None:
    assert orthant(8, 0.0) == pytest.approx(2.0**-8, rel=1e-6)
    assert orthant(8, 1.0) == pytest.approx(0.5, rel=0.02)
