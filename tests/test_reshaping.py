"""Reshaped activations fulfil their conditions, by simulation and against other quadratures, and deep nets of them keep a kernel."""

import numpy as np
import pytest
import torch
from scipy import integrate

from fanin.activations import Activation
from fanin.errors import FaninValueError
from fanin.reshaping import Reshaped, leaky_correlation, maps, shaped, tailored, tailored_leaky

SMOOTH = ["tanh", "softplus", "silu", "gelu", "elu", "erf", "softsign", "mish", "sigmoid"]


def gaussian_mean(h, limit: float = 9.0) -> float:
    """E h(z), z ~ N(0, 1), by SciPy."""
    inside = lambda z: h(np.array([z]))[0] * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)  # noqa: E731
    return integrate.quad(inside, -limit, limit, points=[-1.0, 0.0, 1.0], limit=400, epsabs=1e-11)[0]


@pytest.mark.parametrize("name", ["tanh", "gelu", "leaky_relu", "selu"])
def test_dks_conditions_by_another_quadrature(name: str) -> None:
    g = shaped(Activation.named(name), 1.02)
    h = 1e-5
    slope = lambda z: (g(z + h) - g(z - h)) / (2 * h)  # noqa: E731
    assert gaussian_mean(lambda z: g(z) ** 2) == pytest.approx(1.0, abs=1e-5)
    assert gaussian_mean(g) == pytest.approx(0.0, abs=1e-5)
    assert gaussian_mean(lambda z: slope(z) ** 2) == pytest.approx(1.02, abs=1e-3)
    assert gaussian_mean(lambda z: g(z) * slope(z) * z) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("depth", [10, 100])
def test_every_smooth_activation_can_be_shaped_and_tailored(name: str, depth: int) -> None:
    f = Activation.named(name)
    dks, tat = maps(shaped(f, 1.5 ** (1 / depth))), maps(tailored(f, 0.3 / depth))
    assert (dks.q, dks.q_slope, dks.c_slope) == pytest.approx((1, 1, 1.5 ** (1 / depth)), abs=1e-6)
    assert dks.c_zero < 1e-10
    assert (tat.q, tat.q_slope, tat.c_slope, tat.c_curve) == pytest.approx((1, 1, 1, 0.3 / depth), abs=1e-6)


@pytest.mark.parametrize("depth", [20, 50, 100])
def test_the_tailored_leaky_relu_takes_uncorrelated_signals_where_it_should(depth: int) -> None:
    g = tailored_leaky(depth, 0.9)
    (slope,) = g.base.parameters
    c = 0.0
    for _ in range(depth):
        c = leaky_correlation(c, slope)
    assert c == pytest.approx(0.9, abs=1e-9)
    x, y = np.random.default_rng(0).standard_normal((2, 10**6))
    z = 0.5 * x + np.sqrt(0.75) * y
    assert leaky_correlation(0.5, slope) == pytest.approx(np.mean(g(x) * g(z)), abs=5e-3)


@pytest.mark.parametrize(
    ("name", "g"), [("dks", shaped(Activation.named("tanh"), 1.5 ** (1 / 50))), ("tat", tailored_leaky(50, 0.9))]
)
def test_fifty_layers_keep_size_and_correlation_where_plain_ones_lose_both(name: str, g: Reshaped) -> None:
    """Two signals of correlation 0 through 50 orthogonal layers: 0 under DKS, 0.9 under TAT, near 1 under plain ReLU."""
    rng, width = np.random.default_rng(0), 1000
    x = rng.standard_normal((2, width))
    plain = x.copy()
    for _ in range(50):
        w = rng.standard_normal((width, width)) / np.sqrt(width)
        x, plain = g(x @ w.T), np.maximum(plain @ w.T, 0) * np.sqrt(2)
        # orthogonal weights would keep the size exactly; Gaussian ones let it wander, so it is set back
        x, plain = (v / np.sqrt((v**2).mean(1, keepdims=True)) for v in (x, plain))
    assert abs((x[0] @ x[1]) / width - {"dks": 0.0, "tat": 0.9}[name]) < 0.15
    assert (plain[0] @ plain[1]) / width > 0.97


def test_the_same_function_in_every_framework() -> None:
    x = np.linspace(-4, 4, 81)
    for name in SMOOTH:
        g = shaped(Activation.named(name), 1.05)
        at = torch.from_numpy(x).requires_grad_()
        y = g(at)
        assert np.allclose(y.detach().numpy(), g(x), atol=1e-9)
        assert torch.autograd.grad(y.sum(), at)[0].isfinite().all()
    assert isinstance(g(0.5).item(), float)


def test_in_jax() -> None:
    jax = pytest.importorskip("jax")
    x = np.linspace(-4, 4, 81, dtype=np.float32)
    for name in ("tanh", "silu", "softplus", "gelu"):
        g = shaped(Activation.named(name), 1.05)
        assert np.allclose(jax.jit(g)(jax.numpy.asarray(x)), g(x), atol=2e-4)


@pytest.mark.parametrize(
    "g", [shaped(Activation.named("gelu"), 1.1), tailored_leaky(30, 0.9), Reshaped(Activation.named("tanh"))]
)
def test_specs_and_json_are_read_back(g: Reshaped) -> None:
    assert Reshaped.parse(g.spec) == g
    assert Reshaped.from_dict(g.to_dict()) == g
    assert g.base.name in str(g)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: tailored(Activation.named("relu"), 0.01), "has a kink, where its curvature is infinite"),
        (lambda: tailored(Activation.of(lambda z: np.tanh(z) + 0.1 * z), 0.01), "known by a table of values"),
        (lambda: tailored_leaky(3, 0.9), "3 ReLUs take uncorrelated signals to a correlation of"),
        (lambda: shaped(Activation.named("linear"), 1.1), "cannot be reshaped"),
        (lambda: Reshaped.parse("tanh"), "is no reshaped activation; it reads"),
        (lambda: Reshaped.parse("reshaped(tanhh, scale=1.0, shift=0.0, gain=1.0, offset=0.0)"), "'tanhh' is not known"),
        (lambda: Reshaped.parse("reshaped(tanh, scale=x, shift=0.0)"), "is no reshaped activation"),
        (lambda: Reshaped(Activation.of(lambda z: z**3))(torch.zeros(2)), "cannot be computed in torch"),
    ],
)
def test_bad_input(make, words: str) -> None:
    with pytest.raises(FaninValueError, match=words):
        make()
