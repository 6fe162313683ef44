"""Where on its activation a chain works: the theory against direct statements about the functions."""

import numpy as np
import pytest

from fanin.activations import KNOWN, Activation
from fanin.auto.working_point import BUDGET, carrier_of, gentler, through, working_point

STRAIGHT = ("relu", "leaky_relu", "gelu", "silu", "softplus", "hardswish", "quick_gelu", "logsigmoid")


@pytest.mark.parametrize("name", STRAIGHT)
def test_paired_halves_of_these_are_exactly_linear(name: str) -> None:
    f = Activation.named(name)
    assert carrier_of(f) == "paired"
    for q in (0.1, 1.0, 9.0):
        assert through(f, "paired", q).curved < 1e-5


@pytest.mark.parametrize("name", ["tanh", "sin", "softsign", "hardtanh", "linear", "tanhshrink"])
def test_odd_functions_need_no_pairs(name: str) -> None:
    assert carrier_of(Activation.named(name)) == "single"


@pytest.mark.parametrize("name", ["sigmoid", "hardsigmoid"])
def test_odd_about_a_constant_is_centred(name: str) -> None:
    assert carrier_of(Activation.named(name)) == "centred"


@pytest.mark.parametrize("name", ["abs", "square"])
def test_even_functions_have_no_pairs_to_make(name: str) -> None:
    assert carrier_of(Activation.named(name)) == "single"


def test_a_function_without_a_name_is_judged_by_its_values() -> None:
    f = Activation.of(lambda z: z / (1 + np.exp(-1.3 * z)))
    assert carrier_of(f) == "paired"
    assert working_point(f, "paired", 30) == working_point(Activation.named("silu"), "paired", 30)


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "elu", "selu", "softsign"])
def test_the_signal_shrinks_with_depth_so_that_the_chain_stays_nearly_linear(name: str) -> None:
    f = Activation.named(name)
    carrier = carrier_of(f)
    points = [working_point(f, carrier, layers) for layers in (3, 10, 30, 100)]
    assert points == sorted(points, reverse=True)
    assert all(n * through(f, carrier, q).curved <= BUDGET for n, q in zip((3, 10, 30, 100), points, strict=True))


@pytest.mark.parametrize("name", sorted(set(KNOWN) - {"exp"}))
def test_every_known_activation_has_a_finite_working_point(name: str) -> None:
    f = Activation.named(name)
    carrier = carrier_of(f)
    q = working_point(f, carrier, 20)
    t = through(f, carrier, q)
    assert q > 0
    assert t.carried > 0
    assert np.isfinite([t.carried, t.power, t.slope]).all()


def test_moments_are_those_of_a_large_sample() -> None:
    u = np.random.default_rng(0).normal(size=2_000_000) * 0.7
    f = Activation.named("elu")
    t = through(f, "paired", 0.49)
    o = f(u) - f(-u)
    assert t.carried == pytest.approx(np.mean(o**2), rel=5e-3)
    assert t.power == pytest.approx(np.mean(f(u) ** 2), rel=5e-3)
    assert 1 - t.curved == pytest.approx(np.corrcoef(o, u)[0, 1] ** 2, abs=2e-3)


def test_a_bias_makes_steep_pairs_gentle() -> None:
    """Deep SELU chains work on its exponential side, where a pair is as steep as one of ReLUs; others stay at zero."""
    selu = Activation.named("selu")
    moved, bias = gentler(selu, 100)
    assert bias < 0
    u = np.linspace(-2, 2, 9)
    assert np.allclose(moved(u), selu(u + bias), atol=1e-3)
    q = working_point(moved, "paired", 100)
    assert through(moved, "paired", q).carried <= 2 * q  # o's slope is at most √2
    for name in ("relu", "gelu", "silu", "softplus", "mish", "elu", "hardswish"):
        assert gentler(Activation.named(name), 100) == (Activation.named(name), 0.0)
