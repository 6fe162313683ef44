"""What far workers are told and tell through the study's folder."""

import os
import pickle
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.lab import fake_runs

from fanin.errors import FaninError
from fanin.lab.executors import remote
from fanin.lab.jobs import Finished, Job, Payload
from fanin.lab.study import RunRow


def job_in(folder: Path) -> Job:
    (folder / "curves").mkdir(exist_ok=True)
    [(key, config)] = fake_runs.configs_of(fake_runs.study_of(("ok",), 1)).items()
    return Job(3, (key,), (config,), 1, str(folder))


def test_signs_are_heard_once_and_silence_is_counted_from_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [50.0]
    monkeypatch.setattr(remote.time, "monotonic", lambda: now[0])
    session = remote.Session(tmp_path)
    job = job_in(tmp_path)
    listener = session.listen(job)
    sign = remote.Sign(remote.sign_file(tmp_path, session.name, job))
    now[0] = 1000.0
    assert (listener.look(), listener.silent(), listener.begun) == (False, 0.0, False)  # it waits for a machine
    sign(0.0)
    assert (listener.look(), listener.look(), listener.begun) == (True, False, True)
    sign(0.5)  # too soon to be written
    now[0] += 10.0
    assert (listener.look(), listener.silent()) == (False, 10.0)
    sign(0.0)  # alive, though no further
    assert (listener.look(), listener.share, listener.silent()) == (True, 0.0, 0.0)
    session.close()
    assert list(tmp_path.iterdir()) == [tmp_path / "curves"]
    now[0] += 10.0
    sign(0.9)  # its folder is gone: no reason to fail


def test_a_job_that_has_only_begun_has_time_for_its_imports(tmp_path: Path) -> None:
    session, job = remote.Session(tmp_path), replace(job_in(tmp_path), patience=5.0)
    listener, heard = session.listen(job), []

    def slow(job: Job, payload: Payload, report: Callable[[float], None]) -> tuple[RunRow, ...]:
        for _ in range(2):
            listener.look()
            heard.append(listener.patience(job))
            report(0.0)
        return ()

    fake_runs.slow = slow  # type: ignore[attr-defined]
    try:
        remote.carry(job, Payload(), "tests.lab.fake_runs:slow", session.name)
    finally:
        del fake_runs.slow  # type: ignore[attr-defined]
    assert heard == [120.0, 5.0]


def test_a_worker_carries_its_job_out(tmp_path: Path) -> None:
    session, job = remote.Session(tmp_path), job_in(tmp_path)
    outcome = remote.carry(job, Payload(), fake_runs.CARRY_OUT, session.name)
    assert isinstance(outcome, Finished)
    assert [row.key for row in outcome.rows] == list(job.keys)
    assert session.listen(job).look()


def test_a_folder_that_is_not_shared_is_told_of(tmp_path: Path) -> None:
    """On the worker's machine the path leads elsewhere: nothing of this driver's is there."""
    outcome = remote.carry(job_in(tmp_path), Payload(), fake_runs.CARRY_OUT, "another")
    assert isinstance(outcome, remote.NotShared)
    with pytest.raises(FaninError, match="is not seen by the worker on .* under the same path"):
        raise outcome.error()


def test_a_new_driver_clears_what_a_killed_one_has_left(tmp_path: Path) -> None:
    old = remote.Session(tmp_path)
    remote.Sign(remote.sign_file(tmp_path, old.name, job_in(tmp_path)))(0.5)
    new = remote.Session(tmp_path)
    assert [file.name for file in new.signs.iterdir()] == [new.name]


def test_what_travels(tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text("VALUE = 1\n")
    payload = Payload(
        pickle.dumps({"x": 1}), {"own": str(own)}, {"FANIN_DATA": "d", "CUDA_VISIBLE_DEVICES": "3", "TMPDIR": "t"}
    )
    sent = remote.travelling(payload, tmp_path, pickle.dumps)
    assert sent.environment == {"FANIN_DATA": "d"}
    assert pickle.loads(sent.bindings) == {"x": 1}
    assert remote.reachable(sent, tmp_path).modules == {"own": str(own)}  # the very file: it may read others beside it
    own.write_text("VALUE = 2\n")
    assert remote.reachable(sent, tmp_path).modules == {"own": os.path.join(tmp_path, "modules", "own.py")}
    own.unlink()
    assert remote.reachable(sent, tmp_path).modules == {"own": os.path.join(tmp_path, "modules", "own.py")}


def test_signs_are_rare(tmp_path: Path) -> None:
    """A step may take microseconds; telling of each would cost more than the steps."""
    sign = remote.Sign(tmp_path / "sign")
    end = time.monotonic() + 0.05
    while time.monotonic() < end:
        sign(0.5)
    assert sign.count == 1
