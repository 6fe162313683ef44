"""The covariance between tokens against the maps that it stands for."""

import math

import numpy as np
import pytest

from fanin.activations import Activation
from fanin.theory import elementwise, tokens
from fanin.theory.state import State


def state(kernel: np.ndarray) -> State:
    return tokens.with_kernel(State(0.0, float(np.diagonal(kernel).mean()), 1.0), kernel)


@pytest.mark.parametrize("name", ["relu", "gelu", "tanh"])
def test_an_activation_maps_covariances_as_drawn_numbers_do(name: str) -> None:
    """E f(u_i) f(u_j) within 2 % of the second moment, for tokens of equal size."""
    f, rng = Activation.named(name), np.random.default_rng(0)
    kernel = np.array([[1.0, 0.8, 0.1], [0.8, 1.0, -0.3], [0.1, -0.3, 1.0]])
    u = rng.multivariate_normal(np.zeros(3), kernel, 200_000)
    y = elementwise.activated(state(kernel), f, 64, 8)
    assert y.kernel is not None
    assert y.kernel == pytest.approx(f(u).T @ f(u) / len(u), abs=0.02 * y.q)


def test_averages_follow_from_the_matrix() -> None:
    x = state(np.array([[2.0, 0.5], [0.5, 1.0]]))
    assert (x.q, x.apart) == (1.5, 1.0)
    assert x.profile == ((2 / 1.5, 1 / 1.5),)


def test_a_norm_makes_tokens_of_equal_size() -> None:
    x = state(np.array([[4.0, 1.0], [1.0, 1.0]]))
    y = tokens.normed(x, State(0.0, 1.0, 1.0), True, 0.0, 1.0)
    assert y.kernel is not None
    assert y.kernel == pytest.approx(np.array([[1.0, 0.5], [0.5, 1.0]]))


def test_sums_and_products_of_unrelated_signals() -> None:
    a, b = state(np.array([[2.0, 0.5], [0.5, 1.0]])), State(0.0, 1.0, 1.0, apart=0.25)
    added = tokens.summed(a, b, State(0.0, 2.5, 2.0))
    product = tokens.multiplied(a, b, State(0.0, 1.5, 1.5))
    assert added.kernel == pytest.approx(np.array([[3.0, 1.25], [1.25, 2.0]]))
    assert product.kernel == pytest.approx(np.array([[2.0, 0.375], [0.375, 1.0]]))


def test_dropout_is_each_tokens_own() -> None:
    x = state(np.array([[1.0, 0.5], [0.5, 1.0]]))
    y = tokens.dropped(x, x.but(q=1.25))
    assert y.kernel == pytest.approx(np.array([[1.25, 0.5], [0.5, 1.25]]))


def test_a_reflected_walk_is_no_gaussian() -> None:
    """x ← relu(x + g), 20 times from relu(g): the second moment of the law's walk within 2 % of drawn ones."""
    relu, rng = Activation.named("relu"), np.random.default_rng(1)
    x = np.maximum(rng.standard_normal(400_000), 0)
    y = elementwise.activated(State(0.0, 1.0, 1.0), relu, 64, 8)
    for _ in range(20):
        x = np.maximum(x + rng.standard_normal(len(x)), 0)
        branch = State(0.0, 1.0, 1.0)
        total = State(y.mean, y.q + 1, y.s + 1, law=elementwise.sum_law(y, branch))
        y = elementwise.activated(total, relu, 64, 8)
    assert y.q == pytest.approx(float(np.mean(x**2)), rel=0.02)
    assert math.isfinite(y.s)
