"""Orthogonal rules are isometries of the layers that they are drawn for."""

import numpy as np
import pytest

from fanin import rules
from fanin.draws import draw
from fanin.errors import FaninError


def test_a_deep_linear_net_is_an_isometry() -> None:
    """60 layers, and not a direction is lost (60 Gaussian layers keep hardly one)."""
    x = np.random.default_rng(0).standard_normal((5, 64))
    y, z = x, x
    for k in range(60):
        y = y @ draw(rules.orthogonal(), (64, 64), seed=0, name=f"{k}.weight", dtype="float64").T
        z = z @ draw(rules.normal_fan(), (64, 64), seed=0, name=f"{k}.weight", dtype="float64").T
    assert np.allclose(y @ y.T, x @ x.T)
    assert not np.allclose(z @ z.T, x @ x.T, rtol=0.5)


def test_gain_and_nonlinearity() -> None:
    plain = draw(rules.orthogonal(), (40, 40), seed=0, name="w", dtype="float64")
    assert np.allclose(draw(rules.orthogonal(gain=3.0), (40, 40), seed=0, name="w", dtype="float64"), 3 * plain)
    relu = draw(rules.orthogonal(nonlinearity="relu"), (40, 40), seed=0, name="w", dtype="float64")
    assert np.allclose(relu, np.sqrt(2) * plain)


def test_gates_are_orthogonal_one_by_one() -> None:
    """An LSTM's stacked (4H, H): each gate's matrix is orthogonal, which the orthogonal matrix of the whole is not."""
    w = draw(rules.orthogonal(), (128, 32), seed=0, name="weight_hh", axes="(s4o)i", dtype="float64")
    for gate in np.split(w, 4):
        assert np.allclose(gate @ gate.T, np.eye(32))


def test_delta_orthogonal_keeps_the_norm_of_every_frequency() -> None:
    """A circular convolution with it is an isometry: its Fourier transform is orthogonal at each frequency."""
    w = draw(rules.delta_orthogonal(), (16, 16, 3, 3), seed=0, name="w", axes="oikk", dtype="float64")
    spectrum = np.fft.fft2(w, s=(8, 8), axes=(2, 3))
    singular = np.linalg.svd(spectrum.transpose(2, 3, 0, 1), compute_uv=False)
    assert np.allclose(singular, 1)


def test_delta_orthogonal_of_a_dense_weight_is_orthogonal() -> None:
    dense = [draw(rule, (20, 30), seed=0, name="w") for rule in (rules.orthogonal(), rules.delta_orthogonal())]
    assert np.abs(dense[0] - dense[1]).max() <= 1e-6


@pytest.mark.parametrize("rule", [rules.orthogonal(), rules.delta_orthogonal()], ids=str)
def test_what_cannot_be_filled_is_named(rule: rules.Rule) -> None:
    with pytest.raises(FaninError, match="needs to know what the axes of 'b'"):
        draw(rule, (3,), seed=0, name="b")
    with pytest.raises(FaninError, match="an axis has no elements"):
        draw(rule, (3, 0), seed=0, name="w")


@pytest.mark.parametrize("widths", [(64, 256, 16, 64, 512), (300, 40, 300)])
def test_the_scaled_uniform_orthogonal_law_keeps_the_mean_square_of_units_over_changing_widths(
    widths: tuple[int, ...],
) -> None:
    """In the mean over draws; where a layer only widens, for every signal."""
    sizes = []
    for seed in range(40):
        x = np.random.default_rng(seed).standard_normal((20, widths[0]))
        for k in range(1, len(widths)):
            shape = (widths[k], widths[k - 1])
            y = x @ draw(rules.scaled_uniform_orthogonal(), shape, seed=seed, name=str(k), dtype="float64").T
            if shape[0] >= shape[1]:
                assert np.allclose((y**2).mean(1), (x**2).mean(1))
            x = y
        sizes.append((x**2).mean())
    assert np.mean(sizes) == pytest.approx(1.0, rel=0.06)


def test_it_is_the_delta_orthogonal_law_scaled_out() -> None:
    for shape, axes in (((12, 4, 3), "oik"), ((4, 12, 3, 3), "oikk"), ((12, 4), "oi")):
        one, two = (
            draw(rule, shape, seed=0, name="w", axes=axes)
            for rule in (rules.scaled_uniform_orthogonal(gain=2.0), rules.delta_orthogonal(gain=2.0, scale_out=True))
        )
        assert np.array_equal(one, two)
