"""How many seeds it takes: before a study and after it."""

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from tests.lab.analysis import samples
from tests.lab.statistics.populations import POPULATIONS

from fanin.lab.analysis.planning import (
    ELSEWHERE,
    Shown,
    comparisons_of,
    most_methods,
    not_normal,
    power_after,
    power_before,
    too_few_seeds,
)
from fanin.lab.results import StudyResults
from fanin.lab.statistics import detectable_difference, smallest_p, verdict
from fanin.lab.statistics.paired import paired_ps
from fanin.lab.studies import names, shipped
from fanin.reports.lab_words import seeds_text


def test_comparisons_of_a_context() -> None:
    assert [comparisons_of(samples.study(plans=tuple("abcd"[:n]))) for n in (1, 2, 3, 4)] == [1, 1, 3, 4]


def test_too_few_seeds_are_said_before_the_run_and_come_true() -> None:
    text = power_before(samples.study(seeds=samples.seeds(5)))
    assert text.startswith("5 seeds cannot show any difference in 3 comparisons at once, whatever comes out")
    assert text.endswith("times 3 is above 0.05; it takes 7.")
    scorer = samples.by_plan({"default": 0.1, "he_normal": 0.5, "fanin": 0.9}, 0.001)
    for n, finding in ((6, "too few seeds to say"), (7, "better")):
        analysis = samples.results(scorer=scorer, seeds=samples.seeds(n)).analysis
        assert {p.verdict.finding for p in analysis.contexts[0].pairs} == {finding}
        warned = [w for w in analysis.warnings if "cannot show any difference" in w]
        assert len(warned) == (n == 6)  # the report says it too


@pytest.mark.parametrize("name", names())
def test_a_shipped_study_can_show_something_at_full_size(name: str) -> None:
    study = shipped(name).full
    assert not too_few_seeds(len(study.seeds), comparisons_of(study, most_methods(study)))


def test_what_too_few_seeds_means() -> None:
    assert too_few_seeds(7, 3) == too_few_seeds(6, 1) == ""
    for n, made in ((6, 2), (5, 1), (1, 1), (8, 7)):
        assert smallest_p(n) * made > 0.05
        enough = int(too_few_seeds(n, made).split()[-1].rstrip("."))
        assert too_few_seeds(enough, made) == "" != too_few_seeds(enough - 1, made)


def test_variables_of_contexts_are_not_taken_for_methods() -> None:
    """A gain that goes with the depth is one method in each context, however many texts there are."""
    study = samples.study(
        models=("mlp(depth={depth})",), plans=("default", "scaled(gain={depth})"), variables={"depth": (2, 9, 30)}
    )
    assert most_methods(study) == 2
    one = samples.study(plans=("default", "scaled(gain={gain})"), variables={"gain": (0.5, 1.0, 2.0)})
    assert most_methods(one) == 4


def test_power_before_a_run_says_for_which_scores_it_holds() -> None:
    text = power_before(samples.study())
    assert "4 times in 5 among 3 comparisons where scores are roughly normal (5 to 10 times in 10 where" in text


def test_power_after_a_run_pools_no_differences_of_other_scores() -> None:
    """A loss that is a hundred times larger is not in the median of differences in accuracy."""
    results = samples.results(data=("digits", "wine"), plans=("default", "fanin"))
    alone = samples.results(plans=("default", "fanin")).analysis.power_after
    rows = tuple(
        replace(r, metrics={"mae": 100 * r.metrics["accuracy"]}, held={"mae": 100 * r.held["accuracy"]})
        if r.config.data == "wine"
        else r
        for r in results.rows
    )
    text = StudyResults(results.study, rows).analysis.power_after
    assert text == alone
    assert "(the median over all comparisons)" in samples.results(data=("digits", "wine")).analysis.power_after
    three = samples.results(data=("digits", "wine")).rows
    mixed = tuple(replace(r, metrics={"mae": 1 - r.metrics["accuracy"]}, held={"mae": 1 - r.held["accuracy"]})
                  if r.config.data == "wine" else r for r in three)  # fmt: skip
    assert (
        "in accuracy 4 times in 5 (the median over its comparisons)"
        in StudyResults(results.study, mixed).analysis.power_after
    )


def test_a_study_of_one_method_compares_nothing() -> None:
    study = samples.study(plans=("he_normal",), seeds=samples.seeds(2))
    assert seeds_text(study) == power_before(study, 1) == "There is one method, and nothing to compare it with."
    assert samples.results(study).analysis.power_before == power_before(study, 1)
    assert seeds_text(samples.study(plans=("a", "b"), seeds=samples.seeds(2))).startswith("beware: 2 seeds cannot")


@pytest.mark.slow
def test_power_said_before_a_run_comes_true_within_the_range_that_is_said() -> None:
    low, high = (float(n) / 10 for n in re.findall(r"\d+", ELSEWHERE)[:2])
    generator = np.random.default_rng(0)
    for n, made in ((6, 1), (10, 1), (8, 3), (30, 3), (50, 8)):
        size = detectable_difference(1.0, n, comparisons=made)
        for population in POPULATIONS:
            pool = population.draw(generator, (100_000,)) - population.draw(generator, (100_000,))
            drawn = generator.choice((pool - pool.mean()) / pool.std(), (400, n))
            shown = float(np.mean(paired_ps(drawn + size) <= 0.05 / made))
            assert low - 0.05 <= shown <= high
            if population.name == "normal":
                assert abs(shown - 0.8) < 0.1


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
