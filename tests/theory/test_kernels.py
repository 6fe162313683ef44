"""NNGP and NTK recursions against closed forms."""

import math

import numpy as np
import pytest

from fanin.errors import FaninValueError
from fanin.theory import nngp_kernel, ntk_kernel


def arc_cosine(x: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """NNGP and NTK of ReLU at σ_w² = 2, σ_b = 0 (Cho & Saul 2009; Jacot et al. 2018)."""
    k = 2 * x @ x.T / x.shape[1]
    theta = k.copy()
    for _ in range(depth):
        size = np.sqrt(np.outer(np.diag(k), np.diag(k)))
        angle = np.arccos(np.clip(k / size, -1, 1)) * (1 - np.eye(len(k)))
        k = size * (np.sin(angle) + (math.pi - angle) * np.cos(angle)) / math.pi
        theta = k + theta * (math.pi - angle) / math.pi
    return k, theta


def test_relu() -> None:
    x = np.random.default_rng(0).standard_normal((5, 7))
    k, theta = arc_cosine(x, 4)
    assert nngp_kernel("relu", x, 4, 2**0.5) == pytest.approx(k, rel=1e-9)
    assert ntk_kernel("relu", x, 4, 2**0.5) == pytest.approx(theta, rel=1e-9)


def test_many_inputs_of_one_norm_are_interpolated_without_loss() -> None:
    x = np.random.default_rng(0).standard_normal((30, 7))
    x *= math.sqrt(7) / np.linalg.norm(x, axis=1, keepdims=True)
    k, theta = arc_cosine(x, 3)
    assert nngp_kernel("relu", x, 3, 2**0.5) == pytest.approx(k, abs=1e-9)
    assert ntk_kernel("relu", x, 3, 2**0.5) == pytest.approx(theta, abs=1e-8)


def test_erf_with_bias() -> None:
    """Williams 1997."""
    x = np.random.default_rng(1).standard_normal((4, 3))
    k = 1.5**2 * x @ x.T / 3 + 0.04
    d = np.diag(k)
    expected = 1.5**2 * 2 / math.pi * np.arcsin(2 * k / np.sqrt(np.outer(1 + 2 * d, 1 + 2 * d))) + 0.04
    assert nngp_kernel("erf", x, 1, 1.5, 0.2) == pytest.approx(expected, rel=1e-9)


def test_linear_models() -> None:
    x = np.array([[1.0, 2.0], [3.0, -1.0]])
    assert nngp_kernel("linear", x, 5, 1.0) == pytest.approx(x @ x.T / 2)
    assert ntk_kernel("linear", x, 5, 1.0) == pytest.approx(6 * x @ x.T / 2)
    assert nngp_kernel("tanh", x, 0, 1.0, 1.0) == pytest.approx(x @ x.T / 2 + 1)


def test_other_inputs_and_positive_definite() -> None:
    x = np.random.default_rng(2).standard_normal((6, 4))
    whole = ntk_kernel("gelu", x, 2, 1.5, 0.1)
    assert ntk_kernel("gelu", x[:2], 2, 1.5, 0.1, other=x[2:]) == pytest.approx(whole[:2, 2:], rel=1e-10)
    assert np.linalg.eigvalsh(whole).min() > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, 2.0], 1, 1.0), "x of shape"),
        (([[1.0]], -1, 1.0), "depth=-1"),
        (([[1.0]], 1, 1.0, 0.0, [[1.0, 2.0]]), "other has width 2"),
        (([[math.nan]], 1, 1.0), "finite matrix"),
    ],
)
def test_bad_inputs(arguments, message: str) -> None:
    with pytest.raises(FaninValueError, match=message):
        nngp_kernel("relu", *arguments)
