"""What executors on other machines share: all that must be known of a job goes through the study's folder.

A progress file says more than a message bus would: it needs no port, it outlives the process that wrote it, and a cluster's
nodes share the folder in any case, since curves and checkpoints stand there. No clock of another machine is ever read: the
driver looks whether a file's text has changed, by its own clock.
"""

import contextlib
import importlib.util
import os
import pickle
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fanin.errors import FaninError
from fanin.lab.executors.attempt import START, attempt, find
from fanin.lab.executors.payload import ONE_THREAD, unpack_environment
from fanin.lab.jobs import Died, Finished, Job, Payload

OF_A_MACHINE = (
    "TMPDIR",
    "CUDA_VISIBLE_DEVICES",
)  # the driver's own say nothing on another; a cluster gives devices out
PULSE = 1.0  # seconds between two signs of life: a shared file system takes no more from hundreds of workers


FIRST = "1 0.0"  # of a job's signs


@dataclass(frozen=True)
class NotShared:
    """What a worker says whose machine does not see the study's folder."""

    host: str
    folder: str

    def error(self) -> FaninError:
        """The sentence that the study ends with."""
        return FaninError(
            f"folder={self.folder!r} is not seen by the worker on {self.host}: curves and checkpoints are written there, so it "
            "must be on a file system that every node shares, under the same path"
        )


def carry(job: Job, payload: Payload, carry_out: str, session: str) -> Finished | Died | NotShared:
    """One attempt at a job, in a process of another machine's; its outcome does not hold the job, which the driver has."""
    folder = Path(job.folder)
    if not (folder / "signs" / session).is_file():
        return NotShared(socket.gethostname(), job.folder)
    sign = Sign(sign_file(folder, session, job))
    sign(0.0)
    sign.last = -PULSE  # so that the first step is told of at once: until then there is a framework to import
    os.environ.update(ONE_THREAD)
    unpack_environment(reachable(payload, folder))
    outcome, _ = attempt(find(carry_out), job, payload, sign)
    return replace(outcome, job=replace(job, configs=()))


class Sign:
    """The share of a job that is done, written to a file now and then."""

    def __init__(self, file: Path) -> None:
        self.file, self.count, self.last = file, 0, -PULSE

    def __call__(self, share: float) -> None:
        now = time.monotonic()
        if now - self.last < PULSE:
            return
        self.last, self.count = now, self.count + 1
        new = self.file.with_name(f".{self.file.name}.{os.getpid()}")
        with contextlib.suppress(OSError):  # a sign that could not be given must not end the work
            new.write_text(f"{self.count} {share!r}", encoding="ascii")
            os.replace(new, self.file)


class Listener:
    """What the driver hears of one job: the newest share, and since when nothing new has come."""

    def __init__(self, file: Path) -> None:
        self.file, self.share = file, 0.0
        self._text, self._since = "", 0.0

    @property
    def begun(self) -> bool:
        """Whether it was heard of at all: a job that waits for a free machine does not hang."""
        return bool(self._text)

    def look(self) -> bool:
        """Whether there is something new."""
        try:
            text = self.file.read_text(encoding="ascii")
            share = float(text.partition(" ")[2])
        except (OSError, ValueError):
            return False
        if text == self._text:
            return False
        self._text, self._since, self.share = text, time.monotonic(), share
        return True

    def silent(self) -> float:
        """Seconds since the last news; 0 before the first."""
        return time.monotonic() - self._since if self.begun else 0.0

    def patience(self, job: Job) -> float:
        """Seconds of silence after which it counts as hung; more before it has told of anything but its beginning."""
        return max(job.patience, START) if self._text == FIRST else job.patience

    def forget(self) -> None:
        """Removes the file."""
        with contextlib.suppress(OSError):
            self.file.unlink(missing_ok=True)


class Session:
    """One driver's share of the folder `signs`: a file by which workers know that they see the folder, and one a job.

    Args:
        folder: of the study.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, secrets.token_hex(6)
        self.signs = folder / "signs"
        self.signs.mkdir(parents=True, exist_ok=True)
        for left in self.signs.iterdir():  # by a driver that was killed; there is one at a time
            with contextlib.suppress(OSError):
                left.unlink()
        (self.signs / self.name).touch()

    def listen(self, job: Job) -> Listener:
        """The listener for a job that is being submitted."""
        return Listener(sign_file(self.folder, self.name, job))

    def close(self) -> None:
        """Removes what is left."""
        for file in self.signs.glob("*"):
            with contextlib.suppress(OSError):
                file.unlink()
        with contextlib.suppress(OSError):
            self.signs.rmdir()


def sign_file(folder: Path, session: str, job: Job) -> Path:
    """Where a job's worker tells of it."""
    return folder / "signs" / f"{session}.{job.number}.{job.attempt}"


def on_cuda(job: Job) -> bool:
    """Whether its runs need a GPU."""
    return any(config.training.device.startswith("cuda") for config in job.configs)


def folder_of(job: Job) -> Path:
    """The study's folder, whole: workers start in other places."""
    return Path(job.folder).absolute()


def travelling(payload: Payload, folder: Path, dumps: Callable[[Any], bytes]) -> Payload:
    """The payload for other machines: objects of a script pickled whole, and files of modules copied to the study's folder.

    Args:
        dumps: cloudpickle's, which also takes what the user's script (`__main__`) defines.
    """
    bindings = dumps(pickle.loads(payload.bindings)) if payload.bindings else b""
    for name, file in payload.modules.items():
        copy = _copy(folder, name)
        copy.parent.mkdir(parents=True, exist_ok=True)
        new = copy.with_name(f".{copy.name}.{os.getpid()}")
        new.write_bytes(Path(file).read_bytes())
        os.replace(new, copy)
    environment = {name: value for name, value in payload.environment.items() if name not in OF_A_MACHINE}
    return replace(payload, bindings=bindings, environment=environment)


def reachable(payload: Payload, folder: Path) -> Payload:
    """On the worker's machine: each module's own file where it is the same there (it may read others beside it), else the copy."""
    files = ((name, Path(file), _copy(folder, name)) for name, file in payload.modules.items())
    return replace(payload, modules={name: str(own if _same(own, copy) else copy) for name, own, copy in files})


def _copy(folder: Path, module: str) -> Path:
    return folder / "modules" / f"{module}.py"


def _same(own: Path, copy: Path) -> bool:
    try:
        return own.read_bytes() == copy.read_bytes()
    except OSError:
        return False


def needs(package: str, extra: str, executor: str) -> None:
    """Raises unless `package` is installed; it is not imported."""
    if importlib.util.find_spec(package) is None:
        raise FaninError(f"executor={executor!r} needs {package}; install it with: pip install 'fanin[{extra}]'")
