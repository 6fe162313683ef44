"""What goes from a study's driver to its executors and back."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from fanin.lab.study.records import RunConfig
from fanin.lab.study.rows import RunRow
from fanin.records import Record


@dataclass(frozen=True)
class Job(Record):
    """Runs that one worker carries out in one go: one run, or a stack of runs that train at once.

    Attributes:
        number: of the job in this session of the driver.
        keys, configs: of its runs, in order.
        attempt: how often it was begun before.
        folder: the study's folder, where curves and checkpoints are written.
        patience: seconds without a sign of life after which it counts as hung.
    """

    number: int
    keys: tuple[str, ...]
    configs: tuple[RunConfig, ...]
    attempt: int = 0
    folder: str = ""
    patience: float = 300.0


@dataclass(frozen=True)
class Stepped:
    """A job is alive: this share of its steps is done (0 to 1)."""

    job: Job
    share: float


@dataclass(frozen=True)
class Finished:
    """A job is done: a row a run, "done" or "failed"."""

    job: Job
    rows: tuple[RunRow, ...]


@dataclass(frozen=True)
class Died:
    """A job ended without a result: its process was killed, or its node is gone.

    Attributes:
        why: in words ("its process was killed by signal 9 (out of memory?)").
        hung: whether it was ended here because it gave no sign of life.
        share: of its steps that were done when it was last heard of.
        raised: whether it ended with an exception of its own: the same again would end the same.
        full: whether there was no room to write; nothing can go on then.
    """

    job: Job
    why: str
    hung: bool = False
    share: float = 0.0
    raised: bool = False
    full: bool = False


Event = Stepped | Finished | Died


class Executor(Protocol):
    """Carries jobs out somewhere. Not one of its methods touches the store."""

    @property
    def capacity(self) -> int:
        """Jobs that are worth having submitted at once."""
        ...

    def submit(self, job: Job) -> None:
        """Takes a job over; returns at once (the serial executor may carry it out in `events`)."""
        ...

    def events(self, timeout: float) -> Iterable[Event]:
        """What happened since the last call; waits at most about `timeout` seconds for something to happen."""
        ...

    def close(self) -> None:
        """Ends every process that is still at work; called in any case, also after Ctrl-C."""
        ...


@dataclass(frozen=True, eq=False)
class Payload:
    """What every worker of a study is sent once.

    Attributes:
        bindings: objects of the user's own by name (see `Bindings`), pickled.
        modules: files of modules that a fresh process could not import by name: name → file.
        environment: variables that workers need (FANIN_DATA).
        here: the objects themselves, for an executor that carries jobs out in this process; never sent.
    """

    bindings: bytes = b""
    modules: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    here: dict[str, Any] | None = None


def curve_file(folder: Path, key: str, attempt: int) -> Path:
    """The append-only file of one attempt at a run; the row of a finished run names the one that counts."""
    return folder / "curves" / f"{key}.{attempt}.jsonl"


def checkpoint_file(folder: Path, job: Job, group: int = 0) -> Path:
    """The newest checkpoint of a group of a job's runs that train together, written whole or not at all.

    It goes by the first key of the whole job, which the driver knows: groups are the worker's matter.
    """
    return folder / "checkpoints" / f"{job.keys[0]}.{len(job.keys)}.{group}.pt"


def checkpoint_files(folder: Path, job: Job) -> list[Path]:
    """The checkpoints that there are of a job."""
    return sorted((folder / "checkpoints").glob(f"{job.keys[0]}.{len(job.keys)}.*.pt"))
