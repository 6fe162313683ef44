"""A study that goes on with other code behind a name says so."""

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import fanin
from fanin import rules
from fanin.lab import own_code
from fanin.lab.results import StudyResults
from fanin.lab.store import Store
from fanin.lab.study.make import make_study
from fanin.lab.study.records import Expectation
from fanin.lab.study.session import prepare, run


def first() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))


def later() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))


def test_changed_code_is_said_once(tmp_path: Path) -> None:
    for seeds, net, lines in ((1, first, 0), (2, first, 0), (3, later, 1), (4, later, 1)):
        study, bindings = make_study("mine", models={"net": net}, plans="default", lrs=0.1, seeds=seeds)
        run(study, tmp_path / "s", "serial", bindings=bindings)
        with Store.open(tmp_path / "s", readonly=True) as store:
            said = [line for line in store.log() if "has changed since its first runs" in line]
        assert len(said) == lines, seeds
    assert said[0].startswith("the code of net has changed")


def test_a_factory_by_its_place_is_found(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("from torch import nn\n\ndef net():\n    return nn.Linear(64, 10)\n", encoding="utf-8")
    study, _ = make_study("mine", models=f"{file}:net", plans="default", lrs=0.1, seeds=1)
    run(study, tmp_path / "s", "serial")
    with Store.open(tmp_path / "s", readonly=True) as store:
        assert store.choices("code").keys() == {f"{file}:net"}


def scaled(factor: float, x: float) -> float:
    return factor * x


class One:
    def __call__(self) -> int:
        return 1


@pytest.mark.parametrize("value", [scaled, functools.partial(scaled, 2.0), One, One(), functools.cache(scaled)])
def test_what_has_source(value) -> None:
    assert own_code.code_of([], {"it": value}).keys() == {"it"}


@pytest.mark.parametrize("value", [len, 3, eval("lambda: 1")])
def test_what_has_none(value) -> None:
    assert own_code.code_of([], {"it": value}) == {}


def arrays(offset: float) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4)).astype(np.float32) + np.float32(offset)
    return x, rng.integers(0, 2, 60), x[:20], rng.integers(0, 2, 20)


def log_of(folder: Path) -> list[str]:
    with Store.open(folder, readonly=True) as store:
        return [line for line in store.log() if "since its first runs" in line]


def test_changed_arrays_and_a_changed_plan_are_said(tmp_path: Path) -> None:
    for seeds, offset, rule in ((1, 0.0, rules.he_normal()), (2, 0.0, rules.he_normal()), (3, 1.0, rules.zeros())):
        study, bindings = make_study(
            "mine",
            models="mlp(depth=1, width=4)",
            plans={"own": rule},
            data={"mine": arrays(offset)},
            lrs=0.1,
            seeds=seeds,
        )
        run(study, tmp_path / "s", "serial", bindings=bindings)
        said = log_of(tmp_path / "s")
        assert len(said) == (2 if offset else 0), seeds
    assert sorted(line.split(" since")[0] for line in said) == [
        "mine does not hold what it held",
        "own does not hold what it held",
    ]


def ones(outputs: np.ndarray, targets: np.ndarray) -> float:
    return 1.0


def test_a_plan_file_and_a_metric_by_its_place_are_looked_at(tmp_path: Path) -> None:
    metric, file = f"{__name__}:ones", str(tmp_path / "p.json")
    study, bindings = make_study("mine", models={"net": first}, plans="default", lrs=0.1, seeds=1, metrics=[metric])
    configs = [replace(c, plan=file) for c in prepare(study, bindings).configs.values()]
    assert own_code.code_of(configs, bindings).keys() == {"net", metric}
    found = []
    for rule in ("he_normal", "he_normal", "zeros"):
        fanin.plan(first(), torch.zeros(2, 64), rules=rule).save(file)
        found.append(own_code.contents_of(configs, bindings))
    assert found[0].keys() == {"digits", file}
    assert found[0] == found[1]
    assert found[1][file] != found[2][file]


def cost(outputs: np.ndarray, targets: np.ndarray) -> float:
    return float((outputs.argmax(1) != targets).mean())


cost.higher_is_better = False  # type: ignore[attr-defined]


@pytest.mark.parametrize("metrics", [{"cost": cost}, [f"{__name__}:cost"]])
def test_a_metric_that_is_better_where_it_is_smaller_is_judged_so_from_the_folder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metrics
) -> None:
    expected = Expectation("It learns.", "better", "he_normal", "zeros", metric=next(iter(metrics)), by=0.1)
    study, bindings = make_study(
        "mine", models="mlp(depth=1, width=8)", plans=["zeros", "he_normal"], data="wine", lrs=0.1, seeds=8, metrics=metrics,
        expectations=(expected,),
    )  # fmt: skip
    run(study, tmp_path / "s", "serial", bindings=bindings)
    monkeypatch.setattr("fanin.lab.metrics.higher_is_better", lambda name: True)  # as where its module is not there
    assert StudyResults.load(tmp_path / "s").analysis.outcomes[0].state == "came out"
