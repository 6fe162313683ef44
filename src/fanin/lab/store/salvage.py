"""A database that SQLite finds damaged: what can be read of it goes into a new one, and the old one is kept aside."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fanin.lab.store.schema import FILE, connect, transaction

KEPT, MENDED = f"{FILE}.damaged", f"{FILE}.mended"
TABLES = ("meta", "sessions", "runs", "metrics", "choices", "reference_lines", "log")
UNCHECKED = 10_000_000  # a damaged tree may run in circles: no table is read further than this


def salvage(folder: Path, why: str) -> None:
    """Puts a new database in the place of the damaged one, with every row that can still be read.

    Rows are checked against their checksums afterwards, like those of any database that is opened. The new one is
    whole before it gets a name of its own, and takes the old one's after that (`finish`).
    """
    old, new = folder / FILE, folder / f"{FILE}.new"
    for left in (new, new.with_name(new.name + "-wal"), new.with_name(new.name + "-shm")):
        left.unlink(missing_ok=True)
    found = {table: list(_readable(old, table)) for table in TABLES}
    made = connect(folder, readonly=False, name=new.name)
    with transaction(made):
        for table, rows in found.items():
            _put(made, table, rows)
        kept = len(found["runs"])
        made.execute(
            "INSERT INTO log (key, said) VALUES ('', ?)",
            (f"the database was damaged ({why}); {kept} runs could be read of it, and it is kept as {KEPT}",),
        )
    made.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    made.close()
    (folder / KEPT).write_bytes(old.read_bytes())
    os.replace(new, folder / MENDED)
    finish(folder)


def finish(folder: Path) -> None:
    """Gives a mended database the name of the damaged one; also where the driver was killed while it did so."""
    mended, old = folder / MENDED, folder / FILE
    if mended.exists():
        for suffix in ("-wal", "-shm"):  # of the damaged one: they would be taken for the new one's
            old.with_name(old.name + suffix).unlink(missing_ok=True)
        os.replace(mended, old)


def _readable(file: Path, table: str) -> Iterator[dict[str, Any]]:
    """The rows of a table until the first that cannot be read, then from the other end; each once."""
    seen: set[Any] = set()
    for order in ("", "ORDER BY 1", "ORDER BY 1 DESC", "ORDER BY rowid DESC"):
        with contextlib.suppress(sqlite3.DatabaseError), contextlib.closing(sqlite3.connect(file)) as db:
            cursor = db.execute(f"SELECT * FROM {table} {order}")
            names = [column[0] for column in cursor.description]
            for number, row in enumerate(cursor):
                if number > UNCHECKED:
                    break
                mark = row[:3] if table == "metrics" else row[0]
                if mark not in seen:
                    seen.add(mark)
                    yield dict(zip(names, row, strict=True))


def _put(db: sqlite3.Connection, table: str, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        marks = ", ".join("?" * len(row))
        with contextlib.suppress(sqlite3.DatabaseError):  # a value of a wrong type: the row is lost
            db.execute(f"INSERT OR IGNORE INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))
