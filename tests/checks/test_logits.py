"""FI501 and FI502 speak where their docstrings say: above chance in law, three deviations lower too, and as measured."""

import math

import pytest

from fanin.checks.logits import Start, excess, too_large

CLASSES, CHANCE = 10, math.log(10)


def start(surely: float, measured: float, chance: float = CHANCE) -> Start:
    return Start(2 * surely, surely, 2 * surely, surely, chance, measured, None)


@pytest.mark.parametrize("above", [0.01, 5.0])
def test_the_law_and_the_measurement_must_both_pass_twice_chance(above: float) -> None:
    assert too_large(start(CHANCE + above, 2 * CHANCE + above))
    assert too_large(start(CHANCE + above, math.nan)), "where nothing was measured the law alone decides"
    assert not too_large(start(CHANCE - 0.01, 2 * CHANCE + above)), "not surely above chance"
    assert not too_large(start(CHANCE + above, 2 * CHANCE - 0.01)), "not confirmed"


def test_the_threshold_for_classes_is_the_freezing_point() -> None:
    assert excess("cross_entropy", 2 * CHANCE, CLASSES) == pytest.approx(CHANCE)
    assert math.sqrt(2 * math.log(10)) == pytest.approx(2.1, abs=0.05)
    assert math.sqrt(2 * math.log(50_000)) == pytest.approx(4.6, abs=0.06)


def test_squares_and_absolute_errors_of_gaussian_outputs() -> None:
    assert excess("mse", 4.0, 0) == 4.0
    assert excess("l1", 4.0, 0) == pytest.approx(2 * math.sqrt(2 / math.pi))
