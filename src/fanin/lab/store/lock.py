"""One driver a study: a lock that the system takes back when its process ends, however it ends."""

import json
import os
import socket
import time
from pathlib import Path
from typing import IO

from fanin.errors import FaninError

PAUSES = (0.02, 0.05, 0.1, 0.0)  # seconds between tries: `is_locked` of a reader holds the lock for an instant


class Busy(FaninError):
    """Another driver is at work on the study."""


class Lock:
    """The lock of a study's folder, held until `release` or the end of the process.

    The lock is the system's (flock, or msvcrt on Windows), not the file: a file that a killed driver left locks nobody out.
    What the file says (process and host) is for the sentence that the second driver is refused with.

    Raises:
        Busy: another process holds it.
    """

    def __init__(self, folder: Path):
        self.path = folder / "lock"
        self._file: IO[str] | None = open(self.path, "a+", encoding="utf-8")  # noqa: SIM115 (held open)
        if not any(_take(self._file) or time.sleep(pause) for pause in PAUSES):
            holder = _holder(self.path)
            self._file.close()
            self._file = None
            raise Busy(f"folder={str(folder)!r} is being run by {holder}; wait until that is over, or end it")
        self._file.truncate(0)
        self._file.write(json.dumps({"process": os.getpid(), "host": socket.gethostname()}))
        self._file.flush()

    def release(self) -> None:
        """Gives the lock back; a second call does nothing."""
        if self._file:
            self._file.truncate(0)
            self._file.close()
            self._file = None


def is_locked(folder: Path) -> bool:
    """Whether a driver is at work on the study in `folder`; takes nothing from it."""
    try:
        with open(folder / "lock", encoding="utf-8") as file:
            return not _take(file, shared=True)
    except OSError:
        return False


def _holder(path: Path) -> str:
    try:
        who = json.loads(path.read_text(encoding="utf-8"))
        return f"process {who['process']} on {who['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _take(file: IO[str], shared: bool = False) -> bool:
    """Whether the lock could be had at once."""
    try:
        import fcntl
    except ImportError:  # Windows
        return _take_on_windows(file)
    try:
        fcntl.flock(file.fileno(), (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _take_on_windows(file: IO[str]) -> bool:
    import msvcrt

    try:
        file.seek(1 << 20)  # far behind what the file holds, so that others can read it
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError:
        return False
    file.seek(0)
    return True
