"""Moments of every activation against 30-digit quadrature of formulas written down a second time."""

import functools
import itertools
import math
from collections.abc import Callable

import mpmath as mp
import numpy as np
import pytest
from mpmath.calculus.quadrature import GaussLegendre

from fanin.activations import KNOWN, Activation
from fanin.errors import FaninTypeError, FaninValueError
from fanin.theory import moments
from fanin.theory.derivatives import DERIVATIVES

SELU = (mp.mpf("1.0507009873554804934193349852946"), mp.mpf("1.6732632423543772848170429916717"))


def _sigmoid(x):
    return 1 / (1 + mp.exp(-x))


def _elu(x, a=1):
    return x if x > 0 else a * mp.expm1(x)


def _clip(x, low, high):
    return min(max(x, mp.mpf(low)), mp.mpf(high))


# name → (function, places where it is not smooth)
DEFINED: dict[str, tuple[Callable, tuple[float, ...]]] = {
    "linear": (lambda x: x, ()),
    "relu": (lambda x: max(x, mp.mpf(0)), (0,)),
    "leaky_relu": (lambda x: x if x > 0 else x * mp.mpf(0.01), (0,)),
    "relu6": (lambda x: _clip(x, 0, 6), (0, 6)),
    "gelu": (lambda x: x * mp.ncdf(x), ()),
    "gelu_tanh": (lambda x: x / 2 * (1 + mp.tanh(mp.sqrt(2 / mp.pi) * (x + mp.mpf(0.044715) * x**3))), ()),
    "quick_gelu": (lambda x: x * _sigmoid(mp.mpf(1.702) * x), ()),
    "silu": (lambda x: x * _sigmoid(x), ()),
    "mish": (lambda x: x * mp.tanh(mp.log1p(mp.exp(x))), ()),
    "softplus": (lambda x: mp.log1p(mp.exp(x)), ()),
    "elu": (_elu, (0,)),
    "celu": (_elu, (0,)),
    "selu": (lambda x: SELU[0] * _elu(x, SELU[1]), (0,)),
    "tanh": (mp.tanh, ()),
    "sigmoid": (_sigmoid, ()),
    "hardsigmoid": (lambda x: _clip(x + 3, 0, 6) / 6, (-3, 3)),
    "hardswish": (lambda x: x * _clip(x + 3, 0, 6) / 6, (-3, 3)),
    "hardtanh": (lambda x: _clip(x, -1, 1), (-1, 1)),
    "softsign": (lambda x: x / (1 + abs(x)), (0,)),
    "relu_squared": (lambda x: max(x, mp.mpf(0)) ** 2, (0,)),
    "sin": (mp.sin, ()),
    "exp": (mp.exp, ()),
    "abs": (abs, (0,)),
    "square": (lambda x: x * x, ()),
    "logsigmoid": (lambda x: -mp.log1p(mp.exp(-x)), ()),
    "tanhshrink": (lambda x: x - mp.tanh(x), ()),
    "softshrink": (lambda x: mp.sign(x) * max(abs(x) - mp.mpf("0.5"), mp.mpf(0)), (-0.5, 0.5)),
    "hardshrink": (lambda x: x if abs(x) > mp.mpf("0.5") else mp.mpf(0), (-0.5, 0.5)),
    "squareplus": (lambda x: (x + mp.sqrt(x * x + 4)) / 2, ()),
    "sparse_plus": (lambda x: mp.mpf(0) if x <= -1 else (x if x >= 1 else (x + 1) ** 2 / 4), (-1, 1)),
    "sparse_sigmoid": (lambda x: _clip((x + 1) / 2, 0, 1), (-1, 1)),
    "erf": (mp.erf, ()),
    "prelu": (lambda x: x if x > 0 else x / 4, (0,)),
    "rrelu": (lambda x: x if x > 0 else x * (mp.mpf(1 / 8) + mp.mpf(1 / 3)) / 2, (0,)),
    "threshold": (lambda x: max(x, mp.mpf(0)), (0,)),
}
GAUSSIANS = [(0.0, 1.0), (0.3, 0.25), (-1.0, 4.0)]
EXTREME = [(0.0, 1e-12), (0.7, 1e-12), (0.0, 1e-4), (2.0, 100.0), (0.0, 1e6), (-6.0, 1.0)]


@functools.cache
def nodes() -> list[tuple[mp.mpf, mp.mpf]]:
    """48 Gauss-Legendre nodes and weights with 30 digits."""
    with mp.workdps(30):
        return GaussLegendre(mp.mp).calc_nodes(5, mp.mp.prec)


def exact(name: str, mean: float, variance: float) -> dict[str, tuple[mp.mpf, mp.mpf]]:
    """Each moment and the integral of its size, with 30 digits."""
    f, kinks = DEFINED[name]
    with mp.workdps(30):
        m, sd = mp.mpf(mean), mp.sqrt(mp.mpf(variance))
        # The derivative is a central difference of 60 digits, so that no formula for it enters.
        step = mp.mpf(10) ** -20 * min(sd, mp.mpf(1))
        places = {(mp.mpf(k) - m) / sd for k in kinks}
        places |= {-m / sd + mp.mpf(s) / sd for s in (-30, -10, -5, -2, -1, 0, 1, 2, 5, 10, 30)}
        places |= {mp.mpf(t) for t in (-16, -12, -9, -7, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 7, 9, 12, 16)}
        ends = sorted(t for t in places if abs(t) <= 16)
        total = [mp.mpf(0)] * 4
        size = [mp.mpf(0)] * 4
        for low, high in itertools.pairwise(ends):
            if high - low < mp.mpf(10) ** -25:
                continue
            for x, w in nodes():
                t = (low + high) / 2 + (high - low) / 2 * x
                z, p = m + sd * t, w * (high - low) / 2 * mp.npdf(t)
                y = f(z)
                with mp.workdps(60):
                    slope = (f(z + step) - f(z - step)) / (2 * step)
                for i, g in enumerate((y, y * y, slope * slope, y * slope)):
                    total[i] += p * g
                    size[i] += p * abs(g)
        return dict(zip(("f", "f2", "df2", "fdf"), zip(total, size, strict=True), strict=True))


def compare(name: str, mean: float, variance: float) -> None:
    found = moments(name, mean, variance)
    jumps = DERIVATIVES[name].jumps(*KNOWN[name][1])
    for key, (value, size) in exact(name, mean, variance).items():
        if jumps and key in ("df2", "fdf"):
            continue
        scale = max(float(size), abs(float(value)))
        assert getattr(found, key) == pytest.approx(float(value), abs=1e-11 * scale, rel=0), (key, mean, variance)
    assert found.digits >= 10


def test_every_known_activation_is_here() -> None:
    assert set(DEFINED) == set(KNOWN) == set(DERIVATIVES)


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_eleven_digits(name: str) -> None:
    compare(name, 0.3, 0.25)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(KNOWN))
@pytest.mark.parametrize(("mean", "variance"), [g for g in [*GAUSSIANS, *EXTREME] if g != (0.3, 0.25)])
def test_eleven_digits_at_any_mean_and_variance(name: str, mean: float, variance: float) -> None:
    if (name == "exp" and variance > 50) or (name == "sin" and variance > 1e3):
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
