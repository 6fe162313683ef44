"""Learning rates: chosen on held-out data, at each method's best, never by the test part."""

import math
from dataclasses import replace

from tests.lab.analysis import samples

from fanin.lab.analysis import choose
from fanin.lab.analysis.records import LrPoint
from fanin.lab.results import StudyResults
from fanin.lab.statistics import mean_interval, wilson
from fanin.lab.study.records import TrainingSettings


def point(lr: float, mean: float, diverged: int = 0, runs: int = 10) -> LrPoint:
    given = mean_interval([mean] * runs)
    return LrPoint(lr, given, mean, given, runs, diverged, wilson(diverged, runs))


def test_the_test_part_does_not_choose() -> None:
    results = samples.results()
    liars = tuple(
        replace(row, metrics={**row.metrics, "accuracy": 0.99 if row.config.lr == 0.001 else 0.2})
        for row in results.rows
    )
    cells = replace_rows(results, liars).analysis.contexts[0].cells
    assert [c.lr for c in cells] == [0.01, 0.01, 0.01]
    assert all(abs(c.overall["accuracy"] - 0.2) < 1e-12 for c in cells)


def test_each_method_has_its_own_best_learning_rate() -> None:
    def score(plan: str, lr: float, context: object, seed: int, noise: float) -> float:
        return (
            0.9 - 0.1 * math.log10(lr / {"default": 0.1, "he_normal": 0.003, "fanin": 0.03}[plan]) ** 2 + 0.001 * noise
        )

    assert [c.lr for c in samples.results(scorer=score).analysis.contexts[0].cells] == [0.1, 0.003, 0.03]


def test_a_diverged_run_counts_with_what_the_constant_scores() -> None:
    def score(plan: str, lr: float, context: object, seed: int, noise: float) -> float:
        if lr == 0.1:
            return math.nan if seed < 2 else 0.95  # mean of all ten .78, of the eight .95
        return 0.9

    cell = samples.results(scorer=score).analysis.contexts[0].cells[0]
    assert cell.lr != 0.1
    point = next(p for p in cell.lrs if p.lr == 0.1)
    assert math.isclose(point.overall, (8 * 0.95 + 2 * 0.1) / 10)
    assert (point.diverged, point.diverged_share) == (2, wilson(2, 10))
    assert (point.held.value, point.held.count) == (0.95, 8)  # the interval is of those that converged
    none = samples.results(scorer=lambda *a: math.nan).analysis.contexts[0].cells[0].lrs[0]
    assert math.isnan(none.held.value)
    assert none.diverged == none.runs == 10


def test_of_equal_learning_rates_the_larger_one_is_taken_and_no_end_is_reported() -> None:
    points = [point(0.01, 0.9), point(0.1, 0.9), point(1.0, 0.5)]
    assert choose.choose(points, [], True, True) == (0.1, "held-out score")
    flat = [point(0.01, 0.1), point(0.1, 0.1), point(1.0, 0.1)]
    lr, _ = choose.choose(flat, [], True, True)
    assert lr == 1.0
    assert choose.edge_of(flat, lr, True) == ""


def test_of_equal_learning_rates_the_one_with_fewer_diverged_runs_is_taken() -> None:
    assert choose.choose([point(0.01, 0.9), point(0.1, 0.9, diverged=1)], [], True, True)[0] == 0.01


def test_a_method_that_learns_nothing_has_no_best_learning_rate() -> None:
    points = [point(0.01, 0.11), point(0.1, 0.12)]
    assert choose.edge_of(points, 0.1, True) == "largest"
    assert choose.edge_of(points, 0.1, True, floor=0.145) == ""
    assert choose.edge_of([point(0.01, 2.29), point(0.1, 2.28)], 0.1, False, floor=2.2) == ""


def test_a_loss_is_better_when_it_is_smaller() -> None:
    assert choose.choose([point(0.01, 0.3), point(0.1, 0.2)], [], True, False)[0] == 0.1
    assert choose.edge_of([point(0.01, 0.3), point(0.1, 0.2)], 0.1, False) == "largest"


def test_a_learning_rate_with_few_runs_is_not_chosen() -> None:
    def score(plan: str, lr: float, context: object, seed: int, noise: float) -> float | None:
        return (0.99 if seed == 0 else None) if lr == 0.1 else 0.9 - lr

    cell = samples.results(scorer=score).analysis.contexts[0].cells[0]
    assert cell.lr == 0.001
    assert not next(p for p in cell.lrs if p.lr == 0.1).eligible


def test_with_nothing_held_out_the_training_loss_chooses_and_the_report_says_so() -> None:
    results = samples.results(training=TrainingSettings(validation=0.0))
    better = tuple(
        replace(row, summary={**row.summary, "last_loss": 0.01 if row.config.lr == 0.03 else 0.5})
        for row in results.rows
    )
    a = replace_rows(results, better).analysis
    assert {c.lr for c in a.contexts[0].cells} == {0.03}
    assert {c.chosen_by for c in a.contexts[0].cells} == {"training loss"}
    assert any("Nothing was held out" in w for w in a.warnings)


def test_the_range_of_good_learning_rates() -> None:
    points = [point(0.001, 0.5), point(0.01, 0.88), point(0.1, 0.9), point(1.0, 0.87), point(10.0, 0.1)]
    width = choose.width_of(points, 0.1, 0.1, True)
    assert width is not None
    assert (width.low, width.high, width.open) == (0.01, 1.0, False)
    assert math.isclose(width.decades, 2.0)
    assert math.isclose(width.tolerance, 0.04)
    assert choose.width_of([point(0.1, 0.1), point(1.0, 0.1)], 0.1, 0.1, True) is None


def replace_rows(results: StudyResults, rows: tuple) -> StudyResults:
    return StudyResults(results.study, rows)


def test_a_method_that_learns_nothing_has_no_range_of_good_learning_rates() -> None:
    """All its runs diverge; the held-out part's constant prediction happens to score a little more than the test part's."""
    points = [point(0.01, 0.104, 10), point(0.1, 0.104, 10)]
    assert choose.width_of(points, 0.1, 0.099, True, floor=0.144) is None

    results = samples.results(scorer=lambda *_: math.nan)
    rows = tuple(replace(row, held={"accuracy": samples.CONSTANT + 0.01, "loss": 2.3}) for row in results.rows)
    assert all(cell.width is None for cell in replace_rows(results, rows).analysis.contexts[0].cells)
