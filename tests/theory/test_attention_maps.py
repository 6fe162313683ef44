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


def test_uniform_attention_makes_tokens_alike() -> None:
    """Rank collapse (Dong et al. 2021): one layer of uniform attention leaves one direction."""
    a = attention(100)
    assert (a.second, a.correlation) == (pytest.approx(0.01), pytest.approx(1.0))
    assert attention(1).participation == 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0,), "tokens=0"), ((4, 1.0, -0.5), "c=-0.5"), ((4, -1.0), "q=-1.0"), ((4, 1.0, 0.0, 400.0), "beyond 100")],
)
def test_bad_attention(arguments, message: str) -> None:
    with pytest.raises(FaninValueError, match=message):
        attention(*arguments)
