"""One run: what it depends on, what it leaves alone, and what it records."""

import random
from typing import Any

import numpy as np
import pytest
import torch
from tests.lab import models
from torch import nn

from fanin.errors import FaninTypeError, FaninValueError
from fanin.lab.data import load
from fanin.lab.engine_torch import constant_prediction, construct, fit, run
from fanin.lab.inits import Init
from fanin.lab.losses_torch import cross_entropy
from fanin.lab.records import RunResult
from fanin.lab.training import Training

DEFAULT = Init("default", "default")


def trained(factory: Any = models.small, init: Init = DEFAULT, seed: int = 0, **settings: Any) -> RunResult:
    return run(factory, init, load("digits:256"), Training(**{"steps": 12, "evaluations": 4, **settings}), seed)


def same(a: RunResult, b: RunResult) -> bool:
    fields = ("train_loss", "eval_loss", "eval_score", "metrics")
    return all(getattr(a, name) == getattr(b, name) for name in fields)


def test_a_run_is_repeatable_and_another_seed_is_another_run() -> None:
    first = trained(models.with_dropout)
    torch.rand(5)
    np.random.rand(5)  # noqa: NPY002 (the state of the caller must not matter)
    assert same(first, trained(models.with_dropout))
    assert not same(first, trained(models.with_dropout, seed=1))


def test_equal_weights_give_equal_curves_whatever_the_init_drew_in_passing() -> None:
    idle = Init("idle", "function", models.untouched)
    assert same(trained(models.with_dropout), trained(models.with_dropout, idle))


def test_looking_more_often_changes_nothing_of_the_training() -> None:
    rare, often = trained(models.with_dropout, evaluations=1), trained(models.with_dropout, evaluations=12)
    assert rare.train_loss == often.train_loss
    assert rare.metrics == often.metrics
    assert often.eval_steps == tuple(range(13))
    assert rare.eval_steps == (0, 12)


def test_no_random_state_of_the_caller_is_changed() -> None:
    def noisy() -> nn.Module:
        np.random.rand(3)  # noqa: NPY002
        random.random()
        return models.with_dropout()

    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # type: ignore[index]  # noqa: NPY002
    trained(noisy)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # type: ignore[index]  # noqa: NPY002
    assert before[2] == random.getstate()


def test_the_number_of_threads_is_put_back() -> None:
    before, inside = torch.get_num_threads(), []

    def factory() -> nn.Module:
        inside.append(torch.get_num_threads())
        return models.small()

    trained(factory, threads=3)
    assert inside == [3]
    assert torch.get_num_threads() == before


def test_a_factory_may_take_the_seed() -> None:
    taken = []

    def factory(seed: int) -> nn.Module:
        taken.append(seed)
        return models.small()

    trained(factory, seed=7)
    assert taken == [7]


def test_the_first_loss_is_that_of_the_untrained_model_and_the_loss_falls() -> None:
    result = trained(steps=200, lr=0.05)
    assert result.train_loss[0] == pytest.approx(np.log(10), abs=0.5)
    assert result.eval_loss[-1] < 0.5 * result.eval_loss[0]
    assert result.eval_score[-1] == pytest.approx(result.metrics["accuracy"])
    assert set(result.metrics) == {"accuracy", "precision", "recall", "f1", "loss"}


def test_a_long_curve_is_thinned_but_keeps_its_ends() -> None:
    result = trained(steps=1203, evaluations=1)
    assert len(result.train_loss) <= 502
    assert (result.train_steps[0], result.train_steps[-1]) == (1, 1203)


def test_a_diverged_run_is_stopped_and_scored_as_the_best_constant() -> None:
    result = trained(lr=1e20, steps=50, target=0.05)
    assert result.diverged
    assert result.steps < 50
    assert result.planned_steps == 50
    assert result.reached_at is None
    assert result.metrics["accuracy"] == pytest.approx(0.1, abs=0.01)
    assert result.metrics["loss"] == pytest.approx(np.log(10), abs=0.05)
    assert not np.isfinite(result.train_loss[-1])


def test_the_target_is_reached_at_a_looked_at_step_or_never() -> None:
    easy, hard = trained(target=0.01), trained(target=1.1)
    assert easy.reached_at == 0
    assert hard.reached_at is None
    some = trained(steps=200, lr=0.05, evaluations=20, target=0.6)
    assert some.reached_at in some.eval_steps
    before = [score for step, score in zip(some.eval_steps, some.eval_score, strict=True) if step < some.reached_at]
    assert before
    assert max(before) < 0.6


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_every_optimizer_learns(optimizer: str) -> None:
    result = trained(optimizer=optimizer, lr=0.01, steps=80)
    assert result.metrics["accuracy"] > 0.5


def test_a_plan_may_scale_the_learning_rate_of_a_weight() -> None:
    from fanin.distributions import Normal
    from fanin.plans import Entry, Need, Plan

    def plan(scale: float) -> Init:
        entries = {"0.weight": Entry(Normal(0.1), "test", lr_scale=scale)}
        return Init("plan", "plan", Plan(entries, requires={"0.weight": Need((16, 64))}))

    assert not same(trained(init=plan(1.0)), trained(init=plan(10.0)))
    one = Init("plan", "plan", plan(1.0).value.edit({}))
    assert same(trained(init=plan(1.0)), trained(init=one))


def test_the_model_is_asked_which_form_it_takes() -> None:
    digits = load("digits")
    assert fit(models.small, digits, None, 0).data.forms == ((64,),)
    assert fit(models.convolutional, digits, None, 0).data.forms == ((1, 8, 8),)
    recurrent = fit(lambda: _LastState(), digits, None, 0)
    assert recurrent.data.forms == ((8, 8),)
    assert recurrent.model.startswith("_LastState (")


class _LastState(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.GRU(8, 4, batch_first=True), nn.Linear(4, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.rnn(x)[0][:, -1])


def test_a_model_that_takes_no_form_is_refused_with_its_own_error_as_the_cause() -> None:
    with pytest.raises(
        FaninValueError, match=r"data='digits' in the form \('batch', 64\) or .*: RuntimeError"
    ) as caught:
        fit(lambda: nn.Linear(63, 10), load("digits"), None, 0)
    assert isinstance(caught.value.__cause__, RuntimeError)
    with pytest.raises(FaninValueError, match=r"has shape \(2, 9\), but the data needs \(2, 10\)"):
        fit(lambda: nn.Linear(64, 9), load("digits"), None, 0)


def test_what_is_no_factory_is_said() -> None:
    digits = load("digits")
    with pytest.raises(FaninTypeError, match="factory is a model"):
        fit(nn.Linear(64, 10), digits, None, 0)
    with pytest.raises(FaninTypeError, match="must be a function"):
        fit(3, digits, None, 0)  # type: ignore[arg-type]
    with pytest.raises(FaninTypeError, match="factory gives a int"):
        construct(lambda: 3, 0)
    model = models.small()
    construct(lambda: model, 0)
    with pytest.raises(FaninValueError, match="same model twice"):
        construct(lambda: model, 0)


def test_losses_and_tasks_must_fit() -> None:
    digits = load("digits")
    with pytest.raises(FaninValueError, match="loss='mse' does not fit classification; accepted are cross_entropy"):
        fit(models.small, digits, "mse", 0)
    with pytest.raises(FaninValueError, match="must give one number"):
        fit(models.small, digits, lambda out, y: out, 0)
    assert fit(models.small, digits, models.small_loss, 0).data.name == "digits"


def test_other_tasks_and_outputs_train() -> None:
    training = Training(steps=60, lr=0.05, evaluations=2)
    auto = run(lambda: nn.Linear(64, 64), DEFAULT, load("digits_autoencoder:256"), training, 0)
    assert auto.metrics["r2"] > 0.3
    assert set(auto.metrics) == {"r2", "loss"}
    x = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    y = (x.sum(1) > 0).astype(int)
    one_logit = run(lambda: nn.Linear(3, 1), DEFAULT, load((x, y, x, y)), training, 0)
    assert one_logit.metrics["accuracy"] > 0.9
    ids = np.tile(np.arange(6), (40, 2))
    next_id = run(
        lambda: nn.Sequential(nn.Embedding(6, 8), nn.Linear(8, 6)), DEFAULT, load((ids, (ids + 1) % 6) * 2), training, 0
    )
    assert next_id.metrics["accuracy"] > 0.9


def test_a_constant_prediction_is_the_commonest_class_with_the_loss_of_its_frequency() -> None:
    y = np.array([0] * 30 + [1] * 10)
    data = load((np.zeros((40, 2)), y, np.zeros((40, 2)), y))
    got = constant_prediction(data, cross_entropy)
    assert got["accuracy"] == 0.75
    assert got["loss"] == pytest.approx(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)), abs=1e-3)


def test_nothing_to_train_is_said() -> None:
    def frozen() -> nn.Module:
        return models.small().requires_grad_(False)

    with pytest.raises(FaninValueError, match="no parameter that requires a gradient"):
        trained(frozen)
