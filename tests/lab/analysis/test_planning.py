"""How many seeds it takes: before a study and after it."""

import re

import numpy as np
import pytest
from tests.lab.analysis import samples

from fanin.lab.analysis.planning import comparisons_of, power_after, power_before
from fanin.lab.statistics import verdict


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
