"""Moments of every activation against 30-digit quadrature of formulas written down a second time."""

import math

import mpmath as mp
import numpy as np
import pytest
from tests.theory.exact_moments import DEFINED, EXTREME, GAUSSIANS, exact, without_quadrature, written
from tests.theory.exact_moments import key as case_key

from fanin.activations import KNOWN, Activation
from fanin.errors import FaninTypeError, FaninValueError
from fanin.theory import moments
from fanin.theory.derivatives import DERIVATIVES


def compare(name: str, mean: float, variance: float) -> None:
    found = moments(name, mean, variance)
    jumps = DERIVATIVES[name].jumps(*KNOWN[name][1])
    for key, pair in written()[case_key(name, mean, variance)].items():
        value, size = map(float, pair)
        if jumps and key in ("df2", "fdf"):
            continue
        scale = max(size, abs(value))
        assert getattr(found, key) == pytest.approx(value, abs=1e-11 * scale, rel=0), (key, mean, variance)
    assert found.digits >= 10


def test_every_known_activation_is_here() -> None:
    assert set(DEFINED) == set(KNOWN) == set(DERIVATIVES)


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_eleven_digits(name: str) -> None:
    anew, file = exact(name, 0.3, 0.25), written()[case_key(name, 0.3, 0.25)]
    with mp.workdps(30):
        for label, (value, size) in anew.items():
            assert abs(value - mp.mpf(file[label][0])) <= 1e-20 * size, "exact_moments.json is old: see its script"
    compare(name, 0.3, 0.25)


@pytest.mark.parametrize("name", sorted(KNOWN))
@pytest.mark.parametrize(("mean", "variance"), [g for g in [*GAUSSIANS, *EXTREME] if g != (0.3, 0.25)])
def test_eleven_digits_at_any_mean_and_variance(name: str, mean: float, variance: float) -> None:
    if without_quadrature(name, variance):
        pytest.skip("closed forms, tested below")
    compare(name, mean, variance)


@pytest.mark.parametrize("variance", [1.0, 100.0])
def test_exp_and_sin_have_closed_forms(variance: float) -> None:
    m = moments("exp", 0.5, variance)
    assert m.f == pytest.approx(math.exp(0.5 + variance / 2), rel=1e-12)
    assert m.f2 == m.df2 == m.fdf == pytest.approx(math.exp(1 + 2 * variance), rel=1e-12)
    s = moments("sin", 0.5, variance)
    assert s.f2 == pytest.approx((1 - math.cos(1.0) * math.exp(-2 * variance)) / 2, rel=1e-12)
    assert s.f2 + s.df2 == pytest.approx(1.0, rel=1e-13)
    assert s.fdf == pytest.approx(0.5 * math.sin(1.0) * math.exp(-2 * variance), rel=1e-12)


@pytest.mark.parametrize("name", sorted(set(KNOWN) - {"exp"}))
@pytest.mark.parametrize(("mean", "variance"), [(0.0, 1.0), (0.4, 2.0)])
def test_stein(name: str, mean: float, variance: float) -> None:
    """E f f' = d/d mean ½ E f², and E (z - mean) f f' = variance · d E f² / d variance: jumps included."""
    h = 1e-4
    m = moments(name, mean, variance)
    by_mean = (moments(name, mean + h, variance).f2 - moments(name, mean - h, variance).f2) / (4 * h)
    by_variance = (moments(name, mean, variance + h).f2 - moments(name, mean, variance - h).f2) / (2 * h)
    assert m.fdf == pytest.approx(by_mean, rel=1e-6, abs=1e-7)
    assert m.zfdf == pytest.approx(variance * by_variance, rel=1e-6, abs=1e-7)


def test_jumps_are_reported() -> None:
    m = moments("hardshrink")
    assert math.isinf(m.df2)
    assert "jumps at -0.5, 0.5" in m.notes[0]
    by_hand = moments(lambda z: np.where(np.abs(z) > 0.5, z, 0.0) + 1.0)
    assert math.isinf(by_hand.df2)
    assert by_hand.f2 == pytest.approx(m.f2 + 1, rel=1e-12)
    assert math.isinf(moments(Activation.named("threshold", 0.2, 0.0)).df2)
    assert math.isfinite(moments(Activation.named("threshold", 0.2, 0.2)).df2)


@pytest.mark.parametrize(
    ("f", "known"),
    [
        (lambda z: np.where(z > 0.1, z - 0.1, 0.0) * 1.0, lambda: moments("relu", -0.1, 1.0)),
        (lambda z: np.tanh(z + 0.25), lambda: moments("tanh", 0.25, 1.0)),
        (lambda z: np.clip(z + 0.3, -1, 1), lambda: moments("hardtanh", 0.3, 1.0)),
        (lambda z: math.tanh(z + 0.25) if z > -50 else -1.0, lambda: moments("tanh", 0.25, 1.0)),
    ],
    ids=["kink", "smooth", "two kinks", "one number at a time"],
)
def test_functions_by_hand_keep_ten_digits(f, known) -> None:
    found, expected = moments(f), known()
    assert found.digits >= 10
    for key in ("f", "f2", "df2", "fdf", "f4"):
        assert getattr(found, key) == pytest.approx(getattr(expected, key), rel=1e-10)


@pytest.mark.parametrize(
    ("f", "part", "note"),
    [
        (lambda z: 1 / (z - 0.005), "f2", "singular at 0.005"),
        (lambda z: np.log(np.abs(z - 0.005)), "df2", "singular at 0.005"),
        (lambda z: np.exp(z * z / 3), "f2", "grows too fast"),
        (lambda z: np.exp(z), "f2", "heavy tail"),
        ("square", "f2", "heavy tail: E f⁴ is 11.67"),
    ],
)
def test_what_has_no_finite_moment_says_so(f, part: str, note: str) -> None:
    m = moments(f)
    assert any(note in text for text in m.notes), m.notes
    assert math.isinf(getattr(m, part)) == ("heavy" not in note)


@pytest.mark.parametrize(
    ("f", "steps"),
    [
        (lambda z: (z > 0) * 1.0, [(0.0, 0.0, 1.0)]),
        (np.sign, [(0.0, -1.0, 1.0)]),
        (lambda z: np.heaviside(z - 0.3, 0.7), [(0.3, 0.0, 1.0)]),
        (lambda z: np.where(z <= 0.3, 0.0, np.where(z <= 1.7, 1.0, -3.0)), [(0.3, 0.0, 1.0), (1.7, 1.0, -3.0)]),
        (lambda z: 2.0 * np.round(np.clip(z, -1, 1)), [(-0.5, -2.0, 0.0), (0.5, 0.0, 2.0)]),
    ],
    ids=["step", "sign", "heaviside", "two", "rounded"],
)
def test_steps_by_hand_are_jumps_and_not_singular(f, steps) -> None:
    """What f is at the place itself does not matter; E f f' is half the derivative of E f² by the mean."""

    def second(mean: float) -> float:
        """E f² from the normal law's distribution function: f is constant between its steps."""
        below = [0.5 * (1 + math.erf((place - mean) / math.sqrt(2))) for place, *_ in steps]
        levels = [steps[0][1], *(high for _, _, high in steps)]
        return sum(v**2 * (b - a) for v, a, b in zip(levels, [0.0, *below], [*below, 1.0], strict=True))

    for mean in (0.0, 0.4):
        m = moments(f, mean)
        assert any(f"jumps at {steps[0][0]:g}" in note for note in m.notes)
        assert not any("singular" in note or "grows" in note for note in m.notes)
        assert m.f2 == pytest.approx(second(mean), rel=1e-12)
        assert math.isinf(m.df2)
        assert m.fdf == pytest.approx((second(mean + 1e-4) - second(mean - 1e-4)) / 4e-4, abs=1e-7)


def test_torchs_sign_is_a_jump() -> None:
    torch = pytest.importorskip("torch")
    m = moments(torch.sign)
    assert (m.fdf, m.f2) == (pytest.approx(0.0, abs=1e-15), pytest.approx(1.0))
    assert m.notes == ("f jumps at 0: E f'² is infinite",)


def test_steep_is_not_singular() -> None:
    m = moments(lambda z: np.tanh(1e5 * (z - 0.2)))
    density = math.exp(-0.02) / math.sqrt(2 * math.pi)
    assert m.df2 == pytest.approx(density * 1e5 * 4 / 3, rel=1e-4)


@pytest.mark.parametrize(
    ("f", "second"),
    [
        (lambda z: 1 / z, math.inf),
        (lambda z: np.log(np.abs(z)), math.pi**2 / 8 + (np.euler_gamma + math.log(2)) ** 2 / 4),
        (lambda z: np.abs(z) ** -0.25, math.gamma(0.25) * 2**-0.25 / math.sqrt(math.pi)),
    ],
    ids=["1/z", "log", "root"],
)
@pytest.mark.filterwarnings("error")
def test_singular_points_on_the_tables_own_places_are_reported(f, second: float) -> None:
    m = moments(f)
    assert any("singular at 0" in note for note in m.notes), m.notes
    assert m.f2 == pytest.approx(second, rel=1e-8)
    assert math.isinf(m.df2)


def test_a_hole_that_can_be_filled_is_no_singular_point() -> None:
    m = moments(lambda z: np.sin(z) / np.where(z == 0, np.nan, z))
    assert m.notes == ()
    z = np.linspace(-12, 12, 200_001)
    p = np.exp(-0.5 * z**2)
    assert m.f2 == pytest.approx(float(p @ np.sinc(z / math.pi) ** 2 / p.sum()), rel=1e-9)


def test_nothing_but_zeros_says_so() -> None:
    assert "is 0 wherever" in moments(lambda z: 0.0 * z).notes[0]
    assert moments(lambda z: 0.0 * z + 2.0).df2 == 0.0


@pytest.mark.parametrize(
    ("f", "mean", "slopes"),
    [
        (np.arctan, 0.0, (1.0, 1.0)),
        (lambda z: np.tanh(z + 0.25), 0.0, (1 - math.tanh(0.25) ** 2,) * 2),
        (lambda z: np.where(z > 0.5, np.arctan(z), 0.5 * z), 0.2, (0.5, 0.5)),
        (lambda z: np.where(z > 0, z, 0.9 * np.arctan(z)), 0.0, (0.9, 1.0)),
    ],
)
def test_functions_by_hand_have_slopes_without_variance(f, mean: float, slopes) -> None:
    m = moments(f, mean, 0.0)
    value = float(f(np.array([mean]))[0])
    assert (m.f, m.f2) == (value, value**2)
    assert m.df2 == pytest.approx((slopes[0] ** 2 + slopes[1] ** 2) / 2, rel=1e-10)
    assert m.fdf == pytest.approx(value * (slopes[0] + slopes[1]) / 2, rel=1e-10)


def test_float32_functions_are_evaluated_in_64_bits_or_say_their_digits() -> None:
    torch = pytest.importorskip("torch")
    assert moments(torch.nn.GELU()).f2 == moments("gelu").f2
    prelu = torch.nn.PReLU()
    assert moments(prelu).f2 == pytest.approx((1 + 0.25**2) / 2, rel=1e-14)
    assert prelu.weight.dtype == torch.float32  # the user's module is as it was
    few = moments(lambda z: np.float32(z) ** 2 * np.float32(1.1))
    assert few.digits <= 7
    assert any("digits" in note for note in few.notes)
    assert few.f2 == pytest.approx(1.21 * 3, rel=1e-4)


def test_jax_functions_are_evaluated_in_64_bits() -> None:
    jax = pytest.importorskip("jax")
    m = moments(lambda z: jax.numpy.tanh(z + 0.25))
    assert m.digits >= 10
    assert m.f2 == pytest.approx(moments("tanh", 0.25).f2, rel=1e-11)
    assert moments(jax.nn.silu).f2 == moments("silu").f2
    assert not jax.config.jax_enable_x64


@pytest.mark.parametrize("name", ["relu", "gelu", "hardtanh"])
def test_no_variance_is_a_point(name: str) -> None:
    m, f = moments(name, 0.5, 0.0), Activation.named(name)
    assert m.f == pytest.approx(float(f(np.array([0.5]))[0]), rel=1e-12)
    assert m.f2 == pytest.approx(m.f**2, rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("relu", math.nan), FaninValueError, "mean=nan is not usable"),
        (("relu", 0, -1), FaninValueError, "variance=-1.0 is not usable"),
        (("rellu",), FaninValueError, "'rellu' is not known"),
        ((3,), FaninTypeError, "cannot be used"),
        ((np.log,), FaninValueError, "non-finite values"),
        ((np.sort,), FaninValueError, "not elementwise"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*invalid value|.*divide by zero")
def test_what_cannot_be_integrated_is_named(arguments, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        moments(*arguments)
