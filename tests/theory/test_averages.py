"""Shares of a softmax over random logits against drawn ones."""

import numpy as np
import pytest

from fanin.theory import averages
from fanin.theory.state import State


@pytest.mark.parametrize("keys", [1, 2, 17, 64])
@pytest.mark.parametrize("variance", [0.0, 0.05, 0.25, 0.5, 2.0, 10.0, 40.0])
def test_shares_of_random_logits(keys: int, variance: float) -> None:
    """E Σ a² within five standard errors and 2 %."""
    logits = np.random.default_rng(3).standard_normal((20_000, keys)) * np.sqrt(variance)
    a = np.exp(logits - logits.max(axis=1, keepdims=True))
    measured = np.sum((a / a.sum(axis=1, keepdims=True)) ** 2, axis=1)
    error = 5 * float(measured.std()) / np.sqrt(len(measured))
    assert averages.shares(np.array([float(keys)]), variance)[0] == pytest.approx(measured.mean(), abs=error, rel=0.02)


@pytest.mark.parametrize("keys", [2, 17, 64])
@pytest.mark.parametrize("variance", [0.01, 0.5, 2.0, 22.0])
def test_slopes_of_random_logits(keys: int, variance: float) -> None:
    """What the logits of one query get of gradients that unrelated values bring, within six standard errors and 2 %."""
    rng = np.random.default_rng(4)
    logits = rng.standard_normal((40_000, keys)) * np.sqrt(variance)
    a = np.exp(logits - logits.max(axis=1, keepdims=True))
    a /= a.sum(axis=1, keepdims=True)
    v = rng.standard_normal(a.shape)
    measured = np.sum((a * (v - np.sum(a * v, axis=1, keepdims=True))) ** 2, axis=1)
    error = 6 * float(measured.std()) / np.sqrt(len(measured))
    assert averages.slopes(np.array([float(keys)]), variance)[0] == pytest.approx(measured.mean(), abs=error, rel=0.02)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("variance", "rho"), [(0.5, 0.5), (4.0, 0.5), (22.0, 0.4), (22.0, 0.9)])
def test_two_queries_look_at_the_same_keys_no_more_than_one_at_its_own(
    variance: float, rho: float, causal: bool
) -> None:
    """E Σ a_ij a_i'j for logits of covariance ρ σ² against drawn ones, within a third of the share of one query."""
    rng, n = np.random.default_rng(5), 24
    common = rng.standard_normal((400, 1, n)) * np.sqrt(rho * variance)
    logits = common + rng.standard_normal((400, n, n)) * np.sqrt((1 - rho) * variance)
    logits = np.where(np.tri(n, dtype=bool) | (not causal), logits, -np.inf)
    a = np.exp(logits - logits.max(axis=-1, keepdims=True))
    a /= a.sum(axis=-1, keepdims=True)
    both = a @ a.transpose(0, 2, 1)
    own = np.trace(both, axis1=1, axis2=2)
    measured = float((both.sum(axis=(1, 2)) - own).mean()) / (n * (n - 1))
    count = averages.counts(n, n, causal, 1 / n)
    more = averages.growth(count, averages.shares(count, variance), (variance, rho * variance))
    found = averages.overlap(count, causal, more)
    assert found == pytest.approx(measured, abs=float(own.mean()) / n / 3)


def test_attention_takes_away_what_tells_tokens_apart() -> None:
    value = State(0.0, 1.0, 1.0, apart=0.75)
    even = averages.averaged(value, averages.counts(16, 16, False, 1 / 16), False, (0.0, 0.0), 0.0)
    assert even.q == pytest.approx(0.25 + 0.75 / 16)
    assert even.apart == pytest.approx(0.0, abs=1e-12)
    sharp = averages.averaged(value, averages.counts(16, 16, False, 1 / 16), False, (300.0, 0.0), 0.0)
    assert sharp.q > 0.85


def test_a_causal_mask_leaves_early_tokens_larger() -> None:
    value = State(0.0, 1.0, 1.0, apart=1.0)
    y = averages.averaged(value, averages.counts(8, 8, True, 0.0), True, (0.0, 0.0), 0.0)
    assert y.q == pytest.approx(np.mean(1 / np.arange(1, 9)))
    assert y.profile[0][0] == pytest.approx(1 / y.q)
    assert y.kernel is not None
    assert y.kernel[0, 7] == pytest.approx(1 / 8)  # the last token looks at the first with one weight of eight
