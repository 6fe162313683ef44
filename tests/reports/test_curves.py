"""Mean curves: of the runs that go on, with a remark where their number falls."""

import math
from dataclasses import replace

import pytest
from tests.lab.analysis import samples as studies
from tests.reports import samples

from fanin.lab.study.rows import CurvePoint, RunRow
from fanin.reports.comparison import score_curve
from fanin.reports.curves import ENDED, endings, going_on, grid_of, mean_band
from fanin.reports.study_figures import Drawing, curve_figures
from fanin.reports.study_markdown import study_markdown
from fanin.reports.terminal import comparison_text

NAN = math.nan


def test_the_grid_is_that_of_a_whole_run() -> None:
    """A run that ended between two looks was looked at there; no other run has that step."""
    assert grid_of([(0, 10, 20, 25), (0, 10, 20, 30), (0, 7)]) == (0, 10, 20, 30)
    assert grid_of([]) == grid_of([()]) == ()


def test_a_mean_is_of_the_runs_that_go_on_and_says_how_many() -> None:
    lines = [[0.1, 0.5, 0.9], [0.1, 0.3, NAN], [0.1, NAN, NAN]]
    assert going_on(lines) == [3, 2, 1]
    assert endings(lines) == ["", "2 of 3 runs go on", "1 of 3 runs go on"]
    assert mean_band(lines)[0] == pytest.approx([0.1, 0.4, 0.9])
    assert endings(lines[:1]) == ["", "", ""]
    assert endings([[NAN, 0.5, 0.4], [NAN, 0.6, NAN]]) == [
        "",
        "",
        "1 of 2 runs go on",
    ]  # losses are of steps that were taken
    assert endings([]) == []


def test_a_comparison_says_how_many_runs_go_on() -> None:
    whole = samples.comparison()
    assert ENDED not in score_curve(whole)
    cut = [
        replace(r, eval_steps=(*r.eval_steps[:5], 85), eval_score=(*r.eval_score[:5], NAN), eval_loss=(1.0,) * 6)
        if r.init == "he_normal" and r.seed == 3
        else r
        for r in whole.results
    ]
    result = replace(whole, results=tuple(cut))
    assert "(4 of 5 runs go on)" in next(
        line for line in comparison_text(result).splitlines() if "→" in line and "he" in line
    )
    figure = score_curve(result)
    assert "(4 of 5 runs go on)" in figure
    assert ENDED in figure
    assert "step 85" not in figure


def test_a_study_says_how_many_runs_go_on() -> None:
    def score(plan: str, lr: float, context: dict, seed: int, noise: float) -> float:
        return NAN if plan == "default" and seed < 2 else 0.9 + 0.001 * noise

    results = studies.results(scorer=score, lrs=(0.01,))
    plain = results.curve

    def curve(row: RunRow) -> tuple[CurvePoint, ...]:
        points = plain(row)
        return (*points[:2], replace(points[2], step=points[2].step - 1, held_score=NAN)) if row.diverged else points

    results = replace(results, curve=curve)
    figures = curve_figures(Drawing(results, results.analysis.contexts[0]))
    assert "8 of 10 runs go on" in figures
    assert ENDED in figures
    assert "  8 of 10 runs go on" in study_markdown(results)
    assert "(8 of 10 runs go on)" in str(results)
