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
from fanin.reports.study_markdown import study_markdown
from fanin.reports.study_notebook import study_notebook
from fanin.reports.study_text import study_text
from fanin.reports.study_words import estimate_text, listed, p_text, study_verdict, time_text


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
