"""What is in a study's folder now, kept up to date by looking again: nothing is asked of the driver, nothing is written."""

import json
import math
import os
import re
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fanin.errors import FaninError
from fanin.lab.estimate import Kind, kind_of
from fanin.lab.store import Store, is_locked
from fanin.lab.store.schema import FILE
from fanin.lab.store.study_file import NAME
from fanin.lab.study.records import RunConfig
from fanin.lab.study.rows import RunRow

State = Literal["waiting", "running", "done", "diverged", "failed"]
FIELDS = ("step", "held_score", "held_loss", "train_loss", "grad_norm")  # of a point, in this order
CURVE = re.compile(r"(?P<key>.+)\.(?P<attempt>\d+)\.jsonl")
WINDOW = 600.0  # seconds that the pace of a study is measured over
SOON = 15.0  # seconds before there is a pace

Point = tuple[float | None, ...]


@dataclass(eq=False)
class LiveRun:
    """One run as it stands.

    Attributes:
        number: its place in the study.
        row: its row; "pending" of one that is not done.
        state: in words.
        points: of its curve so far, each as `FIELDS` says, None for what was not measured.
        epoch: rises when the points begin anew (another attempt).
    """

    number: int
    row: RunRow
    state: State = "waiting"
    points: list[Point] = field(default_factory=list)
    epoch: int = 0
    _file: str = ""
    _read: int = 0
    _grew: float = -1.0  # when the driver began under which it was seen to grow

    @property
    def config(self) -> RunConfig:
        """What the run is."""
        return self.row.config

    def read(self, path: Path) -> bool:
        """Reads what was added to its curve, or another file from its start; whether there was something."""
        try:
            with open(path, "rb") as file:
                if path.name != self._file or os.fstat(file.fileno()).st_size < self._read:
                    self._file, self._read, self.points = path.name, 0, []
                    self.epoch += 1
                file.seek(self._read)
                new = file.read()
        except OSError:
            return False
        whole = new.rpartition(b"\n")[0]  # what stands behind the last line's end is still being written
        if not whole:
            return False
        self._read += len(whole) + 1
        found = [point for line in whole.split(b"\n") if (point := _point(line))]
        self.points += found
        return bool(found)


class Watched:
    """A study's folder that is being watched; `look` brings it up to date.

    Attributes:
        store: opened for reading.
        runs: by key, in the order of the grid.
        version: rises with everything that is new.

    Raises:
        FaninValueError: the folder holds no study, or one of a newer schema.
        FaninError: it cannot be read.
    """

    def __init__(self, folder: str | Path) -> None:
        self.store = Store.open(folder, readonly=True)
        self.folder = self.store.folder
        self._files = self._stamps()
        self._log: tuple[str, ...] = ()
        self.runs: dict[str, LiveRun] = {}
        self.version, self.locked = 0, False
        self._newest, self._total = -1, -1
        self._pace: deque[tuple[float, float]] = deque()  # when, and seconds of work that were done by then
        self._looking = threading.Lock()
        self.look()

    def close(self) -> None:
        """Closes the store."""
        with self._looking:
            self.store.close()

    def log(self) -> tuple[str, ...]:
        """What the study's log says, the newest last."""
        return self._log

    def look(self) -> bool:
        """Reads what is new; whether there was something.

        Raises:
            FaninError: the folder is gone, or cannot be read now.
        """
        with self._looking:  # one connection, and pages are served by several threads
            locked = is_locked(self.folder)
            changed, self.locked = locked != self.locked, locked
            changed = self._reopened() or changed
            changed = self._rows() or changed
            changed = self._curves() or changed
            now = time.monotonic()
            self._pace.append((now, self._work()))
            while now - self._pace[0][0] > WINDOW:
                self._pace.popleft()
            self._log = self.store.log()
            self.version += changed
            return changed

    def _reopened(self) -> bool:
        """Whether the files were replaced since they were opened: the study has grown, was mended, or was begun anew."""
        found = self._stamps()
        if found == self._files:
            return False
        opened = Store.open(self.folder, readonly=True)
        self.store.close()
        self.store, self._files = opened, found
        self._newest, self._total = -1, -1
        return True

    def _stamps(self) -> list[tuple[int, int]]:
        """Others once a file has another one's place; a database is written in place."""
        found = []
        for name in (NAME, FILE):
            try:
                stat = (self.folder / name).stat()
            except OSError:
                raise FaninError(f"folder={str(self.folder)!r} holds no study any more (its {name} is gone)") from None
            found.append((stat.st_dev, stat.st_ino))
        return found

    def _rows(self) -> bool:
        newest, counts = self.store.newest(), self.store.counts()
        total, over = counts["pending"] + counts["done"] + counts["failed"], counts["done"] + counts["failed"]
        if (newest, total) == (self._newest, self._total) and self._over() == over:
            return False
        if total == self._total and newest > self._newest > 0:
            for row in self.store.rows(self._newest):
                if row.key in self.runs:
                    self._take(self.runs[row.key], row)
        if total != self._total or self._over() != over:  # it has grown, or runs that failed are tried again
            rows, before = self.store.rows(), self.runs
            self.runs = {row.key: before.get(row.key) or LiveRun(0, row) for row in rows}
            for number, row in enumerate(rows):
                self.runs[row.key].number = number
                self._take(self.runs[row.key], row)
        self._newest, self._total = newest, total
        return True

    def _over(self) -> int:
        return sum(run.row.state != "pending" for run in self.runs.values())

    def _take(self, run: LiveRun, row: RunRow) -> None:
        run.row = row
        if row.state != "pending" or run.state != "running":
            run.state = _state(row)
        if row.curve:
            run.read(self.folder / row.curve)

    def _curves(self) -> bool:
        """Curves of runs that are at work; the newest attempt of each."""
        newest: dict[str, tuple[int, os.DirEntry[str]]] = {}
        try:
            with os.scandir(self.folder / "curves") as entries:
                for entry in entries:
                    found = CURVE.fullmatch(entry.name)
                    run = self.runs.get(found["key"]) if found else None
                    if found and run and run.row.state == "pending":
                        newest[found["key"]] = max(
                            newest.get(found["key"], (-1, entry)), (int(found["attempt"]), entry), key=_first
                        )
            began = (self.folder / "lock").stat().st_mtime  # by the clock that the curves' times are by, too
        except OSError:
            return False
        changed = False
        for key, (_, entry) in newest.items():
            run = self.runs[key]
            try:
                seen = entry.stat()
            except OSError:
                continue
            if (
                entry.name == run._file and seen.st_size > run._read
            ):  # seen to grow: true also where the clock was set back
                run._grew = began
            at_work = self.locked and (seen.st_mtime >= began - 1 or run._grew == began)
            state: State = "running" if at_work else "waiting"
            if seen.st_size != run._read or entry.name != run._file:
                changed = run.read(Path(entry.path)) or changed
            if state != run.state:
                run.state, changed = state, True
        return changed

    def left(self) -> float | None:
        """Seconds until the study is done, estimated; None before anything is known or while no driver is at work."""
        pending = [run for run in self.runs.values() if run.row.state == "pending"]
        seconds = self._seconds()
        if not pending or not seconds or not self.locked:
            return None
        mean = sum(seconds.values()) / len(seconds)
        rest = sum(seconds.get(kind_of(run.config), mean) for run in pending) - self._at_work(seconds)
        (then, before), (now, work) = self._pace[0], self._pace[-1]
        if now - then >= SOON and work > before:
            return max(0.0, rest) / ((work - before) / (now - then))
        running = [run for run in pending if run.state == "running"]
        at_once = len({run.number if not run.config.stacked else kind_of(run.config) for run in running})
        return max(0.0, rest) / max(1, at_once)

    def _work(self) -> float:
        done = sum(run.row.seconds for run in self.runs.values() if run.row.state == "done")
        return done + self._at_work(self._seconds())

    def _seconds(self) -> dict[Kind, float]:
        """What a run of each kind takes, from those that are done."""
        found: dict[Kind, list[float]] = {}
        for run in self.runs.values():
            if run.row.state == "done" and not run.row.diverged:
                found.setdefault(kind_of(run.config), []).append(run.row.seconds)
        return {kind: sum(values) / len(values) for kind, values in found.items()}

    def _at_work(self, seconds: dict[Kind, float]) -> float:
        """Seconds of work that are in the runs that are not done."""
        steps = {kind_of(run.config): run.row.planned_steps for run in self.runs.values() if run.row.planned_steps}
        done = 0.0
        for run in self.runs.values():
            kind = kind_of(run.config)
            if run.state == "running" and run.points and steps.get(kind):
                done += min(1.0, (run.points[-1][0] or 0.0) / steps[kind]) * seconds.get(kind, 0.0)
        return done


def counts_of(runs: Iterable[LiveRun]) -> dict[State, int]:
    """How many runs are in each state."""
    counts: dict[State, int] = {"waiting": 0, "running": 0, "done": 0, "diverged": 0, "failed": 0}
    for run in runs:
        counts[run.state] += 1
    return counts


def _state(row: RunRow) -> State:
    if row.state == "pending":
        return "waiting"
    return "failed" if row.state == "failed" else "diverged" if row.diverged else "done"


def _first(pair: tuple[int, object]) -> int:
    return pair[0]


def _point(line: bytes) -> Point | None:
    try:
        found = json.loads(line)
        values = [found.get(name) for name in FIELDS]
    except (ValueError, AttributeError):
        return None
    return tuple(v if isinstance(v, int | float) and math.isfinite(v) else None for v in values)
