"""Recipes: whole numbers that fit, ranges that are kept, means that are met."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanin.distributions import Constant, Distribution, Normal, NormalBetween, TruncatedNormal, Uniform
from fanin.draws import draw_distribution
from fanin.draws.recipe import Recipe, Source, recipe

finite = st.floats(-1e6, 1e6)
positive = st.floats(1e-6, 1e6)


def made(*arguments: object, **named: object) -> Recipe:
    found = recipe(*arguments, **named)  # type: ignore[arg-type]
    assert found is not None
    return found


@given(positive, finite, st.sampled_from([Normal, Uniform, TruncatedNormal]), st.sampled_from([32, 64]), st.booleans())
def test_k_fits_and_the_mean_is_met(size: float, mean: float, kind: type, bits: int, double: bool) -> None:
    law = kind(size, mean=mean)
    r = made(law, bits=bits, double=double)
    if r.source is Source.CONSTANT:
        assert size < abs(mean) * 2.0**-20
        return
    room = 2**63 - 1 if r.bits == 64 else 2**53 if double else 2**31 - 1
    least, most = (r.least >> r.shift) + r.offset, (r.most >> r.shift) + r.offset
    assert -room - 1 <= least <= most <= room
    dropped = 0.5 - 2.0 ** (-r.shift - 1) if r.shift else 0.0
    assert abs((r.offset - dropped) * r.scale - mean) <= 0.5 * r.scale + 1e-15 * abs(mean)


def test_a_mean_costs_no_more_digits_than_float32_has() -> None:
    """k keeps 31 bits: the step is below the distance of neighbouring float32 numbers at the mean."""
    for ratio in (1.0, 10.0, 1e4):
        r = made(Normal(1.0, ratio))
        assert r.scale < np.spacing(np.float32(ratio))


@given(positive, st.floats(0.1, 8.0))
def test_nothing_lies_beyond_the_cut(std: float, cut: float) -> None:
    x = draw_distribution(TruncatedNormal(std, cut), (2000,), seed=0, name="w", dtype="float64")
    r = made(TruncatedNormal(std, cut))
    assert abs(x).max() <= r.scale * 2**28 * cut * (1 + 1e-12)


def test_uniform_stays_within_its_bounds() -> None:
    x = draw_distribution(Uniform(0.5, 0.5), (1 << 20,), seed=0, name="w")
    assert 0.0 <= x.min() < 1e-5
    assert 1 - 1e-5 < x.max() <= 1.0


def test_a_deviation_of_zero_is_the_mean() -> None:
    for law in (
        Normal(0.0, 0.7),
        Uniform(0.0, 0.7),
        TruncatedNormal(0.0, mean=0.7),
        NormalBetween(0.0, -1.0, 1.0, 0.7),
    ):
        assert (draw_distribution(law, (50,), seed=0, name="w") == np.float32(0.7)).all()
    assert (draw_distribution(NormalBetween(0.0, 1.0, 2.0), (5,), seed=0, name="w") == 1.0).all()


def test_narrow_intervals_take_64_bits() -> None:
    assert made(TruncatedNormal(1.0, 2.0)).bits == 32
    assert made(TruncatedNormal(1.0, 1e-5)).bits == 64
    assert made(NormalBetween(1.0, 5.5, math.inf)).bits == 64
    assert len(np.unique(draw_distribution(TruncatedNormal(1.0, 1e-5), (10_000,), seed=0, name="w"))) > 9_900


@pytest.mark.parametrize("law", [Constant(1.0)])
def test_other_distributions_have_none(law: Constant) -> None:
    assert recipe(law) is None


@pytest.mark.parametrize("law", [Normal(0.0), Uniform(0.0), NormalBetween(0.0, -1.0, 1.0)])
def test_no_deviation_is_a_constant_with_one_sign(law: Distribution) -> None:
    drawn = draw_distribution(law, (257,), seed=0, name="w")
    assert not np.signbit(drawn).any()
    assert (drawn == 0).all()
