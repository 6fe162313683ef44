"""Networks of sines keep their law at any depth, in both published forms."""

import numpy as np
import pytest
from scipy import stats
from tests.rules.slots import drawn, slot

from fanin import rules
from fanin.errors import FaninError


@pytest.mark.parametrize("omega", [1.0, 30.0])
def test_arguments_of_the_sines_settle_below_one(omega):
    """Gaussian at every depth, as theorem 1.8 says, but of variance q = 1 - exp(-2q) = 0.797: a sine of N(0, 1) has the second
    moment (1 - e⁻²) / 2 = 0.432, not the arcsine law's ½."""
    width, rng = 512, np.random.default_rng(0)
    x = rng.uniform(-1, 1, (300, 2))
    x = np.sin(30 * x @ drawn(rules.siren_first(), slot("oi", (width, 2))).T)
    for layer in range(12):
        z = omega * x @ drawn(rules.siren(omega), slot("oi", (width, width)), name=str(layer)).T
        x = np.sin(z)
        if layer == 0:
            assert z.var() == pytest.approx(1.0, rel=0.05)
    assert z.var() == pytest.approx(0.797, rel=0.05)
    assert stats.kstest(z.ravel()[::97] / z.std(), "norm").pvalue > 1e-3


def test_both_forms_start_the_same_functions():
    a, b = (drawn(rules.siren(omega), slot("oi", (8, 6))) for omega in (1.0, 30.0))
    assert np.allclose(a, 30 * b)
    code, paper = (np.abs(drawn(rules.siren_first(v), slot("oi", (4000, 2)))).max() for v in ("code", "paper"))
    assert code == pytest.approx(1 / 2, rel=5e-3)
    assert paper == pytest.approx(3**0.5, rel=5e-3)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: rules.siren(0), "omega must be a finite number above 0"),
        (lambda: rules.siren_first("v2"), "version='v2' is not known; accepted are 'code', 'paper'"),
        (lambda: rules.siren()(slot("oi", (3, 0))), "no elements"),
        (lambda: rules.siren_first()(slot(None, (3,), "bias")), "needs to know what the axes"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(FaninError, match=words):
        make()
