"""The law of log-norms against simulated nets."""

import math

import numpy as np
import pytest

from fanin.activations import Activation
from fanin.errors import FaninValueError
from fanin.theory import critical_or_gain, layer_constant, log_gradient_norm, log_norm
from fanin.theory.curves import Curve
from fanin.theory.derivatives import DERIVATIVES
from fanin.theory.layer_laws import Layer
from fanin.theory.wandering import walk


def simulated(name, widths, sigma_w, weights, sigma_b, start, draws, seed=0):
    """Log |x_l|² / n_l, and the log of |gradient at x_l|² relative to the end's, for many drawn nets: (draws, depth) each."""
    rng, f = np.random.default_rng(seed), Activation.named(name)
    df = DERIVATIVES[name].df
    x = rng.standard_normal((draws, widths[0]))
    x *= math.sqrt(start * widths[0]) / np.linalg.norm(x, axis=1, keepdims=True)
    forward, kept = [], []
    for n in widths:
        before = x.shape[1]
        if weights == "normal":
            w = rng.standard_normal((draws, n, before)) * sigma_w / math.sqrt(before)
        else:
            big, small = max(n, before), min(n, before)
            q, r = np.linalg.qr(rng.standard_normal((draws, big, small)))
            q *= np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None, :]
            w = (q if n >= before else q.transpose(0, 2, 1)) * sigma_w * math.sqrt(max(n / before, 1.0))
        h = np.einsum("dij,dj->di", w, x) + sigma_b * rng.standard_normal((draws, n))
        x = f(h)
        kept.append((w, df(h, *f.parameters)))
        forward.append(np.log(np.mean(x * x, axis=1)))
    g = rng.standard_normal(x.shape)
    g /= np.linalg.norm(g, axis=1, keepdims=True)
    backward = []
    for w, slope in reversed(kept):
        backward.append(np.log(np.sum(g * g, axis=1)))
        g = np.einsum("dij,di->dj", w, slope * g)
    return np.stack(forward, axis=1), np.stack(backward[::-1], axis=1)


CASES = [
    ("relu", [64] * 10, "normal", 0.0, None),
    ("relu", [64] * 10, "orthogonal", 0.0, None),
    ("relu", [100, 50, 100, 30], "orthogonal", 0.0, None),
    ("relu", [40, 80, 160, 60], "normal", 0.0, None),
    ("tanh", [64] * 10, "normal", 0.3, None),
    ("tanh", [64] * 10, "normal", 0.0, None),
    ("tanh", [64] * 8, "orthogonal", 0.3, 1.8),
    ("selu", [64] * 8, "normal", 0.0, 1.0),
    ("gelu", [128] * 4, "normal", 0.0, None),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "widths", "weights", "sigma_b", "sigma_w"), CASES)
def test_mean_and_variance_against_simulation(name, widths, weights, sigma_b, sigma_w) -> None:
    """Within four standard errors of 1000 draws, and the terms of second order in 1/n: twice the largest c²/n² a layer."""
    law = log_norm(name, widths, sigma_w, weights, sigma_b, q0=0.4)
    back = log_gradient_norm(name, widths, sigma_w, weights, sigma_b, q0=0.4)
    draws = 1000
    forward, backward = simulated(name, widths, law.sigma_w, weights, sigma_b, 0.4, draws)
    for found, predicted in ((forward, law), (backward, back)):
        second = np.arange(1, len(widths) + 1) * 2 * (6 / min(widths)) ** 2
        second = second if predicted is law else second[::-1]
        mean_error = 4 * found.std(axis=0) / math.sqrt(draws) + second
        assert np.all(np.abs(found.mean(axis=0) - predicted.mean) <= mean_error)
        variance = found.var(axis=0)
        assert np.all(np.abs(variance - predicted.variance) <= 4 * math.sqrt(2 / draws) * variance + second)


def test_a_function_that_gives_next_to_nothing_for_small_signals() -> None:
    """E f⁴/(E f²)² of hardshrink goes from 4 to e^400 within a few steps of the table: a spline of it rang through all of it."""
    widths, draws = [64] * 3, 1000
    law = log_norm("hardshrink", widths, q0=1.0)
    rng = np.random.default_rng(0)
    r = np.ones(draws)
    for depth in range(3):
        h = rng.standard_normal((draws, 64)) * law.sigma_w * np.sqrt(r)[:, None]
        r = np.mean(np.where(np.abs(h) > 0.5, h, 0.0) ** 2, axis=1)
        found = np.log(r)
        assert law.mean[depth] == pytest.approx(found.mean(), abs=4 * found.std() / math.sqrt(draws))
        assert law.variance[depth] == pytest.approx(found.var(), rel=4 * math.sqrt(2 / draws))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "weights", "sigma_b"), [("gelu", "normal", 0.0), ("silu", "normal", 0.1), ("mish", "orthogonal", 0.0)]
)
def test_the_band_holds_nets_whose_signals_part(name: str, weights, sigma_b: float) -> None:
    """At these gains some draws die and others grow; mean and variance to first order held few of their gradients."""
    width, depth, draws = 48, 24, 200
    sigma_w = critical_or_gain(name, sigma_b)
    laws = [law(name, [width] * depth, sigma_w, weights, sigma_b, q0=1.0) for law in (log_norm, log_gradient_norm)]
    measured = simulated(name, [width] * depth, sigma_w, weights, sigma_b, 1.0, draws)
    for law, found in zip(laws, measured, strict=True):
        assert law.quantiles
        low, high = law.band()
        inside = ((low <= found) & (found <= high))[:, : depth - 1].mean(axis=0)
        error = math.sqrt(0.05 * 0.95 / draws)  # of a depth, and nearly that of all: they are the same draws
        assert inside.mean() > 0.95 - 3 * error
        assert inside.min() > 0.95 - 5 * error
        assert found.std(axis=0)[2] == pytest.approx(math.sqrt(law.variance[2]), rel=0.2)
    again = log_norm(name, [width] * depth, sigma_w, weights, sigma_b, q0=1.0)
    assert again == laws[0]


@pytest.mark.slow
@pytest.mark.parametrize(("sigma_w", "sigma_b"), [(1.2, 0.0), (math.sqrt(2), 0.3)])
def test_the_gradients_part_along_the_signal_lasts_in_softplus(sigma_w: float, sigma_b: float) -> None:
    """It grows by more than layer for layer, and by other amounts from draw to draw; ReLU keeps the part that chance gives it.

    Taken layer by layer alone, the means of the first layers were off by 1.4 and 2.8, their deviations short by a fifth.
    """
    width, depth, draws = 48, 40, 300
    law = log_gradient_norm("softplus", [width] * depth, sigma_w, sigma_b=sigma_b, q0=1.0)
    _, found = simulated("softplus", [width] * depth, sigma_w, "normal", sigma_b, 1.0, draws)
    error = found.std(axis=0) / math.sqrt(draws)
    assert np.all(np.abs(found.mean(axis=0) - law.mean)[:-1] <= 4 * error[:-1])
    assert np.sqrt(law.variance)[:-1] == pytest.approx(found.std(axis=0)[:-1], rel=4 / math.sqrt(2 * draws))
    low, high = law.band()
    inside = ((low <= found) & (found <= high))[:, :-1].mean(axis=0)
    assert inside.mean() > 0.95 - 3 * math.sqrt(0.05 * 0.95 / draws)


def test_relu_adds_five_over_n() -> None:
    """Hanin & Rolnick 2018, Hanin & Nica 2020: log-variance 5 Σ 1/n_l, and the mean falls by half of it."""
    widths = [64, 128, 256, 32, 1000]
    law = log_norm("relu", widths)
    assert law.sigma_w == pytest.approx(math.sqrt(2))
    assert law.variance == pytest.approx(5 * np.cumsum([1 / n for n in widths]), rel=1e-9)
    assert law.mean == pytest.approx(-2.5 * np.cumsum([1 / n for n in widths]), rel=1e-9)
    assert layer_constant("relu", backward=True) == pytest.approx(5.0)
    assert log_gradient_norm("relu", [100] * 4).variance[0] == pytest.approx(15 / 100, rel=1e-9)


def test_linear_orthogonal_nets_do_not_know_their_depth() -> None:
    """Saxe et al. 2013: an isometry keeps every norm, at any depth; independent weights add 2/n a layer."""
    assert max(log_norm("linear", [32] * 1000, weights="orthogonal").variance) < 1e-9
    assert log_norm("linear", [32] * 100).variance[-1] == pytest.approx(200 / 32, rel=1e-9)


def test_saturating_nets_heal() -> None:
    """The elasticity is below 1, so the variance of tanh settles; ReLU's grows without end."""
    law = log_norm("tanh", [64] * 200, sigma_b=0.3)
    assert law.variance[-1] == pytest.approx(law.variance[100], rel=1e-6)
    assert law.variance[-1] < 3 * layer_constant("tanh", 0.5) / 64
    assert log_norm("relu", [64] * 200).variance[-1] == pytest.approx(200 * 5 / 64)


def test_sigma_w_where_no_stable_variance_is_critical() -> None:
    assert critical_or_gain("gelu") == pytest.approx(1.5335, abs=1e-4)
    assert critical_or_gain("hardshrink") == pytest.approx(1.0158, abs=1e-3)


def test_band() -> None:
    """ReLU: u is 2 z² or 0 by halves, so that k₂ = 5 and k₃ = 60 - 3 · 6 + 2 = 44, and the log of its mean follows by the delta method."""
    n, depth = 100, np.arange(1, 4)
    low, high = log_norm("relu", [n] * 3).band()
    variance = (5 / n + (2.5 * 25 - 44) / n**2) * depth
    skew = (44 - 3 * 25) / n**2 * depth / variance**1.5
    middle = (-2.5 / n + (44 / 3 - 0.75 * 25) / n**2) * depth
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(variance))
    assert (high + low) / 2 == pytest.approx(middle + np.sqrt(variance) * skew / 6 * (1.96**2 - 1), rel=1e-3)


@pytest.mark.parametrize(
    ("name", "weights", "sigma_b"), [("relu", "normal", 0.0), ("tanh", "orthogonal", 0.6), ("hardtanh", "normal", 0.3)]
)
def test_as_many_draws_lie_above_the_band_as_below(name: str, weights, sigma_b: float) -> None:
    """Logs of means of squares lean to the left: of a normal band two to four times as many lie below as above."""
    width, depth, draws = 32, 3, 20000
    law = log_norm(name, [width] * depth, 1.2, weights, sigma_b, q0=1.0)
    rng, f = np.random.default_rng(0), Activation.named(name)
    x = np.ones((draws, width))
    found = []
    for _ in range(depth):  # given x, W x is Gaussian; with an isometry its direction is uniform and its norm that of x
        h = rng.standard_normal(x.shape)
        if weights == "orthogonal":
            h *= math.sqrt(width) / np.linalg.norm(h, axis=1, keepdims=True)
        h *= 1.2 * np.sqrt(np.mean(x * x, axis=1, keepdims=True))
        x = f(h + sigma_b * rng.standard_normal(x.shape))
        found.append(np.log(np.mean(x * x, axis=1)))
    measured, (low, high) = np.stack(found), law.band()
    below, above = (measured < low[:, None]).mean(axis=1), (measured > high[:, None]).mean(axis=1)
    error = math.sqrt(0.025 * 0.975 / draws)
    assert np.all(np.abs([below, above] - np.array(0.025)) < 5 * error)  # and what is left of higher order
    spread = 1.96 * measured.std(axis=1)
    normal = np.abs(measured - measured.mean(axis=1, keepdims=True)) > spread[:, None]
    left = measured < measured.mean(axis=1, keepdims=True)
    assert np.all((normal & left).mean(axis=1) > 0.025 + 5 * error)
    assert measured.var(axis=1) == pytest.approx(np.array(law.fluctuation), rel=0.04)


def test_walkers_noise_is_not_correlated_between_layers() -> None:
    """By chance the correlations of 4000 walkers are 1/√4000, and they were in every band."""
    layers = tuple(Layer(Curve.of("tanh"), 1.0, 0.0, 64, 64, "normal") for _ in range(20))
    noise = walk(0.0, layers, 300.0).noise
    between = np.corrcoef(noise) - np.eye(20)
    assert np.abs(between).max() < 0.1 / math.sqrt(noise.shape[1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: log_norm("relu", []), "widths="),
        (lambda: log_norm("relu", [10, 0]), "widths="),
        (lambda: log_norm("relu", [10], weights="haar"), "weights='haar'"),
        (lambda: log_gradient_norm("hardshrink", [10, 10]), "jumps"),
    ],
)
def test_what_has_no_law_is_named(call, message: str) -> None:
    with pytest.raises(FaninValueError, match=message):
        call()
