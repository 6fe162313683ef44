"""The studies that ship: each can be read, says what is expected, and fits together at both sizes."""

import re

import pytest

from fanin.errors import FaninError, FaninTypeError, FaninValueError
from fanin.lab.data import load, table
from fanin.lab.results import StudyResults
from fanin.lab.studies import find_study, names, shipped
from fanin.lab.study import grid
from fanin.lab.study.fits import check_expectations, check_grid
from fanin.lab.study.parse import parse_study
from fanin.lab.study.write import study_text

MOST_SMALL = 200  # runs: all small sizes together are for a quarter of an hour


@pytest.mark.parametrize("name", names())
def test_each_says_what_is_expected_and_from_where(name: str) -> None:
    file = shipped(name)
    assert file.small is not None
    for study in (file.full, file.small):
        assert study.question.endswith("?")
        assert re.search(r"(19|20)\d\d", study.answer), "the answer names papers"
        assert study.expectations
        assert len(study.seeds) >= 6, "fewer pairs cannot show any difference"
        check_expectations(study)
        assert parse_study(study_text(study)).full == study
    assert file.full.name == name
    assert grid.run_count(file.small) <= MOST_SMALL
    assert grid.run_count(file.full) >= grid.run_count(file.small)


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_every_model_takes_its_data_and_its_plans(name: str) -> None:
    study = shipped(name).small
    assert study is not None
    for data in dict.fromkeys(str(context["data"]) for context in grid.contexts(study)):
        try:
            load(data)
        except FaninError:
            assert table()[data.partition(":")[0]].needs
            pytest.skip(f"needs {data}")
    check_grid(study)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "small"),
    [
        ("symmetry", False),  # two of them as they ship: their whole size takes seconds
        ("seed-spread", False),
        ("default-he-30", True),
        ("mup-width", True),
        ("scale", True),
        ("xavier-he-depth", True),
    ],
)
def test_the_written_answer_comes_out(name: str, small: bool, tmp_path) -> None:
    """Of the studies whose differences are larger than what another machine's rounding makes of them."""
    from fanin.lab.study.session import run

    run(find_study(name, small=small).study, tmp_path / "study")
    found = StudyResults.load(tmp_path / "study")
    assert {row.state for row in found.rows} == {"done"}
    assert [(o.expectation.says, o.state) for o in found.analysis.outcomes if o.state != "came out"] == []


def test_a_study_is_found_by_whatever_names_it(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = find_study("symmetry", small=True, seeds=3).study
    assert (small.name, small.seeds) == ("symmetry-small", (0, 1, 2))
    (tmp_path / "mine.toml").write_text(study_text(small))
    assert find_study("mine.toml").study == small
    (tmp_path / "mine.py").write_text(
        "from fanin.lab.studies import shipped\n"
        "def build(): return shipped('symmetry').full\n"
        "pair = (shipped('symmetry').full, {'a': 1})\n"
        "wrong = 3\n"
    )
    assert find_study("mine.py:build").study == shipped("symmetry").full
    found = find_study("mine.py:pair")
    assert (found.bindings, found.source) == ({"a": 1}, f"{tmp_path / 'mine.py'}:pair")
    with pytest.raises(FaninTypeError, match="is an int, but must be a Study"):
        find_study("mine.py:wrong")
    with pytest.raises(FaninValueError, match="has no small size"):
        find_study("mine.toml", small=True)
    (tmp_path / "folder").mkdir()
    with pytest.raises(FaninValueError, match="is a folder; `fanin lab resume"):
        find_study("folder")
