"""Attention at the start against simulated heads."""

import math

import numpy as np
import pytest

from fanin.errors import FaninValueError
from fanin.theory import attention, participation


@pytest.mark.parametrize("tokens", [2, 10, 64])
@pytest.mark.parametrize("variance", [0.25, 1.0, 9.0])
def test_participation_of_random_logits(tokens: int, variance: float) -> None:
    logits = np.random.default_rng(0).standard_normal((40_000, tokens)) * math.sqrt(variance)
    w = np.exp(logits - logits.max(axis=1, keepdims=True))
    w /= w.sum(axis=1, keepdims=True)
    found = np.sum(w * w, axis=1)
    assert participation(tokens, variance) == pytest.approx(found.mean(), abs=4 * found.std() / math.sqrt(len(found)))


def test_two_tokens_are_a_logistic_normal() -> None:
    """E (1 + 2 s (s - 1)), s = sigmoid(N(0, 2 τ²))."""
    z = np.linspace(-10, 10, 4001)
    p = np.exp(-0.5 * z**2)
    s = 1 / (1 + np.exp(-z * math.sqrt(2 * 3.0)))
    assert participation(2, 3.0) == pytest.approx(float(np.sum(p * (s**2 + (1 - s) ** 2)) / p.sum()), rel=1e-9)


def test_large_logits_choose_one_token() -> None:
    values = [participation(64, v) for v in (0.0, 1.0, 10.0, 50.0, 100.0)]
    assert values == sorted(values)
    assert values[0] == pytest.approx(1 / 64)
    assert 0.7 < values[-1] < 1


@pytest.mark.parametrize(("c", "tau"), [(0.0, 0.0), (0.0, 1.0), (0.5, 1.5)])
def test_heads_against_simulation(c: float, tau: float) -> None:
    """Random projections of 256 features, 24 tokens that share a common part."""
    rng, tokens, d = np.random.default_rng(3), 24, 256
    seconds, products = [], []
    for _ in range(30):
        x = math.sqrt(1 - c) * rng.standard_normal((tokens, d)) + math.sqrt(c) * rng.standard_normal(d)
        q, k, v, o = rng.standard_normal((4, d, d)) / math.sqrt(d)
        logits = tau * (x @ q) @ (x @ k).T / math.sqrt(d)
        w = np.exp(logits - logits.max(axis=1, keepdims=True))
        w /= w.sum(axis=1, keepdims=True)
        out = w @ x @ v @ o
        gram = out @ out.T / d
        seconds.append(np.trace(gram) / tokens)
        products.append((gram.sum() - np.trace(gram)) / (tokens * (tokens - 1)))
    expected = attention(tokens, 1.0, c, tau**2)
    assert np.mean(seconds) == pytest.approx(expected.second, rel=0.1)
    assert np.mean(products) == pytest.approx(expected.covariance, rel=0.12)


@pytest.mark.parametrize("variance", [0.25, 4.0, 100.0])
def test_how_steep_a_random_softmax_is(variance: float) -> None:
    logits = np.random.default_rng(1).standard_normal((40_000, 12)) * math.sqrt(variance)
    w = np.exp(logits - logits.max(axis=1, keepdims=True))
    w /= w.sum(axis=1, keepdims=True)
    squares = np.sum(w**2, axis=1)
    found = squares + squares**2 - 2 * np.sum(w**3, axis=1)
    steep = attention(12, logit_variance=variance)
    steep = (steep.gradient - steep.value_gradient) / (2 * variance)
    assert steep == pytest.approx(found.mean(), abs=4 * found.std() / math.sqrt(len(found)))


@pytest.mark.parametrize(
    ("tokens", "c", "tau", "sigma_v", "sigma_o"),
    [(24, 0.0, 0.0, 1, 1), (24, 0.0, 1.0, 1, 1), (24, 0.0, 2.0, 1, 1), (24, 0.5, 1.5, 1, 1), (8, 0.8, 2.0, 1, 1), (12, 0.3, 1.0, 1.5, 0.7)],
)  # fmt: skip
def test_gradients_of_wide_heads_by_autograd(tokens: int, c: float, tau: float, sigma_v, sigma_o) -> None:
    """All three ways back, and the one through the values alone, with the softmax held fixed."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    d, draws, found = 384, 40, np.zeros(2)
    for _ in range(draws):
        x = math.sqrt(1 - c) * torch.randn(tokens, d) + math.sqrt(c) * torch.randn(d)
        x.requires_grad_(True)
        q, k, v, o = torch.randn(4, d, d) / math.sqrt(d)
        w = torch.softmax(tau * (x @ q) @ (x @ k).T / math.sqrt(d), dim=1)
        g = torch.randn(tokens, d)
        for number, weights in enumerate((w, w.detach())):
            (back,) = torch.autograd.grad(weights @ x @ v @ o * sigma_v * sigma_o, x, g, retain_graph=True)
            found[number] += float(back.square().mean()) / draws
    expected = attention(tokens, 1.0, c, tau**2, sigma_v, sigma_o)
    assert found[0] == pytest.approx(expected.gradient, rel=0.1)
    assert found[1] == pytest.approx(expected.value_gradient, rel=0.08)


def test_uniform_attention_makes_tokens_alike() -> None:
    """Rank collapse (Dong et al. 2021): one layer of uniform attention leaves one direction."""
    a = attention(100)
    assert (a.second, a.correlation) == (pytest.approx(0.01), pytest.approx(1.0))
    assert attention(1).participation == 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "tokens=0"),
        ((2.5,), "tokens=2.5"),
        ((4, 1.0, -0.5), "c=-0.5"),
        ((4, -1.0), "q=-1.0"),
        ((4, math.nan), "q=nan"),
        ((4, 1.0, 0.0, 400.0), "beyond 100"),
        ((4, 1.0, 0.0, 1.0, -1.0), "sigma_v=-1.0"),
    ],
)
def test_bad_attention(arguments, message: str) -> None:
    with pytest.raises(FaninValueError, match=message):
        attention(*arguments)
