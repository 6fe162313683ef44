"""A study in words: Markdown, terminal and notebook say the same as the page."""

import ast
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pytest
from tests.lab.analysis import samples
from tests.lab.test_results import stored
from tests.reports.test_study_page import many, one

from fanin.lab.records import ReferenceLine
from fanin.lab.results import StudyResults
from fanin.lab.statistics import Estimate
from fanin.lab.study.parse import parse_study
from fanin.lab.study.records import Expectation, TrainingSettings
from fanin.reports.study_markdown import study_markdown
from fanin.reports.study_notebook import FRAME, study_notebook
from fanin.reports.study_text import study_text
from fanin.reports.study_words import estimate_text, listed, p_text, run_again, study_verdict, time_text


def test_markdown_depends_on_the_results_alone() -> None:
    text = study_markdown(one())
    assert text == study_markdown(one())
    assert text.startswith("# sample\n")
    assert not re.search(r"[ \t]$", text, re.MULTILINE)


def test_markdown_tables_have_as_many_cells_as_columns() -> None:
    for results in (one(), many()):
        for block in re.findall(r"(?:^\|.*\|\n)+", study_markdown(results), re.MULTILINE):
            rows = [len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()]
            assert len(set(rows)) == 1, block


def test_a_bar_in_a_name_does_not_break_a_table() -> None:
    text = study_markdown(
        samples.results(plans=("default", "a|b"), scorer=lambda *_: 0.5, seeds=samples.seeds(2), lrs=(0.1,))
    )
    assert "a\\|b" in text


def test_markdown_has_the_study_file() -> None:
    results = one()
    text = study_markdown(results).split("```toml\n")[1].split("```")[0]
    assert parse_study(text).full == results.study


def test_outcomes_are_written_with_their_reasons() -> None:
    text = study_markdown(one())
    assert "1 of 2 expectations came out, 1 did not." in text
    assert re.search(r"✗ \*\*The default fails\.\*\* Did not come out: mean 0\.8\d+ of 10 runs", text)
    every = study_markdown(many())
    assert "  - depth 2, relu: " in every


def test_the_terminal_says_the_verdict_first_and_fits() -> None:
    text = study_text(one(), 80)
    assert max(map(len, text.splitlines())) <= 80
    assert text.splitlines()[1].startswith("✓ fanin 0.9")
    assert "logistic regression*" in text
    assert "\x1b" not in text
    assert "\x1b" in study_text(one(), 80, color=True)
    assert "beware" in study_text(samples.results(seeds=samples.seeds(3)))


def test_the_terminal_of_many_contexts() -> None:
    text = study_text(many(), 100)
    assert "Over all contexts" in text
    assert "depth 30, tanh" in text


def test_a_verdict_of_no_difference_says_what_could_have_been_shown() -> None:
    results = samples.results(scorer=samples.by_plan({"a": 0.9, "b": 0.9}, 0.02), plans=("a", "b"))
    found = study_verdict(results)
    assert found.level == "info"
    assert found.headline.startswith("No difference shown between b and a: b 0.")
    assert "10 seeds would show 0.0" in found.headline


@pytest.mark.parametrize(("levels", "says"), [
    ({"a": 0.9, "b": 0.8}, r"a 0\.\d+ .* is the best: b is worse"),
    ({"a": 0.9, "b": 0.8, "c": 0.7}, r"a 0\.\d+ .* is the best: all others are worse"),
    ({"a": 0.9}, r"a: accuracy 0\.[89]"),
    ({"a": 0.9, "b": math.nan}, r"a 0\.\d+ .* is the best: b is worse"),
])  # fmt: skip
def test_verdicts(levels: dict[str, float], says: str) -> None:
    results = samples.results(scorer=samples.by_plan(levels), plans=tuple(levels))
    assert re.match(says, study_verdict(results).headline)


def test_what_is_not_shown_to_differ_is_named_apart_from_what_is_worse() -> None:
    results = samples.results(scorer=samples.by_plan({"a": 0.9, "b": 0.901, "c": 0.5}, 0.02), plans=("a", "b", "c"))
    assert re.fullmatch(r"No difference shown between a 0\.\d+ .* and b; worse: c", study_verdict(results).headline)


def test_lists_of_names() -> None:
    assert [listed(list("abcdef"[:n])) for n in (1, 2, 3, 4, 6)] == [
        "a",
        "a and b",
        "a, b and c",
        "a, b, c and d",
        "a, b, c and 3 more",
    ]


def test_diverged_runs_are_in_the_sentence() -> None:
    def score(plan: str, lr: float, context: object, seed: int, noise: float) -> float:
        return math.nan if plan == "fanin" and seed < 3 else 0.9 + 0.01 * noise

    results = samples.results(scorer=score, plans=("default", "fanin"))
    assert "(3 of 10 diverged)" in study_verdict(results).sentences[0]


def test_too_few_seeds_are_the_verdict() -> None:
    found = study_verdict(samples.results(seeds=samples.seeds(3))).headline
    assert found.startswith("3 seeds cannot show a difference in 3 comparisons at once (it takes 7): accuracy 0.8")
    assert "3 seeds cannot show a difference" in study_verdict(many(seeds=samples.seeds(3))).headline


def test_nothing_done_is_said() -> None:
    results = samples.results(scorer=lambda *_: None)
    assert study_verdict(results).headline == "No run is done yet"
    assert "the model said no" in study_markdown(results)


def test_numbers_in_words() -> None:
    assert estimate_text(Estimate(0.912, 0.908, 0.916, 0.95, 10, "t")) == "0.912 ± 0.004"
    assert estimate_text(Estimate(0.844, 0.832, 0.849, 0.95, 10, "t")) == "0.844 (0.832 to 0.849)"
    assert estimate_text(Estimate(0.5, math.nan, math.nan, 0.95, 1, "t")) == "0.500"
    assert [p_text(p) for p in (0.00585, 1e-9, math.nan)] == ["p = 0.0059", "p < 0.0001", "no p"]
    assert [time_text(s) for s in (0.5, 42.0, 600.0, 36000.0)] == ["0.5 s", "42 s", "10 min", "10.0 h"]


def test_a_notebook_is_whole_and_its_cells_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("matplotlib").use("Agg")
    stored(tmp_path / "study")
    book = study_notebook(StudyResults.load(tmp_path / "study"))
    assert json.loads(json.dumps(book)) == book
    nbformat.validate(book, relax_add_props=False)
    assert len({cell["id"] for cell in book["cells"]}) == len(book["cells"])
    assert all(re.fullmatch(r"[\w-]{1,64}", cell["id"]) for cell in book["cells"])
    assert all(cell["outputs"] == [] for cell in book["cells"] if cell["cell_type"] == "code")
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {}
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            exec(compile(ast.parse("".join(cell["source"])), "cell", "exec"), space)
    assert (tmp_path / "study.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_log_and_the_notes_are_shown() -> None:
    results = one()
    rows = tuple(
        replace(row, note="left 2 of 5 weights as they were") if row.config.plan == "fanin" else row
        for row in results.rows
    )
    text = study_markdown(StudyResults(results.study, rows, log=("continued with torch 2.5 (was 2.4)",)))
    assert "- fanin left 2 of 5 weights as they were." in text
    assert "- continued with torch 2.5 (was 2.4)" in text


def test_the_terminal_says_what_is_to_be_known_of_a_learner() -> None:
    results = samples.results(references=True)
    lines = (ReferenceLine("tree", {}, 0.1, "it could not be fitted (one class alone)"),)
    text = study_text(replace(results, references=dict.fromkeys(results.study.data, lines)))
    assert "tree: it could not be fitted (one class alone)" in " ".join(text.split())


def test_the_headline_says_of_nothing_that_it_does_not_differ_where_it_does() -> None:
    """The best mean is that of b, whose spread is wide; c is better for sure, and d worse."""
    levels = {"a": 0.80, "b": 0.85, "c": 0.82, "d": 0.70}

    def score(plan: str, lr: float, context: object, seed: int, noise: float) -> float:
        return levels[plan] + 0.001 * noise + ((0.14 if seed % 2 else -0.14) if plan == "b" else 0.0)

    found = study_verdict(samples.results(scorer=score, plans=tuple(levels), lrs=(0.01,)))
    assert re.fullmatch(r"No difference shown between a 0\.\d+ .* and b; better: c; worse: d", found.headline)
    assert found.level == "ok"


def test_a_method_with_few_runs_yet_is_not_said_to_be_no_different() -> None:
    results = samples.results(
        scorer=samples.by_plan({"a": 0.9, "b": 0.8, "c": 0.85}, 0.001), plans=("a", "b", "c"), lrs=(0.01,)
    )
    rows = tuple(replace(r, state="pending") if r.config.plan == "c" and r.config.seed > 2 else r for r in results.rows)
    headline = study_verdict(StudyResults(results.study, rows)).headline
    assert re.fullmatch(r"Against a 0\.\d+ .*: worse: b; too few seeds to say: c", headline)


def test_a_method_that_never_ran_is_not_among_those_that_are_worse() -> None:
    def score(plan: str, lr: float, context: object, seed: int, noise: float) -> float | None:
        return None if plan == "c" else {"a": 0.9, "b": 0.8}[plan] + 0.001 * noise

    headline = study_verdict(samples.results(scorer=score, plans=("a", "b", "c"))).headline
    assert headline.endswith("is the best: b is worse")


def seesaw(plan: str, lr: float, context: dict[str, Any], seed: int, noise: float) -> float:
    better = (plan == "b") == (context["depth"] < 10)
    return 0.8 + (0.1 if better else 0.0) + 0.001 * noise


def test_as_often_better_as_worse_is_not_no_difference() -> None:
    grid: dict[str, Any] = {"models": ("mlp(depth={depth})",), "variables": {"depth": (2, 5, 10, 30)}}
    found = study_verdict(samples.results(scorer=seesaw, plans=("a", "b"), **grid))
    assert found.headline == "Nothing does better than a on the whole; b: better in 2, worse in 2 of 4 contexts"


def test_shares_of_the_way_are_better_when_they_are_larger_whatever_the_first_score_is() -> None:
    def score(plan: str, lr: float, context: dict[str, Any], seed: int, noise: float) -> float:
        return {"a": 0.6, "b": 0.9}[plan] + 0.001 * noise

    results = samples.results(scorer=score, plans=("a", "b"), data=("digits", "wine"))
    a = results.analysis
    assert a.scale == "share"
    results.__dict__["analysis"] = replace(
        a, contexts=tuple(replace(c, larger_is_better=i > 0) for i, c in enumerate(a.contexts))
    )
    assert "Over all 2 contexts b has the best interquartile mean" in study_verdict(results).sentences[-1]


def test_what_holds_over_some_contexts_is_not_said_of_all() -> None:
    results = many()
    rows = tuple(
        replace(r, state="pending") if r.config.plan == "fanin" and r.config.context["depth"] == 30 else r
        for r in results.rows
    )
    text = study_markdown(StudyResults(results.study, rows, curve=samples.curve_of))
    assert "Over the 4 of 6 contexts that all have runs in fanin has the best" in text
    assert "Over all 6 contexts" not in text


def test_the_learning_rate_was_chosen_by_what_chose_it() -> None:
    said = {
        "at the learning rate that held-out data chose.": one(),
        "at the only learning rate.": one(lrs=(0.01,)),
        "at the learning rate that the training loss chose.": one(training=TrainingSettings(validation=0.0)),
    }
    for words, results in said.items():
        text = study_markdown(results)
        assert [w for w in said if w in text] == [words]
        held = results.study.training.validation > 0
        assert ("accuracy on held-out data through training" in text) == held
        assert "Nothing was held out" not in text if held else "**Test accuracy by learning rate**" in text


def test_a_difference_names_its_test_and_doubts_its_interval() -> None:
    few = study_markdown(samples.results(seeds=samples.seeds(6)))
    assert re.search(r"\| \+0\.\d+ to \+0\.\d+† \|", few)
    assert "p of the exact sign-flip test of the mean (the larger p of both at their own learning rates" in few
    many_seeds = study_markdown(samples.results(seeds=samples.seeds(20), lrs=(0.01,)))
    assert "p of Wilcoxon's signed-rank test, after Holm's correction" in many_seeds


def test_the_terminal_explains_its_daggers() -> None:
    for n in (3, 10):
        text = study_text(samples.results(seeds=samples.seeds(n), lrs=(0.01,)), 100)
        assert ("do not allow this interval" in text) == ("†" in text.split("±  ")[0])


def test_a_study_with_objects_of_the_users_own_is_run_again_from_their_file() -> None:
    assert run_again(one())[0] == "fanin lab run sample.toml --out sample"
    own = replace(one(seeds=samples.seeds(3)), source="/home/me/my studies.py:mine")
    assert run_again(own)[0] == "fanin lab run '/home/me/my studies.py:mine' --seeds 3 --out sample"
    assert run_again(replace(own, study=samples.study(seeds=(3, 5))))[0].endswith("studies.py:mine' --out sample")


def test_a_notebooks_means_pool_no_contexts_and_count_no_run_without_a_result(tmp_path: Path) -> None:
    pytest.importorskip("pandas")

    def score(plan: str, lr: float, context: dict[str, Any], seed: int, noise: float) -> float | None:
        return None if seed == 0 else math.nan if seed == 1 else 0.5 if context["depth"] == 2 else 0.9

    results = samples.results(
        scorer=score, models=("mlp(depth={depth})",), variables={"depth": (2, 30)}, seeds=samples.seeds(3), lrs=(0.1,)
    )
    space: dict[str, Any] = {"results": results}
    exec(FRAME, space)
    means = space["means"]
    assert len(means) == 2 * 3
    assert set(means["diverged"]) == {0.5}
    assert sorted(set(means["test.accuracy"].round(6))) == [0.3, 0.5]


def test_a_p_that_is_the_winners_learning_rates_names_the_other_one() -> None:
    """Nine of twelve seeds are better at their own learning rates, and all score the same at the winner's: p is 1 then."""

    def score(plan: str, lr: float, context: object, seed: int, noise: float) -> float:
        return 0.9 if lr == 0.01 else 0.91 if seed % 4 else 0.88

    s = samples.study(plans=("a", "b"), lrs=(0.01, 0.1), seeds=samples.seeds(12))
    results = samples.results(replace(s, expectations=(Expectation("as written", "better", "b", "a"),)), score)
    rows = tuple(
        replace(row, held={"accuracy": 0.9 if (row.config.plan == "a") == (row.config.lr == 0.01) else 0.8})
        for row in results.rows
    )
    results = StudyResults(results.study, rows)
    (sentence,) = study_verdict(results).sentences
    assert re.search(r", p = 1 \(0\.\d+ at their own learning rates, uncorrected\)", sentence)
    assert "at their own learning rates p is 0." in results.analysis.outcomes[0].reason
    alone = samples.results(replace(s, lrs=(0.1,)), score)
    assert "uncorrected" not in study_verdict(alone).sentences[0]


def test_what_is_counted_over_all_contexts_and_what_a_star_is_are_said() -> None:
    text = " ".join(study_text(many(), 100).split())
    assert (
        "did not diverge; over all contexts, of all runs, diverged ones with what the constant prediction scores"
        in text
    )
    assert "over all seeds, diverged runs with what the constant prediction scores: the mean" in study_markdown(many())
    for references in (True, False):
        text = study_text(samples.results(references=references), 100)
        assert ("regression*" in text) == ("* an ordinary learner" in " ".join(text.split())) == references


def test_one_seed_has_no_interval_of_a_share() -> None:
    text = study_markdown(many(seeds=samples.seeds(1), lrs=(0.01,)))
    assert "| 100 % |" in text
    assert "nan" not in text.partition("## Setting")[0]


def test_ranks_that_contradict_the_mean_are_said_to() -> None:
    """Beyond sixteen seeds a verdict goes by ranks: small gains in nineteen seeds outweigh a run that diverged."""

    def score(plan: str, lr: float, context: object, seed: int, noise: float) -> float:
        return 0.9 if plan == "a" else math.nan if seed == 3 else 0.91 + 0.0001 * seed

    found = study_verdict(samples.results(scorer=score, plans=("a", "b"), lrs=(0.1,), seeds=samples.seeds(20)))
    assert re.search(r"better in 19 of 20 seeds, p = 0\.000\d+; but the mean difference, −0\.03", found.headline)
    assert "says the opposite" not in study_verdict(one()).headline


def test_a_curve_that_begins_far_below_is_written_short() -> None:
    results = one()
    plain = results.curve
    results = replace(results, curve=lambda row: tuple(replace(p, held_score=p.held_score - 1e30) for p in plain(row)))
    assert "(-1e30 at the bottom, -1e30 at the top)" in study_markdown(results)
    assert re.search(r"\(0\.\d{3} at the bottom, 0\.\d{3} at the top\)", study_markdown(one()))
