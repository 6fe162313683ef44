"""Rules of single code bases, against these."""

import math

import numpy as np
import pytest
from tests.rules.slots import drawn, slot

from fanin import rules
from fanin.activations import Activation
from fanin.distributions import Normal, Uniform
from fanin.errors import FaninError


def test_efficientnets_depthwise_fan_is_that_of_one_group():
    assert rules.goog_normal()(slot("(s32o)ikk", (64, 1, 3, 3))) == Normal(math.sqrt(2 / 18))
    assert rules.goog_normal()(slot("oi", (100, 40))) == Uniform(0.1)


def test_selus_fixed_point_is_mean_zero_and_size_one():
    """Fifty layers: mean 0 and variance 1 stay. With the 3/4 of PyTorch's table the signal falls below a quarter."""
    f, x = Activation.named("selu"), np.random.default_rng(0).standard_normal((200, 400)) * 1.4 + 0.2
    short = x
    for layer in range(50):
        w = drawn(rules.selu_normal(), slot("oi", (400, 400)), name=str(layer))
        x, short = f(x @ w.T), f(0.75 * short @ w.T)
    assert abs(x.mean()) < 0.05
    assert x.std() == pytest.approx(1.0, rel=0.1)
    assert short.std() < 0.25


def test_tanhs_gain_is_the_integral_and_five_thirds_settles_elsewhere():
    """With the exact gain, pre-activations of size 1 stay at size 1; with 5/3 they settle at another size."""
    f, x = Activation.named("tanh"), np.random.default_rng(0).standard_normal((200, 1000))
    exact = theirs = x
    for layer in range(30):
        w = drawn(rules.lecun_normal(nonlinearity="tanh"), slot("oi", (1000, 1000)), name=str(layer))
        exact, theirs = f(exact) @ w.T, f(theirs) @ w.T * (5 / 3) / f.gain
    assert f.gain == pytest.approx(1.5925, abs=1e-4)
    assert exact.std() == pytest.approx(1.0, rel=0.05)
    assert theirs.std() > 1.05


@pytest.mark.parametrize(
    ("rule", "of", "words"),
    [
        (rules.goog_normal(), slot(None, (3,), "bias"), "needs to know what the axes"),
        (rules.goog_normal(), slot("oi", (0, 3)), "no elements"),
        (rules.selu_normal(), slot("oi", (3, 0)), "no elements"),
    ],
)
def test_bad_input(rule, of, words):
    with pytest.raises(FaninError, match=words):
        rule(of)
