"""Norms against simulated layers and published rates."""

import math

import numpy as np
import pytest

from fanin.activations import Activation
from fanin.errors import FaninValueError
from fanin.theory import norm_layer, pair_moments, sphere_moments, weight_standardised
from fanin.theory.derivatives import DERIVATIVES
from fanin.theory.spheres import normalised_pair, sphere_pairs


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
    [("linear", 8, 0.01), ("relu", 16, 0.015), ("relu", 128, 0.015), ("tanh", 16, 0.015), ("gelu", 8, 0.015)],
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


@pytest.mark.slow
@pytest.mark.parametrize("size", [8, 16])
@pytest.mark.parametrize("name", ["linear", "relu", "tanh", "gelu", "sigmoid"])
@pytest.mark.parametrize("norm", ["group", "rms"])
def test_norms_over_few_values_against_real_layers(norm, name: str, size: int) -> None:
    """A dense layer with torch's own norm behind another one: what autograd gives back, and what two inputs share."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    draws, width, examples, c = (
        800,
        256,
        4,
        0.6,
    )  # units share what x's mean makes of their weights: many draws of few examples
    f = {**vars(torch.nn.functional), "linear": lambda z: z, "tanh": torch.tanh, "sigmoid": torch.sigmoid}[name]

    def normed(h):
        if norm == "group":
            return torch.nn.functional.group_norm(h, width // size, eps=1e-12)
        return torch.nn.functional.rms_norm(h.unflatten(1, (-1, size)), (size,), eps=1e-12).flatten(1)

    first = torch.randn(2, draws * examples, width)
    first[1] = c * first[0] + math.sqrt(1 - c * c) * first[1]
    x, other = f(normed(first[0])), f(normed(first[1]))
    expected = norm_layer(name, norm, size, c=c)
    assert float((x * other).mean() / x.square().mean()) == pytest.approx(expected.correlation, abs=0.005)
    square = torch.zeros(3)
    for part in x.split(examples):
        part.requires_grad_(True)
        y = f(normed(part @ (torch.randn(width, width) / math.sqrt(width))))
        g = torch.randn_like(y)
        (back,) = torch.autograd.grad(y, part, g)
        square += torch.stack([v.detach().square().sum() for v in (y, g, back)])
    assert float(square[0]) == pytest.approx(expected.second * draws * examples * width, rel=0.01)
    assert float(square[2] / square[1]) == pytest.approx(expected.gradient, rel=0.02)


@pytest.mark.parametrize("d", [3, 7, 20])
@pytest.mark.parametrize("name", ["relu", "gelu", "hardtanh"])
def test_pairs_on_spheres_against_simulation(name: str, d: int) -> None:
    """Two of d + 1 values that sum to zero; and one value of two vectors that are normalised apart."""
    rng, f, df = np.random.default_rng(d), Activation.named(name), DERIVATIVES[name].df
    h = rng.standard_normal((100_000, d + 1))
    h -= h.mean(axis=1, keepdims=True)
    u, v = (h / np.sqrt(np.mean(h * h, axis=1, keepdims=True)))[:, :2].T
    for found, expected in zip(
        (f(u) * f(v), df(u) * df(v), u * df(u) * v * df(v)), sphere_pairs(name, d, -1 / d), strict=True
    ):
        assert found.mean() == pytest.approx(expected, abs=5 * found.std() / math.sqrt(len(found)))
    for c in (-0.7, 0.0, 0.95):
        a, b = rng.standard_normal((2, 100_000, d))
        b = c * a + math.sqrt(1 - c * c) * b
        product = f(a[:, 0] * math.sqrt(d) / np.linalg.norm(a, axis=1)) * f(
            b[:, 0] * math.sqrt(d) / np.linalg.norm(b, axis=1)
        )
        error = product.std() / math.sqrt(len(product))
        assert product.mean() == pytest.approx(normalised_pair(name, d, c), abs=5 * error)


def test_large_spheres_are_gaussian() -> None:
    for c in (-0.9, 0.3, 0.999, 1.0):
        assert normalised_pair("gelu", 1e5, c) == pytest.approx(pair_moments("gelu", c).ff, abs=1e-4)
    assert norm_layer("tanh", "rms", 10**9) == norm_layer("tanh", "rms")


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


def test_jumps_have_no_finite_gradient_behind_any_norm() -> None:
    for norm in ("rms", "group", "batch"):
        assert math.isinf(norm_layer("hardshrink", norm, 8).gradient)
        assert math.isinf(norm_layer("hardshrink", norm).gradient)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("relu", "instance"), "norm='instance'"),
        (("relu", "batch", 3), "size=3"),
        (("relu", "rms", math.nan), "size=nan"),
        (("relu", "rms", 8, 1.5), "c=1.5"),
        ((lambda z: 0 * z, "rms", 8), "nothing is left"),
        ((lambda z: 0 * z + 2.0, "batch"), "the same value"),
        ((lambda z: 0 * z + 2.0, "batch", 8), "the same value"),
    ],
)
def test_bad_norms(arguments, message: str) -> None:
    with pytest.raises(FaninValueError, match=message):
        norm_layer(*arguments)


def test_bad_weight_standardisation() -> None:
    with pytest.raises(FaninValueError, match=r"sigma_w=-1\.0"):
        weight_standardised("relu", -1.0)
    with pytest.raises(FaninValueError, match="no gain"):
        weight_standardised(lambda z: 0 * z + 2.0)
    with pytest.raises(FaninValueError, match="dimension=2"):
        sphere_moments("relu", 2)
