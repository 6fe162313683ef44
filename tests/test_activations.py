"""Activations are known by their values; gains are exact Gaussian integrals."""

import json
import math

import numpy as np
import pytest
from scipy import integrate, stats

from fanin.activations import ALIASES, KNOWN, Activation, gain, table_points
from fanin.errors import FaninTypeError, FaninValueError

# E[f(z)²]^(-1/2), as other people have measured it
GAINS = {
    "linear": 1.0,
    "relu": math.sqrt(2),
    "gelu": 1.5335,
    "silu": 1.6765,
    "mish": 1.4868,
    "elu": 1.2452,
    "tanh": 1.5925,
    "selu": 1.0000,
    "sigmoid": 1.8462,
}
SMOOTH = [
    "gelu",
    "gelu_tanh",
    "quick_gelu",
    "silu",
    "mish",
    "softplus",
    "tanh",
    "sigmoid",
    "logsigmoid",
    "tanhshrink",
    "sin",
]


@pytest.mark.parametrize(("name", "gain"), GAINS.items())
def test_gains(name: str, gain: float) -> None:
    assert Activation.named(name).gain == pytest.approx(gain, abs=5e-5)


@pytest.mark.parametrize("a", [0.0, 0.01, 0.2, 1.0, math.sqrt(5)])
def test_leaky_gain_has_a_closed_form(a: float) -> None:
    assert Activation.named("leaky_relu", a).gain == pytest.approx(math.sqrt(2 / (1 + a * a)), rel=1e-9)


def test_selu_is_the_fixed_point_that_it_was_made_for() -> None:
    """Klambauer et al. 2017: mean 0 and second moment 1 come out as they went in."""
    selu = Activation.named("selu")
    assert selu.mean() == pytest.approx(0, abs=1e-9)
    assert selu.second_moment() == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("name", sorted(KNOWN))
@pytest.mark.parametrize("q", [0.25, 1.0, 4.0])
def test_moments_are_the_integrals(name: str, q: float) -> None:
    """Against adaptive quadrature with the kinks given."""
    f = Activation.named(name)
    kinks = [k / math.sqrt(q) for k in (-6, -3, -1, 0, 1, 3, 6) if abs(k) < 11 * math.sqrt(q)]

    def expectation(g) -> float:
        return integrate.quad(
            lambda z: float(g(f(np.array([z * math.sqrt(q)]))[0])) * stats.norm.pdf(z), -12, 12, points=kinks, limit=400
        )[0]

    assert f.mean(q) == pytest.approx(expectation(lambda y: y), rel=1e-6, abs=1e-8)
    assert f.second_moment(q) == pytest.approx(expectation(lambda y: y * y), rel=1e-6)


@pytest.mark.parametrize(
    "name", ["relu", "leaky_relu", "gelu", "silu", "softplus", "hardswish", "quick_gelu", "gelu_tanh"]
)
def test_odd_parts_that_are_straight(name: str) -> None:
    """The fact that mirrored chains rest on: f(u) - f(-u) is a line."""
    assert Activation.named(name).odd_is_linear
    assert not Activation.named(name).is_odd


@pytest.mark.parametrize("name", ["elu", "mish", "sigmoid", "selu", "tanh"])
def test_odd_parts_that_are_curved(name: str) -> None:
    assert not Activation.named(name).odd_is_linear


@pytest.mark.parametrize(
    ("name", "slope"),
    [("relu", 1), ("gelu", 1), ("silu", 1), ("softplus", 1), ("sigmoid", 0.5), ("tanh", 2), ("abs", 0)],
)
def test_odd_slopes(name: str, slope: float) -> None:
    assert Activation.named(name).odd_slope == pytest.approx(slope, abs=1e-6)


def test_slope_moments() -> None:
    """χ₁ of the edge of chaos: E[relu'²] = 1/2, E[1²] = 1."""
    assert Activation.named("relu").slope_moment() == pytest.approx(0.5, abs=1e-3)
    assert Activation.named("linear").slope_moment() == pytest.approx(1.0)


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_values_are_recognised(name: str) -> None:
    """A function written by hand becomes the activation that it is (or one with the same values)."""
    known = Activation.named(name)
    found = Activation.recognised(known(table_points()))
    assert np.allclose(found(table_points()), known(table_points()), rtol=1e-4, atol=1e-5)
    assert found.table is None


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda z: z / (1 + np.exp(-z)), "silu"),
        (lambda z: np.where(z > 0, z, 0 * z), "relu"),
        (lambda z: np.where(z > 0, z, 0.3 * z), "leaky_relu(0.3)"),
        (lambda z: z, "linear"),
        (np.tanh, "tanh"),
        (lambda z: np.log1p(np.exp(z)), "softplus"),
    ],
)
def test_functions_written_by_hand(f, expected: str) -> None:
    assert str(Activation.of(f)) == expected


def test_an_unknown_function_becomes_a_table() -> None:
    def wavy(z):
        return np.tanh(z) + 0.1 * np.sin(3 * z)

    f = Activation.of(wavy)
    assert f.name == "wavy"
    assert f.table is not None
    z = np.linspace(-13, 13, 999)
    inside = abs(z) <= 12
    assert np.allclose(f(z[inside]), wavy(z[inside]), atol=1e-3)
    assert np.isfinite(f(z)).all()
    exact = integrate.quad(lambda x: wavy(x) ** 2 * stats.norm.pdf(x), -12, 12)[0]
    assert f.second_moment() == pytest.approx(exact, rel=1e-3)
    assert Activation.from_dict(json.loads(json.dumps(f.to_dict()))) == f


FAST_WAVES = {  # f → E f(z)², which straight lines between 1201 points miss by up to a half
    "sin(30 z)": (lambda z: np.sin(30 * z), 0.5),
    "sin(100 π z)": (lambda z: np.sin(100 * np.pi * z), 0.5),  # zero at every point of a table of 1201
    "z + sin²(20 z)/20": (lambda z: z + np.sin(20 * z) ** 2 / 20, 1 + 3 / 8 / 400),
    "one number at a time": (lambda z: math.sin(25 * z), 0.5),
}


@pytest.mark.parametrize("name", FAST_WAVES)
def test_a_table_is_as_fine_as_its_function_needs(name: str) -> None:
    f, exact = FAST_WAVES[name]
    found = Activation.of(f)
    assert found.second_moment() == pytest.approx(exact, rel=3e-3)
    assert gain(f) == pytest.approx(exact**-0.5, rel=1.5e-3)
    assert Activation.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_a_fine_table_keeps_the_slope_at_zero() -> None:
    found = Activation.of(lambda z: np.sin(30 * z))
    assert found.fineness > 1
    assert found.slope == pytest.approx(30, rel=2e-3)
    assert Activation.of(lambda z: z / (1 + np.exp(-1.3 * z))).fineness == 1


@pytest.mark.parametrize("name", [*KNOWN, *ALIASES, "ReLU", "GELU"])
def test_names_are_taken_in_any_case(name: str) -> None:
    assert Activation.of(name) == Activation.named(name.upper())


@pytest.mark.parametrize(
    ("f", "error", "message"),
    [
        ("rellu", FaninValueError, "nonlinearity='rellu' is not known; accepted are abs, celu"),
        (3, FaninTypeError, "nonlinearity=3 cannot be used"),
        (
            lambda z: z[:2],
            FaninValueError,
            r"gave shape \(2,\) for numbers of shape \(1201,\); it must map each number to one",
        ),
        (
            lambda z: z * np.inf,
            FaninValueError,
            r"non-finite values at 1201 of 1201 numbers on .* \(f\(-12\) is -inf\)",
        ),
        (lambda z: 1 / z, FaninValueError, r"non-finite values at 1 of 1201 numbers on .* \(f\(0\) is inf\)"),
    ],
)
def test_what_is_no_activation_is_named(f, error: type[Exception], message: str) -> None:
    with np.errstate(invalid="ignore", divide="ignore"), pytest.raises(error, match=message):
        Activation.of(f)


def test_too_many_parameters() -> None:
    with pytest.raises(FaninValueError, match=r"takes 1 parameters, but got \(1, 2\)"):
        Activation.named("elu", 1, 2)


def test_texts() -> None:
    assert str(Activation.named("relu")) == "relu"
    assert str(Activation.named("leaky_relu", 0.2)) == "leaky_relu(0.2)"
    assert str(Activation.named("leaky_relu")) == "leaky_relu"


FAST = {  # f → E f(z)², None where it is infinite or lies beyond 12 deviations
    "exp(z²/5)": (lambda z: np.exp(z**2 / 5), 5**0.5),
    "exp(2z)": (lambda z: np.exp(2 * z), math.exp(8)),
    "z⁹": (lambda z: z**9, 34459425.0),
    "exp(z²/4)": (lambda z: np.exp(z**2 / 4), None),
    "exp(z²)": (lambda z: np.exp(z**2), None),
    "exp(z³)": (lambda z: np.exp(z**3 / 10), None),
    "exp(5z)": (lambda z: np.exp(5 * z), None),
    "1/√|z|": (lambda z: 1 / np.sqrt(np.abs(z) + 1e-30), None),
    "1/z": (lambda z: 1 / (z - 0.013), None),
}


@pytest.mark.parametrize("name", FAST)
def test_a_gain_is_given_where_the_second_moment_converges(name: str) -> None:
    f, moment = FAST[name]
    if moment is not None:
        assert gain(f) == pytest.approx(moment**-0.5, rel=2e-3)
        return
    assert Activation.of(f).second_moment() == math.inf
    assert Activation.of(f).gain == math.inf
    with pytest.raises(FaninValueError, match="does not converge within 12 deviations"):
        gain(f)


def test_what_diverges_at_one_diverges_at_every_larger_variance() -> None:
    f = Activation.of(lambda z: np.exp(z**2 / 4))
    assert f.second_moment(0.25) == pytest.approx((1 - 0.25) ** -0.5, rel=1e-3)
    assert f.second_moment(4.0) == math.inf
    assert f.slope_moment(4.0) == math.inf


MIXING = {
    "less its mean": lambda z: z - z.mean(),
    "over its largest": lambda z: z / abs(z).max(),
    "backwards": lambda z: z[::-1],
    "sorted": np.sort,
    "shifted": lambda z: np.roll(z, 1),
    "with a little of the sum": lambda z: z + 1e-6 * z.sum(),
    "over its norm": lambda z: z / np.linalg.norm(z),
    "by its place": lambda z: z * np.linspace(1, 2, z.size),
    "by how many there are": lambda z: z / z.size,
}


@pytest.mark.parametrize("name", MIXING)
def test_functions_of_more_than_one_number_are_refused(name: str) -> None:
    with pytest.raises(FaninValueError, match="is not elementwise"):
        Activation.of(MIXING[name])


def test_functions_of_more_than_one_number_are_refused_in_torch() -> None:
    torch = pytest.importorskip("torch")
    for f in (lambda z: z - z.mean(), lambda z: z / z.abs().max(), lambda z: z.flip(0), torch.nn.Softmax(0)):
        with pytest.raises(FaninValueError, match="is not elementwise"):
            Activation.of(f)


def test_functions_of_more_than_one_number_are_refused_in_jax() -> None:
    jax = pytest.importorskip("jax")
    np_ = jax.numpy
    for f in (lambda z: z - np_.mean(z), lambda z: z / np_.max(np_.abs(z)), np_.flip, jax.nn.softmax):
        with pytest.raises(FaninValueError, match="is not elementwise"):
            Activation.of(f)


@pytest.mark.parametrize("f", [lambda z: z + 1j, lambda z: z * 1j, lambda z: np.sqrt(z + 0j)])
def test_complex_values_are_refused(f) -> None:
    with pytest.raises(FaninValueError, match="gave complex numbers; it must map each number to a real one"):
        Activation.of(f)


def test_complex_values_are_refused_in_frameworks() -> None:
    torch, jax = pytest.importorskip("torch"), pytest.importorskip("jax")
    for f in (lambda z: torch.complex(z, z), lambda z: jax.lax.complex(z, z)):
        with pytest.raises(FaninValueError, match="gave complex numbers"):
            Activation.of(f)


def test_modules_with_slopes_of_their_own() -> None:
    """Many equal slopes are one function; different ones are several; drawn ones are none until evaluation."""
    torch = pytest.importorskip("torch")
    nn = torch.nn
    assert gain(nn.PReLU(64)) == pytest.approx(gain(Activation.named("prelu", 0.25)))
    several = nn.PReLU(3)
    several.weight.data[1] = 0.5
    with pytest.raises(FaninValueError, match=r"has slopes from 0.25 to 0.5, and a gain is of one function"):
        gain(several)
    with pytest.raises(FaninValueError, match=r"or on chance; call .eval\(\) on a module"):
        gain(nn.RReLU())
    assert gain(nn.RReLU().eval()) == pytest.approx(gain("rrelu"))


def test_a_layer_that_is_no_activation_is_told_in_the_words_of_its_own_framework() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(FaninValueError, match=r"GLU\(dim=-1\) raised RuntimeError \(Halving dimension must be even"):
        Activation.of(torch.nn.GLU())
