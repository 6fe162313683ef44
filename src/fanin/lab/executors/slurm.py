"""Jobs as Slurm job arrays, submitted and looked after by submitit."""

import contextlib
import difflib
import hashlib
import importlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from fanin.errors import FaninError, FaninValueError
from fanin.lab.executors import remote
from fanin.lab.executors.attempt import CARRY_OUT
from fanin.lab.jobs import Died, Event, Finished, Job, Payload, Stepped

WORKERS = 64  # jobs at once, unless said
ARRAY = 1000  # tasks of one array: Slurm's own default takes 1,001
LOOK = 1.0  # seconds between two looks at the jobs' files
ASK = 30.0  # seconds between two questions to Slurm itself; its accounting is slow, and shared by all users
GRACE = 20.0  # seconds after a job's end in which its result may still come up on this side of a shared file system
WAITING = ("READY", "PENDING", "RUNNING", "UNKNOWN", "REQUEUED", "COMPLETING", "CONFIGURING", "SUSPENDED", "RESIZING")
WHOLE = (
    "nodes",
    "ntasks_per_node",
    "cpus_per_task",
    "cpus_per_gpu",
    "gpus_per_node",
    "gpus_per_task",
    "signal_delay_s",
)
DEFAULTS: dict[str, Any] = {"cpus_per_task": 1, "time": 240}  # minutes


@dataclass
class _Place:
    """A study's folder, and what submits its jobs."""

    session: remote.Session
    sent: Payload
    submitter: Any
    name: str  # of all its jobs


@dataclass
class _Running:
    job: Job
    listener: remote.Listener
    slurm: Any
    asked: float
    ended: float | None = None  # since when Slurm says that it is over, and no result is seen


class Slurm:
    """Carries jobs out as tasks of Slurm job arrays, one CPU each (and one GPU, for runs on CUDA).

    What is submitted between two looks at events becomes one array. A task that Slurm ends (time limit, memory, preemption, a
    node that fails) is told of as `Died`; Slurm does not requeue it, and the driver has it done again, from the last
    checkpoint, so that runs may be longer than the time limit. Everything goes through the study's folder, which must be
    on a file system that the nodes share; `slurm/` in it holds what submitit writes.

    Args:
        workers: jobs at once.
        payload: what each is sent.
        carry_out: "module:function" that carries a job out.
        cluster: "slurm"; "local" takes processes of this machine in its place, to try a study out.
        parameters: of sbatch by submitit's names: partition, time (minutes), mem ("4GB"), account, qos, constraint, …

    Raises:
        FaninValueError: there is no such parameter, or it has no such value.
        FaninError: submitit is not installed, or Slurm is not on this machine.
    """

    def __init__(
        self,
        workers: int | None = None,
        payload: Payload | None = None,
        carry_out: str = CARRY_OUT,
        cluster: str = "slurm",
        **parameters: Any,
    ) -> None:
        remote.needs("submitit", "slurm", "slurm")
        if cluster not in ("slurm", "local"):
            raise FaninValueError(f"cluster={cluster!r} is unknown; accepted are slurm, local")
        if cluster == "slurm" and not (shutil.which("sbatch") and shutil.which("srun")):
            raise FaninError(
                "executor='slurm' needs Slurm's commands (sbatch, srun), which are not on this machine; start it on a login node"
            )
        self.workers, self.payload, self.carry_out, self.cluster = (
            workers or WORKERS,
            payload or Payload(),
            carry_out,
            cluster,
        )
        self.parameters = DEFAULTS | _read(parameters)
        self._places: dict[Path, _Place] = {}
        self._buffer: dict[Path, list[Job]] = {}
        self._running: dict[int, _Running] = {}

    @property
    def capacity(self) -> int:
        """As many as may be at once: what waits beyond them waits with Slurm."""
        return self.workers

    def submit(self, job: Job) -> None:
        """Takes a job over; `events` submits all that came since."""
        folder = remote.folder_of(job)
        if folder not in self._places:
            self._places[folder] = self._place(folder, remote.on_cuda(job))
        self._buffer.setdefault(folder, []).append(job)

    def events(self, timeout: float) -> Iterable[Event]:
        """What became of jobs, and how far the others are.

        Raises:
            FaninError: Slurm takes no job, or a node does not see the study's folder or has no fanin.
        """
        end = time.monotonic() + timeout
        self._submit_buffer()
        while self._running:
            found = [event for running in list(self._running.values()) if (event := self._look(running))]
            left = end - time.monotonic()
            if found or left <= 0:
                return found
            time.sleep(min(LOOK, left))
        return ()

    def close(self) -> None:
        """Cancels what is at work or waits with Slurm."""
        self._buffer.clear()
        for folder, place in self._places.items():
            running = [r for r in self._running.values() if remote.folder_of(r.job) == folder]
            if running and self.cluster == "slurm":
                _cancel_by_name(place.name)
            for each in running if self.cluster == "local" else ():
                self._cancel(each)
            place.session.close()
        self._running.clear()
        self._places.clear()

    def _place(self, folder: Path, cuda: bool) -> _Place:
        session = remote.Session(folder)
        submitit = importlib.import_module("submitit")
        sent = remote.travelling(self.payload, folder, importlib.import_module("cloudpickle").dumps)
        name = f"fanin-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:10]}"
        logs = folder / "slurm"
        logs.mkdir(exist_ok=True)
        for left in logs.glob("*.pkl"):  # by a driver that was killed; there is one at a time
            with contextlib.suppress(OSError):
                left.unlink()
        if self.cluster == "local":
            submitter = submitit.LocalExecutor(logs)
            submitter._throttling = 0.0  # made for schedulers: five processes a second here
            submitter.update_parameters(timeout_min=self.parameters["time"], signal_delay_s=1)
            return _Place(session, sent, submitter, name)
        _cancel_by_name(name)  # what a driver that was killed has left; the folder's lock says that there is no other
        submitter = submitit.SlurmExecutor(logs)
        more = {"no-requeue": True} | self.parameters.get("additional_parameters", {})
        gpu = {"gpus_per_node": 1} if cuda and not any("gpu" in n or n == "gres" for n in self.parameters) else {}
        own = gpu | {"job_name": name, "additional_parameters": more, "array_parallelism": self.workers}
        with _one_sentence():
            submitter.update_parameters(**self.parameters | own)
        return _Place(session, sent, submitter, name)

    def _submit_buffer(self) -> None:
        for folder, waiting in self._buffer.items():
            place = self._places[folder]
            while waiting:
                jobs = [waiting.pop(0) for _ in range(min(ARRAY, len(waiting)))]
                sent = [replace(job, folder=str(folder)) for job in jobs]
                fixed = ([value] * len(jobs) for value in (place.sent, self.carry_out, place.session.name))
                with _one_sentence():
                    submitted = place.submitter.map_array(carry, sent, *fixed)
                for job, slurm in zip(jobs, submitted, strict=True):
                    self._running[id(slurm)] = _Running(job, place.session.listen(job), slurm, time.monotonic())

    def _look(self, running: _Running) -> Event | None:
        job, listener = running.job, running.listener
        heard = listener.look()
        outcome = self._result(running)
        if outcome is None and self._over(running):
            why = f"Slurm ended it ({_state(running.slurm)})" if self.cluster == "slurm" else "its process was killed"
            outcome = Died(job, why, share=listener.share)
        if outcome is None and listener.silent() > listener.patience(job):
            gone = self.cluster == "slurm" and _left_the_queue(running.slurm.job_id)
            self._cancel(running)
            why = "its job is gone from Slurm's queue" if gone else f"it made no step in {listener.patience(job):g} s"
            outcome = Died(job, why, hung=not gone, share=listener.share)
        if outcome is not None:
            listener.forget()
            for path in (running.slurm.paths.result_pickle, running.slurm.paths.submitted_pickle):
                with contextlib.suppress(OSError):
                    path.unlink()
            del self._running[id(running.slurm)]
            return outcome
        return Stepped(job, listener.share) if heard else None

    def _result(self, running: _Running) -> Finished | Died | None:
        if not running.slurm.paths.result_pickle.exists():
            return None
        try:
            outcome = running.slurm.result()
        except Exception as error:  # outside of the job itself, so that no other would fare better
            lines = [line.strip() for line in str(error).splitlines() if line.strip(" -")]
            why = next((line for line in reversed(lines) if "Error" in line), lines[-1] if lines else "no message")
            raise FaninError(
                f"a Slurm job cannot begin ({why}); every node needs the same fanin, Python and modules"
            ) from error
        if isinstance(outcome, remote.NotShared):
            raise outcome.error()
        return replace(outcome, job=running.job)

    def _over(self, running: _Running) -> bool:
        """Whether it has ended without a result."""
        now = time.monotonic()
        local = self.cluster == "local"
        if running.ended is None and (local or now - running.asked >= ASK):
            running.asked = now
            if _state(running.slurm).split()[0].rstrip("+") not in WAITING:
                running.ended = now
        return running.ended is not None and now - running.ended >= (LOOK if local else GRACE)

    def _cancel(self, running: _Running) -> None:
        with contextlib.suppress(Exception):  # it may be over by now
            running.slurm.cancel(check=False)


def carry(job: Job, payload: Payload, carry_out: str, session: str) -> Any:
    """What a Slurm task does."""
    # submitit turns signals into exceptions, which a run would take for its own failure, and ignores SIGTERM: the task of a
    # job that is to end must be gone instead.
    for name in ("SIGTERM", "SIGCONT", os.environ.get("SUBMITIT_PREEMPT_SIGNAL", "USR2")):
        number = getattr(signal, name if name.startswith("SIG") else f"SIG{name}", None)
        if number is not None:
            signal.signal(number, signal.SIG_DFL if name == "SIGCONT" else _end)
    return remote.carry(job, payload, carry_out, session)


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(128 + number)


def _state(slurm: Any) -> str:
    return str(slurm.state or "UNKNOWN").upper()


def _read(parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters with their types, as a command line gives them all as text."""
    known = importlib.import_module("submitit.slurm.slurm")._get_default_parameters()
    read = {}
    for name, value in parameters.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}" if near else f"accepted are {', '.join(sorted(known))}"
            raise FaninValueError(f"slurm has no parameter {name!r}; {hint}")
        if isinstance(value, str):
            value = (
                _minutes(value) if name == "time" else _whole(name, value) if name in WHOLE else
                [value] if name in ("setup", "teardown", "srun_args") else value
            )  # fmt: skip
        read[name] = value
    return read


def _whole(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise FaninValueError(f"slurm's {name}={value!r} must be a whole number") from None


def _minutes(value: str) -> int:
    """Slurm's own ways to write a time: minutes, hours:minutes:seconds, days-hours:minutes.

    Example:
        >>> _minutes("90"), _minutes("1:30:00"), _minutes("2-12"), _minutes("1-00:30"), _minutes("10:30")
        (90, 90, 3600, 1470, 11)
    """
    days, dash, clock = value.rpartition("-")
    try:
        parts = [int(part) for part in clock.split(":")]
        if dash:
            hours, minutes, seconds = (*parts, 0, 0)[:3]
        elif len(parts) == 3:
            hours, minutes, seconds = parts
        else:
            hours, minutes, seconds = 0, *(*parts, 0)[:2]
        total = int(days or 0) * 1440 + hours * 60 + minutes + -(-seconds // 60)
        if total <= 0 or len(parts) > 3:
            raise ValueError
    except ValueError:
        raise FaninValueError(
            f"slurm's time={value!r} must be minutes, hours:minutes:seconds or days-hours:minutes"
        ) from None
    return total


def _left_the_queue(job: str) -> bool:
    """Whether a silent job is not at work any more: a cluster without accounting does not say so by itself."""
    try:
        found = subprocess.run(["squeue", "-h", "-j", job], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.SubprocessError):
        return False
    return not found.stdout.strip() and (found.returncode == 0 or "nvalid job id" in found.stderr)


def _cancel_by_name(name: str) -> None:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        subprocess.run(["scancel", f"--name={name}"], capture_output=True, timeout=60, check=False)


@contextlib.contextmanager
def _one_sentence() -> Iterator[None]:
    """What submitit raises, as one sentence."""
    try:
        yield
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip(" -")]
        said = next((line for line in lines if "error" in line.lower()), lines[0] if lines else type(error).__name__)
        raise FaninError(f"Slurm takes no job ({said})") from error
