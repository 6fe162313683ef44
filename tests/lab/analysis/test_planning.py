"""How many seeds it takes: before a study and after it."""

import re
from collections.abc import Callable

import numpy as np
import pytest
from tests.lab.analysis import samples

from fanin.lab.analysis.planning import Shown, comparisons_of, not_normal, power_after, power_before
from fanin.lab.statistics import detectable_difference, verdict


def test_comparisons_of_a_context() -> None:
    assert [comparisons_of(samples.study(plans=tuple("abcd"[:n]))) for n in (1, 2, 3, 4)] == [1, 1, 3, 4]


def test_too_few_seeds_are_said_before_the_run_and_come_true() -> None:
    text = power_before(samples.study(seeds=samples.seeds(5)))
    assert text == "5 seeds cannot show any difference in 3 comparisons at once; it takes 7."
    scorer = samples.by_plan({"default": 0.1, "he_normal": 0.5, "fanin": 0.9}, 0.001)
    for n, finding in ((6, "too few seeds to say"), (7, "better")):
        pairs = samples.results(scorer=scorer, seeds=samples.seeds(n)).analysis.contexts[0].pairs
        assert {p.verdict.finding for p in pairs} == {finding}


@pytest.mark.slow
def test_the_difference_that_was_named_is_found_four_times_in_five() -> None:
    text = power_before(samples.study(plans=("a", "b")))
    size = float(re.search(r"difference of ([\d.]+) standard deviation", text)[1])  # type: ignore[index]
    generator = np.random.default_rng(0)
    shown = [verdict(generator.normal(size, 1.0, 10)).finding == "better" for _ in range(400)]
    assert abs(np.mean(shown) - 0.8) < 0.06


def test_after_the_run_the_spread_is_known() -> None:
    results = samples.results()
    text = results.analysis.power_after
    assert text == power_after(results.analysis.contexts, results.rows)
    assert re.search(r"a difference of 0\.01\d in accuracy 4 times in 5", text)
    wide = samples.results(
        scorer=samples.by_plan({"default": 0.5, "he_normal": 0.5, "fanin": 0.5}, 0.1)
    ).analysis.power_after
    assert float(re.search(r"difference of ([\d.]+)", wide)[1]) > 0.1  # type: ignore[index]
    assert samples.results(seeds=samples.seeds(1)).analysis.power_after == ""


@pytest.mark.slow
def test_power_of_differences_that_are_far_from_normal_is_said_apart() -> None:
    generator = np.random.default_rng(0)

    def warned(draw: Callable[[], np.ndarray]) -> float:
        said = []
        for _ in range(30):
            deltas = tuple(draw().tolist())
            size = detectable_difference(float(np.std(deltas, ddof=1)), 10)
            said.append(bool(not_normal(Shown(size, 10, 1, deltas, "accuracy"))))
        return float(np.mean(said))

    assert warned(lambda: generator.normal(size=10)) < 0.2
    assert warned(lambda: generator.choice([-1.0, 1.0], 10) + generator.normal(0, 0.1, 10)) > 0.4
    humps = tuple((np.array([-1.0, 1.0] * 5) + generator.normal(0, 0.01, 10)).tolist())
    assert re.search(
        r"drawn again from those that were measured it is \d+ times in 10\.", not_normal(Shown(0.8, 10, 1, humps, "f1"))
    )
    assert not_normal(Shown(0.8, 10, 1, (), "f1")) == not_normal(Shown(0.8, 10, 1, (0.1,) * 10, "f1")) == ""
