"""Expectations over Gaussian pairs against closed forms, and against each other."""

import math

import numpy as np
import pytest

from fanin.activations import KNOWN, Activation
from fanin.errors import FaninValueError
from fanin.theory import moments, pair_moments


@pytest.mark.parametrize("c", [-1.0, -0.9, -0.3, 0.0, 0.5, 0.9, 0.999999])
@pytest.mark.parametrize("q", [0.01, 1.0, 400.0])
def test_relu_is_the_arc_cosine_kernel(c: float, q: float) -> None:
    """Cho & Saul 2009."""
    theta = math.acos(c)
    found = pair_moments("relu", c, q)
    assert found.ff == pytest.approx(
        q * (math.sin(theta) + (math.pi - theta) * c) / (2 * math.pi), rel=1e-11, abs=1e-12 * q
    )
    assert found.dfdf == pytest.approx((math.pi - theta) / (2 * math.pi), rel=1e-11, abs=1e-15)


@pytest.mark.parametrize(("q", "r", "c"), [(1, 1, 0.3), (4, 4, -0.7), (400, 400, 0.5), (1, 9, 0.2), (400, 1, 0.9)])
def test_erf_is_an_arc_sine(q: float, r: float, c: float) -> None:
    """Williams 1997."""
    found = pair_moments("erf", c, q, r)
    inner = 4 * c * c * q * r
    outer = (1 + 2 * q) * (1 + 2 * r)
    assert found.ff == pytest.approx(2 / math.pi * math.asin(math.copysign(math.sqrt(inner / outer), c)), abs=1e-10)
    assert found.dfdf == pytest.approx(4 / math.pi / math.sqrt(outer - inner), rel=1e-8)


@pytest.mark.parametrize("f", [*sorted(set(KNOWN) - {"exp"}), lambda z: np.where(z > 0.1, z - 0.1, 0)])
@pytest.mark.parametrize("c", [-0.6, 0.4])
def test_price(f, c: float) -> None:
    """d/dc E f(u) f(v) = q E f'(u) f'(v), also where f' has point masses (hardshrink); and the gap is what is left."""
    h, q = 1e-4, 0.9
    found = pair_moments(f, c, q)
    slope = (pair_moments(f, c + h, q).ff - pair_moments(f, c - h, q).ff) / (2 * h) / q
    assert found.dfdf == pytest.approx(slope, rel=1e-5, abs=1e-8)
    assert found.ff + found.gap == pytest.approx(moments(f, 0.0, q).f2, rel=1e-11)


@pytest.mark.parametrize("name", ["tanh", "relu", "hardtanh", "gelu"])
def test_gap_of_nearly_equal_inputs(name: str) -> None:
    """1 - c may be far below rounding: the gap is then (1 - c) q E f'²."""
    assert pair_moments(name, 1.0, 2.0, contrast=1e-30).gap == pytest.approx(
        2e-30 * moments(name, 0, 2.0).df2, rel=1e-6
    )


def test_mehler() -> None:
    """Without correlation the two are apart; with all of it they are one."""
    f = Activation.named("elu")
    assert pair_moments(f, 0.0).ff == pytest.approx(moments(f).f ** 2, rel=1e-12)
    assert pair_moments(f, 1.0).ff == pytest.approx(moments(f).f2, rel=1e-12)


@pytest.mark.parametrize(("arguments", "message"), [((1.5,), "correlation=1.5"), ((0.5, -1.0), "variance=-1.0")])
def test_what_is_no_pair_is_named(arguments, message: str) -> None:
    with pytest.raises(FaninValueError, match=message):
        pair_moments("relu", *arguments)
