"""A study whose workers and drivers are killed at random, as often as asked, until it is done all the same.

`tests/lab/test_driver.py` and `benchmarks/faults.py` share it. Run as a program, it is the driver that is killed.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tests.lab.fake_runs import CARRY_OUT as FAKE

from fanin.lab.driver import run_study
from fanin.lab.executors import Processes, Serial
from fanin.lab.jobs import Job, Payload
from fanin.lab.store import Store, is_locked
from fanin.lab.store.study_file import NAME, read_study
from fanin.lab.study import RunConfig, RunRow, Study
from fanin.lab.worker import carry_out

ROOT = Path(__file__).parents[2]
SHARE = 0.3  # of the kills are the driver's
LATEST = 0.4  # seconds after its turn has come: a kill hits any moment of a run, a commit or a start
CLOCK = {"seconds": 0.0, "init_seconds": 0.0, "reached_seconds": None, "attempts": 0, "curve": "", "note": ""}


@dataclass(frozen=True)
class Toll:
    """What was killed, and how long the study took."""

    workers: int
    drivers: int
    seconds: float


def disturb(folder: Path, runs: int, kills: int, seed: int = 0, carry_out: str = FAKE, pause: float = 0.0) -> Toll:
    """Runs the study in `folder` by driver processes, and kills them and their workers until `kills` are done.

    Kills are spread over the runs: the next one comes once its share of them is finished, and a random moment later, but
    before the share of the one after it is. Stacks finish many at once: with `pause`, the mean time between two kills in
    seconds, nothing but the clock says when the next one comes.

    Raises:
        RuntimeError: a driver failed, or the study was done with kills left.
    """
    dice, begun = random.Random(seed), time.monotonic()
    of_driver = [number < SHARE * kills for number in range(kills)]
    dice.shuffle(of_driver)  # whose kill comes when is settled now, whatever the moments of this run will be
    workers = drivers = 0
    driver = _start(folder, carry_out)
    try:
        while driver.poll() != 0:
            if driver.poll() is not None:
                driver = _start(folder, carry_out)
            killed, share = workers + drivers, (runs - 5) / kills
            if killed == kills or (not pause and _done(folder) < killed * share):
                time.sleep(0.05)
                continue
            latest = time.monotonic() + dice.random() * (2 * pause or LATEST)
            while time.monotonic() < latest and (pause or _done(folder) < (killed + 1) * share):
                time.sleep(0.01)
            if of_driver[killed]:
                drivers += driver.poll() is None and _kill(driver.pid)
                driver.wait()
            else:  # also where none is spawned yet: to kill the driver instead would be the driver's end nearly always
                while driver.poll() is None and not (children := _workers_of(driver.pid)):
                    time.sleep(0.01)
                workers += driver.poll() is None and _kill(dice.choice(children))
            if driver.poll() not in (None, 0, -signal.SIGKILL):
                raise RuntimeError(f"the driver ended with exit status {driver.returncode}")
        if workers + drivers < kills:
            raise RuntimeError(f"the study was done after {workers + drivers} of {kills} kills")
    finally:
        driver.kill()
        driver.wait()
    return Toll(workers, drivers, time.monotonic() - begun)


def undisturbed(study: Study, folder: Path, configs: Mapping[str, RunConfig], carry_out: str) -> None:
    """The same in this process, without a worker."""
    run_study(study, folder, Serial(carry_out=carry_out), configs=configs)


def differences(disturbed: Path, calm: Path) -> list[str]:
    """What is not equal of two folders of the same study, clocks and counts of attempts aside; [] where all is."""
    found = []
    with Store.open(disturbed) as a, Store.open(calm) as b:  # for writing: checksums are looked at
        rows, others = a.rows(), b.rows()
        if [r.key for r in rows] != [r.key for r in others]:
            found.append("other runs")
        for one, other in zip(rows, others, strict=False):
            if timeless(one) != timeless(other):
                found.append(f"row of {one.key}")
            if [replace(p, seconds=0.0) for p in a.curve(one)] != [replace(p, seconds=0.0) for p in b.curve(other)]:
                found.append(f"curve of {one.key}")
        if a.newest() != len(rows):
            found.append(f"{a.newest()} commits of {len(rows)} runs")
        named = sorted(row.curve for row in rows if row.curve)
        if named != sorted(f"curves/{p.name}" for p in (disturbed / "curves").iterdir()):
            found.append("curve files that no row names")
        if list((disturbed / "checkpoints").iterdir()):
            found.append("checkpoints are left")
    return found


def timeless(row: RunRow) -> str:
    """A row as text, without what a clock or a count of attempts says."""
    return str(replace(row, **CLOCK).to_dict())  # type: ignore[arg-type]


def _start(folder: Path, carry_out: str) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])  # this tree's fanin, whichever is installed
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    while is_locked(folder):  # the last one's end
        time.sleep(0.01)
    command = [sys.executable, "-m", "tests.lab.disturbed", str(folder), carry_out]
    return subprocess.Popen(command, env=environment, cwd=ROOT)


def _kill(process: int) -> bool:
    """Whether it was there to be killed."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
        return True
    return False


def _done(folder: Path) -> int:
    with Store.open(folder, readonly=True) as store:
        return store.counts()["done"]


def _workers_of(driver: int) -> list[int]:
    """Ids of the spawned workers of a process (Linux)."""
    return sorted(p for p, (_, parent, _, words) in _processes().items() if parent == driver and "spawn_main" in words)


def alive_in(group: int) -> list[int]:
    """Ids of the processes of a group that have not ended (Linux)."""
    return sorted(p for p, (state, _, of, _) in _processes().items() if of == group and state != "Z")


def _processes() -> dict[int, tuple[str, int, int, str]]:
    """State, parent, group and command line of every process (Linux)."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, parent, group, *_ = (path / "stat").read_text().rsplit(")", 1)[1].split()
            found[int(path.name)] = (
                state,
                int(parent),
                int(group),
                (path / "cmdline").read_bytes().decode(errors="replace"),
            )
    return found


def prepare(folder: Path, study: Study, configs: Mapping[str, RunConfig]) -> None:
    """The study's folder, before any driver: the store holds what is to be run."""
    with Store.create(folder, study) as store:
        store.define(study, configs)


def drive(folder: Path, carry_out: str = FAKE) -> None:
    """One driver, with two workers, of a study that was prepared."""
    assert (folder / NAME).exists()
    with Store.open(folder, readonly=True) as store:
        configs = {row.key: row.config for row in store.rows()}
    got = run_study(read_study(folder), folder, Processes(2, carry_out=carry_out), configs=configs)
    if got.interrupted:
        print("interrupted")


def with_checkpoints(job: Job, payload: Payload, report: Callable[[float], None]) -> tuple[RunRow, ...]:
    """Carries a job out with a checkpoint at every sign of life, rather than every half minute.

    The first of a process take a moment each, so that whoever wants to kill it in between can, however fast the machine is.
    """
    from fanin.lab.torch import train
    from fanin.lab.torch.checkpoints import Checkpoints

    moments = [0.3] * 3

    def due(self: Checkpoints) -> bool:
        if moments:
            time.sleep(moments.pop())
        return True

    train.HEARTBEAT, Checkpoints.due = 0.02, due
    return carry_out(job, payload, report)


if __name__ == "__main__":
    drive(Path(sys.argv[1]), sys.argv[2])
