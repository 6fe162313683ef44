"""A study that goes on with other code behind a name says so."""

import functools
from pathlib import Path

import pytest
from torch import nn

from fanin.lab import own_code
from fanin.lab.store import Store
from fanin.lab.study.make import make_study
from fanin.lab.study.session import run


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
