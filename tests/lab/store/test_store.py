"""The folder of a study: what is committed stays whatever happens, and what is damaged is never believed."""

import contextlib
import json
import math
import os
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.lab.fake_runs import carry_out, configs_of, study_of

from fanin.errors import FaninError, FaninValueError
from fanin.lab.jobs import Job, Payload, curve_file
from fanin.lab.records import ReferenceLine
from fanin.lab.store import CurveMissing, Store, is_locked
from fanin.lab.study import RunConfig, RunRow

STUDY = study_of(seeds=4)
CONFIGS = configs_of(STUDY)
KEYS = tuple(CONFIGS)


def begun(folder: Path) -> Store:
    store = Store.create(folder, STUDY)
    store.add_missing(CONFIGS)
    return store


def carried_out(store: Store, *keys: str) -> tuple[RunRow, ...]:
    """Claims runs and carries them out, without committing."""
    (job,) = store.claim([Job(1, keys, tuple(CONFIGS[k] for k in keys), 0, str(store.folder))])
    return carry_out(job, Payload(), lambda share: None)


def finished(folder: Path) -> tuple[RunRow, ...]:
    """A store with all runs done, closed."""
    with begun(folder) as store:
        return store.commit(carried_out(store, *KEYS))


def sql(folder: Path, statement: str, *values: Any) -> None:
    with sqlite3.connect(folder / "study.sqlite") as db:
        db.execute(statement, values)
    db.close()


def pending(store: Store) -> dict[str, RunConfig]:
    """The runs that have no result yet, by key; the store's own list of them must say the same."""
    found = {row.key: row.config for row in store.rows() if row.state == "pending"}
    assert store.pending_keys() == tuple(found)
    return found


def test_what_is_committed_is_read_back_equal_in_the_order_of_the_grid(tmp_path: Path) -> None:
    with begun(tmp_path / "s") as store:
        assert [row.state for row in store.rows()] == ["pending"] * 4
        assert list(pending(store)) == list(KEYS)
        rows = carried_out(store, *reversed(KEYS))
        assert store.commit(rows) == rows
        assert store.rows() == tuple(reversed(rows))
        assert pending(store) == {}
    with Store.open(tmp_path / "s", readonly=True) as store:
        assert store.study == STUDY
        assert store.rows() == tuple(reversed(rows))
        assert [point.step for point in store.curve(store.rows()[0])] == [0, 1, 2, 3]
        assert store.counts() == {"pending": 0, "done": 4, "failed": 0, "diverged": 0}


def test_the_tables_say_in_sql_what_the_rows_say(tmp_path: Path) -> None:
    rows = finished(tmp_path / "s")
    with sqlite3.connect(tmp_path / "s" / "study.sqlite") as db:
        found = db.execute(
            "SELECT seed, plan, lr, state, value FROM runs JOIN metrics USING (key) "
            "WHERE part = 'test' AND name = 'accuracy' ORDER BY seed"
        ).fetchall()
    assert found == [(r.config.seed, "default", 0.1, "done", r.metrics["accuracy"]) for r in rows]


def test_numbers_that_are_none_survive(tmp_path: Path) -> None:
    with begun(tmp_path / "s") as store:
        (row,) = carried_out(store, KEYS[0])
        odd = replace(
            row, diverged=True, metrics={"loss": math.inf, "accuracy": math.nan, "tiny": 5e-324, "x": 0.1 + 0.2}
        )
        store.commit([odd])
        got = store.rows()[0].metrics
        assert math.isnan(got.pop("accuracy"))
        assert got == {"loss": math.inf, "tiny": 5e-324, "x": 0.1 + 0.2}
        assert store.counts()["diverged"] == 1


def test_a_finished_run_keeps_its_first_result(tmp_path: Path) -> None:
    with begun(tmp_path / "s") as store:
        (row,) = carried_out(store, KEYS[0])
        assert len(store.commit([row])) == 1
        assert store.commit([replace(row, metrics={"accuracy": 2.0})]) == ()
        assert store.rows()[0] == row
        assert store.newest() == 1


def test_a_job_is_committed_whole_or_not_at_all(tmp_path: Path) -> None:
    with begun(tmp_path / "s") as store:
        rows = carried_out(store, *KEYS)
        (store.folder / rows[2].curve).unlink()
        with pytest.raises(CurveMissing, match="is not there"):
            store.commit(rows)
        assert store.counts()["pending"] == 4


def test_every_attempt_has_its_own_curve_and_only_the_committed_one_stays(tmp_path: Path) -> None:
    with begun(tmp_path / "s") as store:
        carried_out(store, KEYS[0])
        carried_out(store, KEYS[0])
        pending = store.rows()[0]
        assert pending.attempts == 2
        assert len(store.curve(pending)) == 4  # what the newest attempt has written so far
        (row,) = store.commit(carried_out(store, KEYS[0]))
        assert row.attempts == 3
        assert [p.name for p in (store.folder / "curves").iterdir()] == [f"{KEYS[0]}.2.jsonl"]


def test_attempts_are_counted_also_where_the_driver_was_killed(tmp_path: Path) -> None:
    with begun(tmp_path / "s") as store:
        carried_out(store, KEYS[0])
    with Store.open(tmp_path / "s") as store:
        (job,) = store.claim([Job(1, KEYS[:2], (CONFIGS[KEYS[0]], CONFIGS[KEYS[1]]))])
        assert job.attempt == 1  # of a stack: its members' most
        assert [row.attempts for row in store.rows()] == [2, 2, 0, 0]


def test_a_curve_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    with begun(tmp_path / "s") as store:
        carried_out(store, KEYS[0])
        with open(curve_file(store.folder, KEYS[0], 0), "a") as file:
            file.write('{"step": 4, "train_l')
        assert [p.step for p in store.curve(store.rows()[0])] == [0, 1, 2, 3]


@pytest.mark.parametrize("column", ["row", "config", "curve_length", "crc"])
def test_a_damaged_row_is_never_believed_and_run_again(tmp_path: Path, column: str) -> None:
    rows = finished(tmp_path / "s")
    change = {"row": "replace(row, '0.', '0.9')", "config": "replace(config, 'ok', 'ko')"}.get(column, f"{column} + 1")
    sql(tmp_path / "s", f"UPDATE runs SET {column} = {change} WHERE key = ?", KEYS[1])
    with Store.open(tmp_path / "s", readonly=True) as store:  # a reader changes nothing, and does not believe it either
        seen = store.rows()[1]
        assert (seen.state, seen.metrics) == ("pending", {})
        assert "damaged" in seen.note
    with Store.open(tmp_path / "s") as store:
        assert store.log() == (f"run {KEYS[1]}: its row in the store was damaged, and it is run again",)
        store.define(STUDY, CONFIGS)  # as the driver does: it knows what the config was
        assert pending(store) == {KEYS[1]: CONFIGS[KEYS[1]]}
        (again,) = store.commit(carried_out(store, KEYS[1]))
        assert replace(again, attempts=1, curve=rows[1].curve) == rows[1]
        assert store.rows()[0] == rows[0]


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"", lambda b: b"x" + b[1:], None])
def test_a_curve_that_is_cut_or_changed_is_found_and_run_again(tmp_path: Path, damage: Any) -> None:
    rows = finished(tmp_path / "s")
    path = tmp_path / "s" / rows[2].curve
    path.write_bytes(damage(path.read_bytes())) if damage else path.unlink()
    with Store.open(tmp_path / "s") as store:
        assert list(pending(store)) == [KEYS[2]]
        assert "curve" in store.log()[0]


def test_what_stands_behind_a_committed_curve_does_not_count(tmp_path: Path) -> None:
    rows = finished(tmp_path / "s")
    with open(tmp_path / "s" / rows[0].curve, "a") as file:  # a worker that was taken for dead goes on writing
        file.write(json.dumps({"step": 99}) + "\n")
    with Store.open(tmp_path / "s") as store:
        assert pending(store) == {}
        assert [p.step for p in store.curve(rows[0])] == [0, 1, 2, 3]


def test_a_damaged_database_is_mended_from_what_can_be_read(tmp_path: Path) -> None:
    rows = finished(tmp_path / "s")
    with Store.open(tmp_path / "s") as store:
        store.choose("stacked", True)
    file = tmp_path / "s" / "study.sqlite"
    content = bytearray(file.read_bytes())
    page = int.from_bytes(content[16:18], "big")
    roots = dict(sqlite3.connect(file).execute("SELECT name, rootpage FROM sqlite_master"))
    at = (roots["runs_by_commit"] - 1) * page
    content[at : at + page] = os.urandom(page)  # an index; its table is whole
    file.write_bytes(content)
    with Store.open(tmp_path / "s") as store:
        assert "damaged" in store.log()[-1]
        store.define(STUDY, CONFIGS)
        assert store.rows() == rows
        assert store.choice("stacked") is True


def test_a_database_that_is_gone_means_that_all_is_run_again(tmp_path: Path) -> None:
    finished(tmp_path / "s")
    (tmp_path / "s" / "study.sqlite").write_bytes(b"not a database at all, and long enough to have a header" * 40)
    with Store.open(tmp_path / "s") as store:
        assert store.define(STUDY, CONFIGS) == 4
        assert len(pending(store)) == 4
        assert "damaged" in store.log()[0]


@pytest.mark.parametrize("left", [None, b""])
def test_a_database_that_is_lost_is_said_to_readers_and_in_the_log(tmp_path: Path, left: bytes | None) -> None:
    finished(tmp_path / "s")
    for file in (tmp_path / "s").glob("study.sqlite*"):
        file.unlink()
    if left is not None:
        (tmp_path / "s" / "study.sqlite").write_bytes(left)
    with pytest.raises(FaninError, match=r"has lost its study.sqlite; resuming the study makes it anew$"):
        Store.open(tmp_path / "s", readonly=True)
    for _ in range(2):
        with Store.open(tmp_path / "s") as store:
            assert store.log() == ("the database was gone, and all that it held is run again",)


def test_what_cannot_be_removed_is_in_nobodys_way(tmp_path: Path) -> None:
    """A folder stands for a file that is somebody else's, or open on a file system that keeps it then."""
    with begun(tmp_path / "s") as store:
        carried_out(store, KEYS[0])
        curve_file(store.folder, KEYS[0], 0).unlink()
        curve_file(store.folder, KEYS[0], 0).mkdir()
        store.commit(carried_out(store, KEYS[0]))
        assert store.counts()["done"] == 1
    Store.open(tmp_path / "s").close()


def test_files_that_no_row_names_are_removed_on_opening(tmp_path: Path) -> None:
    rows = finished(tmp_path / "s")
    curves, checkpoints = tmp_path / "s" / "curves", tmp_path / "s" / "checkpoints"
    (curves / f"{KEYS[0]}.7.jsonl").write_text("{}\n")
    (checkpoints / f"{KEYS[0]}.4.pt").write_text("old")
    (checkpoints / "abc.1.0.pt.123").write_text("half")
    (checkpoints / "abc.1.0.pt").write_text("of a run that is not done")
    (tmp_path / "s" / ".study.json.abc.tmp").write_text("{")
    Store.open(tmp_path / "s").close()
    assert not list((tmp_path / "s").glob(".*"))
    assert sorted(p.name for p in curves.iterdir()) == sorted(Path(r.curve).name for r in rows)
    assert [p.name for p in checkpoints.iterdir()] == ["abc.1.0.pt"]


def test_a_folder_among_the_files_of_runs_is_left_alone(tmp_path: Path) -> None:
    """A notebook server makes one wherever it shows a folder."""
    finished(tmp_path / "s")
    for name in ("curves", "checkpoints"):
        (tmp_path / "s" / name / ".ipynb_checkpoints").mkdir()
    with Store.open(tmp_path / "s") as store:
        assert store.counts()["done"] == 4
    assert (tmp_path / "s" / "checkpoints" / ".ipynb_checkpoints").is_dir()


def test_growing_keeps_what_is_done(tmp_path: Path) -> None:
    rows = finished(tmp_path / "s")
    grown = study_of(seeds=6)
    with Store.open(tmp_path / "s") as store:
        assert store.define(grown, configs_of(grown)) == 2
        assert store.rows()[:4] == rows
        assert len(pending(store)) == 2
        small = study_of(seeds=2)
        assert store.define(small, configs_of(small)) == 0
        assert store.rows() == rows[:2]
        assert store.counts()["done"] == 2
        assert len(store.finished()) == 4  # the others are kept
    with Store.open(tmp_path / "s") as store:
        assert store.study == small
        store.define(STUDY, CONFIGS)
        assert store.rows() == rows


def test_a_context_that_has_grown_by_an_axis_costs_no_run(tmp_path: Path) -> None:
    rows = finished(tmp_path / "s")
    wider = {key: replace(config, context={**config.context, "depth": 3}) for key, config in CONFIGS.items()}
    with Store.open(tmp_path / "s") as store:
        assert store.define(STUDY, wider) == 0
        assert store.rows() == tuple(replace(row, config=wider[row.key]) for row in rows)
    with Store.open(tmp_path / "s") as store:
        assert pending(store) == {}
        assert store.log() == ()


def test_choices_are_made_once(tmp_path: Path) -> None:
    with begun(tmp_path / "s") as store:
        assert store.choice("stacked") is None
        assert store.choose("stacked", {"mlp": True}) == {"mlp": True}
        assert store.choose("stacked", {"mlp": False}) == {"mlp": True}
        store.choose("kind:a: b", 1)
        assert store.choices("kind") == {"a: b": 1}
    with Store.open(tmp_path / "s", readonly=True) as store:
        assert store.choice("stacked") == {"mlp": True}


def test_reference_lines_log_and_environment_are_kept(tmp_path: Path) -> None:
    lines = (ReferenceLine("svm", {"accuracy": 0.9}, 0.1),)
    with begun(tmp_path / "s") as store:
        store.put_references("digits", lines)
        store.note("something happened")
    with Store.open(tmp_path / "s") as store:
        assert store.references() == {"digits": lines}
        assert store.log() == ("something happened",)
        assert len(store.environments()) == 1
        assert store.environments()[0]["python"] == sys.version.split()[0]


def test_other_versions_are_said_when_a_study_is_gone_on_with(tmp_path: Path) -> None:
    begun(tmp_path / "s").close()
    sql(tmp_path / "s", "UPDATE sessions SET environment = json_set(environment, '$.numpy', '1.0')")
    with Store.open(tmp_path / "s") as store:
        assert store.log()[0].startswith("continued with numpy ")
        assert store.log()[0].endswith("(was 1.0)")


def test_a_second_driver_is_refused_and_a_reader_is_not(tmp_path: Path) -> None:
    with begun(tmp_path / "s") as store:
        with pytest.raises(FaninError, match=f"is being run by process {os.getpid()} on .*wait until that is over"):
            Store.open(tmp_path / "s")
        assert is_locked(tmp_path / "s")
        with Store.open(tmp_path / "s", readonly=True) as reader:
            store.commit(carried_out(store, KEYS[0]))
            assert reader.counts()["done"] == 1
            assert len(reader.rows(after=0)) == 4
            number = reader.newest()
            store.commit(carried_out(store, KEYS[1]))
            assert [row.key for row in reader.rows(after=number)] == [KEYS[1]]
            with pytest.raises(FaninError, match="readonly"):
                reader.choose("a", 1)
    assert not is_locked(tmp_path / "s")
    Store.open(tmp_path / "s").close()


def test_a_database_that_another_program_holds_is_said_with_what_to_do(tmp_path: Path) -> None:
    with begun(tmp_path / "s") as store:
        store._connection.execute("PRAGMA busy_timeout=10")
        with contextlib.closing(sqlite3.connect(tmp_path / "s" / "study.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(FaninError, match=r"another program holds it: end that, then resume the study$"):
                store.note("anything")
        store.note("anything")


def test_the_lock_of_a_killed_driver_locks_nobody_out(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    finished(folder)
    code = f"import os; from fanin.lab.store import Store; s = Store.open({str(folder)!r}); os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert (folder / "lock").read_text() != ""  # it still names its process
    Store.open(folder).close()


def test_a_folder_that_cannot_be_written_can_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    rows = finished(folder)
    for path in (*folder.iterdir(), folder):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        with Store.open(folder, readonly=True) as store:
            assert store.rows() == rows
        if os.geteuid():  # who is root may write anyway
            with pytest.raises(FaninError, match="cannot be written"):
                Store.open(folder)
    finally:
        for path in (folder, *folder.iterdir()):
            path.chmod(0o755)


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_folders_that_hold_no_study_or_a_newer_one_are_refused_and_not_touched(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("mine")
    with pytest.raises(FaninValueError, match=r"holds no study \(it has no study.json\)"):
        Store.open(other)
    with pytest.raises(FaninValueError, match=r"holds other files \(thesis.tex, …\); name an empty or a new folder"):
        Store.create(other, STUDY)
    with pytest.raises(FaninValueError, match="holds no study"):
        Store.open(tmp_path / "nowhere")
    assert everything(other) == {"thesis.tex": b"mine"}
    newer = tmp_path / "newer"
    finished(newer)
    with pytest.raises(FaninValueError, match="holds a study already"):
        Store.create(newer, STUDY)
    definition = newer / "study.json"
    whole = definition.read_text()
    for damaged, words in (
        (
            whole.replace('"schema": 1', '"schema": 2'),
            "has a study of schema 2, but this version of fanin reads up to 1",
        ),
        (whole[:-20], "is not the definition of a study"),
        (whole.replace('"seeds"', '"sedes"'), "unknown fields"),
    ):
        definition.write_text(damaged)
        before = everything(newer)
        for readonly in (True, False):
            with pytest.raises(FaninValueError, match=words):
                Store.open(newer, readonly)
        assert everything(newer) == before
    definition.write_text(whole)
    sql(newer, "PRAGMA user_version = 7")
    before = everything(newer)
    with pytest.raises(FaninValueError, match="has a study of schema 7"):
        Store.open(newer)
    assert everything(newer) == before


def test_a_full_disk_keeps_what_is_committed_and_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    begun(folder).close()
    code = f"""
import resource
from dataclasses import replace
from tests.lab.store.test_store import *
from fanin.lab.store import DiskFull, Store
store = Store.open({str(folder)!r})
store.commit(carried_out(store, KEYS[0]))
size = max(p.stat().st_size for p in store.folder.iterdir() if p.is_file())
rows = carried_out(store, *KEYS[1:])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))  # no file can grow: the log of the database is the largest
rows = [replace(row, note="x" * 100_000) for row in rows]
try:
    store.commit(rows)
except DiskFull as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert done.stdout.strip() == (
        f"the disk of folder={str(folder)!r} is full; what is done is kept: make room there, then resume the study"
    ), done.stderr
    with Store.open(folder) as store:
        assert [row.state for row in store.rows()] == ["done", "pending", "pending", "pending"]
        store.commit(carried_out(store, *KEYS[1:]))
        assert store.counts()["done"] == 4


def test_nothing_is_decided_by_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "s"
    with begun(folder) as store:
        store.commit(carried_out(store, KEYS[0]))
    monkeypatch.setattr(time, "time", lambda: 0.0)
    for path in folder.rglob("*"):
        os.utime(path, (4e9, 4e9))  # written in the future: the clock was set back since
    with Store.open(folder) as store:
        assert list(pending(store)) == list(KEYS[1:])
        store.commit(carried_out(store, *KEYS[1:]))
        assert store.counts()["done"] == 4


def test_failed_runs_can_be_forgotten(tmp_path: Path) -> None:
    with begun(tmp_path / "s") as store:
        store.commit(
            [RunRow(KEYS[0], CONFIGS[KEYS[0]], "failed", error="RuntimeError: no"), *carried_out(store, KEYS[1])]
        )
        assert store.counts() == {"pending": 2, "done": 1, "failed": 1, "diverged": 0}
        assert store.forget_failed() == 1
        assert list(pending(store)) == [KEYS[0], KEYS[2], KEYS[3]]
