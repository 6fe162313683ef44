"""Norms against simulated layers and published rates."""

import math

import numpy as np
import pytest

from fanin.activations import Activation
from fanin.errors import FaninValueError
from fanin.theory import norm_layer, sphere_moments, weight_standardised
from fanin.theory.derivatives import DERIVATIVES


def batch_norm_net(name: str, batch: int, depth: int, width: int, seed: int) -> float:
    """Growth of the gradient's squared norm a layer, in a net of dense layers with batch norm."""
    rng, f, df = np.random.default_rng(seed), Activation.named(name), DERIVATIVES[name].df
    x, kept = rng.standard_normal((width, batch)), []
    for _ in range(depth):
        w = rng.standard_normal((width, width)) / math.sqrt(width)
        h = w @ x
        h -= h.mean(axis=1, keepdims=True)
        scale = h.std(axis=1, keepdims=True)
        u = h / scale
        kept.append((w, u, scale))
        x = f(u)
    g, norms = rng.standard_normal((width, batch)), []
    for w, u, scale in reversed(kept):
        g = g * df(u)
        g = (g - g.mean(axis=1, keepdims=True) - u * np.mean(g * u, axis=1, keepdims=True)) / scale
        g = w.T @ g
        norms.append(float(np.sum(g * g)))
    return (norms[-2] / norms[2]) ** (1 / (depth - 4))  # without the first layer: no norm stands before it


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "batch", "tolerance"),
    [("linear", 8, 0.01), ("relu", 16, 0.015), ("relu", 128, 0.015), ("tanh", 16, 0.015)],
)
def test_batch_norm_explodes_at_the_predicted_rate(name: str, batch: int, tolerance: float) -> None:
    """Yang et al. 2019: (B - 2)/(B - 3) for linear nets, π/(π - 1) for ReLU in large batches."""
    found = np.mean([math.log(batch_norm_net(name, batch, 20, 512, seed)) for seed in range(8)])
    assert found == pytest.approx(math.log(norm_layer(name, "batch", batch).gradient), abs=tolerance)


def test_published_rates_of_batch_norm() -> None:
    assert norm_layer("linear", "batch", 10).gradient == pytest.approx(8 / 7)
    assert norm_layer("relu", "batch").gradient == pytest.approx(math.pi / (math.pi - 1), rel=1e-10)
    assert math.sqrt(norm_layer("relu", "batch").gradient) == pytest.approx(1.2112, abs=1e-4)


@pytest.mark.parametrize("norm", ["layer", "rms", "group"])
def test_other_norms_keep_homogeneous_gradients(norm) -> None:
    assert norm_layer("relu", norm).gradient == pytest.approx(1.0, rel=1e-12)
    assert norm_layer("tanh", norm).gradient > 1
    assert norm_layer("relu", norm, c=0.0).correlation == pytest.approx(1 / math.pi)


@pytest.mark.parametrize("d", [4, 8, 30])
def test_spheres(d: int) -> None:
    x = np.random.default_rng(0).standard_normal((400_000, d))
    u = x[:, 0] * math.sqrt(d) / np.linalg.norm(x, axis=1)
    first, second, slope = sphere_moments("gelu", d)
    f = Activation.named("gelu")
    assert first == pytest.approx(float(f(u).mean()), rel=0.02)
    assert second == pytest.approx(float(np.mean(f(u) ** 2)), rel=0.02)
    assert slope == pytest.approx(float(np.mean(DERIVATIVES["gelu"].df(u) ** 2)), rel=0.02)
    assert sphere_moments("linear", d)[1] == pytest.approx(1.0, rel=1e-9)


def test_weight_standardisation_takes_the_mean_away() -> None:
    """Brock et al. 2021: √(2 / (1 - 1/π)) for ReLU."""
    assert weight_standardised("relu")[1] == pytest.approx(math.sqrt(2 / (1 - 1 / math.pi)), rel=1e-12)
    rng, f = np.random.default_rng(0), Activation.named("softplus")
    after, gain = weight_standardised("softplus", 1.3, 0.2)
    w = rng.standard_normal((1000, 2000))
    w = (w - w.mean(axis=1, keepdims=True)) / w.std(axis=1, keepdims=True) * 1.3 / math.sqrt(2000)
    h = w @ f(rng.standard_normal((2000, 20))) + 0.2 * rng.standard_normal((1000, 1))
    assert float(np.mean(h * h)) == pytest.approx(after(1.0), rel=0.03)
    assert gain == pytest.approx(weight_standardised("softplus", 1.0)[0](1.0) ** -0.5)


@pytest.mark.parametrize(("arguments", "message"), [(("instance",), "norm='instance'"), (("batch", 3), "size=3")])
def test_bad_norms(arguments, message: str) -> None:
    with pytest.raises(FaninValueError, match=message):
        norm_layer("relu", *arguments)
