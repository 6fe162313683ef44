"""Rules with a scale given as a number mean the number that they are given."""

from typing import Any

import pytest

from fanin import rules
from fanin.draws import draw
from fanin.errors import FaninError

SHAPE = (300, 1000)


@pytest.mark.parametrize(
    ("rule", "mean", "std"),
    [
        (rules.normal(0.02), 0.0, 0.02),
        (rules.normal(std=2, mean=3), 3.0, 2.0),
        (rules.truncated_normal(0.02), 0.0, 0.02),
        (rules.truncated_normal(std=5.0, cut=0.5, mean=1.0), 1.0, 5.0),
        (rules.uniform(0.0, 1.0), 0.5, 12**-0.5),
        (rules.uniform(bound=3), 0.0, 3**0.5),
    ],
    ids=str,
)
def test_moments(rule: rules.Rule, mean: float, std: float) -> None:
    w = draw(rule, SHAPE, seed=0, name="w", dtype="float64")
    assert w.mean() == pytest.approx(mean, abs=5 * std / w.size**0.5)
    assert w.std() == pytest.approx(std, rel=5 / w.size**0.5)


def test_bounds_are_kept() -> None:
    w = draw(rules.uniform(low=-1, high=2), SHAPE, seed=0, name="w", dtype="float64")
    assert -1 < w.min() < -0.99
    assert 1.99 < w.max() < 2


def test_a_deviation_of_zero_is_a_constant() -> None:
    assert (draw(rules.normal(0, mean=2), (3, 3), seed=0, name="w") == 2).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: rules.normal(std=-0.02),
            "normal: std=-0.02 cannot be used; std must be a finite number of at least 0",
        ),
        (lambda: rules.normal("0.02"), "std='0.02' cannot be used"),  # type: ignore[arg-type]
        (lambda: rules.normal(), r"missing a required argument: 'std'; it takes \(std, mean=0.0\)"),  # type: ignore[call-arg]
        (lambda: rules.normal(float("nan")), "std=nan cannot be used"),
        (
            lambda: rules.truncated_normal(1.0, cut=0),
            "cut=0 cannot be used; cut must be a finite number of at least 1e-06",
        ),
        (lambda: rules.uniform(), "give low and high, or bound alone"),
        (lambda: rules.uniform(low=1), "give low and high, or bound alone"),
        (lambda: rules.uniform(0, 1, bound=1), "give low and high, or bound alone"),
        (lambda: rules.uniform(2, 1), "low=2.0 is above high=1.0"),
        (lambda: rules.constant(float("inf")), "value=inf cannot be used"),
    ],
)
def test_what_cannot_be_used_is_named(make: Any, message: str) -> None:
    with pytest.raises(FaninError, match=message):
        make()
