"""A model that hangs when it is tried does not keep the study from beginning."""

import contextlib
import itertools
import threading
import time

import pytest
import torch
from torch import nn

from fanin.errors import FaninError
from fanin.lab import limits, worker
from fanin.lab.limits import Overdue, within
from fanin.lab.study.make import make_study
from fanin.lab.study.session import prepare


class Hangs(nn.Module):
    """Never comes back from its forward pass, and catches what it can."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in itertools.count():
            with contextlib.suppress(Exception):
                time.sleep(0.01)
        return self.layer(x)


def spin() -> None:
    while True:
        pass


@pytest.mark.parametrize("waits", [lambda: time.sleep(30), spin])
def test_python_code_is_ended(waits) -> None:
    begun = time.monotonic()
    with pytest.raises(Overdue), within(0.1):
        waits()
    assert time.monotonic() - begun < 20
    time.sleep(1.2)  # it does not ring again


def test_there_is_no_limit_in_other_threads() -> None:
    done = []

    def work() -> None:
        with within(0.01):
            time.sleep(0.05)
            done.append(1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done


def test_a_model_that_hangs_is_left_to_its_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that makes no step is ended, and its run gets a row: the executors' tests show that."""
    monkeypatch.setattr(limits, "LONGEST", 0.5)
    monkeypatch.setattr(worker, "LONGEST_TIMED", 0.5)
    study, bindings = make_study("mine", models={"hangs": Hangs}, plans="he_normal", lrs=0.1, seeds=1, patience=4.0)
    prepared = prepare(study, bindings)
    assert {(c.model, c.stacked) for c in prepared.configs.values()} == {("hangs", False)}
    with pytest.raises(FaninError, match="model='hangs' takes longer than 0 s for a few steps and an evaluation"):
        prepared.cost()
