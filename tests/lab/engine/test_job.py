"""Jobs: what a run's row says, and what one run's trouble does to the others."""

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.lab.engine.nets import BINDINGS, config, job_of, row, rows

from fanin.lab.data import load
from fanin.lab.study import CurvePoint
from fanin.lab.torch.job import run_job
from fanin.lab.worker import parts_of


def numbers(found) -> tuple:
    return found.metrics, found.held, found.steps, found.confusion, [s.to_dict() for s in found.signals]


def test_a_run_is_repeatable_whatever_ran_before() -> None:
    first = row(config("dropping"))
    torch.rand(5)
    row(config("dropping", seed=3))
    again = row(config("dropping"))
    assert numbers(first) == numbers(again)
    assert numbers(row(config("dropping", seed=1))) != numbers(first)


def test_a_model_that_changes_its_inputs_changes_nothing_of_the_data() -> None:
    first, again, apart = row(config("shifting")), row(config("shifting")), row(config("shifted"))
    assert numbers(first) == numbers(again) == numbers(apart)


def test_a_metric_that_changes_what_it_is_given_changes_no_other_number() -> None:
    plain, watched = row(config()), row(config(metrics=("grasping",)))
    assert watched.metrics.pop("grasping") == 1.0
    assert numbers(plain) == numbers(watched) == numbers(row(config()))


def test_the_curve_is_in_its_file_line_by_line(tmp_path: Path) -> None:
    found = row(config(), tmp_path)
    lines = [CurvePoint.from_dict(json.loads(line)) for line in (tmp_path / found.curve).read_text().splitlines()]
    assert [p.step for p in lines] == [0, 5, 10, 15, 20]
    assert math.isnan(lines[0].train_loss)
    assert lines[-1].held_loss < lines[0].held_loss
    assert lines[-1].held_score == found.summary["final"] == found.held["accuracy"]
    assert lines[0].moved == 0 < lines[1].moved
    assert all(a.seconds <= b.seconds for a, b in itertools.pairwise(lines))


def test_a_chain_alone_goes_by_hand_and_comes_out_as_by_autograd(monkeypatch: pytest.MonkeyPatch) -> None:
    import fanin.lab.torch.job as job

    by_hand = row(config("mlp(depth=3, width=16)", clip=1.0))
    used = []
    monkeypatch.setattr(job, "goes_by_hand", lambda *_: used.append(1) and False)
    alone = row(config("mlp(depth=3, width=16)", clip=1.0))
    assert used
    assert by_hand.metrics == pytest.approx(alone.metrics, rel=1e-4)
    for name in ("grad_norm", "moved", "last_loss", "rank"):
        assert by_hand.summary[name] == pytest.approx(alone.summary[name], rel=1e-3)
    for one, other in zip(by_hand.signals[-1].layers, alone.signals[-1].layers, strict=True):
        assert (one.name, one.kind) == (other.name, other.kind)
        assert one.rms == pytest.approx(other.rms, rel=1e-4)


def test_what_is_not_by_hand() -> None:
    from tests.lab.engine.nets import Skip, chain

    from fanin.lab.losses_torch import cross_entropy, mse
    from fanin.lab.torch.stacked import goes_by_hand

    assert goes_by_hand(chain(), cross_entropy)
    assert not goes_by_hand(chain(), mse)
    assert not goes_by_hand(chain(), lambda out, y: out.sum())
    assert not goes_by_hand(Skip(), cross_entropy)


def test_the_test_part_is_not_what_curves_are_measured_on() -> None:
    held, test = row(config()), row(config(validation=0.0))
    data = load("digits:256").with_validation(0.1)
    assert sum(map(sum, held.confusion)) == len(data.test_inputs)
    assert held.held["accuracy"] * len(data.held_inputs) == pytest.approx(  # type: ignore[arg-type]
        round(held.held["accuracy"] * len(data.held_inputs))  # type: ignore[arg-type]
    )
    assert test.held["accuracy"] == test.metrics["accuracy"]
    assert np.trace(np.array(held.confusion)) / np.sum(held.confusion) == pytest.approx(held.metrics["accuracy"])


def test_images_are_augmented_in_whatever_form_the_model_takes_them() -> None:
    plain, flipped = row(config()), row(config(augment=("flip", "crop")))
    assert flipped.state == "done", flipped.error
    assert numbers(flipped) != numbers(plain)
    assert numbers(flipped) == numbers(row(config(augment=("flip", "crop"))))


def test_a_set_with_a_score_of_its_own_is_followed_by_that() -> None:
    found = row(config("mlp(depth=2, width=8)", data="imbalanced:400"))
    assert next(iter(found.held)) == next(iter(found.metrics)) == "balanced_accuracy"
    assert found.summary["final"] == found.held["balanced_accuracy"] != found.held["accuracy"]
    assert found.summary["constant"] == 0.5


def test_a_run_that_diverges_is_a_result_scored_as_the_best_constant() -> None:
    found = row(config(plan="exploding"))
    assert (found.state, found.diverged) == ("done", True)
    assert found.metrics["accuracy"] == found.summary["constant"] == pytest.approx(0.1, abs=0.02)
    assert found.steps < found.planned_steps == 20
    assert found.reached_at is None


def test_a_limit_on_the_loss_ends_a_run_that_rises() -> None:
    wild = config(lr=30.0, optimizer="sgd", loss_limit=3.0)
    assert row(wild).diverged
    assert not row(config(loss_limit=3.0)).diverged


@pytest.mark.parametrize("stacked", [False, True])
def test_one_run_that_cannot_be_started_leaves_the_others_alone(stacked: bool) -> None:
    some = [config(stacked=stacked), config(plan="raising", stacked=stacked), config(seed=1, stacked=stacked)]
    good, bad, other = rows(some)
    assert (bad.state, bad.error) == ("failed", "RuntimeError: no such layer")
    assert good.state == other.state == "done"
    assert good.metrics["loss"] == pytest.approx(row(some[0]).metrics["loss"], rel=1e-4)


def test_steps_to_the_target_are_those_of_the_held_out_curve() -> None:
    found = row(config(steps=100, evaluations=20, target=0.5))
    assert found.reached_at is not None
    assert found.reached_at % 5 == 0
    assert found.reached_seconds is not None
    assert row(config(target=1.1)).reached_at is None


def test_summary_figures() -> None:
    figures = row(config(steps=60)).summary
    assert figures["last_loss"] < figures["first_loss"] == pytest.approx(math.log(10), abs=0.3)
    assert figures["spike"] >= 1
    assert 0 <= figures["area"] <= figures["best"]
    assert 0 < figures["rank"] <= 1
    assert 0 <= figures["dead"] < 1
    assert "rank" not in row(config(watch=False)).summary


@pytest.mark.parametrize(("evaluations", "looked"), [(4, [0, 10, 20]), (3, [0, 7, 20]), (1, [0, 20])])
def test_signals_are_of_the_start_the_end_and_the_look_next_to_half_way(evaluations: int, looked: list[int]) -> None:
    assert [signals.step for signals in row(config(steps=20, evaluations=evaluations)).signals] == looked


def test_schedules_and_clipping_change_the_run() -> None:
    plain = row(config()).metrics["loss"]
    for settings in ({"schedule": "cosine"}, {"schedule": "linear"}, {"warmup": 0.5}, {"clip": 0.01}):
        assert row(config(**settings)).metrics["loss"] != plain
    assert row(config(clip=1e9)).metrics["loss"] == pytest.approx(plain, rel=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "sgd(momentum=0.9, nesterov=True)", "adam", "adamw(weight_decay=0.1)"])
def test_a_run_is_what_torchs_own_optimizer_gives(optimizer: str) -> None:
    """The loop that everyone writes, on the same batches from the same weights."""
    from tests.lab.engine.nets import chain

    from fanin.lab.torch.construct import construct
    from fanin.lab.torch.tensors import Orders

    data = load("digits:256").with_validation(0.1)
    model = construct(lambda: chain(), 0)
    makers = {
        "sgd": lambda p: torch.optim.SGD(p, 0.03),
        "sgd(momentum=0.9, nesterov=True)": lambda p: torch.optim.SGD(p, 0.03, momentum=0.9, nesterov=True),
        "adam": lambda p: torch.optim.Adam(p, 0.03),
        "adamw(weight_decay=0.1)": lambda p: torch.optim.AdamW(p, 0.03, weight_decay=0.1),
    }
    steps = makers[optimizer](model.parameters())
    orders = Orders(len(data.train_inputs), 32, [0])
    for _ in range(20):
        at = orders.rows()[0].numpy()
        loss = torch.nn.functional.cross_entropy(
            model(torch.tensor(data.train_inputs[at])), torch.tensor(data.train_targets[at])
        )
        steps.zero_grad()
        loss.backward()
        steps.step()
    with torch.no_grad():
        out = model(torch.tensor(data.test_inputs))
        by_hand = float(torch.nn.functional.cross_entropy(out, torch.tensor(data.test_targets)))
    assert row(config(optimizer=optimizer)).metrics["loss"] == pytest.approx(by_hand, rel=1e-4)
    assert row(config(optimizer=optimizer, stacked=True)).metrics["loss"] == pytest.approx(by_hand, rel=1e-4)


def test_the_learning_rate_of_the_last_step_of_a_schedule() -> None:
    from fanin.lab.torch.train import rate_factor

    cosine = config(schedule="cosine", warmup=0.1).training
    factors = [rate_factor(cosine, step, 100) for step in range(100)]
    assert factors[0] == pytest.approx(1 / 11)
    assert factors[10] == 1
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert 0 < factors[-1] < 0.01
    assert rate_factor(config(schedule="linear").training, 50, 100) == 0.5


@pytest.mark.parametrize("plan", ["he_normal", "orthogonal", "mirrored", "rezero", "vit", "mup(base=8)"])
def test_the_plan_of_a_rule_is_a_matter_of_the_structure_alone(plan: str) -> None:
    """So that one trace does for every seed of a study."""
    from tests.lab.engine.nets import BINDINGS

    from fanin.lab.inits import parse_init
    from fanin.lab.inits_torch import plan_of
    from fanin.lab.torch.construct import construct

    found = []
    for seed in (0, 3):
        x, y = torch.randn(8, 64), torch.randint(0, 10, (8,))
        model = construct(BINDINGS["chain"], seed).train()
        try:
            init = parse_init(plan)
        except ValueError:
            pytest.skip(f"{plan} is no init here")
        found.append(plan_of(model, init, x, y, torch.nn.functional.cross_entropy, 0).entries)
    assert found[0] == found[1]


def test_a_plan_that_fits_no_model_leaves_the_other_plans_of_its_stack_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is drawn for all of its members at once, and ends all of them."""
    from fanin.errors import FaninValueError
    from fanin.lab.torch import start

    def refused(*_: object) -> None:
        raise FaninValueError("the plan does not fit the model")

    some = [
        config(stacked=True),
        config(plan="he_normal", stacked=True),
        config(seed=1, plan="he_normal", stacked=True),
    ]
    assert [r.state for r in rows(some)] == ["done"] * 3
    monkeypatch.setattr(start, "apply_many", refused)
    good, *bad = rows(some)
    assert good.state == "done"
    assert [r.error for r in bad] == ["the plan does not fit the model"] * 2


def test_a_metric_that_refuses_one_members_outputs_fails_that_one_alone() -> None:
    plans = ["default", "large", "default"]
    some = [config("chain", plan, seed=k, stacked=True, lr=1e-12, metrics=("choosy",)) for k, plan in enumerate(plans)]
    found = rows(some)
    assert [r.state for r in found] == ["done", "failed", "done"]
    assert "ValueError: outputs beyond twenty" in found[1].error
    assert found[0].metrics["choosy"] == 1.0
    assert found[0].summary["members"] == 3


def test_a_stack_that_cannot_be_trained_raises_and_one_run_gets_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver halves a stack that raises, until the culprit is alone."""
    import fanin.lab.torch.job as job

    def refuses(configs, *others):
        if any(c.seed == 1 for c in configs):
            raise RuntimeError("not this one")
        return trainee_of(configs, *others)

    trainee_of = job.trainee_of
    monkeypatch.setattr(job, "trainee_of", refuses)
    some = [config("chain", seed=k, stacked=True) for k in range(3)]
    with pytest.raises(RuntimeError, match="not this one"):
        rows(some)
    assert rows(some[1:2])[0].state == "failed"
    assert [r.state for r in rows([some[0], some[2]])] == ["done", "done"]


def test_a_study_whose_folder_was_removed_is_not_brought_back(tmp_path: Path) -> None:
    assert "No such file" in row(config(), tmp_path / "gone").error
    assert list(tmp_path.iterdir()) == []


def test_an_evaluation_gives_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    from fanin.lab.torch import single
    from fanin.lab.torch import train as loop

    monkeypatch.setattr(loop, "HEARTBEAT", -1.0)
    monkeypatch.setattr(single, "EVAL_BATCH", 8)
    heard: list[float] = []
    one = config("dropping", steps=1, evaluations=1)
    run_job(job_of([one]), parts_of(one, BINDINGS), heard.append)
    assert len(heard) > 20  # of one step


def test_where_a_smaller_score_is_better_the_smallest_is_the_best(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(96, 64)).astype(np.float32)
    y = (x[:, :10] @ rng.normal(size=(10, 10))).astype(np.float32)
    data = replace(load((x, y, x[:32], y[:32])), score="rmse")
    one = config("dropping", data="mine", target=1e-6, lr=0.01)
    found = run_job(job_of([one], tmp_path), parts_of(one, {**BINDINGS, "mine": data}), lambda share: None)[0]
    scores = [CurvePoint.from_dict(json.loads(line)).held_score for line in (tmp_path / found.curve).open()]
    assert found.summary["best"] == min(scores) < max(scores)
    assert found.reached_at is None  # 1e-6 is far below what so short a run reaches, and every value is above it
