"""Studies made in Python, with objects of the caller's own."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from fanin import rules
from fanin.errors import FaninError
from fanin.lab.analysis import judge
from fanin.lab.data import load
from fanin.lab.results import StudyResults
from fanin.lab.study import session
from fanin.lab.study.make import make_study
from fanin.lab.study.records import Expectation, TrainingSettings
from fanin.lab.tuning import tune


def net(width: int = 8) -> nn.Module:
    return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 2))


def halved(model: nn.Module) -> None:
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(0.5)


def twice(out, y):
    return 2 * nn.functional.cross_entropy(out, y)


def share(out: np.ndarray, y: np.ndarray) -> float:
    return float((out.argmax(1) == y).mean())


def wrong(out: np.ndarray, y: np.ndarray) -> float:
    return 1 - share(out, y)


wrong.higher_is_better = False  # type: ignore[attr-defined]


x = np.random.default_rng(0).standard_normal((200, 4)).astype(np.float32)
DATA = (x[:150], (x[:150, 0] > 0).astype(int), x[150:], (x[150:, 0] > 0).astype(int))


def test_everything_may_be_the_callers_own_and_is_run(tmp_path) -> None:
    study, bindings = make_study(
        "own", models={"net": net}, plans={"default": "default", "half": halved, "he": rules.he_normal()},
        data={"signs": DATA}, variables={"width": [4, 8]}, lrs=[0.1], seeds=2, loss=twice, metrics={"share": share},
        training=TrainingSettings(epochs=5.0),
    )  # fmt: skip
    assert (study.plans, study.data, study.training.loss) == (("default", "half", "he"), ("signs",), "twice")
    summary = session.run(study, tmp_path / "own", "serial", bindings=bindings)
    assert (summary.done, summary.failed) == (2 * 3 * 2, 0)
    rows = StudyResults.load(tmp_path / "own").rows
    assert all(row.metrics["share"] == pytest.approx(row.metrics["accuracy"]) for row in rows)
    assert {row.config.model for row in rows} == {"net(width=4)", "net(width=8)"}
    assert rows[0].metrics != rows[2].metrics


def test_which_way_a_metric_of_the_callers_own_is_better_is_kept_with_the_study(tmp_path) -> None:
    expected = [Expectation("as written", "better", "default", "still", metric=m, by=0.1) for m in ("wrong", "share")]
    study, bindings = make_study(
        "own", models={"net": net}, plans={"default": "default", "still": "zeros"}, data={"signs": DATA}, lrs=0.1, seeds=6,
        metrics={"wrong": wrong, "share": share}, training=TrainingSettings(epochs=5.0), expectations=tuple(expected),
    )  # fmt: skip
    session.run(study, tmp_path / "own", "serial", bindings=bindings)
    results = StudyResults.load(tmp_path / "own")
    assert results.smaller == ("wrong",)
    cells = [o.cells[0] for o in results.analysis.outcomes]
    assert [(c.state, c.numbers["wins"]) for c in cells] == [("came out", 6), ("came out", 6)]
    assert cells[0].numbers["difference"] == pytest.approx(-cells[1].numbers["difference"])
    assert judge(expected[0], results).state == "came out"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"models": [lambda: None]}, "must be made of letters"),
        ({"models": {"net": net}, "plans": {"net": halved}}, "gives 'net' a second meaning"),
        ({"models": {"net": "mlp(depth=3)"}}, "write the text itself"),
        ({"models": {"digits": net}}, "data names 'digits', which is an object of models"),
        ({"models": {"default": net}}, "plans names 'default', which is an object of models"),
        ({"models": nn.Linear(4, 2)}, "models holds a Linear without a name"),
        ({"models": ["mlp"], "lrs": [0.0]}, "lr=0.0 must be above 0"),
        ({"models": ["mlp"], "seeds": []}, "seeds has no value"),
        ({"models": ["mlp"], "seeds": -3}, "seeds=-3 must be from 1 to 100,000"),
        ({"models": ["mlp"], "seeds": 10**9}, "seeds=1000000000 must be from 1 to 100,000"),
        ({"models": ["mlp"], "seeds": [2**63]}, "seeds=9223372036854775808 must be at most"),
        ({"models": ["mlp"], "batch_sizes": 2**63}, "batch_size=9223372036854775808 must be at most"),
        ({"models": ["mlp"], "data": [DATA]}, "data holds a tuple without a name"),
    ],
)
def test_what_cannot_be_used(arguments: dict, sentence: str) -> None:
    with pytest.raises(FaninError, match=sentence):
        make_study("own", **arguments)


def test_data_with_a_validation_part_of_its_own_keep_it(tmp_path) -> None:
    own = replace(load(DATA), held_inputs=DATA[2][:10], held_targets=1 - DATA[3][:10])  # which asks for the contrary
    study, bindings = make_study("own", models={"net": net}, plans="default", data={"signs": own}, lrs=[1.0], seeds=1)
    session.run(study, tmp_path / "own", "serial", bindings=bindings)
    results = StudyResults.load(tmp_path / "own")
    assert results.rows[0].metrics["accuracy"] > 0.9
    assert results.rows[0].held["accuracy"] < 0.3
    assert (results.inputs["signs"]["train"], results.inputs["signs"]["held"]) == (150, 10)
    tuned = tune(net, own, inits=["default"], lrs=[1.0], steps=30, seeds=1, budget=3, confirm=2)
    assert tuned.rungs[-1].trials[0].score < 0.3


def test_inputs_that_a_study_has_grown_by_are_measured(tmp_path) -> None:
    for data in ({"signs": DATA}, {"signs": DATA, "more": (2 * DATA[0], *DATA[1:])}):
        study, bindings = make_study("own", models={"net": net}, plans="default", data=data, lrs=[0.1], seeds=1)
        session.run(study, tmp_path / "own", "serial", bindings=bindings)
    inputs = StudyResults.load(tmp_path / "own").inputs
    assert inputs["more"]["std"] == pytest.approx(2 * inputs["signs"]["std"], rel=1e-5)


class OnlyEvaluates(nn.Linear):
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if self.training:
            raise RuntimeError("it is not for training")
        return super().forward(input)


def test_a_model_that_raises_while_it_trains_makes_failed_runs(tmp_path) -> None:
    models = {"net": net, "bad": functools.partial(OnlyEvaluates, 4, 2)}
    study, bindings = make_study("own", models=models, plans="default", data={"signs": DATA}, lrs=[0.1], seeds=2)
    summary = session.run(study, tmp_path / "own", "serial", bindings=bindings)
    assert (summary.done, summary.failed) == (2, 2)
    rows = StudyResults.load(tmp_path / "own").rows
    assert {row.error for row in rows} == {"", "RuntimeError: it is not for training"}


def test_axes_may_be_arrays() -> None:
    study, _ = make_study(
        "arrays", models="mlp(depth={depth})", lrs=np.logspace(-3, -1, 3), batch_sizes=np.int64(32),
        variables={"depth": np.array([2, 3])}, seeds=np.arange(1, 4),
    )  # fmt: skip
    assert (study.seeds, study.batch_sizes, study.variables) == ((1, 2, 3), (32,), {"depth": (2, 3)})
    assert [type(lr) for lr in study.lrs] == [float] * 3
    assert study.lrs == pytest.approx((0.001, 0.01, 0.1))
    assert make_study("few", models="mlp", seeds=np.int64(3))[0].seeds == (0, 1, 2)
    with pytest.raises(FaninError, match="seeds"):
        make_study("none", models="mlp", seeds="three")
