"""Sessions of a study: from its definition to its rows, and on from there."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fanin.errors import FaninError, FaninValueError
from fanin.lab.results import StudyResults
from fanin.lab.store import Store
from fanin.lab.store.schema import FILE
from fanin.lab.store.study_file import write_study
from fanin.lab.study import session
from fanin.lab.study.make import make_study
from fanin.lab.study.records import Expectation, Study, TrainingSettings

TINY = Study(
    "tiny", models=("mlp(depth=1, width=4)",), plans=("default", "he_normal"), data=("wine",), lrs=(0.1,), seeds=(0, 1),
    training=TrainingSettings(epochs=2.0, evaluations=2),
)  # fmt: skip


def keys(folder: Path) -> dict[str, dict[str, float]]:
    return {row.key: row.metrics for row in StudyResults.load(folder).rows}


def test_a_study_is_run_once_and_grows_by_what_is_missing(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    assert session.run(TINY, folder, "serial").ran == 4
    before = keys(folder)
    assert session.run(TINY, folder, "serial").ran == 0
    assert session.finished(folder) == frozenset(before)
    grown = replace(TINY, seeds=(0, 1, 2), plans=(*TINY.plans, "lsuv"))
    assert session.run(grown, folder, "serial").ran == 5
    after = keys(folder)
    assert {key: after[key] for key in before} == before


def test_what_would_drop_out_is_refused_and_nothing_is_changed(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    session.run(TINY, folder, "serial")
    before = {p: p.read_bytes() for p in folder.rglob("*.json*")}
    with pytest.raises(FaninValueError, match="2 of its 4 finished runs would no longer be part of it"):
        session.run(replace(TINY, seeds=(0,)), folder, "serial")
    assert {p: p.read_bytes() for p in folder.rglob("*.json*")} == before
    session.run(replace(TINY, seeds=(0,)), folder, "serial", replace=True)
    assert len(keys(folder)) == 2


def test_expectations_are_not_edited_after_the_run(tmp_path: Path) -> None:
    written = replace(TINY, expectations=(Expectation("It trains.", "trains", "default"),))
    session.run(written, tmp_path / "s", "serial")
    with pytest.raises(FaninValueError, match="written before the run"):
        session.run(replace(TINY, expectations=()), tmp_path / "s", "serial")


def test_a_folder_that_cannot_be_looked_into_is_said(tmp_path: Path) -> None:
    with pytest.raises(FaninValueError, match=r"cannot be read \(File name too long\)"):
        session.run(TINY, tmp_path / ("long" * 100), "serial")


def test_a_study_that_cannot_be_run_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(FaninError):
        session.run(replace(TINY, models=("resnet",)), tmp_path / "s", "serial")
    assert not (tmp_path / "s").exists()


def test_ordinary_learners_and_inputs_are_kept_with_the_study(tmp_path: Path) -> None:
    session.run(replace(TINY, references=True), tmp_path / "s", "serial")
    results = StudyResults.load(tmp_path / "s")
    assert results.inputs["wine"]["train"] + results.inputs["wine"]["held"] > 100
    assert {line.name for line in results.references["wine"]} >= {"logistic regression", "constant"}


def test_a_driver_that_comes_right_after_this_one_takes_nothing_from_it(tmp_path: Path, monkeypatch) -> None:
    """It has waited for the lock, and has it before what holds for the whole study is kept."""
    held: list[Store] = []
    run_study = session.run_study

    def and_another(*arguments, **options):
        summary = run_study(*arguments, **options)
        held.append(Store.open(tmp_path / "s"))
        return summary

    monkeypatch.setattr(session, "run_study", and_another)
    assert session.run(TINY, tmp_path / "s", "serial").done == 4
    held[0].close()


def test_a_session_goes_on_with_the_choice_of_stacks_that_was_made(tmp_path: Path) -> None:
    session.run(replace(TINY, stacking="never", seeds=(0,)), tmp_path / "s", "serial")
    again = session.prepare(replace(TINY, stacking="auto"), folder=tmp_path / "s")
    assert not any(config.stacked for config in again.configs.values())


def test_a_study_that_knew_no_size_of_stacks_chooses_it_when_it_grows(tmp_path: Path) -> None:
    stacked = replace(TINY, stacking="auto")
    prepared = session.prepare(stacked)
    old = {key: replace(config, together=0) for key, config in prepared.configs.items()}
    assert all(config.stacked for config in old.values())
    with Store.create(tmp_path / "s", stacked) as store:
        store.define(stacked, old)
    assert session.prepare(stacked, folder=tmp_path / "s").configs == prepared.configs


def test_resuming_finds_the_definition_in_the_folder(tmp_path: Path) -> None:
    session.run(TINY, tmp_path / "s", "serial", source="file.py:name")
    assert session.source_of(tmp_path / "s") == "file.py:name"
    assert session.resume(tmp_path / "s", "serial").ran == 0


def test_the_cost_counts_what_is_left_and_times_a_part_of_many_kinds(tmp_path: Path, monkeypatch) -> None:
    many = replace(TINY, models=("mlp(depth=1)",), variables={"width": tuple(range(2, 8))}, seeds=(0,))
    prepared = session.prepare(many)
    whole = prepared.cost()
    assert whole.runs == 12
    left = prepared.cost(frozenset(list(prepared.configs)[:6]))
    assert (left.runs, left.steps) == (6, whole.steps // 2)
    monkeypatch.setattr(session, "MOST_TIMED", 2)
    assert (prepared.cost().runs, prepared.cost().steps) == (12, whole.steps)


@pytest.mark.parametrize("left", ["no tables", "no database's pages", "a config that is no JSON"])
def test_what_cannot_be_read_is_mended_before_it_is_gone_on_with(tmp_path: Path, left: str) -> None:
    """As a kill between two writes, or a bad disk, leaves it: resuming needs no knowledge of which."""
    folder = tmp_path / "s"
    session.run(TINY, folder, "serial")
    before, database = keys(folder), folder / FILE
    if left == "a config that is no JSON":
        with sqlite3.connect(database) as db:
            db.execute("UPDATE runs SET config = '{' WHERE position = 1")
        db.close()
        with pytest.raises(FaninError, match="resuming the study mends it"):
            StudyResults.load(folder)
    else:
        for file in folder.glob(f"{FILE}*"):
            file.unlink()
        if left == "no database's pages":
            database.write_bytes(b"not a database at all, and long enough to have a header" * 40)
    session.mended(folder)
    assert session.source_of(folder) == ""
    assert session.resume(folder, "serial").pending == 0
    assert keys(folder) == before


class Untrainable(torch.nn.Linear):
    """Raises in training mode alone, which no check of the grid sees."""

    def __init__(self) -> None:
        super().__init__(13, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            raise ValueError("not while it trains")
        return super().forward(x)


def test_a_model_that_raises_where_it_trains_is_a_failed_run(tmp_path: Path) -> None:
    study, bindings = make_study(
        "own", models={"raising": Untrainable}, data="wine", plans="default", lrs=0.1, seeds=1, training=TINY.training
    )
    assert session.run(study, tmp_path / "s", "serial", bindings=bindings).failed == 1
    assert StudyResults.load(tmp_path / "s").rows[0].error == "ValueError: not while it trains"


def test_a_study_whose_driver_was_killed_while_it_was_made_is_run(tmp_path: Path) -> None:
    """With the definition written and no database yet, also by those who do not resume it."""
    (tmp_path / "s").mkdir()
    write_study(tmp_path / "s", TINY)
    assert session.run(TINY, tmp_path / "s", "serial").done == 4


def test_a_sound_study_is_not_touched(tmp_path: Path) -> None:
    session.run(TINY, tmp_path / "s", "serial")
    before = {p: p.read_bytes() for p in (tmp_path / "s").rglob("*") if p.is_file() and "sqlite-" not in p.name}
    session.mended(tmp_path / "s")
    assert {p: p.read_bytes() for p in (tmp_path / "s").rglob("*") if p.is_file() and "sqlite-" not in p.name} == before
