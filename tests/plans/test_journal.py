"""The journal of a stream: one process at a time, and who finds it taken leaves it alone."""

import sys
from pathlib import Path

import pytest

from fanin.distributions import Normal
from fanin.errors import FaninValueError
from fanin.plans import Entry, Need, Plan, stream
from fanin.plans.journal import Busy, Journal

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="locks of files: Linux")
PLAN = Plan({"w": Entry(Normal(1.0))}, 1, {"w": Need((40, 25))})


def test_a_second_one_is_refused(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", "a") as first:
        first.add("file", "0")
        with pytest.raises(Busy, match="another process is writing"):
            Journal(tmp_path / "j", "a").__enter__()
    with Journal(tmp_path / "j", "a") as again:
        assert again.has("file", "0")


def test_a_journal_that_was_taken_away_while_it_was_opened_is_nobodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other process ended, and took its folder away, between the two steps of opening and locking."""
    take = Journal._take

    def late(journal: Journal) -> None:
        journal.path.unlink()
        journal.path.write_text("of a third\n")
        take(journal)

    monkeypatch.setattr(Journal, "_take", late)
    with pytest.raises(Busy):
        Journal(tmp_path / "j", "a").__enter__()
    assert (tmp_path / "j").read_text() == "of a third\n"


def test_two_that_start_at_once_do_not_take_each_others_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second has looked before the first made its journal, and thinks that it begins."""
    partial = tmp_path / "out" / ".fanin-stream"
    held: list[Journal] = []

    def first_in_between(target: stream.Target) -> None:
        partial.mkdir(parents=True)
        held.append(Journal(partial / "journal", "a").__enter__())
        (partial / "model.safetensors").write_text("half of the first")

    monkeypatch.setattr(stream, "_check_place", first_in_between)
    with pytest.raises(FaninValueError, match="another process is writing"):
        PLAN.stream(tmp_path / "out")
    held[0].__exit__(None, None, None)
    assert sorted(p.name for p in partial.iterdir()) == ["journal", "model.safetensors"]


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_places_that_are_none(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FaninValueError, match="path=.* cannot be used; give the name of a folder"):
        PLAN.stream(path)
    assert list(tmp_path.iterdir()) == []
