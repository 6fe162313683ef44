"""Tuning: what it searches, what it recommends, and what it refuses."""

import importlib
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from fanin.errors import FaninTypeError, FaninValueError
from fanin.lab.tuning import Adjustment, Candidate, Trial, Tuning, tune, winning_plan
from fanin.lab.tuning.search import best_of, budgets, candidates, halve

QUICK: dict[str, Any] = {"data": "digits:600", "steps": 108, "seeds": 1, "confirm": 6, "lrs": [0.003, 0.03, 0.3]}


def deep() -> nn.Module:
    """Ten ReLU layers: the default weights learn nothing in a hundred steps."""
    hidden = [layer for _ in range(9) for layer in (nn.Linear(32, 32), nn.ReLU())]
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), *hidden, nn.Linear(32, 10))


def shallow() -> nn.Module:
    """Anything will do."""
    return nn.Sequential(nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 10))


@pytest.fixture(scope="module")
def found() -> Tuning:
    return tune(deep, inits=["default", "he_normal"], gains=[0.5, 1.0, 2.0], budget=15, **QUICK)


def test_a_better_start_is_found_and_recommended(found: Tuning) -> None:
    assert found.winner.start.init == "he_normal"
    assert found.recommended
    assert found.winner_score > found.baseline_score + 0.2
    assert found.confirmed.difference.count == 6


def test_the_default_had_its_own_learning_rates_and_the_whole_budget(found: Tuning) -> None:
    assert found.baseline.start == Adjustment("default")
    for rung in found.rungs:
        assert any(t.candidate.start.init == "default" for t in rung.trials)
    assert {t.candidate.lr for t in found.rungs[0].trials if t.candidate.start.init == "default"} == {0.003, 0.03, 0.3}
    assert [rung.steps for rung in found.rungs] == [12, 36, 108]


def test_the_map_is_whole(found: Tuning) -> None:
    gains, rates, scores = found.map()
    assert (gains, rates) == ((0.5, 1.0, 2.0), (0.003, 0.03, 0.3))
    assert all(score is not None for row in scores for score in row)


def test_fresh_seeds_were_not_seen_by_the_search(found: Tuning) -> None:
    assert all(row.config.seed >= 10_000 for row in found.rows)
    again = found.winner.lr != found.baseline.lr  # then the default is run at the winner's rate, too
    assert len(found.rows) == (18 if again else 12)
    assert len({(r.config.plan, r.config.lr, r.config.seed) for r in found.rows}) == len(found.rows)
    assert not found.in_disguise


def test_it_shows_itself_and_is_a_record(found: Tuning) -> None:
    assert "he_normal" in str(found).splitlines()[0]
    assert "gain" in found._repr_html_()
    assert Tuning.from_dict(found.to_dict()) == found


def test_the_winner_can_be_drawn(found: Tuning) -> None:
    plan = winning_plan(found, deep, "digits:600")
    assert plan is not None
    model = deep()
    plan.apply(model, seed=0)
    gain = found.winner.start.gain
    assert float(model[2].weight.detach().std()) == pytest.approx(gain * (2 / 32) ** 0.5, rel=0.15)


def test_where_nothing_is_better_the_default_is_kept() -> None:
    same = tune(shallow, inits=["default", "lecun_normal"], gains=[1.0], budget=12, **{**QUICK, "confirm": 8})
    assert not same.recommended or same.winner_score > same.baseline_score
    alone = tune(shallow, inits=["default"], budget=6, **QUICK)
    assert not alone.recommended
    assert alone.confirmed.difference.value == 0
    assert "Keep the model's own weights" in str(alone)


def chosen(monkeypatch: pytest.MonkeyPatch, winner: Candidate, baseline: Candidate) -> None:
    """The search finds these."""
    module = importlib.import_module("fanin.lab.tuning.tune")  # the package has a function of this name
    monkeypatch.setattr(module, "best_of", lambda rung, init=None: baseline if init else winner)


def test_a_winner_that_is_a_learning_rate_in_disguise_is_not_recommended(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's own weights under another name, at a better rate than the default was given."""
    winner, baseline = Candidate(Adjustment("lecun_uniform"), 0.1), Candidate(Adjustment("default"), 0.0003)
    chosen(monkeypatch, winner, baseline)
    options = {**QUICK, "lrs": [0.0003, 0.1], "confirm": 8}
    got = tune(shallow, inits=["default", "lecun_uniform"], gains=[1.0], budget=6, **options)
    assert got.confirmed.test.p < 0.05  # at their own rates it is better in all of the seeds
    assert got.winner_score > got.baseline_score + 0.2
    assert got.default_at_winners_rate == pytest.approx(got.winner_score, abs=0.05)
    assert got.in_disguise
    assert not got.recommended
    assert got.confirmed.finding == "no difference shown"
    assert "Keep the default, at a learning rate of 0.1" in str(got).replace("\n", " ")
    assert "it was the learning rate's" in " ".join(str(got).split())
    assert len(got.rows) == 24
    assert Tuning.from_dict(got.to_dict()) == got


def test_a_winner_that_is_better_at_its_rate_too_is_recommended(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen(monkeypatch, Candidate(Adjustment("he_normal"), 0.03), Candidate(Adjustment("default"), 0.1))
    got = tune(deep, inits=["default", "he_normal"], gains=[1.0], budget=6, **{**QUICK, "lrs": [0.03, 0.1]})
    assert got.recommended
    assert not got.in_disguise
    assert "the winner is better then, too" in " ".join(str(got).split())


def test_gains_biases_and_branches_reach_the_weights() -> None:
    from tests.lab.engine.nets import Skip

    from fanin.lab.losses_torch import cross_entropy
    from fanin.lab.tuning.adjusted_torch import Adjusted, has_branches

    x, y = torch.randn(16, 64).numpy(), torch.randint(0, 10, (16,)).numpy()
    assert has_branches(Skip(), x, y, cross_entropy)
    assert not has_branches(shallow(), x, y, cross_entropy)

    def drawn(**change: float) -> nn.Module:
        torch.manual_seed(0)
        model = Skip()
        Adjusted(Adjustment("he_normal", **change), x, y, cross_entropy)(model)
        return model

    plain, scaled = drawn(), drawn(gain=2.0, bias=0.1, residual=0.5)
    assert torch.allclose(scaled.first.weight, 2 * plain.first.weight)  # type: ignore[union-attr]
    assert torch.allclose(scaled.inner.weight, plain.inner.weight)  # type: ignore[union-attr]
    assert (scaled.inner.bias == 0.1).all()  # type: ignore[union-attr]
    assert (scaled.head.bias == 0).all()  # type: ignore[union-attr]


def test_a_tuned_init_keeps_the_rates_that_its_rule_asks_for() -> None:
    from tests.lab.engine.nets import Skip

    from fanin.lab.inits import parse_init
    from fanin.lab.inits_torch import initialise
    from fanin.lab.losses_torch import cross_entropy
    from fanin.lab.tuning.adjusted_torch import Adjusted

    x, y = torch.randn(16, 64), torch.randint(0, 10, (16,))
    given = [
        initialise(Skip(), parse_init(init), x, y, cross_entropy, 0)
        for init in ("mup", Adjusted(Adjustment("mup", gain=2.0), x.numpy(), y.numpy(), cross_entropy))
    ]
    assert given[0].lr_scales == given[1].lr_scales != {}


def test_halving_keeps_the_best_and_the_baseline() -> None:
    first = [Candidate(Adjustment(init), lr) for init in ("default", "a", "b") for lr in (1.0, 2.0, 3.0)]
    worth = {"default": 0.0, "a": 1.0, "b": 2.0}
    seen: list[tuple[int, int]] = []

    def run(some, steps):
        seen.append((len(some), steps))
        return [Trial(c, worth[c.start.init] - 0.1 * c.lr, 0, 1) for c in some]

    rungs = halve(first, 90, run)
    assert seen == [(9, 10), (4, 30), (3, 90)]
    assert best_of(rungs[-1]) == Candidate(Adjustment("b"), 1.0)
    assert best_of(rungs[-1], "default") == Candidate(Adjustment("default"), 1.0)
    assert budgets(90) == (10, 30, 90)


def test_where_a_smaller_score_is_better_the_smallest_is_found() -> None:
    from fanin.lab.data import load

    data = replace(load("diabetes"), score="rmse")
    rates = [0.0001, 0.03]
    got = tune(
        linear, data, inits=["default", "he_normal"], gains=[1.0], lrs=rates, steps=54, budget=6, seeds=1, confirm=6
    )
    for rung in got.rungs:
        scores = [t.score for t in rung.trials]
        assert scores == sorted(scores)
    assert (got.winner.lr, got.baseline.lr) == (0.03, 0.03)
    assert min(t.score for t in got.mapped) in [v for row in got.map()[2] for v in row]
    won = got.winner_score - got.baseline_score
    assert got.confirmed.difference.value == pytest.approx(won)
    assert (got.confirmed.finding == "better") <= (won < 0)


def test_starts_that_are_nearly_alike_are_told_apart() -> None:
    assert Adjustment("he_normal", 1.411).name != Adjustment("he_normal", 1.412).name
    assert Adjustment("he_normal", 1.0001).name != Adjustment("he_normal").name
    assert Adjustment("he_normal", 1.41, 0.5, 2.0).name == "he_normal × 1.41, bias 0.5, residual × 2"


def test_where_everything_diverges_nothing_is_recommended() -> None:
    got = tune(deep, inits=["default"], budget=6, **{**QUICK, "lrs": [1e38]})
    assert str(got).splitlines()[0].startswith("! Recommend nothing: every run on the fresh seeds diverged")


def test_an_init_that_cannot_be_run_is_told_of() -> None:
    got = tune(shallow, inits=["default", "forget_bias"], gains=[1.0], budget=6, **QUICK)
    assert [note for note in got.notes if note.startswith("forget_bias could not be run: ")]


def linear() -> nn.Module:
    """Of the ten features of diabetes."""
    return nn.Linear(10, 1)


def test_halving_keeps_the_smallest_where_that_is_the_best() -> None:
    first = [Candidate(Adjustment(init), 1.0) for init in ("default", "a", "b", "c")]
    worth = {"default": 3.0, "a": 1.0, "b": 2.0, "c": float("nan")}
    rungs = halve(
        first, 90, lambda some, steps: [Trial(c, worth[c.start.init], 0, 1) for c in some], larger_is_better=False
    )
    assert [t.candidate.start.init for t in rungs[0].trials] == ["a", "b", "default", "c"]
    assert best_of(rungs[-1]) == Candidate(Adjustment("a"), 1.0)


def test_a_sample_of_many_candidates_holds_every_plain_start() -> None:
    starts = [Adjustment(i, g) for i in ("default", "a") for g in (0.5, 1.0, 2.0)]
    some = candidates(starts, [0.1, 1.0], most=6)
    assert len(some) == 6
    assert {c.start for c in some} >= {Adjustment("default"), Adjustment("a")}
    assert some == candidates(starts, [0.1, 1.0], most=6)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"inits": ["he_normal"]}, FaninValueError, "must have 'default' among them"),
        ({"inits": [3]}, FaninTypeError, "inits holds a int"),
        ({"gains": [0.0]}, FaninValueError, "gains=.* must be numbers above 0"),
        ({"lrs": [-1.0]}, FaninValueError, "lrs=.* must be numbers above 0"),
        ({"residuals": [-1.0]}, FaninValueError, "residuals=.* from 0"),
        ({"budget": 1}, FaninValueError, "budget allows 3 candidates, but .* makes"),
        ({"seeds": 0}, FaninValueError, "seeds=0 must be at least 1"),
        ({"optimizer": "lion"}, FaninValueError, "optimizer='lion' is unknown"),
        ({"inits": "default"}, FaninTypeError, "inits='default' is a str, but must be a list"),
        ({"inits": ["default", "lsuv"]}, FaninValueError, "inits holds 'lsuv', which cannot be tuned"),
        ({"inits": ["default", "default+zeros@head"]}, FaninValueError, "which cannot be tuned"),
        ({"gains": 2.0}, FaninTypeError, "gains=2.0 is a float, but must be a list"),
        ({"gains": ["2"]}, FaninTypeError, "gains holds '2', but must hold numbers"),
        ({"loss": len}, FaninTypeError, "loss=.* must be the name of a loss"),
        ({"lrs": []}, FaninValueError, "lrs=.* at least one"),
        ({"epochs": -1.0}, FaninValueError, "epochs=-1.0 must be above 0"),
        ({"epochs": float("nan")}, FaninValueError, "epochs=nan must be above 0"),
        ({"batch_size": 0}, FaninValueError, "batch_size=0 must be at least 1"),
        ({"validation": 0}, FaninValueError, "without it the search would look at the test part"),
    ],
)
def test_arguments_are_checked(options: dict[str, Any], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        tune(shallow, **{**QUICK, "inits": ["default", "he_normal"], **options})
