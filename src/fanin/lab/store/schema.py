"""The tables of a study's database, and connections to it."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from fanin.errors import FaninError, FaninValueError
from fanin.lab.machine import is_full

SCHEMA = 1  # of the folder: of the tables, of study.json, and of the lines of the curves
FILE = "study.sqlite"

# `row` is the whole RunRow as JSON without its config, and what is read back; the columns and the table `metrics` say
# the same to those who ask in SQL. `crc` is over key, config, row and the extent of the curve. `position` is the run's place in
# the study as it stands, NULL of a run that is no longer part of it. `committed` counts commits, so that a reader can ask
# for what is new. Nothing is decided by a time.
TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS sessions (number INTEGER PRIMARY KEY, began TEXT NOT NULL, environment TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS runs (
    key TEXT PRIMARY KEY, position INTEGER,
    model TEXT NOT NULL, plan TEXT NOT NULL, data TEXT NOT NULL, optimizer TEXT NOT NULL, lr REAL NOT NULL,
    batch_size INTEGER NOT NULL, seed INTEGER NOT NULL, stacked INTEGER NOT NULL, config TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending', diverged INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '', note TEXT NOT NULL DEFAULT '', seconds REAL NOT NULL DEFAULT 0,
    row TEXT NOT NULL DEFAULT '', curve TEXT NOT NULL DEFAULT '', curve_length INTEGER NOT NULL DEFAULT 0,
    curve_crc INTEGER NOT NULL DEFAULT 0, crc INTEGER NOT NULL DEFAULT 0, committed INTEGER NOT NULL DEFAULT 0,
    committed_at TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX IF NOT EXISTS runs_by_position ON runs (position);
CREATE INDEX IF NOT EXISTS runs_by_commit ON runs (committed);
CREATE TABLE IF NOT EXISTS metrics (
    key TEXT NOT NULL, part TEXT NOT NULL, name TEXT NOT NULL, value REAL, PRIMARY KEY (key, part, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS choices (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS reference_lines (data TEXT PRIMARY KEY, lines TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS log (number INTEGER PRIMARY KEY, key TEXT NOT NULL, said TEXT NOT NULL) STRICT;
"""


class DiskFull(FaninError):
    """The disk that holds a study is full: what was committed stays, and the study can be resumed."""


def connect(folder: Path, readonly: bool, name: str = FILE) -> sqlite3.Connection:
    """A connection to the database in `folder`; without `readonly`, tables that are missing are made.

    Raises:
        FaninValueError: it is of a newer schema.
        FaninError: there is none to be read.
    """
    path = folder / name
    if (found := _version(path)) > SCHEMA:
        raise FaninValueError(newer(folder, found))
    if readonly:
        if is_missing(folder):
            raise FaninError(f"folder={str(folder)!r} has lost its {FILE}; resuming the study makes it anew")
        return _read(path)
    connection = sqlite3.connect(path, timeout=10, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(
        "PRAGMA synchronous=FULL"
    )  # a commit is on the disk when it returns, also if the power fails then
    with transaction(connection):
        for statement in TABLES.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={SCHEMA}")
    return connection


def is_missing(folder: Path) -> bool:
    """Whether there is no database, or one without a page."""
    try:
        return (folder / FILE).stat().st_size == 0
    except FileNotFoundError:
        return True


def newer(folder: Path, found: object) -> str:
    """The sentence that a folder of a newer schema is refused with."""
    return (
        f"folder={str(folder)!r} has a study of schema {found}, but this version of fanin reads up to {SCHEMA}; "
        "use a newer version of fanin"
    )


def _read(path: Path) -> sqlite3.Connection:
    """A connection that cannot write; `immutable` where even the files of the log cannot be made beside the database."""
    for options in ("mode=ro", "mode=ro&immutable=1"):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?{options}", uri=True, timeout=10, check_same_thread=False
        )
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            connection.close()
            if "immutable" in options:
                raise
        else:
            return connection
    raise AssertionError("unreachable")


def _version(path: Path) -> int:
    """PRAGMA user_version, read where the file format has it: a connection would leave files of its own beside it."""
    try:
        with open(path, "rb") as file:
            header = file.read(64)
    except FileNotFoundError:
        return 0
    return int.from_bytes(header[60:64], "big") if header.startswith(b"SQLite format 3") else 0


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection, durable: bool = True) -> Iterator[sqlite3.Connection]:
    """All that is written inside, or nothing.

    Args:
        durable: whether it is on the disk at the end. Without that it outlives this process, but a power cut may undo it: it
            is then undone whole, and so is all that came after it and was not durable either.
    """
    if not durable:
        connection.execute("PRAGMA synchronous=NORMAL")
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    finally:
        if not durable:
            connection.execute("PRAGMA synchronous=FULL")


@contextlib.contextmanager
def one_sentence(folder: Path) -> Iterator[None]:
    """Errors of the disk and of the database, as one sentence that says what to do."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if is_full(error):
            raise full(folder) from error
        if isinstance(error, sqlite3.OperationalError):
            busy = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            held = "; another program holds it: end that, then resume the study" if busy else ""
            raise FaninError(f"folder={str(folder)!r}: its {FILE} cannot be used ({error}){held}") from error
        raise FaninError(
            f"folder={str(folder)!r}: its {FILE} is damaged ({error}); resuming the study mends it"
        ) from error
    except OSError as error:
        if is_full(error):
            raise full(folder) from error
        raise FaninError(f"folder={str(folder)!r} cannot be written ({error.strerror})") from error


def full(folder: Path) -> DiskFull:
    """The error of a disk without room."""
    return DiskFull(
        f"the disk of folder={str(folder)!r} is full; what is done is kept: make room there, then resume the study"
    )
