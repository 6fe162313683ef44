"""Truncated normal numbers as the frameworks draw them: the law of torch's, JAX's and Keras's own, and the deviation that is left."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats
from tests.rules.slots import drawn, slot

import fanin
from fanin import rules
from fanin.draws.quantile import moments_between, truncated_std
from fanin.errors import FaninError, FaninValueError

SHAPE = (300, 700)
LEFT = 0.8796256610342398  # of the deviation, between ±2 sigmas


def same_law(ours: Any, theirs: Any) -> None:
    """Two samples of one law: as a whole (Kolmogorov and Smirnov), in deviation, and in how far they reach."""
    ours, theirs = np.asarray(ours, "float64").ravel(), np.asarray(theirs, "float64").ravel()
    assert stats.ks_2samp(ours, theirs).pvalue > 1e-4
    assert ours.std() == pytest.approx(theirs.std(), rel=8 / ours.size**0.5)


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [(0.0, 1.0, -2.0, 2.0), (0.0, 0.02, -2.0, 2.0), (0.0, 5.0, -2.0, 2.0), (0.3, 0.5, 0.0, 2.0)],
)
def test_torchs_bounds_are_plain_numbers(mean: float, std: float, a: float, b: float) -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.empty(SHAPE, dtype=torch.float64)
    torch.nn.init.trunc_normal_(theirs, mean, std, a, b, generator=torch.Generator().manual_seed(0))
    rule = rules.normal_between(std, a, b, mean)
    ours = drawn(rule, slot("oi", SHAPE))
    assert a <= ours.min() < ours.max() <= b
    same_law(ours, theirs.numpy())
    from fanin import torch as face

    filled = face.normal_between_(torch.empty(SHAPE), std=std, low=a, high=b, mean=mean, seed=0, name="w")
    assert np.array_equal(filled.numpy(), fanin.draw(rule, SHAPE, seed=0, name="w"))


@pytest.mark.parametrize(("std", "lower", "upper"), [(0.01, -2.0, 2.0), (0.5, -1.0, 3.0)])
def test_jaxs_bounds_count_sigmas(std: float, lower: float, upper: float) -> None:
    jax = pytest.importorskip("jax")
    theirs = jax.nn.initializers.truncated_normal(std, lower=lower, upper=upper)(jax.random.key(0), SHAPE)
    from fanin import jax as face

    init = face.normal_between(std=std, low=lower, high=upper, sigmas=True)
    ours = init(face.key(0, "w"), SHAPE)
    same_law(ours, theirs)
    assert np.array_equal(
        ours, fanin.draw(rules.normal_between(std, lower, upper, sigmas=True), SHAPE, seed=0, name="w")
    )


def test_kerass_are_two_sigmas_about_the_mean() -> None:
    from tests.keras_backend import array, keras

    import fanin.keras as face

    theirs = array(keras.initializers.TruncatedNormal(mean=0.5, stddev=0.05, seed=0)(SHAPE))
    init = face.NormalBetween(std=0.05, mean=0.5, sigmas=True, seed=0, name="w")
    assert type(init).from_config(init.get_config()).rule == init.rule
    ours = array(init(SHAPE))
    same_law(ours, theirs)
    assert ours.std() == pytest.approx(LEFT * 0.05, rel=0.01)


def test_the_corrected_rule_differs_by_what_the_cut_leaves() -> None:
    plain, corrected = rules.normal_between(1.0, sigmas=True), rules.truncated_normal(1.0)
    assert drawn(plain, slot("oi", SHAPE)).std() == pytest.approx(LEFT, rel=0.01)
    assert drawn(corrected, slot("oi", SHAPE)).std() == pytest.approx(1.0, rel=0.01)
    assert rules.normal_between(LEFT**-1, sigmas=True).promises(slot("oi", SHAPE))[0].value == pytest.approx(1.0)


def test_what_torchs_defaults_leave_of_a_large_deviation() -> None:
    (promise,) = rules.normal_between(5.0).promises(slot("oi", SHAPE))
    assert promise.value == pytest.approx(1.14, abs=0.005)  # not 5: nearly uniform between ±2


@pytest.mark.parametrize(
    ("low", "high"), [(-2.0, 2.0), (0.0, math.inf), (-0.5, 3.0), (4.0, 4.1), (30.0, math.inf), (-9.0, -6.0)]
)
def test_moments_against_the_closed_form(low: float, high: float) -> None:
    mean, std = moments_between(low, high)
    exact = stats.truncnorm(low, high)
    assert mean == pytest.approx(exact.mean(), rel=1e-6, abs=1e-12)
    assert std == pytest.approx(exact.std(), rel=1e-6)
    assert low < mean < high


@pytest.mark.parametrize("cut", [0.01, 1.0, 2.0, 3.0, 8.0])
def test_moments_of_a_symmetric_cut(cut: float) -> None:
    assert moments_between(-cut, cut) == (0.0, pytest.approx(truncated_std(cut), rel=1e-12))


def test_one_bound_none_and_no_deviation() -> None:
    one = drawn(rules.normal_between(1.0, low=0.0, high=None), slot("oi", SHAPE))
    assert one.min() > 0
    assert one.std() == pytest.approx(math.sqrt(1 - 2 / math.pi), rel=0.02)
    both = rules.normal_between(1.0, low=None, high=None)
    assert both.promises(slot("oi", SHAPE))[0].value == pytest.approx(1.0)
    for sigmas, value in ((False, 2.0), (True, 3.0)):  # at ±2 as plain numbers the mean is clipped
        rule = rules.normal_between(0.0, mean=3.0, sigmas=sigmas)
        assert (drawn(rule, slot("oi", (4, 4))) == value).all()
        assert (rule.promises(slot("oi", (4, 4)))[0].value, rule.promises(slot("oi", (4, 4)))[0].mean) == (0.0, value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"std": 1.0, "low": 1.0, "high": 1.0}, "normal_between: low=1.0 is not below high=1.0"),
        ({"std": -1.0}, "std=-1.0 cannot be used"),
        ({"std": 1.0, "low": math.nan}, "low=nan cannot be used"),
        ({"std": 1.0, "sigmas": 2}, "sigmas=2 cannot be used; sigmas must be True or False"),
        ({}, "missing a required argument: 'std'"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(FaninError, match=message):
        rules.normal_between(**arguments)


def test_an_interval_with_next_to_nothing_in_it_is_refused_when_drawn() -> None:
    with pytest.raises(FaninValueError, match=r"share of more than 2\*\*-44"):
        drawn(rules.normal_between(0.01, low=1.0, high=2.0), slot("oi", (4, 4)))


def test_a_spec_reads_back_and_a_plan_takes_it_to_plain_code() -> None:
    rule = rules.normal_between(0.02, high=None, sigmas=True)
    assert rules.parse(rule.spec) == rule
    torch = pytest.importorskip("torch")
    plan = fanin.plan(
        torch.nn.Linear(64, 32), torch.zeros(2, 64), rules={"weight": rules.normal_between(0.5, -0.5, 0.5)}
    )
    assert "nn.init.trunc_normal_(" in plan.to_python()
    assert ", 0.0, 0.5, -0.5, 0.5, generator=generator)" in plan.to_python()


def test_narrow_intervals_keep_their_digits() -> None:
    mean, std = moments_between(4.0, 4.001)  # nearly uniform; the closed form has five digits left here
    assert std == pytest.approx(0.001 / math.sqrt(12), rel=1e-6)
    assert mean == pytest.approx(4.0005 - 4.0 * 0.001**2 / 12, rel=1e-9)  # the density falls by the factor 1 - z dz
