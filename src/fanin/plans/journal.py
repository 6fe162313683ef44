"""Which pieces of a stream are written: a file that only grows, one line a piece."""

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from fanin.errors import FaninValueError

BOOT = Path("/proc/sys/kernel/random/boot_id")
FLUSHED, FINISHED = "flushed", "finished"


def boot() -> str:
    """What this start of the machine is called; "" where that is not known."""
    try:
        return BOOT.read_text().strip()
    except OSError:
        return ""


class Busy(FaninValueError):
    """Another process has this journal open."""


class Journal:
    """The journal of one stream, locked for this process while it is open.

    Each line is a file's name and a key. Lines of an earlier start of the machine count only where the file was flushed
    after them.
    """

    def __init__(self, path: Path, identity: str) -> None:
        self.path, self.identity = path, identity
        self.lock = threading.Lock()

    def __enter__(self) -> Self:
        self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            self._take()
            self._read()
        except BaseException:
            os.close(self.descriptor)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        os.close(self.descriptor)

    def _take(self) -> None:
        try:
            import fcntl
        except ImportError:  # not Unix: nobody is kept out
            return
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            there = os.stat(self.path)  # what was locked may be a journal that another process has taken away since
            ours = os.path.samestat(os.fstat(self.descriptor), there)
        except OSError:
            ours = False
        if not ours:
            raise Busy(f"another process is writing to {self.path.parent.parent} at this moment")

    def _read(self) -> None:
        text = self.path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]  # a line that was cut off says nothing
        lines = whole.splitlines()
        self._done: set[tuple[str, str]] = set()
        self.finished = False
        if not lines:
            os.ftruncate(self.descriptor, 0)
            self._line(self.identity, boot())
            return
        identity, started = lines[0].split("\t")
        if identity != self.identity:
            raise FaninValueError(
                f"{self.path.parent} holds the unfinished stream of another plan, seed, size or model; finish that, or remove it"
            )
        if len(whole) != len(text):
            os.ftruncate(self.descriptor, len(whole.encode()))
        same = started == boot() != ""
        kept: list[tuple[str, str]] = []
        for line in lines[1:]:
            name, key = line.rsplit("\t", 1)
            if key == FINISHED:
                self.finished = True
            kept.append((name, key))
        flushed = {name for name, key in kept if key == FLUSHED}
        self._done = {(name, key) for name, key in kept if same or name in flushed}
        if not same:  # from here on, lines are of this start of the machine
            # In the order in which they came, a file's header before its pieces, and in one write: a kill leaves all or nothing.
            still = [pair for pair in dict.fromkeys(kept) if pair in self._done and pair[1] != FINISHED]
            ends = [("", FINISHED)] if self.finished else []
            os.ftruncate(self.descriptor, 0)
            self._write([(self.identity, boot()), *still, *ends])

    def _line(self, name: str, key: str) -> None:
        self._write([(name, key)])

    def _write(self, lines: list[tuple[str, str]]) -> None:
        os.write(self.descriptor, "".join(f"{name}\t{key}\n" for name, key in lines).encode())

    def has(self, name: str, key: str) -> bool:
        """Whether this piece of this file is written."""
        return (name, key) in self._done

    def add(self, name: str, key: str) -> None:
        """This piece of this file is written."""
        with self.lock:
            self._line(name, key)
            self._done.add((name, key))

    def flush(self, file: Path, name: str) -> None:
        """Wait until a file is on the disk, and note it."""
        if self.has(name, FLUSHED):
            return
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self.add(name, FLUSHED)

    def finish(self) -> None:
        """Every file is whole; what is left is to move them."""
        self.add("", FINISHED)
        os.fsync(self.descriptor)
        self.finished = True
