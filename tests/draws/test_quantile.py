"""Every word gives a finite number of the right distribution."""

import numpy as np
import pytest
from scipy import integrate, stats

from fanin.draws import quantile
from fanin.draws.bits import Stream

ENDS = np.array([0, 1, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1], dtype=np.uint32)
WORDS = Stream(0, "w").range(0, 200_000)


def test_the_ends_are_finite_and_symmetric() -> None:
    z = quantile.normal(ENDS)
    assert np.isfinite(z).all()
    assert (np.diff(z) > 0).all()
    assert np.allclose(z, -z[::-1], rtol=1e-6)
    assert 6.3 < z[-1] < 6.4


def test_uniform_is_uniform() -> None:
    assert stats.kstest(quantile.unit(WORDS), "uniform").pvalue > 1e-3
    assert np.array_equal(quantile.symmetric(WORDS), 2 * quantile.unit(WORDS) - 1)
    assert abs(quantile.symmetric(ENDS)).max() < 1


def test_normal_is_normal() -> None:
    assert stats.kstest(quantile.normal(WORDS), "norm").pvalue > 1e-3


@pytest.mark.parametrize("cut", [0.3, 1.0, 2.0, 3.0])
def test_truncated_normal_is_truncated_normal(cut: float) -> None:
    z = quantile.truncated_normal(WORDS, cut)
    assert abs(z).max() <= cut
    assert stats.kstest(z, stats.truncnorm(-cut, cut).cdf).pvalue > 1e-3


@pytest.mark.parametrize("cut", [1e-4, 0.0999, 0.1001, 0.5, 2.0, 5.0, 60.0])
def test_truncated_std_is_the_integral(cut: float) -> None:
    edge = min(cut, 12.0)
    mass = integrate.quad(stats.norm.pdf, -edge, edge, epsabs=0)[0]
    moment = integrate.quad(lambda x: x * x * stats.norm.pdf(x), -edge, edge, epsabs=0)[0]
    assert quantile.truncated_std(cut) == pytest.approx((moment / mass) ** 0.5, rel=1e-9)
