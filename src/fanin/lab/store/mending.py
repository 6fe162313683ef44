"""What a crash or a bad disk left is found before anything is run: damaged rows, short curves, files that nobody names."""

import contextlib
import re
import sqlite3
from dataclasses import replace
from pathlib import Path

from fanin.lab.store.curves import Extent, is_whole
from fanin.lab.store.salvage import finish, salvage
from fanin.lab.store.schema import connect, transaction
from fanin.lab.store.study_file import NAME
from fanin.lab.store.texts import checksum, config_of, config_text
from fanin.lab.study.records import RunConfig
from fanin.lab.study.rows import RunRow

CURVE = re.compile(r"(?P<key>.+)\.(?P<attempt>\d+)\.jsonl")
CHECKPOINT = re.compile(r"(?P<key>.+)\.\d+\.\d+\.pt")


def sound_connection(folder: Path) -> sqlite3.Connection:
    """A connection for writing to a database that SQLite finds sound; one that is damaged is mended before."""
    finish(folder)
    try:
        return _checked(folder)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):  # no damage: no room, no right to write, another writer
            raise
        salvage(folder, str(error))
        return _checked(folder)


def _checked(folder: Path) -> sqlite3.Connection:
    connection = connect(folder, readonly=False)
    try:
        found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(" ".join(found.split()))
    except BaseException:
        connection.close()
        raise
    return connection


def mend(db: sqlite3.Connection, folder: Path) -> None:
    """Makes runs pending again whose rows or curves are not what was committed, and removes files that no row names."""
    columns = "key, config, row, curve, curve_length, curve_crc, crc"
    with transaction(db):
        found = db.execute(f"SELECT {columns} FROM runs WHERE state != 'pending'").fetchall()
        for key, config, row, curve, length, curve_crc, crc in found:
            extent = Extent(length, curve_crc)
            if checksum(key, config, row, extent) != crc:
                forget(db, key, "its row in the store was damaged, and it is run again")
            elif curve and not is_whole(folder / curve, extent):
                forget(db, key, "its curve on the disk was damaged or cut, and it is run again")
    _remove_leftovers(db, folder)


def forget(db: sqlite3.Connection, key: str, why: str) -> None:
    """Makes a run pending again, and says why in the log. Its attempts are still counted: their files keep their names."""
    db.execute(
        "UPDATE runs SET state = 'pending', diverged = 0, error = '', note = '', seconds = 0, row = '', curve = '', "
        "curve_length = 0, curve_crc = 0, crc = 0, committed = 0, committed_at = '' WHERE key = ?",
        (key,),
    )
    db.execute("DELETE FROM metrics WHERE key = ?", (key,))
    say(db, key, why)


def put_config(db: sqlite3.Connection, key: str, before: str, config: RunConfig) -> None:
    """Gives a run another config under its key: only its context may differ (the study has grown by an axis)."""
    text = config_text(config)
    try:
        grown = replace(config_of(before), context={}) == replace(config, context={})
    except ValueError:
        grown = False
    if not grown:
        forget(db, key, "its config in the store was damaged, and it is run again")
    found = db.execute("SELECT row, curve_length, curve_crc FROM runs WHERE key = ?", (key,)).fetchone()
    crc = checksum(key, text, found[0], Extent(*found[1:])) if found[0] else 0
    db.execute("UPDATE runs SET config = ?, crc = ? WHERE key = ?", (text, crc, key))


def say(db: sqlite3.Connection, key: str, said: str) -> None:
    """A sentence for the log."""
    db.execute("INSERT INTO log (key, said) VALUES (?, ?)", (key, said))


def remove_other_curves(folder: Path, row: RunRow) -> None:
    """Removes what earlier attempts at a run have left, now that one is committed."""
    for attempt in range(row.attempts):
        name = f"curves/{row.key}.{attempt}.jsonl"
        if name != row.curve:
            _remove(folder / name)


def newest_curve(folder: Path, key: str) -> Path | None:
    """The file of the newest attempt at a run that has left one."""
    found = [(int(m["attempt"]), p) for p in folder.glob(f"curves/{key}.*.jsonl") if (m := CURVE.fullmatch(p.name))]
    return max(found)[1] if found else None


def _remove_leftovers(db: sqlite3.Connection, folder: Path) -> None:
    """Removes the files of finished runs that were being removed when the driver ended, and files half written."""
    named = dict(db.execute("SELECT key, curve FROM runs WHERE state != 'pending'"))
    for path in (folder / "curves").iterdir():
        match = CURVE.fullmatch(path.name)
        if match and match["key"] in named and f"curves/{path.name}" != named[match["key"]]:
            _remove(path)
    for path in (folder / "checkpoints").iterdir():
        match = CHECKPOINT.fullmatch(path.name)
        if not match or match["key"] in named:
            _remove(path)

    for path in folder.glob(f".{NAME}.*"):  # of a definition that was being written
        _remove(path)


def _remove(path: Path) -> None:
    """Removes a file that nobody needs; one that cannot be removed is in nobody's way, and a folder (.ipynb_checkpoints) none of ours."""
    with contextlib.suppress(OSError):
        path.unlink()
