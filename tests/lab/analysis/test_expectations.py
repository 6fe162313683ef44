"""Expectations: each kind comes out where it should, does not where it should not, and says why."""

import math
import re
from dataclasses import replace
from typing import Any

import pytest
from tests.lab.analysis import samples

from fanin.errors import FaninValueError
from fanin.lab.analysis import Outcome, judge
from fanin.lab.results import StudyResults
from fanin.lab.study.records import Expectation
from fanin.lab.study.rows import RunRow
from fanin.reports.study_markdown import study_markdown

PLANS = ("default", "he_normal", "fanin")


def outcome(levels: dict[str, float], kind: Any, plan: str = "fanin", spread: float = 0.01, **rest: Any) -> Outcome:
    e = Expectation(
        "as written", kind, plan, **{k: v for k, v in rest.items() if k in Expectation.__dataclass_fields__}
    )
    changes = {k: v for k, v in rest.items() if k not in Expectation.__dataclass_fields__}
    results = samples.expected(e, scorer=samples.by_plan(levels, spread), plans=tuple(levels), **changes)
    (found,) = results.analysis.outcomes
    assert judge(e, results) == found
    return found


def test_better_by_enough() -> None:
    found = outcome({"default": 0.80, "fanin": 0.90}, "better", than="default", by=0.05)
    assert found.state == "came out"
    assert found.reason == ""
    assert found.cells[0].numbers["wins"] == 10
    assert found.metric == "accuracy"


def test_better_but_not_by_enough() -> None:
    found = outcome({"default": 0.80, "fanin": 0.90}, "better", than="default", by=0.2)
    assert found.state == "did not come out"
    assert "not by 0.2" in found.reason


def test_worse_is_not_better() -> None:
    found = outcome({"default": 0.90, "fanin": 0.80}, "better", than="default")
    assert found.state == "did not come out"
    assert "it is worse, by 0.09" in found.reason


def test_no_difference_shown_names_what_could_have_been_shown() -> None:
    found = outcome({"default": 0.80, "fanin": 0.80}, "better", than="default", spread=0.05)
    assert found.state == "did not come out"
    assert "no difference was shown" in found.reason
    assert "10 seeds show a difference of" in found.reason


def test_too_few_seeds_say_nothing() -> None:
    found = outcome({"default": 0.5, "fanin": 0.9}, "better", than="default", seeds=samples.seeds(5))
    assert found.state == "cannot be said"
    assert "5 seeds are too few" in found.reason


def test_ceiling_and_floor_are_named() -> None:
    top = outcome({"default": 1.5, "fanin": 1.5}, "better", than="default", by=0.01)
    assert "ceiling: default leaves only 0" in top.reason
    low = outcome({"default": 0.1, "fanin": 0.1}, "better", than="default", spread=0.001)
    assert "floor" in low.reason


def test_the_end_of_the_grid_is_named() -> None:
    e = Expectation("as written", "at_least", "fanin", value=0.95)
    levels = dict.fromkeys(PLANS, 0.9)
    found = samples.expected(e, scorer=samples.by_plan(levels, best=1.0)).analysis.outcomes[0]
    assert found.state == "did not come out"
    assert "the best learning rate of fanin is the largest of the grid, 0.1" in found.reason


def test_the_same_within_a_tolerance() -> None:
    assert outcome({"default": 0.9, "fanin": 0.9}, "no_difference", than="default", by=0.03).state == "came out"
    wide = outcome({"default": 0.9, "fanin": 0.9}, "no_difference", than="default", by=0.004, spread=0.01)
    assert wide.state == "cannot be said"
    assert "seeds would narrow it enough" in wide.reason or "is not within ± 0.004" in wide.reason
    apart = outcome({"default": 0.8, "fanin": 0.9}, "no_difference", than="default", by=0.03)
    assert apart.state == "did not come out"
    assert "they differ" in apart.reason


@pytest.mark.parametrize(("kind", "value", "state"), [
    ("at_least", 0.85, "came out"), ("at_least", 0.95, "did not come out"),
    ("at_most", 0.95, "came out"), ("at_most", 0.85, "did not come out"),
])  # fmt: skip
def test_bounds(kind: Any, value: float, state: str) -> None:
    found = outcome({"fanin": 0.9}, kind, value=value)
    assert found.state == state
    assert bool(found.reason) == (state != "came out")


def test_fails_and_trains_are_opposites() -> None:
    for level, fails in ((0.1, True), (0.9, False), (math.nan, True)):
        states = [outcome({"fanin": level}, kind, by=0.05).state for kind in ("fails", "trains")]
        assert states == (["came out", "did not come out"] if fails else ["did not come out", "came out"])


def test_half_of_the_runs_diverged_is_a_failure_whatever_the_others_score() -> None:
    def score(plan: str, lr: float, context: object, seed: int, noise: float) -> float:
        return math.nan if seed % 2 else 0.9

    e = Expectation("as written", "fails", "fanin")
    assert samples.expected(e, scorer=score).analysis.outcomes[0].state == "came out"


def test_diverges() -> None:
    def score(plan: str, lr: float, context: object, seed: int, noise: float) -> float:
        return math.nan if lr == 0.1 and seed < 8 else 0.9

    at = Expectation("as written", "diverges", "fanin", value=0.8, lr=0.1)
    more = Expectation("as written", "diverges", "fanin", value=0.9, lr=0.1)
    best = Expectation("as written", "diverges", "fanin", value=0.5)
    states = [o.state for o in samples.expected(at, more, best, scorer=score).analysis.outcomes]
    assert states == ["came out", "did not come out", "did not come out"]
    reason = samples.expected(best, scorer=score).analysis.outcomes[0].reason
    assert "at 0.1 it was 8 of 10" in reason


def test_a_learning_rate_of_its_own() -> None:
    e = Expectation("as written", "better", "fanin", "default", lr=0.1)

    def score(plan: str, lr: float, context: object, seed: int, noise: float) -> float:
        return 0.9 + (0.05 if lr == 0.1 and plan == "fanin" else 0.0) - (0.3 if lr == 0.1 else 0.0) + 0.003 * noise

    assert samples.expected(e, scorer=score).analysis.outcomes[0].cells[0].numbers["mean"] == pytest.approx(
        0.65, abs=0.01
    )
    absent = Expectation("as written", "better", "fanin", "default", lr=0.5)
    found = samples.expected(absent, scorer=score).analysis.outcomes[0]
    assert found.state == "cannot be said"
    assert "at a learning rate of 0.5" in found.reason


def deep(plan: str, lr: float, context: dict, seed: int, noise: float) -> float:
    return 0.9 - (0.02 * context["depth"] if plan == "default" else 0.0) + 0.003 * noise


def many(*expectations: Expectation) -> StudyResults:
    grid: dict[str, Any] = {"models": ("mlp(depth={depth})",), "variables": {"depth": (2, 10, 30)}}
    return samples.expected(*expectations, scorer=deep, **grid)


def test_every_cell_that_it_speaks_of_must_come_out() -> None:
    everywhere = Expectation("as written", "better", "fanin", "default", by=0.1)
    deep_only = Expectation("as written", "better", "fanin", "default", by=0.1, where={"depth": 30})
    first, second = many(everywhere, deep_only).analysis.outcomes
    assert [c.state for c in first.cells] == ["did not come out", "came out", "came out"]
    assert first.state == "did not come out"
    assert "it is better, but by 0.03" in first.reason
    assert (second.state, len(second.cells), second.cells[0].label) == ("came out", 1, "depth 30")


def test_a_cell_that_the_grid_does_not_have() -> None:
    missing = many(Expectation("as written", "trains", "fanin", where={"depth": 5})).analysis.outcomes[0]
    assert (missing.state, missing.cells) == ("cannot be said", ())
    assert "no cell with depth = 5" in missing.reason
    unknown = many(Expectation("as written", "trains", "fanin", where={"width": 5})).analysis.outcomes[0]
    assert "no cell with width = 5" in unknown.reason
    other = many(Expectation("as written", "trains", "lsuv")).analysis.outcomes[0]
    assert "lsuv has no finished run" in other.reason


def test_variables_of_a_methods_own_text_belong_to_the_method() -> None:
    def score(plan: str, lr: float, context: dict, seed: int, noise: float) -> float:
        return (0.9 if "1.0" in plan else 0.1) + 0.003 * noise

    e = Expectation("as written", "fails", "scaled(gain=0.5)", by=0.05, where={"gain": 0.5, "data": "digits"})
    results = samples.expected(e, scorer=score, plans=("scaled(gain={gain})",), variables={"gain": (0.5, 1.0)})
    assert results.analysis.outcomes[0].state == "came out"


def test_a_metric_of_its_own_and_which_way_it_is_better() -> None:
    e = Expectation("as written", "better", "fanin", "default", metric="loss", by=0.1)
    found = samples.expected(e).analysis.outcomes[0]
    assert found.metric == "loss"
    assert found.state == "came out"
    assert found.cells[0].numbers["difference"] < 0
    absent = Expectation("as written", "at_least", "fanin", metric="auc", value=0.5)
    assert "no metric 'auc'" in samples.expected(absent).analysis.outcomes[0].reason


def test_a_kind_that_is_not_known() -> None:
    e = Expectation("as written", "louder", "fanin")  # type: ignore[arg-type]
    with pytest.raises(FaninValueError, match="louder.*better"):
        judge(e, samples.results())


def test_runs_without_a_result_are_named() -> None:
    def score(plan: str, lr: float, context: object, seed: int, noise: float) -> float | None:
        return None if seed == 3 else 0.5

    e = Expectation("as written", "at_least", "fanin", value=0.9)
    assert "1 runs of fanin have no result" in samples.expected(e, scorer=score).analysis.outcomes[0].reason


def test_rows_of_other_contexts_do_not_matter() -> None:
    e = Expectation("as written", "better", "fanin", "default", by=0.1, where={"depth": 30})
    results = many(e)
    kept: tuple[RunRow, ...] = tuple(r for r in results.rows if r.config.context["depth"] == 30)
    alone = judge(e, StudyResults(results.study, kept))
    assert alone.cells[0].numbers == results.analysis.outcomes[0].cells[0].numbers


def test_why_it_does_not_train_is_true() -> None:
    """A mean that is far above chance, but not by as much as was asked for, is not said to be chance."""
    some = outcome({"fanin": 0.35}, "trains", by=0.3)
    assert some.state == "did not come out"
    assert some.reason.startswith("its mean, 0.3")
    assert "better than a constant prediction, not more than 0.3" in some.reason
    assert "no better than a constant prediction (0.1)" in outcome({"fanin": 0.05}, "trains", spread=0.0).reason

    def score(plan: str, lr: float, context: object, seed: int, noise: float) -> float:
        return math.nan if seed == 0 else 0.3

    e = Expectation("as written", "trains", "fanin", by=0.3)
    reason = samples.expected(e, scorer=score).analysis.outcomes[0].reason
    assert reason.startswith("1 of 10 runs diverged; its mean, 0.28,")


def own(*expectations: Expectation) -> StudyResults:
    """A metric of the user's own, of which a diverged run has no number; seven of ten runs of fanin diverge."""

    def score(plan: str, lr: float, context: object, seed: int, noise: float) -> float:
        return math.nan if plan == "fanin" and seed < 7 else 0.9 + (0.05 if plan == "fanin" else 0.0)

    results = samples.expected(*expectations, scorer=score, plans=("default", "fanin"), lrs=(0.01,))
    rows = tuple(
        replace(r, metrics={**r.metrics, "mine:m": math.nan if r.diverged else r.metrics["accuracy"]})
        for r in results.rows
    )
    return StudyResults(results.study, rows)


def test_diverged_runs_count_in_a_metric_of_which_they_have_no_number() -> None:
    better = Expectation("as written", "better", "fanin", "default", metric="mine:m")
    same = Expectation("as written", "no_difference", "fanin", "default", metric="mine:m", by=0.1)
    high = Expectation("as written", "at_least", "fanin", metric="mine:m", value=0.9)
    found = own(better, same, high).analysis.outcomes
    assert found[0].cells[0].numbers["seeds"] == 10
    assert found[0].cells[0].numbers["wins"] == 3
    assert [o.state for o in found] == ["did not come out", "cannot be said", "cannot be said"]
    assert "infinite" in found[1].reason
    assert found[2].reason == "7 of 10 runs have no number of 'mine:m'"
    assert "nan" not in study_markdown(own(better, same, high)).partition("## Setting")[0]


def test_a_method_that_always_diverged_fails_in_every_metric() -> None:
    fails = Expectation("as written", "fails", "fanin", metric="mine:m")
    better = Expectation("as written", "better", "fanin", "default", metric="mine:m")
    results = samples.expected(fails, better, scorer=lambda plan, *_: math.nan if plan == "fanin" else 0.9, lrs=(0.01,))
    rows = tuple(
        replace(r, metrics={**r.metrics, "mine:m": math.nan if r.diverged else r.metrics["accuracy"]})
        for r in results.rows
    )
    found = StudyResults(results.study, rows).analysis.outcomes
    assert [o.state for o in found] == ["came out", "did not come out"]
    assert found[1].reason.startswith("it is worse, by ")


def test_nothing_is_said_before_all_runs_that_it_speaks_of_are_done() -> None:
    """The learning rate that trains may be among those that were not run yet."""
    e = Expectation("as written", "trains", "fanin", by=0.5)
    at = Expectation("as written", "fails", "fanin", by=0.5, lr=0.001)
    other = Expectation("as written", "trains", "default", by=0.5)
    results = samples.expected(e, at, other, scorer=samples.by_plan(dict.fromkeys(PLANS, 0.9), best=1.0))
    rows = tuple(
        replace(r, state="pending") if r.config.plan == "fanin" and r.config.lr > 0.01 else r for r in results.rows
    )
    found = StudyResults(results.study, rows).analysis.outcomes
    assert [o.state for o in found] == ["cannot be said", "came out", "came out"]
    assert found[0].reason == "20 of the 50 runs that it speaks of are not done yet"
    assert results.analysis.outcomes[0].state == "came out"


def test_a_mean_of_converged_and_diverged_runs_has_no_interval() -> None:
    def score(plan: str, lr: float, context: object, seed: int, noise: float) -> float:
        return math.nan if seed < 2 else 0.9 + 0.01 * noise

    e = Expectation("as written", "at_least", "fanin", value=0.8)
    results = samples.expected(e, scorer=score)
    (found,) = results.analysis.outcomes
    assert found.state == "did not come out"
    assert found.cells[0].numbers["diverged"] == 0.2
    assert math.isnan(found.cells[0].numbers["low"])
    assert "could have done" not in found.reason
    assert re.search(r"mean 0\.7\d+ of 10 runs, 20 % diverged, at least 0\.800 expected", study_markdown(results))


def test_two_methods_of_which_every_run_diverged_are_not_shown_to_be_the_same() -> None:
    found = outcome(
        {"default": math.nan, "fanin": math.nan}, "no_difference", than="default", by=0.03, seeds=samples.seeds(8)
    )
    assert found.state == "cannot be said"
    assert found.reason.startswith("all runs of both diverged")
    assert (
        outcome({"default": 0.9, "fanin": math.nan}, "no_difference", than="default", by=0.03).state
        == "did not come out"
    )
