"""Orthogonal draws are orthogonal, Haar distributed, one for each stacked block, and centred on the right tap."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanin.distributions import DeltaOrthogonal, Identity, Orthogonal
from fanin.draws import draw_distribution
from fanin.draws.layout import to_blocks
from fanin.slots import Axes


def drawn(law: Orthogonal | DeltaOrthogonal | Identity, dtype: str = "float64", seed: int = 0) -> np.ndarray:
    return draw_distribution(law, law.axes.shape, seed=seed, name="w", dtype=dtype)


def assert_orthonormal(matrix: np.ndarray, scale: float = 1.0, atol: float = 1e-12) -> None:
    """The Gram matrix on the shorter side is scale² times the identity."""
    short = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    assert np.allclose(short @ short.T, scale**2 * np.eye(len(short)), atol=atol)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**64 - 1))
def test_singular_values_are_one(out: int, in_: int, seed: int) -> None:
    assert_orthonormal(drawn(Orthogonal(Axes.parse("oi", (out, in_))), seed=seed))


def test_float32_is_orthogonal_to_1e_6() -> None:
    assert_orthonormal(drawn(Orthogonal(Axes.parse("oi", (200, 300))), "float32").astype(np.float64), atol=1e-6)


def test_each_stacked_block_has_a_matrix_of_its_own() -> None:
    axes = Axes.parse("(s4o)i", (64, 16))
    blocks = to_blocks(drawn(Orthogonal(axes, gain=3.0)), axes)[..., 0]
    for block in blocks:
        assert_orthonormal(block, 3.0)
    assert abs(blocks[0] - blocks[1]).max() > 0.1


def test_a_convolution_is_out_by_in_times_field() -> None:
    axes = Axes.parse("oikk", (8, 4, 3, 3))
    assert_orthonormal(drawn(Orthogonal(axes)).reshape(8, 36))


@pytest.mark.parametrize(("spec", "shape"), [("oi", (128, 32)), ("io", (32, 128)), ("oi", (32, 128))])
def test_scale_out_keeps_the_mean_square_of_a_unit(spec: str, shape: tuple[int, int]) -> None:
    """Exact in the mean over isotropic inputs: the mean square of a row sum is ‖W‖² / out = 1."""
    w = drawn(Orthogonal(Axes.parse(spec, shape), scale_out=True))
    assert (w**2).sum() / Axes.parse(spec, shape).fan_out == pytest.approx(1.0)


def test_delta_orthogonal_is_on_the_centre_tap_only() -> None:
    axes = Axes.parse("(s2o)ikk", (12, 5, 3, 4))
    w = drawn(DeltaOrthogonal(axes, gain=0.5))
    for group in (w[:6], w[6:]):
        assert_orthonormal(group[:, :, 1, 2], 0.5)
    w[:, :, 1, 2] = 0
    assert not w.any()


def test_identity_hands_channels_on_in_every_group() -> None:
    w = drawn(Identity(Axes.parse("(s2o)ikk", (4, 2, 3, 3)), gain=2.0))
    signal = np.random.default_rng(0).standard_normal(4)
    handed = [w[c, :, 1, 1] @ signal[2 * (c // 2) : 2 * (c // 2) + 2] for c in range(4)]
    assert np.allclose(handed, 2 * signal)
    assert (w != 0).sum() == 4


@pytest.mark.parametrize(("rows", "columns"), [(3, 3), (5, 3), (3, 5)])
def test_haar(rows: int, columns: int) -> None:
    """Moments that the Haar measure alone has; a factorisation without its signs fixed fails the first of them.

    For the entries of a Haar matrix of order n: E[q] = 0, E[q²] = 1/n, E[q⁴] = 3 / (n (n + 2)), E[q₁₁² q₂₂²] =
    (n + 1) / ((n - 1) n (n + 2)) (Collins & Śniady 2006).
    """
    n, blocks = max(rows, columns), 6000
    w = drawn(Orthogonal(Axes.parse("soi", (blocks, rows, columns))))
    noise = 5 / np.sqrt(blocks)
    assert abs(w.mean(axis=0)).max() < noise / np.sqrt(n)
    assert abs((w**2).mean(axis=0) - 1 / n).max() < noise / n * 1.5
    assert abs((w**4).mean(axis=0) - 3 / (n * (n + 2))).max() < noise * 0.3
    pair = (w[:, 0, 0] ** 2 * w[:, 1, 1] ** 2).mean()
    assert pair == pytest.approx((n + 1) / ((n - 1) * n * (n + 2)), abs=noise * 0.2)
    if rows == columns:
        assert abs(np.linalg.det(w).mean()) < noise  # both orientations, equally often


def test_widths_of_one_have_either_sign() -> None:
    w = drawn(Orthogonal(Axes.parse("soi", (400, 1, 1)))).ravel()
    assert set(w) == {-1.0, 1.0}
    assert abs(w.sum()) < 100
