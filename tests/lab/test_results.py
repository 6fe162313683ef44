"""The results of a study in its folder."""

import json
from pathlib import Path

import pytest
from tests.lab.analysis import samples

from fanin.errors import FaninValueError
from fanin.lab.results import StudyResults
from fanin.lab.store import Store


def stored(folder: Path) -> StudyResults:
    """A study whose rows and curves were committed to a folder."""
    results = samples.results(seeds=samples.seeds(2), lrs=(0.01, 0.1), references=True)
    with Store.create(folder, results.study) as store:
        store.define(results.study, {row.key: row.config for row in results.rows})
        for row in results.rows:
            lines = "".join(json.dumps(point.to_dict()) + "\n" for point in samples.curve_of(row))
            (folder / row.curve).write_text(lines, encoding="utf-8")
        store.commit(results.rows)
        store.put_references("digits", results.references["digits"])
        store.choose("inputs", results.inputs)
    return results


def test_what_was_committed_is_read_back(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    made = stored(folder)
    read = StudyResults.load(folder)
    assert [row.metrics for row in read.rows] == [row.metrics for row in made.rows]
    assert read.study == made.study
    assert read.references == made.references
    assert read.environment["python"]
    assert len(read.date) == 10
    assert read.seconds == pytest.approx(sum(row.seconds for row in made.rows))
    assert read.analysis.contexts[0].best == made.analysis.contexts[0].best
    for row in read.rows:
        assert [p.held_score for p in read.curve(row)] == [p.held_score for p in samples.curve_of(row)]


def test_inputs_that_the_study_holds_are_not_measured_again(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    made = stored(folder)
    read = StudyResults.load(folder)
    assert read.input_statistics("digits") == made.inputs["digits"]
    assert read.input_statistics("no such set") is None
    measured = StudyResults(made.study, made.rows).input_statistics("digits")
    assert measured is not None
    assert (measured["train"], measured["held"], measured["test"]) == (1212, 135, 450)


def test_a_study_that_is_still_running_can_be_read(tmp_path: Path) -> None:
    results = samples.results(seeds=samples.seeds(2), lrs=(0.01,))
    with Store.create(tmp_path / "study", results.study) as store:
        store.define(results.study, {row.key: row.config for row in results.rows})
        read = StudyResults.load(tmp_path / "study")
        assert read.analysis.pending == len(results.rows)
        assert "No run is done yet" in str(read)


def test_a_folder_without_a_study(tmp_path: Path) -> None:
    with pytest.raises(FaninValueError, match="folder="):
        StudyResults.load(tmp_path)


def test_results_show_themselves() -> None:
    results = samples.results()
    assert "better in 10 of 10" in " ".join(str(results).split())
    assert results._repr_html_().startswith('<div class="fanin fragment">')
