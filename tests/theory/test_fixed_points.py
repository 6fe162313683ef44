"""Fixed points, depth scales and phase boundaries: published numbers, and wide random nets."""

import math

import numpy as np
import pytest

from fanin.activations import Activation
from fanin.errors import FaninValueError
from fanin.theory import (
    correlation_map,
    critical_point,
    fixed_point,
    gradient_map,
    moments,
    phase_boundary,
    signals,
    variance_map,
)
from fanin.theory.curves import Curve


def erf_variance(q: float) -> float:
    """E erf(√q z)², Williams 1997."""
    return 2 / math.pi * math.asin(2 * q / (1 + 2 * q))


@pytest.mark.parametrize("sigma_b", [0.0, 0.05, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("name", ["tanh", "erf", "softsign", "hardtanh", "sin"])
def test_on_the_boundary_small_differences_neither_grow_nor_shrink(name: str, sigma_b: float) -> None:
    """Poole et al. 2016, figure 1: χ₁ = 1, and the two sides of it are order and chaos."""
    edge = critical_point(name, sigma_b)
    assert fixed_point(name, edge, sigma_b).chi1 == pytest.approx(1.0, abs=1e-6)
    assert fixed_point(name, 0.95 * edge, sigma_b).phase == "ordered"
    assert fixed_point(name, 0.95 * edge, sigma_b).c == 1.0
    beyond = fixed_point(name, 1.05 * edge, sigma_b)
    assert beyond.phase == "chaotic"
    assert beyond.c < 1


def test_edge_of_erf_has_a_closed_form() -> None:
    """E f'² = (4/π) (1 + 4q)^(-1/2), so q solves one equation; at σ_b = 0 the edge is at σ_w = √π / 2."""
    assert critical_point("erf") == pytest.approx(math.sqrt(math.pi) / 2, rel=1e-9)
    at = fixed_point("erf", critical_point("erf", 0.3), 0.3)
    sigma_w2 = math.pi / 4 * math.sqrt(1 + 4 * at.q)
    assert at.q == pytest.approx(sigma_w2 * erf_variance(at.q) + 0.09, rel=1e-8)


def test_known_edges() -> None:
    assert critical_point("tanh") == pytest.approx(1.0, rel=1e-9)
    assert critical_point("relu") == pytest.approx(math.sqrt(2), rel=1e-12)
    assert critical_point("relu", 0.5) == pytest.approx(math.sqrt(2), rel=1e-12)
    assert critical_point(Activation.named("leaky_relu", 0.2)) == pytest.approx(math.sqrt(2 / 1.04), rel=1e-12)
    assert critical_point("linear") == pytest.approx(1.0)
    assert phase_boundary("softplus", [0.0, 0.1]) == pytest.approx([math.nan, math.nan], nan_ok=True)


@pytest.mark.parametrize(
    ("name", "variance", "bias"), [("gelu", 1.98305826, 0.17292305), ("silu", 1.98800468, 0.55514317)]
)
def test_half_stable_points_of_gelu_and_silu(name: str, variance: float, bias: float) -> None:
    """Roberts, Yaida & Hanin 2022, section 5.3.4: both χ are 1 at these variances of weights and biases."""
    assert critical_point(name, math.sqrt(bias)) ** 2 == pytest.approx(variance, rel=1e-5)
    q = {"gelu": (3 + math.sqrt(17)) / 2, "silu": 14.32017362}[name]
    m = moments(name, 0.0, q)
    assert variance * m.df2 == pytest.approx(1.0, rel=1e-7)
    assert variance * m.zfdf / q == pytest.approx(1.0, rel=1e-6)
    assert variance_map(name, q, math.sqrt(variance), math.sqrt(bias)) == pytest.approx(q, rel=1e-6)


def test_selu_was_made_for_its_fixed_point() -> None:
    """Klambauer et al. 2017: mean 0 and variance 1 attract at σ_w = 1, and small differences grow: χ₁ = 1.07."""
    at = fixed_point("selu", 1.0)
    assert (at.q, moments("selu").f) == (pytest.approx(1.0, rel=1e-9), pytest.approx(0.0, abs=1e-12))
    assert at.slope_q < 1
    assert at.chi1 == pytest.approx(1.0716, abs=1e-4)
    start = 4.0
    for _ in range(60):
        start = variance_map("selu", start, 1.0)
    assert start == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize(("sigma_w", "sigma_b"), [(0.9, 0.3), (1.5, 0.1), (2.5, 0.3), (1.3, 0.0)])
def test_depth_scales_are_the_rates_of_the_maps(sigma_w: float, sigma_b: float) -> None:
    """Schoenholz et al. 2017: |q_l - q*| ~ e^(-l/ξ_q) and |c_l - c*| ~ e^(-l/ξ_c), here by iterating."""
    at = fixed_point("tanh", sigma_w, sigma_b)
    run = signals("tanh", 400, sigma_w, sigma_b, q=at.q, c=0.6)
    gaps = np.abs(np.array(run.contrast) - (1 - at.c))
    inside = np.flatnonzero((gaps > 1e-9) & (gaps < 1e-3))
    rate = -1 / np.polyfit(inside, np.log(gaps[inside]), 1)[0]
    assert rate == pytest.approx(at.xi_c, rel=0.02)
    run = signals("tanh", 40, sigma_w, sigma_b, q=at.q * 1.05)
    off = np.abs(np.array(run.q) - at.q)
    inside = np.flatnonzero((off > 1e-10) & (off < 1e-3))
    assert -1 / np.polyfit(inside, np.log(off[inside]), 1)[0] == pytest.approx(at.xi_q, rel=0.02)


def test_schoenholz_second_derivative_form_of_xi_q() -> None:
    """ξ_q⁻¹ = -log(χ₁ + σ_w² E f f''), their eq. 7, for tanh with f'' = -2 f f'."""
    at = fixed_point("tanh", 1.4, 0.2)
    z = np.linspace(-10, 10, 20001)
    weight = np.exp(-0.5 * z**2) / np.exp(-0.5 * z**2).sum()
    f = np.tanh(math.sqrt(at.q) * z)
    second = -2 * f * (1 - f**2)
    assert at.slope_q == pytest.approx(at.chi1 + 1.4**2 * float(weight @ (f * second)), rel=1e-9)


@pytest.mark.parametrize("name", ["elu", "celu", "selu", "softsign", "tanh", "erf"])
def test_signals_that_die_at_the_edge_are_critical(name: str) -> None:
    """χ₁ of the vanishing variance itself, not of a small one: f is a line on either side of 0."""
    at = fixed_point(name, critical_point(name))
    assert (at.phase, at.xi_c) == ("critical", math.inf)
    assert at.chi1 == pytest.approx(1.0, rel=1e-12)


@pytest.mark.slow
def test_a_function_by_hand_has_an_edge_without_variance() -> None:
    """Its slope at 0 cannot come from its values over no distance."""
    curve = Curve.of(lambda z: np.arctan(z))
    edge = critical_point(curve)
    assert edge == pytest.approx(1.0, rel=1e-10)
    assert (fixed_point(curve, edge).phase, fixed_point(curve, edge).q) == ("critical", 0.0)


@pytest.mark.parametrize(("sigma_w", "sigma_b"), [(1.0, 0.5), (1.0, 1.5), (1.5, 0.1), (1.02, 0.5), (1.0, 0.0)])
def test_correlations_of_linear_nets_whose_variance_grows(sigma_w: float, sigma_b: float) -> None:
    """Shared biases make inputs alike: for ever where q grows by a constant a layer, and up to a share where it grows by a factor."""
    run, at = signals("linear", 100, sigma_w, sigma_b), fixed_point("linear", sigma_w, sigma_b)
    assert at.c == pytest.approx(run.c[-1], abs=0.04 if sigma_w == 1 else 0.01)
    assert fixed_point("linear", 1.0, 0.1).c == 1.0


@pytest.mark.parametrize(("f", "sigma_w"), [("softshrink", 1.3), ("tanhshrink", 1.6)])
def test_correlations_on_the_way_to_a_growing_variance(f: str, sigma_w: float) -> None:
    """Large signals pass as through a linear net; what small ones lose on the way there stays lost."""
    at, run = fixed_point(f, sigma_w, 0.8), signals(f, 40, sigma_w, 0.8)
    assert math.isinf(at.q)
    assert at.c == pytest.approx(run.c[-1], abs=1e-5)


def test_dropout_destroys_the_edge() -> None:
    """Schoenholz et al. 2017: with any dropout c* < 1, and no depth scale diverges."""
    edge = critical_point("tanh", 0.2)
    at = fixed_point("tanh", edge, 0.2, keep=0.9)
    assert at.c < 1 - 1e-3
    assert at.xi_c < 20


@pytest.mark.parametrize(
    ("name", "sigma_w", "sigma_b", "keep"), [("tanh", 1.5, 0.2, 0.8), ("tanh", 0.9, 0.3, 0.6), ("erf", 1.2, 0.1, 0.9)]
)
def test_dropout_against_real_nets(name: str, sigma_w: float, sigma_b: float, keep: float) -> None:
    """Deep nets with torch's dropout: the variance, the correlation under two masks, and gradients that grow by χ₁ a layer."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    width, depth, examples, logs, qs, cs = 500, 20, 16, [], [], []
    at, f = fixed_point(name, sigma_w, sigma_b, keep), getattr(torch, name)
    dropout = torch.nn.Dropout(1 - keep)
    for _ in range(6):
        h = math.sqrt(at.q) * torch.randn(2 * examples, width)  # example k and k + 16 become the two inputs
        kept = []
        for _ in range(depth):
            h.requires_grad_(True)
            w, b = torch.randn(width, width) * sigma_w / math.sqrt(width), torch.randn(width) * sigma_b
            after = dropout(f(h)) @ w + b
            kept.append((h, after))
            h = after.detach()
        pair = h.unflatten(0, (2, examples))
        qs.append(float(h.square().mean()))
        cs.append(float((pair[0] * pair[1]).mean()) / qs[-1])
        g = torch.randn_like(h)
        norms = [g.square().sum()]
        for before, after in reversed(kept):
            (g,) = torch.autograd.grad(after, before, g)
            norms.append(g.square().sum())
        logs.append(float(norms[-1] / norms[0]))
    assert np.mean(qs) == pytest.approx(at.q, rel=0.05)
    assert np.mean(cs) == pytest.approx(at.c, abs=0.03)
    assert math.log(np.mean(logs)) / depth == pytest.approx(math.log(at.chi1), abs=0.02)
    assert at.chi1 == pytest.approx(gradient_map(name, at.q, sigma_w, keep), rel=1e-12)
    assert at.phase == ("chaotic" if np.mean(logs) > 1 else "ordered")


@pytest.mark.parametrize(("name", "keep"), [("tanh", 0.8), ("relu", 0.7)])
def test_dropout_of_signals_that_die_out(name: str, keep: float) -> None:
    """The correlation under two masks settles while q vanishes."""
    at, run = fixed_point(name, 0.7, 0.0, keep), signals(name, 60, 0.7, 0.0, c=0.5, keep=keep)
    assert (at.q, at.slope_q) == (0.0, pytest.approx(run.q[-1] / run.q[-2], rel=1e-6))
    assert at.c == pytest.approx(run.c[-1], abs=1e-3)


@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_maps_with_dropout_are_what_a_wide_layer_does(name: str) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    n, keep, sigma_w, sigma_b, q, c = 3000, 0.7, 1.4, 0.3, 1.3, 0.8
    u = torch.randn(16, n) * math.sqrt(q)
    v = c * u + math.sqrt(1 - c * c) * torch.randn(16, n) * math.sqrt(q)
    h = torch.stack([u, v]).requires_grad_(True)
    layer = torch.nn.Sequential(getattr(torch.nn, {"relu": "ReLU", "tanh": "Tanh"}[name])(), torch.nn.Dropout(1 - keep))
    y = layer(h) @ (torch.randn(n, n) * sigma_w / math.sqrt(n)) + torch.randn(n) * sigma_b
    second = float(y.detach().square().mean())
    assert second == pytest.approx(variance_map(name, q, sigma_w, sigma_b, keep), rel=0.05)
    shared = float((y[0] * y[1]).mean().detach()) / second
    assert shared == pytest.approx(correlation_map(name, c, q, sigma_w, sigma_b, keep), abs=0.03)
    g = torch.randn_like(y)
    (back,) = torch.autograd.grad(y, h, g)
    growth = float(back.square().sum() / g.square().sum())
    assert growth == pytest.approx(gradient_map(name, q, sigma_w, keep), rel=0.06)


@pytest.mark.parametrize("name", ["relu", "tanh", "gelu"])
def test_maps_are_what_a_wide_layer_does(name: str) -> None:
    rng, n, f = np.random.default_rng(1), 4000, Activation.named(name)
    u = rng.standard_normal((2, n)) * math.sqrt(1.3)
    v = 0.7 * u[0] + math.sqrt(1 - 0.49) * u[1]
    w = rng.standard_normal((n, n)) * 1.4 / math.sqrt(n)
    b = rng.standard_normal(n) * 0.3
    a, c = w @ f(u[0]) + b, w @ f(v) + b
    assert np.mean(a**2) == pytest.approx(variance_map(name, 1.3, 1.4, 0.3), rel=0.08)
    expected = correlation_map(name, 0.7, 1.3, 1.4, 0.3)
    assert np.mean(a * c) / math.sqrt(np.mean(a**2) * np.mean(c**2)) == pytest.approx(expected, abs=0.03)
    g = w.T @ rng.standard_normal(n)
    h = 1e-6
    slope = (f(u[0] + h) - f(u[0] - h)) / (2 * h)
    assert np.mean((g * slope) ** 2) == pytest.approx(gradient_map(name, 1.3, 1.4), rel=0.1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fixed_point("tanh", -1.0), "sigma_w=-1.0"),
        (lambda: fixed_point("tanh", 1.0, math.nan), "sigma_b=nan"),
        (lambda: fixed_point("tanh", 1.0, 0.0, keep=0.0), "keep=0.0"),
        (lambda: critical_point("softplus"), "no critical point"),
        (lambda: critical_point("hardshrink"), "jumps"),
        (lambda: fixed_point("hardshrink", 1.5, 1.0), "jumps"),
        (lambda: signals("relu", 0, 1.0), "depth=0"),
    ],
)
def test_what_has_no_answer_says_so(call, message: str) -> None:
    with pytest.raises(FaninValueError, match=message):
        call()
