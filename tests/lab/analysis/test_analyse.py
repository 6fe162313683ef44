"""Cells, differences and verdicts of whole studies."""

import math
from dataclasses import replace

import numpy as np
import pytest
from tests.lab.analysis import samples

from fanin.lab.analysis import StudyAnalysis
from fanin.lab.results import StudyResults
from fanin.lab.statistics import mean_interval, wilson
from fanin.lab.study.records import TrainingSettings
from fanin.lab.study.rows import RunRow


def test_methods_are_compared_at_their_best_by_seed() -> None:
    a = samples.results().analysis
    (context,) = a.contexts
    assert (context.best, a.baseline) == ("fanin", "default")
    assert [(p.plan, p.other, p.role) for p in context.pairs] == [
        ("he_normal", "default", "baseline"),
        ("fanin", "default", "baseline"),
        ("fanin", "he_normal", "best two"),
    ]
    assert {p.verdict.finding for p in context.pairs} == {"better"}
    assert all(p.verdict.comparisons == 3 for p in context.pairs)
    assert all(p.target is not None and p.target.p < 0.05 for p in context.pairs)


def test_the_two_best_are_not_compared_twice() -> None:
    a = samples.results(plans=("default", "fanin")).analysis
    assert [(p.plan, p.other) for p in a.contexts[0].pairs] == [("fanin", "default")]


def test_intervals_are_given_convergence_and_divergence_stands_apart() -> None:
    def score(plan: str, lr: float, context: object, seed: int, noise: float) -> float:
        return math.nan if plan == "fanin" and seed in (1, 4, 7) else 0.9 + 0.01 * noise

    results = samples.results(scorer=score)
    cell = results.analysis.contexts[0].cell("fanin")
    assert cell is not None
    whole = [s for s, seed in zip(cell.scores, cell.seeds, strict=True) if seed not in (1, 4, 7)]
    assert cell.metrics["accuracy"].count == 7
    assert cell.metrics["accuracy"].value == pytest.approx(np.mean(whole))
    assert cell.diverged_share == wilson(3, 10)
    assert cell.overall["accuracy"] == pytest.approx((sum(whole) + 3 * samples.CONSTANT) / 10)
    assert cell.survival is not None
    assert cell.survival.reached <= 7


def test_diverged_runs_stay_in_the_differences() -> None:
    def score(plan: str, lr: float, context: object, seed: int, noise: float) -> float:
        return math.nan if plan == "fanin" and seed < 5 else 0.9

    results = samples.results(scorer=score, plans=("default", "fanin"))
    (pair,) = results.analysis.contexts[0].pairs
    assert pair.verdict.losses == 5
    assert pair.verdict.difference.value == pytest.approx(-0.4)


def test_failed_and_missing_runs_are_counted_and_said() -> None:
    def score(plan: str, lr: float, context: object, seed: int, noise: float) -> float | None:
        return None if plan == "he_normal" and seed == 0 else 0.9 + 0.01 * noise

    results = samples.results(scorer=score)
    half = tuple(replace(row, state="pending") if row.config.seed == 9 else row for row in results.rows)
    a = StudyResults(results.study, half).analysis
    assert (a.failed, a.pending, a.done) == (5, 15, 130)
    assert a.failures == {"RuntimeError: the model said no": 5}
    cell = a.contexts[0].cell("he_normal")
    assert cell is not None
    assert (cell.failed, cell.missing, cell.runs) == (1, 1, 8)
    pair = next(p for p in a.contexts[0].pairs if p.plan == "he_normal")
    assert 0 not in pair.seeds
    assert len([w for w in a.warnings if "runs" in w]) == 2


def test_a_method_that_never_ran_does_not_stop_the_others() -> None:
    def score(plan: str, lr: float, context: object, seed: int, noise: float) -> float | None:
        return None if plan == "default" else 0.9 + 0.01 * noise

    a = samples.results(scorer=score).analysis
    assert [(p.plan, p.other, p.role) for p in a.contexts[0].pairs] in (
        [("he_normal", "fanin", "best two")],
        [("fanin", "he_normal", "best two")],
    )
    assert a.contexts[0].cells[0].runs == 0


def test_a_study_before_its_first_run() -> None:
    results = samples.results(scorer=lambda *_: None)
    rows = tuple(replace(row, state="pending", error="") for row in results.rows)
    a = StudyResults(results.study, rows).analysis
    assert (a.done, a.pending) == (0, 150)
    assert a.contexts[0].best == ""
    assert a.contexts[0].pairs == ()


def test_contexts_are_never_pooled() -> None:
    def score(plan: str, lr: float, context: dict, seed: int, noise: float) -> float:
        gain = 0.03 if (plan == "fanin") == (context["depth"] == 30) else 0.0
        return 0.8 + gain + 0.003 * noise

    a = samples.results(
        scorer=score, plans=("default", "fanin"), models=("mlp(depth={depth})",), variables={"depth": (2, 30)}
    ).analysis
    assert a.varying == ("depth",)
    assert [c.pairs[0].verdict.finding for c in a.contexts] == ["worse", "better"]


def test_across_contexts() -> None:
    def score(plan: str, lr: float, context: dict, seed: int, noise: float) -> float:
        return {"default": 0.7, "he_normal": 0.8, "fanin": 0.9}[plan] - 0.002 * context["depth"] + 0.003 * noise

    a = samples.results(scorer=score, models=("mlp(depth={depth})",), variables={"depth": (2, 10, 30)}).analysis
    assert a.scale == "score"
    assert [m.method for m in a.across] == ["default", "he_normal", "fanin"]
    assert [m.best_in for m in a.across] == [0, 0, 3]
    assert a.across[0].improvement is None
    best = a.across[2]
    assert best.improvement is not None
    assert best.improvement.value == 1.0
    assert best.profile is not None
    assert best.profile.share[-1] == 0.0


def test_runs_are_compared_within_their_context() -> None:
    """Contexts are further apart than methods: a method that wins in each wins always, with other numbers of runs too."""

    def score(plan: str, lr: float, context: dict, seed: int, noise: float) -> float | None:
        if context["depth"] == 2 and seed == 0 and plan == "fanin":
            return None
        return {"default": 0.0, "fanin": 0.02}[plan] + 0.03 * context["depth"] + 0.001 * noise

    a = samples.results(
        scorer=score, plans=("default", "fanin"), models=("mlp(depth={depth})",), variables={"depth": (2, 10, 30)}
    ).analysis
    best = a.across[1].improvement
    assert best is not None
    assert best.value == 1.0
    assert a.across[1].best_in == 3
    spread = a.across[1].mean
    assert spread.high - spread.low < 0.01  # runs of one context are drawn again within it


def test_across_data_sets_scores_are_shares_of_the_way() -> None:
    def score(plan: str, lr: float, context: dict, seed: int, noise: float) -> float:
        return 0.55 + 0.001 * noise

    a = samples.results(scorer=score, data=("digits", "wine")).analysis
    assert a.scale == "share"
    assert a.across[0].mean.value == pytest.approx(0.5, abs=0.01)  # .55 is half the way from .1 to 1


def test_a_grid_that_is_too_narrow_is_said() -> None:
    a = samples.results(
        scorer=samples.by_plan(dict.fromkeys(("default", "he_normal", "fanin"), 0.9), best=1.0)
    ).analysis
    assert {c.edge for c in a.contexts[0].cells} == {"largest"}
    assert any("may be too narrow" in w and "0.1" in w for w in a.warnings)
    assert not any("too narrow" in w for w in samples.results().analysis.warnings)


def test_too_few_seeds() -> None:
    a = samples.results(seeds=samples.seeds(3)).analysis
    assert {p.verdict.finding for p in a.contexts[0].pairs} == {"too few seeds to say"}
    assert any("3 seeds are too few" in w for w in a.warnings)


def lucky(plan: str, lr: float, context: object, seed: int, noise: float) -> float:
    """Both methods score alike, but held-out data makes them choose apart."""
    return (0.80 if lr < 0.05 else 0.85) + 0.002 * noise


def test_a_difference_that_is_the_learning_rates_is_not_the_methods() -> None:
    results = samples.results(scorer=lucky, plans=("a", "b"), lrs=(0.01, 0.1))
    rows = tuple(
        replace(row, held={"accuracy": 0.9 if (row.config.plan == "a") == (row.config.lr == 0.01) else 0.8})
        for row in results.rows
    )
    context = StudyResults(results.study, rows).analysis.contexts[0]
    assert [c.lr for c in context.cells] == [0.01, 0.1]
    (pair,) = context.pairs
    assert pair.verdict.test.p < 0.01
    assert pair.in_disguise
    assert pair.verdict.finding == "no difference shown"


@pytest.mark.slow
def test_one_method_under_two_names_comes_out_as_no_difference() -> None:
    found = []
    for number in range(150):
        noise = np.random.default_rng(number).normal(size=(2, 2, 10))

        def score(plan: str, lr: float, context: object, seed: int, _: float, noise: np.ndarray = noise) -> float:
            return 0.9 + (0.003 if lr > 0.02 else 0.0) + 0.01 * noise["ab".index(plan), int(lr > 0.02), seed]

        a = samples.results(scorer=score, plans=("a", "b"), lrs=(0.01, 0.1)).analysis
        found.append(a.contexts[0].pairs[0].verdict.finding)
    assert found.count("no difference shown") >= 0.94 * len(found)


def test_the_analysis_is_a_record_that_json_can_hold() -> None:
    a = samples.results(models=("mlp(depth={depth})",), variables={"depth": (2, 30)}).analysis
    assert StudyAnalysis.from_dict(a.to_dict()).to_dict() == a.to_dict()


def test_a_target_that_only_the_rows_know() -> None:
    results = samples.results(training=TrainingSettings(target=0.85))
    told = replace(results.study, training=TrainingSettings())
    assert samples.results(training=TrainingSettings()).analysis.contexts[0].target is None
    rows = tuple(replace(row, summary={**row.summary, "target": 0.85}) for row in results.rows)
    assert StudyResults(told, rows).analysis.contexts[0].target == 0.85


def test_intervals_of_learning_rates_are_given_convergence_and_means_for_choosing_hold_all_runs() -> None:
    cell = samples.results().analysis.contexts[0].cells[0]
    point = next(p for p in cell.lrs if p.lr == 0.1)
    assert (point.runs, point.diverged) == (10, 4)
    rows = [r for r in samples.results().rows if r.config.lr == 0.1 and r.config.plan == "default"]
    assert point.held == mean_interval([r.held["accuracy"] for r in rows if not r.diverged])
    assert point.overall == pytest.approx(sum(r.held["accuracy"] for r in rows) / 10)
    assert point.diverged_share == wilson(4, 10)


def test_a_method_whose_text_follows_the_context_is_one_method() -> None:
    def score(plan: str, lr: float, context: dict, seed: int, noise: float) -> float:
        return (0.9 if plan.startswith("fixup") else 0.7) + 0.003 * noise

    s = samples.study(
        plans=("default", "fixup(depth={depth})"), models=("resnet(depth={depth})",), variables={"depth": (8, 20)}
    )
    rows = [
        samples.row_of(i, replace(c, context={**c.context, "model": c.model}), score, 0.0)
        for i, c in enumerate(samples.configs(s))
        if c.plan == "default" or c.plan.endswith(c.model.removeprefix("resnet"))
    ]
    a = StudyResults(s, tuple(rows)).analysis
    assert a.methods == ("default", "fixup(depth={depth})")
    assert [cell.plan for c in a.contexts for cell in c.cells] == [
        "default",
        "fixup(depth=8)",
        "default",
        "fixup(depth=20)",
    ]
    assert [(m.method, m.contexts, m.best_in) for m in a.across] == [("default", 2, 0), ("fixup(depth={depth})", 2, 2)]


def test_infinite_scores_are_results() -> None:
    """A perplexity that overflows in four of ten runs makes these worse than all others, and no seed is left out."""
    results = samples.results(plans=("default", "fanin"), lrs=(0.01,))

    def scores(row: RunRow) -> dict[str, float]:
        bad = row.config.plan == "fanin" and row.config.seed < 4
        return {"perplexity": math.inf if bad else 3.0 - 0.01 * (row.config.plan == "fanin")}

    rows = tuple(replace(row, metrics=scores(row), held=scores(row)) for row in results.rows)
    a = StudyResults(results.study, rows).analysis
    (pair,) = a.contexts[0].pairs
    assert len(pair.seeds) == 10
    assert (pair.verdict.wins, pair.verdict.losses) == (6, 4)
    assert pair.verdict.finding == "no difference shown"
    assert a.power_after == ""
    both = tuple(replace(row, metrics={"perplexity": math.inf}) if row.config.seed == 9 else row for row in rows)
    assert len(StudyResults(results.study, both).analysis.contexts[0].pairs[0].seeds) == 9


def test_in_how_many_contexts_each_methods_grid_is_too_narrow() -> None:
    def score(plan: str, lr: float, context: dict, seed: int, noise: float) -> float:
        best = 1.0 if plan == "fanin" or (plan == "default" and context["depth"] == 2) else 0.01
        return 0.9 - 0.05 * math.log10(lr / best) ** 2

    a = samples.results(scorer=score, models=("mlp(depth={depth})",), variables={"depth": (2, 10, 30)}).analysis
    (warned,) = [w for w in a.warnings if "too narrow" in w]
    assert warned.endswith("the largest, 0.1, is the best of default in 1, fanin in 3 of 3 contexts.")
