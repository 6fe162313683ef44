"""HiPPO and its relatives against what they are for: memory of polynomials, eigenvalues, Fourier bases."""

import numpy as np
import pytest
from numpy.polynomial import Legendre, Polynomial

from fanin import rules
from fanin.draws import draw
from fanin.errors import FaninValueError
from fanin.slots import Axes, Slot


def drawn(rule, shape, axes=None, name="A"):
    return draw(rule, shape, seed=0, name=name, dtype="float64", axes=axes or "o" * len(shape))


def coefficients(signal: Polynomial, now: float, n: int) -> np.ndarray:
    """Of the signal's past from 0 to now, in orthonormal Legendre polynomials of that interval."""
    nodes, weights = np.polynomial.legendre.leggauss(24)
    past = signal(now * (nodes + 1) / 2)
    basis = np.stack([np.sqrt(2 * k + 1) * Legendre.basis(k)(nodes) for k in range(n)])
    return basis @ (weights * past) / 2


@pytest.mark.parametrize("n", [1, 4, 9])
def test_legs_keeps_the_legendre_coefficients_of_all_of_its_past(n):
    """c' = (A c + B u) / t, for signals of a degree that the state can hold: this is what HiPPO-LegS is."""
    rng = np.random.default_rng(n)
    signal = Polynomial(rng.standard_normal(n))
    a, b = drawn(rules.hippo_legs(), (n, n), "oi"), drawn(rules.hippo_legs_input(), (n,))
    for now in (0.5, 1.7):
        step = 1e-4
        slope = (coefficients(signal, now + step, n) - coefficients(signal, now - step, n)) / (2 * step)
        wanted = (a @ coefficients(signal, now, n) + b * signal(now)) / now
        assert np.abs(slope - wanted).max() < 1e-6 * (1 + np.abs(wanted).max())


def test_legss_eigenvalues_are_the_whole_numbers():
    found = np.linalg.eigvals(drawn(rules.hippo_legs(), (8, 8), "oi"))
    assert np.sort(found.real) == pytest.approx(np.arange(-8, 0), abs=1e-8)
    assert np.abs(found.imag).max() < 1e-8


def test_the_stored_layout_is_followed():
    a = drawn(rules.hippo_legs(), (6, 6), "oi")
    assert np.array_equal(drawn(rules.hippo_legs(), (6, 6), "io"), a.T)
    both = drawn(rules.hippo_legs(gain=0.5), (2, 6, 6), "soi")
    assert np.array_equal(both, np.stack([a, a]) / 2)
    law = rules.hippo_legs()(Slot("A", (3, 6, 6), "float32", "scale"))  # nothing known: the last two axes
    from fanin.draws import draw_distribution

    assert np.array_equal(draw_distribution(law, (3, 6, 6), seed=0, name="A", dtype="float64")[1], a)


@pytest.mark.parametrize("pairs", [1, 3, 5])
def test_diagonal_plus_low_rank_is_hippo_again(pairs):
    """Λ - P P*, both of each conjugate pair, has HiPPO's eigenvalues, and its first moments C A^k B."""
    real = -np.exp(drawn(rules.s4d("legs", "log_real"), (pairs,)))
    waves = drawn(rules.s4d("legs", "imag"), (pairs,))
    p, b = drawn(rules.dplr(), (pairs,)), drawn(rules.dplr("input"), (pairs,))
    half = real + 1j * waves
    matrix = np.diag(np.concatenate([half, half.conj()])) - np.outer(np.concatenate([p, p]), np.concatenate([p, p]))
    found = np.linalg.eigvals(matrix)
    assert np.sort(found.real) == pytest.approx(np.arange(-2.0 * pairs, 0), abs=1e-5)
    assert np.abs(found.imag).max() < 1e-5
    n = 2 * pairs
    legs, own = drawn(rules.hippo_legs(), (n, n), "oi"), drawn(rules.hippo_legs_input(), (n,))
    both = np.concatenate([b, b])
    for k in range(4):  # Bᵀ A^k B does not depend on the basis
        assert (both @ np.linalg.matrix_power(matrix, k) @ both).real == pytest.approx(
            own @ np.linalg.matrix_power(legs, k) @ own, rel=1e-8
        )


def test_real_and_imaginary_parts_as_a_last_axis():
    stored = drawn(rules.dplr("input", complex_pairs=True), (3, 4, 2))
    assert np.array_equal(stored[..., 0], np.broadcast_to(drawn(rules.dplr("input"), (4,)), (3, 4)))
    assert not stored[..., 1].any()


def test_s4d_lin_is_a_fourier_basis():
    waves = drawn(rules.s4d("lin", "imag"), (6,))
    time = np.arange(0, 2, 2 / 64)
    basis = np.exp(1j * np.outer(waves, time)) / 8
    assert np.abs(basis @ basis.conj().T - np.eye(6)).max() < 1e-12


def test_s4d_inv_approaches_hippos_frequencies():
    """The paper's conjecture: each frequency tends to that of HiPPO-LegS's normal part; the error falls like 1 / N."""
    off = []
    for pairs in (32, 128):
        inv, legs = (drawn(rules.s4d(kind, "imag"), (pairs,))[:4] for kind in ("inv", "legs"))
        off.append(np.abs(inv / legs - 1))
    assert (off[0] / off[1] > 3).all()
    assert off[1][0] < 0.005


def test_s4d_real_has_hippos_eigenvalues():
    decays = np.exp(drawn(rules.s4d("real"), (2, 8)))
    eigenvalues = np.linalg.eigvals(drawn(rules.hippo_legs(), (8, 8), "oi"))
    assert np.sort(decays[1]) == pytest.approx(np.sort(-eigenvalues.real), abs=1e-8)
    assert np.array_equal(drawn(rules.s4d("real", "real"), (8,)), -np.arange(1.0, 9.0))


def test_step_sizes_are_log_uniform():
    logs = np.sort(drawn(rules.s4_log_dt(0.01, 1.0), (2000,)))
    uniform = (logs - np.log(0.01)) / np.log(100)
    assert uniform[0] >= 0
    assert uniform[-1] <= 1
    assert np.abs(uniform - (np.arange(2000) + 0.5) / 2000).max() < 2.23 / np.sqrt(2000)


@pytest.mark.parametrize(
    ("rule", "shape", "axes", "words"),
    [
        (rules.hippo_legs(), (6, 5), "oi", "square matrix"),
        (rules.hippo_legs(), (6,), None, "square matrix"),
        (rules.hippo_legs(), (6, 6, 3), "oik", "square matrix"),
        (rules.hippo_legs_input(), (), None, "takes a last axis of states"),
        (rules.s4d(), (3, 0), None, "takes a last axis of states"),
        (rules.dplr(complex_pairs=True), (4, 3), None, "needs a last axis of 2"),
        (rules.dplr(complex_pairs=True), (4,), None, "real and imaginary parts"),
        (rules.s4_log_dt(1.0, 0.1), (4,), None, "dt_min=1.0 is above dt_max=0.1"),
    ],
)
def test_bad_input(rule, shape, axes, words):
    with pytest.raises(FaninValueError, match=words):
        rule(Slot("A", shape, "float32", "weight", axes=Axes.parse(axes, shape) if axes else None))


def test_bad_arguments():
    with pytest.raises(FaninValueError, match="kind='linear' is not known; accepted are 'lin'"):
        rules.s4d("linear")
    with pytest.raises(FaninValueError, match="part"):
        rules.s4d(part="imaginary")
