"""A plan's file: whole or refused."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanin.distributions import Mirrored, Normal, Orthogonal, Stack, ZeroRows
from fanin.errors import FaninValueError
from fanin.plans import Entry, Need, Plan
from fanin.plans.files import dumps, loads
from fanin.slots import Axes, Pairing

AXES = Axes.parse("(s2o)i", (8, 6))
PLAN = Plan(
    {
        "a": Entry(
            Mirrored(Orthogonal(Axes.parse("oi", (4, 3)), 1 / 3), Axes.parse("oi", (8, 6)), Pairing(8), Pairing(6)), "q"
        ),
        "b": Entry(Stack((Normal(0.1), ZeroRows(Normal(2**-20), (1,))), (4, 4)), "größer", 0.5, 2.0),
        "c": Entry(Orthogonal(AXES, scale_out=True)),
    },
    2**64 - 1,
    {n: Need((8, 6), ("a", "other") if n == "a" else (), "b" if n == "c" else None) for n in "abc"},
    ("a note",),
)
TEXT = dumps(PLAN)


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    PLAN.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == PLAN
    assert os.listdir(tmp_path) == ["plan.json"], "nothing is left beside it"


def test_a_file_that_cannot_be_written_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plan.json"
    PLAN.save(path)
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(FaninValueError, match="No space left"):
        Plan({}, 0).save(path)
    assert Plan.load(path) == PLAN
    assert os.listdir(tmp_path) == ["plan.json"]


def test_a_missing_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(FaninValueError, match="cannot be written"):
        PLAN.save(tmp_path / "no" / "plan.json")
    with pytest.raises(FaninValueError, match="cannot be read"):
        Plan.load(tmp_path / "no.json")


@given(st.integers(0, len(TEXT) - 2))
def test_a_file_cut_short_is_refused(length: int) -> None:
    with pytest.raises(FaninValueError, match=r"damaged|not a plan"):
        loads(TEXT[:length])


@given(st.integers(0, len(TEXT) - 1), st.characters(codec="utf-8"))
def test_a_damaged_file_is_refused_or_reads_as_another_whole_plan(place: int, character: str) -> None:
    """One changed character gives an error or a plan that is valid in itself (another number, another reason)."""
    try:
        plan = loads(TEXT[:place] + character + TEXT[place + 1 :])
    except FaninValueError:
        return
    assert loads(dumps(plan)) == plan


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "version 2"),
        ({"version": None}, "version None"),
        ({"format": "report"}, "not a plan"),
        ({"seed": -1}, "seed"),
        ({"entries": {}}, "same weights"),
        ({"requires": {}}, "same weights"),
        ({"entries": []}, "entries"),
        ({"surplus": 1}, "unknown fields"),
        ({"entries": {"a": {"distribution": {"kind": "Norml", "std": 1.0}}}}, "Norml"),
        ({"entries": {"a": {"distribution": {"kind": "Normal", "std": -1.0}}}}, "std=-1.0"),
        ({"entries": {"a": {"distribution": {"kind": "Normal"}}}}, "lacks"),
    ],
)
def test_what_is_no_plan_is_refused_with_the_reason(change: dict[str, object], words: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({**json.loads(TEXT), **change}))
    with pytest.raises(FaninValueError, match=words) as error:
        Plan.load(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"[]", b"null", b'{"format": "fanin-plan"', b"[" * 100_000])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(FaninValueError, match=r"damaged|not a plan"):
        Plan.load(tmp_path / "x")


def test_numbers_that_json_does_not_know_and_names_given_twice_are_refused() -> None:
    for text in (TEXT.replace("0.1", "NaN"), TEXT.replace('"seed"', '"notes"')):
        with pytest.raises(FaninValueError, match="damaged"):
            loads(text)
