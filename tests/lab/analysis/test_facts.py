"""Which metric a study speaks of, and what is known of it."""

import math
from dataclasses import replace

from tests.lab.analysis import samples

from fanin.lab.analysis import facts
from fanin.lab.results import StudyResults


def test_the_data_sets_own_score_is_what_verdicts_speak_of() -> None:
    results = samples.results(seeds=samples.seeds(6))
    rare = tuple(
        replace(
            row,
            metrics={"balanced_accuracy": row.metrics["accuracy"] / 2, **row.metrics},
            held={"balanced_accuracy": row.held["accuracy"] / 2, **row.held},
        )
        for row in results.rows
    )
    context = StudyResults(results.study, rare).analysis.contexts[0]
    assert context.score == "balanced_accuracy"
    assert context.cells[2].overall["balanced_accuracy"] < 0.5


def test_runs_that_diverged_do_not_name_the_metric() -> None:
    rows = samples.results(seeds=samples.seeds(2), lrs=(0.01,)).rows
    odd = replace(rows[0], diverged=True, held={"loss": 2.3, "other": 0.1})
    assert facts.score_of((odd, *rows[1:])) == "accuracy"
    assert facts.score_of((odd,)) == "other"
    assert facts.score_of(()) == ""


def test_where_metrics_end() -> None:
    assert [facts.perfect(m) for m in ("accuracy", "loss", "perplexity", "r2")] == [1.0, 0.0, 1.0, 1.0]
    assert [facts.perfect(m) for m in ("f1[3]", "top_5", "hamming")] == [1.0, 1.0, 0.0]
    assert all(math.isnan(facts.perfect(m)) for m in ("mine:score", "mine"))
    assert facts.larger_is_better("mine_that_is_gone:score")
