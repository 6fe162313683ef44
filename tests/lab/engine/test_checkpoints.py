"""Checkpoints: a run that goes on from one ends as a run that was never interrupted, bit for bit."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.lab.engine.nets import BINDINGS, chain, config, job_of, rows

from fanin.lab import worker
from fanin.lab.jobs import checkpoint_files
from fanin.lab.study import RunConfig
from fanin.lab.torch import train as loop
from fanin.lab.torch.checkpoints import Checkpoints
from fanin.lab.torch.state import random_state, random_states, random_states_kept, repeatable, set_random_states


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


def interrupted(configs: list[RunConfig], folder: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Runs until the `after`-th checkpoint is written, and no further."""
    written = []
    save = Checkpoints.save

    def save_and_die(self: Checkpoints, state: dict[str, Any]) -> None:
        save(self, state)
        written.append(state)
        if len(written) == after:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "due", lambda self: True)
        patch.setattr(loop, "HEARTBEAT", -1.0)  # a checkpoint at every step
        patch.setattr(Checkpoints, "save", save_and_die)
        with pytest.raises(Killed):
            rows(configs, folder)


@pytest.mark.parametrize("optimizer", ["sgd(momentum=0.9)", "adam"])
@pytest.mark.parametrize("kind", ["dropping", "counting", "stack", "skip stack"])
def test_a_run_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str, kind: str
) -> None:
    if "stack" not in kind:
        some = [config(kind, optimizer=optimizer, schedule="cosine")]
    else:
        model = "skip" if kind.startswith("skip") else "chain"
        some = [config(model, optimizer=optimizer, seed=s, lr=lr, stacked=True) for s in (0, 1) for lr in (0.01, 0.1)]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole = rows(some, tmp_path / "a")
    interrupted(some, tmp_path / "b", monkeypatch, after=8)  # of 20; between two looks
    assert [f.name for f in checkpoint_files(tmp_path / "b", job_of(some, tmp_path / "b"))] == [f"k0.{len(some)}.0.pt"]
    begun: list[int] = []
    add = loop.Recorder.add
    with monkeypatch.context() as patch:
        patch.setattr(loop.Recorder, "add", lambda self, losses: (begun.append(self.step), add(self, losses))[1])
        resumed = rows(some, tmp_path / "b", attempt=1)
    assert begun[0] == 8
    for a, b in zip(whole, resumed, strict=True):
        assert (a.metrics, a.held, a.confusion, a.signals, a.steps) == (
            b.metrics,
            b.held,
            b.confusion,
            b.signals,
            b.steps,
        )
        one, two = (tmp_path / "a" / a.curve).read_text(), (tmp_path / "b" / b.curve).read_text()
        assert _without_seconds(one) == _without_seconds(two)


def _without_seconds(text: str) -> list[dict[str, Any]]:
    import json

    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in text.splitlines()]


def test_a_damaged_checkpoint_is_work_lost_and_nothing_worse(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path / "c.pt", ("a",))
    kept.save({"x": torch.ones(3)})
    assert kept.load() is not None
    assert Checkpoints(tmp_path / "c.pt", ("b",)).load() is None
    data = (tmp_path / "c.pt").read_bytes()
    (tmp_path / "c.pt").write_bytes(data[: len(data) // 2])
    assert kept.load() is None
    assert [f.name for f in tmp_path.iterdir()] == ["c.pt"]


@pytest.mark.parametrize("stacked", [False, True])
def test_a_checkpoint_of_other_code_is_work_lost_and_nothing_worse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stacked: bool
) -> None:
    """The user has changed the model under its name before the study is resumed."""
    some = [config("skip", stacked=stacked)]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    worker._last.clear()
    with monkeypatch.context() as patch:
        patch.setitem(BINDINGS, "skip", chain)
        interrupted(some, tmp_path / "b", monkeypatch, after=8)
    worker._last.clear()
    assert checkpoint_files(tmp_path / "b", job_of(some))
    whole, again = rows(some, tmp_path / "a"), rows(some, tmp_path / "b", attempt=1)
    assert [row.state for row in again] == ["done"]
    assert whole[0].metrics == again[0].metrics


def test_random_states_come_back(tmp_path: Path) -> None:
    import random

    import numpy as np

    with random_state(5):
        kept = random_states()
        torch.save(kept, tmp_path / "r.pt")
        first = torch.rand(3), np.random.rand(3).tolist(), random.random()  # noqa: NPY002
        set_random_states(torch.load(tmp_path / "r.pt", weights_only=True))
        again = torch.rand(3), np.random.rand(3).tolist(), random.random()  # noqa: NPY002
    assert torch.equal(first[0], again[0])
    assert first[1:] == again[1:]


def test_states_that_are_kept_outside_are_put_back_there_alone() -> None:
    """A run is seeded as ever, and a state within a state still goes on after what it held."""
    import random

    import numpy as np

    def drawn() -> tuple[float, ...]:
        return float(torch.rand(())), float(np.random.rand()), random.random()  # noqa: NPY002

    with random_state(5):
        alone = [drawn(), drawn()]
    before = random_states()
    with random_states_kept():
        for _ in range(2):
            with random_state(5):
                first = drawn()
                with random_state(7):
                    drawn()
                assert [first, drawn()] == alone
        with pytest.raises(ZeroDivisionError), random_state(5):
            _ = 1 / 0
        with random_state(5):
            assert drawn() == alone[0]
    after = random_states()
    assert torch.equal(before["torch"], after["torch"])
    assert torch.equal(before["numpy"][1], after["numpy"][1])
    assert before["numpy"][2:] == after["numpy"][2:]
    assert torch.equal(before["python"][1], after["python"][1])
    with random_state(5):
        assert drawn() == alone[0]


def test_a_gpu_is_asked_for_the_same_bits_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    with repeatable(torch.device("cpu")):
        assert not torch.are_deterministic_algorithms_enabled()
    with repeatable(torch.device("cuda")):
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert not torch.are_deterministic_algorithms_enabled()
