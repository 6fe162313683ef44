"""A pool of processes: each may die, hang or raise without the others, and none outlives its driver."""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.lab.fake_runs import CARRY_OUT, configs_of, study_of

from fanin.errors import FaninError, FaninValueError
from fanin.lab.executors import Processes, Serial, make_executor, payload_of
from fanin.lab.jobs import Died, Event, Finished, Job, Stepped

ROOT = Path(__file__).parents[3]


def jobs_of(folder: Path, *models: str, patience: float = 60.0) -> list[Job]:
    (folder / "curves").mkdir(exist_ok=True)
    (folder / "checkpoints").mkdir(exist_ok=True)
    configs = configs_of(study_of(models, 1))
    return [Job(i, (key,), (c,), 0, str(folder), patience) for i, (key, c) in enumerate(configs.items())]


def events_of(executor: Processes | Serial, jobs: list[Job], seconds: float = 60.0) -> list[Event]:
    for job in jobs:
        executor.submit(job)
    found: list[Event] = []
    end = time.monotonic() + seconds
    while sum(not isinstance(e, Stepped) for e in found) < len(jobs) and time.monotonic() < end:
        found += executor.events(0.5)
    return found


@pytest.fixture(scope="module")
def pool() -> Iterator[Processes]:
    """Two workers, shared: what one test does to them must not reach the next."""
    with contextlib.closing(Processes(2, carry_out=CARRY_OUT)) as pool:
        yield pool


def test_jobs_are_carried_out_and_signs_of_life_come(pool: Processes, tmp_path: Path) -> None:
    events = events_of(pool, jobs_of(tmp_path, "ok", "ok2", "ok3"))
    finished = [e for e in events if isinstance(e, Finished)]
    assert sorted(e.job.number for e in finished) == [0, 1, 2]
    assert all(row.state == "done" for e in finished for row in e.rows)
    assert any(isinstance(e, Stepped) and 0 < e.share <= 1 for e in events)


def test_processes_and_this_process_give_equal_rows(pool: Processes, tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, "ok", "ok2", "nan")
    rows = [
        [repr(e.rows) for e in sorted(events_of(executor, jobs), key=lambda e: e.job.number) if isinstance(e, Finished)]
        for executor in (pool, Serial(carry_out=CARRY_OUT))
    ]
    assert rows[0] == rows[1]


@pytest.mark.parametrize(
    ("model", "why", "raised"),
    [
        ("kill", "its process was killed by signal 9 (out of memory?)", False),
        ("gone", "its process ended with exit status 4", False),
        ("memory", "it ran out of memory", False),
        ("raise", "RuntimeError: no such layer", True),
        ("files", "OSError: [Errno 24] Too many open files", False),
        ("exit", "SystemExit: 3", True),
    ],
)
def test_a_job_that_ends_badly_ends_alone(pool: Processes, tmp_path: Path, model: str, why: str, raised: bool) -> None:
    jobs = jobs_of(tmp_path, "ok", model, "ok2")
    ends = {e.job.number: e for e in events_of(pool, jobs) if not isinstance(e, Stepped)}
    died = ends[1]
    assert isinstance(died, Died)
    assert (died.why, died.raised, died.hung, died.full) == (why, raised, False, False)
    assert isinstance(ends[0], Finished)
    assert isinstance(ends[2], Finished)


def test_what_a_model_prints_is_not_what_the_driver_prints(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with contextlib.closing(Processes(1, carry_out=CARRY_OUT)) as pool:
        events_of(pool, jobs_of(tmp_path, "print"))
    out, err = capfd.readouterr()
    assert (out, err) == ("", "the model says so\n")


def test_the_first_job_of_a_worker_has_time_for_its_imports(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, "late:1.5", patience=0.5)
    with contextlib.closing(Processes(1, carry_out=CARRY_OUT)) as pool:
        (end,) = [e for e in events_of(pool, jobs) if not isinstance(e, Stepped)]
        assert isinstance(end, Finished)
        (end,) = [e for e in events_of(pool, jobs) if not isinstance(e, Stepped)]
        assert isinstance(end, Died)
        assert end.why == "it made no step in 0.5 s"


def test_a_full_disk_is_told_from_other_errors(pool: Processes, tmp_path: Path) -> None:
    (end,) = [e for e in events_of(pool, jobs_of(tmp_path, "full")) if not isinstance(e, Stepped)]
    assert isinstance(end, Died)
    assert end.full


def test_a_job_that_gives_no_sign_of_life_is_ended(pool: Processes, tmp_path: Path) -> None:
    events_of(pool, jobs_of(tmp_path, "ok"))  # a worker that has started is judged by the job's patience
    jobs = jobs_of(tmp_path, "hang", "ok", patience=0.6)
    begun = time.monotonic()
    ends = {e.job.number: e for e in events_of(pool, jobs) if not isinstance(e, Stepped)}
    assert time.monotonic() - begun < 20
    died = ends[0]
    assert isinstance(died, Died)
    assert died.hung
    assert died.why == "it made no step in 0.6 s"
    assert isinstance(ends[1], Finished)


def test_silence_counts_only_while_the_driver_listens(pool: Processes, tmp_path: Path) -> None:
    """Ctrl-Z stops the driver and its workers; when they go on, nobody has hung."""
    events_of(pool, jobs_of(tmp_path, "ok"))
    pool.submit(jobs_of(tmp_path, "slow:0.5", patience=30.0)[0])
    pool._looked -= 1000.0
    for worker in pool._pool:
        worker.heard -= 1000.0
    ends: list[Event] = []
    while not ends:
        ends = [e for e in pool.events(0.5) if not isinstance(e, Stepped)]
    assert isinstance(ends[0], Finished)


def test_a_slow_job_that_gives_signs_of_life_is_not(pool: Processes, tmp_path: Path) -> None:
    (end,) = [e for e in events_of(pool, jobs_of(tmp_path, "slow:0.7", patience=1.2)) if not isinstance(e, Stepped)]
    assert isinstance(end, Finished)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def driven(folder: Path, then: str) -> subprocess.Popen[str]:
    """A process whose pool of two workers has been given a run that hangs and one that does not, and what it does then."""
    script = folder / "driver.py"
    script.write_text(
        textwrap.dedent(f"""
            import time
            from pathlib import Path
            from fanin.lab.executors import Processes
            from tests.lab.executors.test_processes import jobs_of
            from tests.lab.fake_runs import CARRY_OUT

            if __name__ == "__main__":
                pool = Processes(2, carry_out=CARRY_OUT)
                for job in jobs_of(Path({str(folder)!r}), "hang", "ok"):
                    pool.submit(job)
        """)
        + textwrap.indent(textwrap.dedent(then), "    ")
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, env=environment, text=True)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_workers_end_when_their_driver_is_killed(tmp_path: Path) -> None:
    """One of them is at work, the other one idle."""
    driver = driven(
        tmp_path,
        """
        while not all(worker.ready for worker in pool._pool):
            list(pool.events(0.1))
        print(*pool.processes, flush=True)
        time.sleep(60)
        """,
    )
    assert driver.stdout is not None
    workers = [int(word) for word in driver.stdout.readline().split()]
    assert len(workers) == 2
    assert all(alive(worker) for worker in workers)
    driver.kill()
    driver.wait()
    end = time.monotonic() + 30
    while any(alive(worker) for worker in workers) and time.monotonic() < end:
        time.sleep(0.02)
    assert not any(alive(worker) for worker in workers)


@pytest.mark.skipif(sys.platform != "linux", reason="reads signals in /proc")
def test_the_first_worker_of_a_process_is_deaf_to_ctrl_c_from_its_start(tmp_path: Path) -> None:
    """In a process that has spawned nothing: the first start also starts Python's resource tracker."""
    driver = driven(
        tmp_path,
        """
        for worker in pool.processes:  # blocked while it starts, ignored afterwards
            status = dict(line.split(":") for line in open(f"/proc/{worker}/status") if line.startswith("Sig"))
            print((int(status["SigBlk"], 16) | int(status["SigIgn"], 16)) >> 1 & 1)
        pool.close()
        """,
    )
    said, _ = driver.communicate(timeout=60)
    assert (driver.returncode, said.split()) == (0, ["1", "1"])


def test_closing_ends_every_worker(tmp_path: Path) -> None:
    pool = Processes(2, carry_out=CARRY_OUT)
    for job in jobs_of(tmp_path, "ok", "hang"):
        pool.submit(job)
    found: list[Event] = []
    while not any(isinstance(e, Finished) for e in found):
        found += pool.events(0.5)
    workers = pool.processes
    pool.close()
    assert pool.processes == ()
    for worker in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)
    pool.close()  # again: nothing


def test_workers_that_cannot_start_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fanin.lab.executors.processes.STILLBORN", 1)  # not three: each takes a second
    pool = Processes(1, carry_out="no_such_module:f")
    with pytest.raises(FaninError, match='before they are ready .*`if __name__ == "__main__":`, or use executor='):
        events_of(pool, jobs_of(tmp_path, "ok"))
    pool.close()


def test_a_worker_that_is_killed_while_idle_costs_no_job(pool: Processes, tmp_path: Path) -> None:
    events_of(pool, jobs_of(tmp_path, "ok", "ok2"))
    for worker in pool.processes:
        os.kill(worker, signal.SIGKILL)
    ends = [e for e in events_of(pool, jobs_of(tmp_path, "ok", "ok2")) if not isinstance(e, Stepped)]
    assert len(ends) == 2
    # One may have been handed its job before its end was seen: then that is said, and the driver tries again.
    assert all(isinstance(e, Finished) or e.why.endswith("signal 9 (out of memory?)") for e in ends)


def test_executors_are_made_by_name() -> None:
    assert isinstance(make_executor("serial"), Serial)
    made = make_executor("processes", 3)
    assert isinstance(made, Processes)
    assert (made.workers, made.capacity) == (3, 6)
    with pytest.raises(
        FaninValueError, match="executor='threads' is unknown; accepted are serial, processes, ray, slurm"
    ):
        make_executor("threads")
    with pytest.raises(FaninValueError, match="workers=0 must be a whole number of at least 1"):
        make_executor("processes", 0)
    with pytest.raises(FaninValueError, match=r"mine cannot be sent to another process .* or use executor='serial'"):
        payload_of({"mine": (i for i in range(3))})


def test_what_was_typed_into_a_notebook_travels_whole() -> None:
    """`__main__` without a file: no other process could import it."""
    script = """
from fanin.lab.executors import payload_of
class Net:
    def __init__(self, width): self.width = width
def net(): return Net(3)
print(payload_of({"net": net, "plan": lambda model: None}).bindings.hex())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert pickle.loads(bytes.fromhex(done.stdout))["net"]().width == 3


def test_without_cloudpickle_a_notebook_is_refused() -> None:
    script = """
import sys
sys.modules["cloudpickle"] = None
from fanin.lab.executors import payload, payload_of
payload._cloudpickle = lambda: False
def net(): return 3
try:
    payload_of({"net": net})
except ValueError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("net cannot be sent to another process (it was typed into a notebook or a prompt")
