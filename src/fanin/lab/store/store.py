"""The store of a study: rows in SQLite, written by the driver alone; curves in files, written by workers."""

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from fanin.errors import FaninError, FaninValueError
from fanin.lab.jobs import Job
from fanin.lab.records import ReferenceLine
from fanin.lab.store import curves, mending, texts
from fanin.lab.store.curves import Extent
from fanin.lab.store.environment import changes, environment
from fanin.lab.store.lock import Lock
from fanin.lab.store.schema import connect, is_missing, one_sentence, transaction
from fanin.lab.store.study_file import holds_study, other_files, read_study, write_study
from fanin.lab.study.records import RunConfig, Study
from fanin.lab.study.rows import CurvePoint, RunRow

SETTLING = 16  # curves that are brought to the disk at once
ROW = "key, config, row, curve_length, curve_crc, crc, attempts"


class CurveMissing(FaninError):
    """A row came without the file of its curve; nothing was committed."""


class Store:
    """The folder of a study.

    It holds study.json (the definition), study.sqlite (runs, metrics, choices), curves/ (a file an attempt),
    checkpoints/, and the lock of the driver. Open it with `create` or `open`; readers need no lock and may work beside a
    driver.

    Attributes:
        folder: of the study.
        study: its definition.
        readonly: whether nothing can be written.

    Example:
        >>> import tempfile
        >>> from fanin.lab.study import TrainingSettings
        >>> config = RunConfig("mlp(depth=2)", "he_normal", "digits", "adam", 0.01, 64, 0, TrainingSettings())
        >>> with Store.create(tempfile.mkdtemp(), Study("mine")) as store:
        ...     added = store.define(store.study, {"its-key": config})
        ...     rows = store.commit([RunRow("its-key", config, "done", metrics={"accuracy": 0.9})])
        ...     added, store.counts()["done"], store.rows()[0].metrics
        (1, 1, {'accuracy': 0.9})
    """

    def __init__(self, folder: Path, study: Study, connection: sqlite3.Connection, lock: Lock | None):
        self.folder, self.study, self.readonly = folder, study, lock is None
        self._connection, self._lock = connection, lock
        self._settling = ThreadPoolExecutor(SETTLING)  # starts no thread before it has something to do

    @classmethod
    def create(cls, folder: str | Path, study: Study) -> Self:
        """A new study in `folder`, which is made, or is empty.

        Raises:
            FaninValueError: the folder holds a study already, or other files.
            FaninError: it cannot be written.
        """
        folder = Path(folder)
        if holds_study(folder):
            raise FaninValueError(f"folder={str(folder)!r} holds a study already")
        if others := other_files(folder):
            raise FaninValueError(
                f"folder={str(folder)!r} holds other files ({others[0]}, …); name an empty or a new folder"
            )
        with one_sentence(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock = Lock(folder)
            try:
                write_study(folder, study)
                curves.settle_folder(folder)
                return cls._writable(folder, study, lock)
            except BaseException:
                lock.release()
                raise

    @classmethod
    def open(cls, folder: str | Path, readonly: bool = False) -> Self:
        """The study in `folder`.

        For writing, what is damaged is found first: rows that are not what was committed, and curves that are shorter. Such
        runs are pending again, and `log` says so.

        Raises:
            FaninValueError: there is none, or it is of a newer schema; nothing is changed then.
            FaninError: a driver is at work on it, or it cannot be read.
        """
        folder = Path(folder)
        study = read_study(folder)
        with one_sentence(folder):
            if readonly:
                return cls(folder, study, connect(folder, readonly=True), None)
            lock = Lock(folder)
            try:
                return cls._writable(folder, study, lock)
            except BaseException:
                lock.release()
                raise

    @classmethod
    def _writable(cls, folder: Path, study: Study, lock: Lock) -> Self:
        for name in ("curves", "checkpoints"):
            (folder / name).mkdir(exist_ok=True)
        lost = is_missing(folder) and any((folder / "curves").iterdir())
        store = cls(folder, study, mending.sound_connection(folder), lock)
        store._begin_session()
        if lost:
            store.note("the database was gone, and all that it held is run again")
        mending.mend(store._connection, folder)
        return store

    def close(self) -> None:
        """Closes the database and gives the lock back."""
        self._settling.shutdown()
        self._connection.close()
        if self._lock:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What is to be run

    def define(self, study: Study, configs: Mapping[str, RunConfig]) -> int:
        """Makes `study` the definition, and `configs` (by key, in the order of the grid) its runs.

        Runs that are done stay done; those that are no longer part of the study are kept, but neither shown nor run.

        Returns:
            The number of runs that are new.
        """
        with one_sentence(self.folder):
            new = self.add_missing(configs)
            if study != self.study:
                write_study(self.folder, study)
                self.study = study
            return new

    def add_missing(self, configs: Mapping[str, RunConfig]) -> int:
        """Adds the runs of the grid that are not there yet, as pending; returns how many."""
        with one_sentence(self.folder), transaction(self._connection) as db:
            known = dict(db.execute("SELECT key, config FROM runs"))
            db.execute("UPDATE runs SET position = NULL")
            for position, (key, config) in enumerate(configs.items()):
                text = texts.config_text(config)
                if known.get(key) not in (text, None):
                    mending.put_config(db, key, known[key], config)
                elif key not in known:
                    db.execute(
                        "INSERT INTO runs (key, model, plan, data, optimizer, lr, batch_size, seed, stacked, config) "
                        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        (
                            *(key, config.model, config.plan, config.data, config.optimizer, config.lr),
                            *(config.batch_size, config.seed, config.stacked, text),
                        ),
                    )
                db.execute("UPDATE runs SET position = ? WHERE key = ?", (position, key))
            return sum(key not in known for key in configs)

    def pending_keys(self) -> tuple[str, ...]:
        """The keys of the study's runs that have no result yet, in the order of the grid."""
        found = self._all("SELECT key FROM runs WHERE position IS NOT NULL AND state = 'pending' ORDER BY position")
        return tuple(key for (key,) in found)

    def finished(self, dropped: bool = True) -> set[str]:
        """The keys of all runs that have a result, with `dropped` also of those that are no longer part of the study."""
        part = "" if dropped else " AND position IS NOT NULL"
        return {key for (key,) in self._all(f"SELECT key FROM runs WHERE state != 'pending'{part}")}

    def claim(self, jobs: Sequence[Job]) -> tuple[Job, ...]:
        """Counts an attempt at each job's runs, and returns the jobs with the number of that attempt.

        This waits for no disk: all that a power cut can undo is a number, and the next attempt writes that file anew.
        """
        claimed = []
        with one_sentence(self.folder), transaction(self._connection, durable=False) as db:
            for job in jobs:
                marks = ", ".join("?" * len(job.keys))
                attempt = db.execute(f"SELECT max(attempts) FROM runs WHERE key IN ({marks})", job.keys).fetchone()[0]
                db.execute(f"UPDATE runs SET attempts = ? WHERE key IN ({marks})", (attempt + 1, *job.keys))
                claimed.append(replace(job, attempt=attempt))
        return tuple(claimed)

    def commit(self, rows: Iterable[RunRow]) -> tuple[RunRow, ...]:
        """Commits the rows of one or more jobs, all or none; a run that has a result already keeps it.

        Returns:
            Those that were committed, with the number of attempts.

        Raises:
            CurveMissing: the file that a row names is not there.
            DiskFull: nothing of it was committed.
        """
        rows, done = tuple(rows), []
        extents = self._settle(rows)
        with one_sentence(self.folder), transaction(self._connection) as db:
            number = db.execute("SELECT max(committed) FROM runs").fetchone()[0] or 0
            for row in rows:
                found = db.execute("SELECT attempts, config FROM runs WHERE key = ? AND state = 'pending'", (row.key,))
                if (known := found.fetchone()) is None:
                    continue
                number += 1
                done.append(replace(row, attempts=known[0]))
                _write(db, done[-1], known[1], extents[row.key], number)
        for row in done:
            mending.remove_other_curves(self.folder, row)
        return tuple(done)

    def _settle(self, rows: Sequence[RunRow]) -> dict[str, Extent]:
        """Brings the curves to the disk before a row says that they are there."""
        found = {row.key: Extent() for row in rows}
        curved = [row for row in rows if row.curve]
        with one_sentence(self.folder):
            # many at once: a disk takes them in one go, and one after the other they cost more than small models' training
            for some in self._settling.map(
                self._extents, [curved[i::SETTLING] for i in range(min(SETTLING, len(curved)))]
            ):
                found |= some
            curves.settle_folder(self.folder / "curves")
        return found

    def _extents(self, rows: Sequence[RunRow]) -> dict[str, Extent]:
        return {row.key: self._extent(row) for row in rows}

    def _extent(self, row: RunRow) -> Extent:
        try:
            return curves.settle(self.folder / row.curve)
        except FileNotFoundError:
            raise CurveMissing(f"the file {row.curve!r} of run {row.key} is not there") from None

    def forget_failed(self) -> int:
        """Makes failed runs of the study pending again; returns how many."""
        with one_sentence(self.folder), transaction(self._connection) as db:
            keys = db.execute("SELECT key FROM runs WHERE state = 'failed' AND position IS NOT NULL").fetchall()
            for (key,) in keys:
                mending.forget(db, key, "it had failed, and is tried again")
            return len(keys)

    # What was measured

    def rows(self, after: int = 0) -> tuple[RunRow, ...]:
        """Every run of the study in the order of the grid, pending ones among them.

        A row that is not what was committed comes as a pending one, with a note.

        Args:
            after: only those committed later than this number (see `newest`), and then no pending ones.

        Raises:
            FaninError: what a run is (its config) is damaged.
        """
        where = "committed > ?" if after else "1 OR committed > ?"
        found = self._all(
            f"SELECT {ROW} FROM runs WHERE position IS NOT NULL AND ({where}) ORDER BY position", (after,)
        )
        try:
            return tuple(
                texts.row_of(key, config, row, Extent(n, c), crc, a) for key, config, row, n, c, crc, a in found
            )
        except ValueError as error:
            raise FaninError(
                f"folder={str(self.folder)!r}: what one of its runs is cannot be read ({error}); resuming the study mends it"
            ) from error

    def configs(self) -> tuple[RunConfig, ...]:
        """What every run of the study is, in the order of the grid; those aside whose config is damaged."""
        found = []
        for (text,) in self._all("SELECT config FROM runs WHERE position IS NOT NULL ORDER BY position"):
            with contextlib.suppress(ValueError):
                found.append(texts.config_of(text))
        return tuple(found)

    def newest(self) -> int:
        """Number of the newest commit; 0 where there is none."""
        return self._all("SELECT max(committed) FROM runs")[0][0] or 0

    def counts(self) -> dict[str, int]:
        """How many runs of the study are "pending", "done", "failed", and (among those done) "diverged"."""
        found = self._all("SELECT state, count(*), sum(diverged) FROM runs WHERE position IS NOT NULL GROUP BY state")
        by_state = {state: count for state, count, _ in found}
        diverged = sum(diverged for state, _, diverged in found if state == "done")
        return {**{s: by_state.get(s, 0) for s in ("pending", "done", "failed")}, "diverged": diverged}

    def curve(self, row: RunRow) -> tuple[CurvePoint, ...]:
        """The points of a run; of a pending one those that its newest attempt has written so far."""
        if row.state != "pending" and row.curve:
            length = self._all("SELECT curve_length FROM runs WHERE key = ?", (row.key,))[0][0]
            return curves.read_curve(self.folder / row.curve, length)
        newest = mending.newest_curve(self.folder, row.key)
        return curves.read_curve(newest) if newest and row.state == "pending" else ()

    # What holds for the whole study

    def choice(self, name: str) -> Any:
        """A choice that was made once for the study, None where it was not made yet."""
        found = self._all("SELECT value FROM choices WHERE name = ?", (name,))
        return json.loads(found[0][0]) if found else None

    def choices(self, kind: str) -> dict[str, Any]:
        """The choices whose names begin with "kind:", by what follows."""
        found = self._all("SELECT name, value FROM choices ORDER BY rowid")
        return {name.removeprefix(f"{kind}:"): json.loads(v) for name, v in found if name.startswith(f"{kind}:")}

    def choose(self, name: str, value: Any, again: bool = False) -> Any:
        """Makes a choice (anything that JSON can say), unless it was made before and is not to be made again; returns what holds."""
        with one_sentence(self.folder), transaction(self._connection) as db:
            db.execute(
                f"INSERT OR {'REPLACE' if again else 'IGNORE'} INTO choices VALUES (?, ?)", (name, json.dumps(value))
            )
        return self.choice(name)

    def references(self) -> dict[str, tuple[ReferenceLine, ...]]:
        """What ordinary learners reach, by data set."""
        found = self._all("SELECT data, lines FROM reference_lines ORDER BY data")
        return {data: tuple(ReferenceLine.from_dict(line) for line in json.loads(lines)) for data, lines in found}

    def put_references(self, data: str, lines: Sequence[ReferenceLine]) -> None:
        """Keeps what ordinary learners reach on a data set."""
        text = json.dumps([line.to_dict() for line in lines])
        with one_sentence(self.folder), transaction(self._connection) as db:
            db.execute("INSERT OR REPLACE INTO reference_lines VALUES (?, ?)", (data, text))

    def environments(self) -> tuple[dict[str, str], ...]:
        """Versions and hardware that the study was run with, oldest first; one that follows itself is told once."""
        return tuple(json.loads(e) for (e,) in self._all("SELECT environment FROM sessions ORDER BY number"))

    def began(self) -> tuple[str, ...]:
        """When each session of a driver began (ISO 8601, UTC), oldest first; for people, nothing is decided by it."""
        return tuple(began for (began,) in self._all("SELECT began FROM sessions ORDER BY number"))

    def log(self) -> tuple[str, ...]:
        """What happened to the study that should be known beside its rows, one sentence each."""
        found = self._all("SELECT key, said FROM log ORDER BY number")
        return tuple(f"run {key}: {said}" if key else said for key, said in found)

    def note(self, said: str, key: str = "") -> None:
        """Adds a sentence to the log."""
        with one_sentence(self.folder), transaction(self._connection) as db:
            mending.say(db, key, said)

    def _begin_session(self) -> None:
        now, before = environment(), self.environments()
        if before and before[-1] == now:
            return
        with transaction(self._connection) as db:
            began = datetime.now(UTC).isoformat(timespec="seconds")  # for people; nothing is decided by it
            db.execute("INSERT INTO sessions (began, environment) VALUES (?, ?)", (began, json.dumps(now)))
            if before and (changed := changes(before[-1], now)):
                mending.say(db, "", f"continued with {changed}")

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with one_sentence(self.folder):
            return self._connection.execute(sql, values).fetchall()


def _write(db: sqlite3.Connection, row: RunRow, config: str, extent: Extent, number: int) -> None:
    text = texts.row_text(row)
    db.execute(
        "UPDATE runs SET state = ?, diverged = ?, error = ?, note = ?, seconds = ?, row = ?, curve = ?, curve_length = ?, "
        "curve_crc = ?, crc = ?, committed = ?, committed_at = ? WHERE key = ?",
        (
            *(row.state, row.diverged, row.error, row.note, row.seconds, text, row.curve, extent.length, extent.crc),
            *(texts.checksum(row.key, config, text, extent), number),
            *(datetime.now(UTC).isoformat(timespec="seconds"), row.key),
        ),
    )
    db.execute("DELETE FROM metrics WHERE key = ?", (row.key,))
    db.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?)", texts.metrics_of(row))
