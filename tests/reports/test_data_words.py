"""What is said of a data set, and of one that is not there."""

import pytest

from fanin import commands_lab
from fanin.errors import FaninValueError
from fanin.lab.data import load, table
from fanin.reports.data_words import data_text, is_data


def test_a_set_is_described_and_measured() -> None:
    said = data_text("wine", 80, False)
    for part in (
        "Three cultivars",
        "UCI Wine",
        "CC BY 4.0",
        "133 to train on, 45 to test on",
        "0 ± 1",
        load("wine").checksum,
    ):
        assert part in said
    assert "33.1, 39.8, 27.1 %" in said
    assert "eight labels" in data_text("multilabel", 80, False).lower()
    assert "digits:[examples]" in data_text("data", 80, False)
    assert all(name in data_text("data", 80, False) for name in table())


def test_a_set_that_is_not_there_is_described_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FANIN_DATA", raising=False)
    said = " ".join(data_text("imdb:100", 80, False).split())
    assert "Maas et al." in said
    assert "FANIN_DATA is not set" in said
    with pytest.raises(FaninValueError, match="write wine or wine:examples"):
        data_text("wine:ten", 80, False)


def test_show_takes_the_name_of_a_data_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert is_data("data") and is_data("digits:100") and not is_data("symmetry")
    assert commands_lab.show_study("breast_cancer:100", False, False) == 0
    assert "100 to train on, 143 to test on" in capsys.readouterr().out
