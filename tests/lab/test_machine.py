"""What is the machine's fault fails no run: real training that finds no memory or no room on the disk."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.lab import models
from torch import nn

from fanin.errors import FaninValueError
from fanin.lab.executors import payload_of
from fanin.lab.executors.attempt import attempt
from fanin.lab.jobs import Died, Finished, Job
from fanin.lab.machine import is_full, is_of_the_machine, is_out_of_memory
from fanin.lab.study import RunConfig, TrainingSettings
from fanin.lab.worker import carry_out


def outcome(folder: Path, factory: Any, seeds: int = 1, stacked: bool = False) -> Finished | Died:
    (folder / "curves").mkdir(parents=True)
    (folder / "checkpoints").mkdir()
    training = TrainingSettings(steps=6, evaluations=2)
    configs = tuple(
        RunConfig("mine", "default", "digits:256", "sgd", 0.1, 32, seed, training, stacked) for seed in range(seeds)
    )
    job = Job(0, tuple(f"key{seed}" for seed in range(seeds)), configs, 0, str(folder))
    return attempt(carry_out, job, payload_of({"mine": factory}, here=True), lambda share: None)[0]


class Greedy(nn.Module):
    """Wants more memory than any machine has."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) + torch.empty(1 << 62, dtype=torch.int8)[: len(x), None]


def raise_memory_error() -> nn.Module:
    raise MemoryError


@pytest.mark.parametrize("factory", [Greedy, raise_memory_error])
def test_a_run_that_finds_no_memory_is_not_failed_but_tried_again(tmp_path: Path, factory: Any) -> None:
    found = outcome(tmp_path, factory)
    assert isinstance(found, Died)
    assert (found.why, found.raised, found.full) == ("it ran out of memory", False, False)


def test_a_run_that_finds_no_room_on_the_disk_is_not_failed(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        found = outcome(tmp_path, models.small)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert isinstance(found, Died)
    assert found.full


def test_what_a_model_raises_is_its_own_fault(tmp_path: Path) -> None:
    def broken() -> nn.Module:
        raise ValueError("no such layer")

    found = outcome(tmp_path, broken)
    assert isinstance(found, Finished)
    assert "no such layer" in found.rows[0].error


def test_errors_of_the_machine_are_known_by_what_they_are_or_were_raised_from() -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert is_full(full)
    assert not is_out_of_memory(full)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not is_of_the_machine(FileNotFoundError(errno.ENOENT, "no such file"))
    wrapped = FaninValueError("factory raised MemoryError")
    assert not is_of_the_machine(wrapped)
    wrapped.__cause__ = MemoryError()
    assert is_of_the_machine(wrapped)
    beside = RuntimeError(
        "[enforce fail] unexpected pos 64 vs 0"
    )  # torch.save's own, raised while the disk's is handled
    beside.__context__ = full
    assert is_of_the_machine(beside)
    beside.__suppress_context__ = True
    assert not is_of_the_machine(beside)


class Leaking(nn.Module):
    """Opens a file at each pass, and never closes one."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.drop = nn.Linear(64, 10), nn.Dropout(0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        LEFT_OPEN.append(os.open(os.devnull, os.O_RDONLY))
        return self.layer(self.drop(x))


LEFT_OPEN: list[int] = []


def test_a_run_that_may_open_no_more_files_is_tried_again(tmp_path: Path) -> None:
    """Those before it in this process may have left theirs open: a fresh one goes on."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    outcome(tmp_path / "warm", models.small)  # what is imported and read for the first time needs files, too
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 8, before[1]))
    try:
        found = outcome(tmp_path / "s", Leaking)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        while LEFT_OPEN:
            os.close(LEFT_OPEN.pop())
    assert isinstance(found, Died)
    assert not found.raised
    assert "Too many open files" in found.why
