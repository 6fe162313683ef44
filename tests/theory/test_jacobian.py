"""Jacobian spectra: formulas, free probability by brute force, and the classical cases."""

import math

import numpy as np
import pytest

from fanin.activations import Activation
from fanin.errors import FaninValueError
from fanin.theory import fixed_point, jacobian_spectrum
from fanin.theory.derivatives import DERIVATIVES


def squares(name: str, depth: int, sigma_w: float, q: float, weights: str, width: int, seed: int) -> np.ndarray:
    """Squared singular values of a drawn Jacobian at a signal of variance q."""
    rng, f, df = np.random.default_rng(seed), Activation.named(name), DERIVATIVES[name].df
    x = rng.standard_normal(width)
    jacobian = np.eye(width)
    for layer in range(depth):
        w = rng.standard_normal((width, width))
        w = np.linalg.qr(w)[0] * sigma_w if weights == "orthogonal" else w * sigma_w / math.sqrt(width)
        h = w @ x
        if layer == 0:
            h *= math.sqrt(q / np.mean(h * h))
        x = f(h)
        jacobian = df(h)[:, None] * (w @ jacobian)
    return np.square(np.linalg.svd(jacobian, compute_uv=False))


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["normal", "orthogonal"])
@pytest.mark.parametrize(("name", "sigma_w", "q"), [("relu", 2**0.5, 1.0), ("tanh", 1.2, None), ("erf", 1.1, None)])
def test_moments_of_drawn_jacobians(weights: str, name: str, sigma_w: float, q) -> None:
    """Pennington et al. 2018: mean χ^L and variance L (μ₂/μ₁² - 1 - s₁), six layers of 700 units."""
    q = fixed_point(name, sigma_w).q if q is None else q
    expected = jacobian_spectrum(name, 6, sigma_w, q, weights)  # type: ignore[arg-type]
    found = [squares(name, 6, sigma_w, q, weights, 700, seed) for seed in range(5)]
    assert np.mean([s.mean() for s in found]) == pytest.approx(expected.mean, rel=0.08)
    assert np.mean([s.var() / s.mean() ** 2 for s in found]) == pytest.approx(expected.spread**2, rel=0.1)


def test_linear_nets() -> None:
    """Saxe et al. 2013: orthogonal products have no spread at any depth; Gaussian ones have (L + 1)^(L + 1) / L^L at the end."""
    isometry = jacobian_spectrum("linear", 1000, 1.0, weights="orthogonal")
    assert (isometry.mean, isometry.variance, isometry.largest) == (pytest.approx(1.0), 0.0, pytest.approx(1.0))
    assert jacobian_spectrum("linear", 1, 1.0).largest == pytest.approx(4.0)  # Marchenko & Pastur
    drawn = np.mean([squares("linear", 3, 1.0, 1.0, "normal", 400, seed).max() for seed in range(6)])
    assert drawn == pytest.approx(
        jacobian_spectrum("linear", 3, 1.0).largest, rel=0.06
    )  # the edge is soft at 400 units


def test_he_spreads_and_mirrored_pairs_do_not() -> None:
    """Balduzzi et al. 2017: a mirrored ReLU net is an isometry; He's spread grows like √(2L), also orthogonal ones' like √L."""
    for depth in (1, 10, 100):
        assert jacobian_spectrum("relu", depth, 2**0.5).spread == pytest.approx(math.sqrt(2 * depth))
        assert jacobian_spectrum("relu", depth, 2**0.5, weights="orthogonal").spread == pytest.approx(math.sqrt(depth))
        assert jacobian_spectrum("relu", depth, 1.0, weights="mirrored").spread == 0.0
        assert jacobian_spectrum("gelu", depth, 1.0, weights="mirrored").mean == pytest.approx(1.0, rel=1e-4)


def test_mirrored_pairs_of_curved_functions_spread_little_where_signals_are_small() -> None:
    small, large = (jacobian_spectrum("elu", 20, 0.5, q=q, weights="mirrored").spread for q in (1e-6, 1.0))
    assert small < 0.005 < 0.5 < large


@pytest.mark.parametrize(("arguments", "message"), [((0, 1.0), "depth=0"), ((3, 1.0, 1.0, "haar"), "weights='haar'")])
def test_bad_spectra(arguments, message: str) -> None:
    with pytest.raises(FaninValueError, match=message):
        jacobian_spectrum("relu", *arguments)
