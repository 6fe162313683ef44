"""What does not go together is found before anything runs, and said in one sentence."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch

from fanin.errors import FaninError, FaninValueError
from fanin.lab.data import load
from fanin.lab.study.fits import check_grid
from fanin.lab.study.make import make_study
from fanin.lab.study.records import Expectation, Study, TrainingSettings

GOOD = Study(
    "good", models=("mlp(depth={depth}, width=8)",), plans=("default", "he_normal", "fanin"), lrs=(0.01,), seeds=(0,),
    variables={"depth": (2, 3)}, expectations=(Expectation("So.", "trains", "he_normal", where={"depth": 3}),),
)  # fmt: skip


def said(**changes: object) -> str:
    with pytest.raises(FaninError) as caught:
        check_grid(replace(GOOD, **changes))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def expected(**changes: object) -> tuple[Expectation, ...]:
    return (replace(GOOD.expectations[0], **changes),)


def test_a_good_study_comes_back_as_it_is() -> None:
    assert check_grid(GOOD) == GOOD


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"models": ("mpl(depth={depth})",)}, "model='mpl(depth=2)' is unknown"),
        ({"models": ("mlp(depth={depth}, widht=3)",)}, "did you mean 'width'?"),
        ({"models": ("mlp(depth={depth})", "resnet")}, "needs images (channels, height, width), but data='wine'"),
        ({"models": ("mlp(depth={depth}, activation='rellu')",)}, "did you mean 'relu'?"),
        ({"plans": ("default", "he_norml")}, "plan='he_norml', which is unknown"),
        ({"plans": ("default", "forget_bias")}, "forget_bias"),
        ({"data": ("wnie",)}, "data='wnie' is unknown"),
        ({"training": TrainingSettings(metrics=("acuracy",))}, "did you mean 'accuracy'?"),
        ({"training": TrainingSettings(metrics=("mae",))}, "metric='mae' is unknown for classification"),
        ({"training": TrainingSettings(loss="mse")}, "training.loss='mse' does not fit classification"),
        ({"training": TrainingSettings(augment=("flop",))}, "did you mean 'flip'?"),
        ({"training": TrainingSettings(augment=("flip",))}, "data='wine' holds none"),
        ({"expectations": expected(plan="he_norml")}, "plan='he_norml' is not in the grid"),
        ({"expectations": expected(kind="better", than="lsuv")}, "than='lsuv' is not in the grid"),
        ({"expectations": expected(where={"dept": 3})}, "did you mean 'depth'?"),
        ({"expectations": expected(where={"depth": 4})}, "where depth = 4 is not in the grid, which has 2, 3"),
        ({"expectations": expected(metric="auc")}, "metric='auc' is not measured on wine"),
        (
            {"expectations": expected(metric="f1[3]"), "training": TrainingSettings(metrics=("f1_per_class",))},
            "metric='f1[3]' is not measured on wine",
        ),
    ],
)
def test_each_part_is_tried_with_the_others(changes: dict, sentence: str) -> None:
    assert sentence in said(**{"data": ("wine",), "plans": ("default", "he_normal"), **changes})


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "no GPU that torch can use" in said(training=TrainingSettings(device="cuda"))


def refusing() -> torch.nn.Module:
    return torch.nn.Linear(3, 2)


class Silent(torch.nn.Linear):
    """Its pass raises without a word, as `assert` does."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


def silent() -> torch.nn.Module:
    return Silent(64, 10)


def test_a_model_that_raises_without_a_word_is_said() -> None:
    study, bindings = make_study("own", models={"silent": silent}, data="digits", seeds=1)
    with pytest.raises(FaninValueError, match=r"in the form .*: NotImplementedError$"):
        check_grid(study, bindings)


def test_own_models_and_plans_are_tried_too() -> None:
    study, bindings = make_study("own", models={"three": refusing}, data="digits", seeds=1)
    with pytest.raises(FaninValueError, match="model='three': the model does not take data='digits'"):
        check_grid(study, bindings)


def test_a_loss_of_ones_own_is_tried_with_the_models_of_the_lab() -> None:
    study, bindings = make_study("own", models="mlp", data="wine", seeds=1, loss=torch.nn.CrossEntropyLoss)
    with pytest.raises(
        FaninValueError, match="model='mlp': the model does not take data='wine'.*Boolean value of Tensor"
    ):
        check_grid(study, bindings)


def test_the_value_of_a_class_may_be_expected() -> None:
    asked = TrainingSettings(metrics=("f1_per_class",))
    study = replace(GOOD, data=("wine",), training=asked, expectations=expected(metric="f1[2]"))
    assert check_grid(study).expectations == study.expectations


@pytest.mark.parametrize(
    ("own", "sentence"),
    [
        ({"mine": 3}, "metric='mine' is a int, but must be a function"),
        ({"accuracy": len}, "metric='accuracy' is a function of your own, but also a metric of the lab"),
    ],
)
def test_metrics_of_ones_own_that_cannot_be(own: dict, sentence: str) -> None:
    study, bindings = make_study("own", models="mlp", data="wine", seeds=1, metrics=own)
    with pytest.raises(FaninError, match=sentence):
        check_grid(study, bindings)


@pytest.mark.parametrize("labels", [1, 2])
def test_whole_numbers_that_are_labels_are_refused_before_the_runs(labels: int) -> None:
    """They count as the classes of positions, and one logit for each is not enough."""
    x = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    y = (x[:, :labels] > 0).astype(int)
    model = functools.partial(torch.nn.Linear, 4, labels)
    study, bindings = make_study("own", models={"net": model}, data={"mine": (x[:40], y[:40], x[40:], y[40:])}, seeds=1)
    with pytest.raises(FaninError, match=rf"output for 2 examples has shape \(2, {labels}\), but the data needs"):
        check_grid(study, bindings)


def test_data_with_a_score_that_does_not_exist() -> None:
    study, bindings = make_study("own", models="mlp", data={"mine": replace(load("wine"), score="acuracy")}, seeds=1)
    with pytest.raises(FaninError, match="metric='acuracy' is unknown .*did you mean 'accuracy'"):
        check_grid(study, bindings)


def test_ids_without_a_vocabulary_are_refused_before_the_runs() -> None:
    ids, y = np.arange(60).reshape(20, 3), np.arange(20) % 2
    study, bindings = make_study("own", models="text_embedding", data={"mine": (ids, y, ids, y)}, seeds=1)
    with pytest.raises(FaninError, match="needs ids of a known number, but data='mine'"):
        check_grid(study, bindings)


class Wordless(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[1] != 3:
            raise AssertionError  # as of an `assert` without words
        return x


def test_a_model_that_refuses_without_a_word() -> None:
    study, bindings = make_study("own", models={"net": Wordless}, data="wine", seeds=1)
    with pytest.raises(FaninValueError, match="does not take data='wine' in the form .*: AssertionError"):
        check_grid(study, bindings)


def leaves() -> torch.nn.Module:
    raise SystemExit(3)


def test_a_factory_that_ends_the_process_is_refused() -> None:
    study, bindings = make_study("own", models={"net": leaves}, data="wine", seeds=1)
    with pytest.raises(FaninValueError, match=r"model='net': factory raised SystemExit \(3\)"):
        check_grid(study, bindings)


def test_absent_data_is_said_before_anything_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("FANIN_DATA", str(tmp_path))
    assert "cifar10" in said(data=("cifar10",), models=("resnet",), variables={}, expectations=())
