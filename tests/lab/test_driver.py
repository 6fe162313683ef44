"""Running a study: every run exactly once, whatever becomes of workers, drivers, disks and models."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.lab import disturbed, fake_runs
from tests.lab.fake_runs import CARRY_OUT, configs_of, study_of

from fanin.errors import FaninError, FaninValueError
from fanin.lab.driver import RunSummary, StudyProgress, resume_study, run_study
from fanin.lab.executors import Processes, Serial
from fanin.lab.jobs import Died, Event, Finished, Job, Payload, Stepped, checkpoint_file
from fanin.lab.store import DiskFull, Store
from fanin.lab.study import Expectation, RunRow, Study, TrainingSettings, session


def run(study: Study, folder: Path, **options: Any) -> RunSummary:
    options.setdefault("executor", Serial(carry_out=CARRY_OUT))
    return run_study(study, folder, configs=configs_of(study), **options)


def rows_of(folder: Path) -> tuple[RunRow, ...]:
    with Store.open(folder, readonly=True) as store:
        return store.rows()


class Scripted:
    """An executor in this process: `fate` says how an attempt at a job ends; None lets it be carried out."""

    def __init__(self, fate: Any, capacity: int = 2):
        self.fate, self.capacity, self.jobs, self.log = fate, capacity, [], []
        self.closed = False

    def submit(self, job: Job) -> None:
        self.jobs.append(job)
        self.log.append((job.keys, job.attempt))

    def events(self, timeout: float) -> Iterable[Event]:
        jobs, self.jobs = self.jobs, []
        for job in jobs:
            yield Stepped(job, 0.5)
            yield self.fate(job) or Finished(job, fake_runs.carry_out(job, Payload(), lambda share: None))

    def close(self) -> None:
        self.closed = True


def test_a_study_is_run_and_nothing_is_run_twice(tmp_path: Path) -> None:
    study = study_of(("ok", "nan"), 3)
    got = run(study, tmp_path / "s")
    assert (got.total, got.done, got.diverged, got.failed, got.pending, got.ran) == (6, 6, 3, 0, 0, 6)
    assert not got.interrupted
    before = rows_of(tmp_path / "s")
    again = run(study, tmp_path / "s")
    assert (again.done, again.ran) == (6, 0)
    assert rows_of(tmp_path / "s") == before


def test_the_executor_is_closed_and_never_asked_for_more_than_its_capacity(tmp_path: Path) -> None:
    executor = Scripted(lambda job: None, capacity=3)
    most = 0
    submit = executor.submit

    def counted(job: Job) -> None:
        nonlocal most
        submit(job)
        most = max(most, len(executor.jobs))

    executor.submit = counted  # type: ignore[method-assign]
    run(study_of(seeds=10), tmp_path / "s", executor=executor)
    assert executor.closed
    assert most == 3


def test_a_grown_study_runs_what_is_missing(tmp_path: Path) -> None:
    run(study_of(("ok",), 3), tmp_path / "s")
    before = rows_of(tmp_path / "s")
    executor = Scripted(lambda job: None)
    got = run(study_of(("ok", "ok2"), 4), tmp_path / "s", executor=executor)
    assert (got.total, got.ran, len(executor.log)) == (8, 5, 5)
    assert [row for row in rows_of(tmp_path / "s") if row in before] == list(before)
    assert [r.config.model for r in rows_of(tmp_path / "s")] == ["ok"] * 4 + ["ok2"] * 4


def test_finished_runs_do_not_drop_out_unasked(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    study = study_of(seeds=3)
    run(study, folder)
    before = (folder / "study.json").read_text()
    for changed, words in (
        (
            fake_runs.changed_training(study, epochs=30.0),
            "with other training: 3 of its 3 finished runs would no longer be",
        ),
        (study_of(seeds=2), "with other seeds: 1 of its 3 finished runs would no longer be part of it"),
    ):
        with pytest.raises(FaninValueError, match=words):
            run(changed, folder)
    assert (folder / "study.json").read_text() == before
    with Store.open(folder, readonly=True) as store:
        assert len(store.began()) == 1  # sessions: what was refused is none
    assert len(rows_of(folder)) == 3
    got = run(fake_runs.changed_training(study, epochs=30.0), folder, replace=True)
    assert (got.total, got.ran) == (3, 3)
    assert run(study, folder, replace=True).ran == 0  # they were kept
    assert run(study_of(seeds=4), folder).ran == 1  # what dropped out before does not do so again


def test_expectations_are_not_edited_after_runs_are_done(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    hope = Expectation("it trains", "trains", "default")
    study = replace(study_of(seeds=2), expectations=(hope,))
    run(study, folder)
    with pytest.raises(FaninValueError, match="expectations are written before the run, and not edited after it"):
        run(replace(study, expectations=(replace(hope, kind="fails"),)), folder)
    more = replace(study, expectations=(hope, replace(hope, kind="at_least", value=0.5)))
    assert run(more, folder).notes == ("1 expectations were written after 2 runs were finished",)


def test_what_a_model_does_ends_in_a_clear_row_and_the_study_goes_on(tmp_path: Path) -> None:
    """In real processes: a model that raises, hangs, exits, is not finite, or is killed once."""
    models = ("ok", "raise", "nan", "exit", "once:1", "hang")
    study = study_of(models, 1, patience=1.0)
    got = run(study, tmp_path / "s", executor=Processes(2, carry_out=CARRY_OUT))
    rows = {row.config.model: row for row in rows_of(tmp_path / "s")}
    assert {m: r.state for m, r in rows.items()} == {
        "ok": "done", "raise": "failed", "nan": "done", "exit": "failed", "once:1": "done", "hang": "failed",
    }  # fmt: skip
    assert rows["raise"].error == "RuntimeError: no such layer"
    assert rows["exit"].error == "SystemExit: 3"
    assert rows["hang"].error == "it made no step in 1 s"
    assert (rows["nan"].diverged, rows["once:1"].attempts, rows["raise"].attempts) == (True, 2, 1)
    assert (got.done, got.failed, got.diverged, got.pending) == (3, 3, 1, 0)


def test_an_exception_that_cannot_be_written_down_fails_its_run_alone(tmp_path: Path) -> None:
    got = run(study_of(("ok", "letters", "mute"), 1), tmp_path / "s")
    assert (got.done, got.failed, got.pending) == (1, 2, 0)
    errors = [row.error for row in rows_of(tmp_path / "s")]
    assert errors == ["", "FileNotFoundError: no file caf\\udce9.txt", "Mute: no message"]


def died(why: str = "its process was killed by signal 9 (out of memory?)", **facts: Any) -> Any:
    return lambda job: Died(job, why, **facts)


def test_a_run_that_always_dies_is_given_up_after_five_attempts(tmp_path: Path) -> None:
    run(study_of(seeds=1), tmp_path / "s", executor=Scripted(died()))
    (row,) = rows_of(tmp_path / "s")
    assert (row.state, row.attempts) == ("failed", 5)
    assert row.error == "its process was killed by signal 9 (out of memory?), 5 times"


def test_the_answer_is_not_edited_after_runs_are_done(tmp_path: Path) -> None:
    study = replace(study_of(seeds=1), answer="It does.")
    run(study, tmp_path / "s", executor=Scripted(lambda job: None))
    edited = replace(study_of(seeds=2), answer="It does not.")
    with pytest.raises(FaninValueError, match="the answer is written before the run, and not edited after it"):
        run(edited, tmp_path / "s", executor=Scripted(lambda job: None))
    assert run(edited, tmp_path / "s", executor=Scripted(lambda job: None), replace=True).done == 2
    with Store.open(tmp_path / "s", readonly=True) as store:
        assert "the written answer was edited after 1 runs were finished; it was: It does." in store.log()


def test_where_a_grown_study_was_found_is_kept(tmp_path: Path) -> None:
    for seeds, source in ((1, "a.py:study"), (2, ""), (3, "b.py:study")):
        run(study_of(seeds=seeds), tmp_path / "s", executor=Scripted(lambda job: None), source=source)
        with Store.open(tmp_path / "s", readonly=True) as store:
            assert store.choice("source") == (source or "a.py:study")


def test_deaths_with_a_new_checkpoint_between_them_do_not_count(tmp_path: Path) -> None:
    def fate(job: Job) -> Died | None:
        if job.attempt == 30:
            return None
        file = checkpoint_file(Path(job.folder), job)
        if job.attempt % 4 == 0:  # three deaths, then a step ahead
            file.unlink(missing_ok=True)
            file.write_text(str(job.attempt))
        return Died(job, "killed")

    got = run(study_of(seeds=1), tmp_path / "s", executor=Scripted(fate))
    assert (got.done, got.failed) == (1, 0)
    assert rows_of(tmp_path / "s")[0].attempts == 31
    assert list((tmp_path / "s" / "checkpoints").iterdir()) == []


@pytest.mark.parametrize(("hung", "most"), [(False, 3), (True, 1)])
def test_a_stack_that_ends_badly_is_halved_until_the_culprit_is_alone(tmp_path: Path, hung: bool, most: int) -> None:
    study = study_of(seeds=8)
    culprit = list(configs_of(study))[5]
    executor = Scripted(lambda job: Died(job, "bad", hung=hung) if culprit in job.keys else None)
    got = run(study, tmp_path / "s", executor=executor, group=lambda pending, study: [tuple(pending)])
    assert (got.done, got.failed) == (7, 1)
    assert [r.key for r in rows_of(tmp_path / "s") if r.state == "failed"] == [culprit]
    sizes = [len(keys) for keys, _ in executor.log if culprit in keys]
    assert sizes == [8] * most + [4] * most + [2] * most + [1] * (1 if hung else 5)


def test_a_job_without_a_row_for_each_run_is_no_result(tmp_path: Path) -> None:
    got = run(study_of(seeds=2), tmp_path / "s", executor=Scripted(lambda job: Finished(job, ())))
    assert got.failed == 2
    assert rows_of(tmp_path / "s")[0].error == "it gave no row for some of its runs"


def test_a_result_whose_curve_is_not_there_is_tried_again(tmp_path: Path) -> None:
    def fate(job: Job) -> Event | None:
        if job.attempt:
            return None
        rows = fake_runs.carry_out(job, Payload(), lambda share: None)
        (Path(job.folder) / rows[0].curve).unlink()
        return Finished(job, rows)

    got = run(study_of(seeds=3), tmp_path / "s", executor=Scripted(fate))
    assert (got.done, {r.attempts for r in rows_of(tmp_path / "s")}) == (3, {2})


def test_an_end_that_comes_late_is_not_counted_again(tmp_path: Path) -> None:
    class Late(Scripted):
        def events(self, timeout: float) -> Iterable[Event]:
            for event in list(super().events(timeout)):
                yield event
                if not isinstance(event, Stepped):
                    yield Died(event.job, "lost")

    assert run(study_of(seeds=3), tmp_path / "s", executor=Late(lambda job: None)).done == 3


def test_a_full_disk_ends_the_driver_with_one_sentence_and_the_study_goes_on_later(tmp_path: Path) -> None:
    folder, study = tmp_path / "s", study_of(seeds=5)
    ends = iter([None, None, "full"])
    executor = Scripted(lambda job: Died(job, "full", full=True) if next(ends, None) else None, capacity=1)
    with pytest.raises(DiskFull, match=r"is full; what is done is kept: make room there, then resume the study$"):
        run(study, folder, executor=executor)
    assert executor.closed
    assert sum(r.state == "done" for r in rows_of(folder)) == 2
    assert run(study, folder).ran == 3


@pytest.mark.skipif(os.name == "nt", reason="limits the size of files")
def test_a_disk_that_fills_up_while_a_study_runs_loses_nothing_that_is_done(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    code = f"""
import resource
from pathlib import Path
from tests.lab.test_driver import run, study_of
from fanin.errors import FaninError
resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))  # the log of the database reaches that after some runs
try:
    run(study_of(seeds=200), Path({str(folder)!r}))
except FaninError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=disturbed.ROOT)
    assert "is full; what is done is kept" in done.stdout, done.stderr
    kept = sum(r.state == "done" for r in rows_of(folder))
    assert kept > 0
    assert run(study_of(seeds=200), folder).ran == 200 - kept


def test_ctrl_c_keeps_what_is_done_and_the_rest_is_run_by_resuming(tmp_path: Path) -> None:
    folder, study = tmp_path / "s", study_of(seeds=6)
    executor = Scripted(lambda job: None, capacity=1)

    def stop(progress: StudyProgress) -> None:
        if progress.done == 2:
            raise KeyboardInterrupt

    got = run(study, folder, executor=executor, on_event=stop)
    assert got.interrupted
    assert executor.closed
    assert 2 <= got.done < 6
    assert got.done + got.pending == 6
    assert resume_study(folder, Serial(carry_out=CARRY_OUT), configs=configs_of(study)).ran == got.pending


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds workers in /proc")
def test_a_real_ctrl_c_ends_the_driver_and_its_workers_in_order(tmp_path: Path) -> None:
    """Sent to the whole group, as a terminal does: workers leave it to the driver."""
    study = study_of(("slow:0.05",), 200)
    configs = configs_of(study)
    disturbed.prepare(tmp_path / "s", study, configs)
    environment = {**os.environ, "PYTHONPATH": str(disturbed.ROOT)}
    driver = subprocess.Popen(
        [sys.executable, "-m", "tests.lab.disturbed", str(tmp_path / "s"), CARRY_OUT],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, process_group=0,
    )  # fmt: skip
    while sum(r.state == "done" for r in rows_of(tmp_path / "s")) < 3:
        time.sleep(0.05)
    os.killpg(driver.pid, signal.SIGINT)
    out, err = driver.communicate(timeout=30)
    assert (driver.returncode, err) == (0, "")
    assert "interrupted" in out
    assert not disturbed.alive_in(driver.pid)
    rows = rows_of(tmp_path / "s")
    assert 3 <= sum(r.state == "done" for r in rows) < 200
    assert (
        sum(r.attempts for r in rows) <= sum(r.state == "done" for r in rows) + 6
    )  # two at work, two that wait for them, two just done


def test_a_second_driver_is_refused(tmp_path: Path) -> None:
    study = study_of(seeds=2)
    seen = []

    def second(progress: StudyProgress) -> None:
        with pytest.raises(FaninError, match="is being run by process"):
            run(study, tmp_path / "s")
        seen.append(progress)

    run(study, tmp_path / "s", on_event=second)
    assert seen


def test_failed_runs_are_tried_again_on_demand_only(tmp_path: Path) -> None:
    study = study_of(seeds=2)
    run(study, tmp_path / "s", executor=Scripted(died("it hung", hung=True)))
    assert run(study, tmp_path / "s").ran == 0
    got = run(study, tmp_path / "s", retry_failed=True)
    assert (got.ran, got.failed, got.done) == (2, 0, 2)


def test_progress_counts_up_to_the_whole_and_estimates_the_rest(tmp_path: Path) -> None:
    seen: list[StudyProgress] = []
    study = study_of(("slow:0.02", "raise", "nan"), 3)

    class Timed(Scripted):
        def events(self, timeout: float) -> Iterable[Event]:
            for event in super().events(timeout):
                if isinstance(event, Finished):
                    yield Finished(event.job, tuple(replace(row, seconds=0.03) for row in event.rows))
                else:
                    yield event

    fate = lambda job: Died(job, "no", raised=True) if job.configs[0].model == "raise" else None  # noqa: E731
    run(study, tmp_path / "s", executor=Timed(fate, capacity=1), on_event=seen.append)
    last = seen[-1]
    assert (last.total, last.done, last.failed, last.diverged, last.running, last.share) == (9, 6, 3, 3, 0, 1.0)
    assert [p.share for p in seen] == sorted(p.share for p in seen)
    assert sum(len(p.rows) for p in seen) == 9
    assert seen[0].left is None
    assert last.left == 0
    middle = next(p for p in seen if p.left)
    assert middle.left == pytest.approx(middle.seconds * 8 / 1.5, rel=0.7)  # one is done, one of the rest is at work


def test_a_damaged_row_is_run_again_and_said(tmp_path: Path) -> None:
    study = study_of(seeds=3)
    run(study, tmp_path / "s")
    before = rows_of(tmp_path / "s")
    with sqlite3.connect(tmp_path / "s" / "study.sqlite") as db:
        db.execute("UPDATE runs SET row = replace(row, '\"accuracy\":0.', '\"accuracy\":0.9') WHERE position = 1")
    db.close()
    (tmp_path / "s" / before[2].curve).write_text("")
    got = run(study, tmp_path / "s")
    assert got.ran == 2
    assert any("row in the store was damaged" in note for note in got.notes)
    assert any("curve on the disk was damaged" in note for note in got.notes)
    assert [disturbed.timeless(r) for r in rows_of(tmp_path / "s")] == [disturbed.timeless(r) for r in before]


def test_a_clock_that_is_set_back_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = study_of(seeds=6)
    clock = random.Random(0)
    monkeypatch.setattr(time, "time", lambda: clock.uniform(0, 2e9))
    executor = Scripted(lambda job: Died(job, "killed") if job.attempt == 0 else None)
    got = run(study, tmp_path / "s", executor=executor)
    assert (got.done, got.failed) == (6, 0)
    assert [row.attempts for row in rows_of(tmp_path / "s")] == [2] * 6


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds workers in /proc")
def test_random_kills_of_workers_and_drivers_change_nothing(tmp_path: Path) -> None:
    """Small: `benchmarks/faults.py` does it with 500 runs and 200 kills, also of real training runs."""
    study = study_of(("ok", "nan", "slow:0.05"), 14)  # the slow ones last: the last kills must find something to do
    configs = configs_of(study)
    disturbed.prepare(tmp_path / "disturbed", study, configs)
    toll = disturbed.disturb(tmp_path / "disturbed", len(configs), kills=20)
    disturbed.undisturbed(study, tmp_path / "calm", configs, CARRY_OUT)
    assert (toll.workers, toll.drivers) == (14, 6)
    assert disturbed.differences(tmp_path / "disturbed", tmp_path / "calm") == []
    assert {row.state for row in rows_of(tmp_path / "disturbed")} == {"done"}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="kills processes")
def test_a_stack_whose_worker_is_killed_goes_on_from_its_checkpoint_as_one_stack(tmp_path: Path) -> None:
    """Rates against the order of the grid: a stack has its members by rate, the driver its keys by the grid."""
    training = TrainingSettings(steps=3000, evaluations=3, watch=False)
    models, rates = ("mlp(depth=3, width=16)",), (0.1, 0.01)
    study = Study("stacks", models=models, plans=("default",), lrs=rates, seeds=tuple(range(6)), training=training)
    prepared = session.prepare(study)
    assert all(config.stacked for config in prepared.configs.values())
    executor = Processes(1, carry_out="tests.lab.disturbed:with_checkpoints")
    seen: set[int] = set()

    def kill(progress: StudyProgress) -> None:
        files = list((tmp_path / "killed" / "checkpoints").glob("*.pt"))
        if files and len(seen) < 3 and (stamp := files[0].stat().st_mtime_ns) not in seen:
            seen.add(stamp)
            os.kill(executor.processes[0], signal.SIGKILL)

    got = session.run(prepared, tmp_path / "killed", executor, on_event=kill)
    session.run(prepared, tmp_path / "calm", "serial")
    assert (got.done, len(seen)) == (12, 3)
    assert not any("halved" in note for note in got.notes)
    assert {row.attempts for row in rows_of(tmp_path / "killed")} == {4}
    assert disturbed.differences(tmp_path / "killed", tmp_path / "calm") == []
