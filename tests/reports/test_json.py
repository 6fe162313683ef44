"""The JSON report: the documented fields, and nothing half-read."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reports import samples

from fanin.activations import Activation
from fanin.errors import FaninValueError
from fanin.reports.json import dumps, load, loads, save

FIXED = {"version", "target", "findings", "slots", "signals"}
OF_A_FINDING = {"code", "severity", "where", "message", "measured", "expected", "fix"}


def same(a: object, b: object) -> bool:
    """Equality in which NaN equals NaN, by way of JSON."""
    return json.dumps(a.to_dict()) == json.dumps(b.to_dict())  # type: ignore[attr-defined]


def test_the_contract_is_kept() -> None:
    data = json.loads(dumps(samples.report()))
    assert data.keys() >= FIXED
    assert data["version"] == 1
    assert all(f.keys() >= OF_A_FINDING for f in data["findings"])
    assert [f["severity"] for f in data["findings"]] == ["error", "warning", "info"]
    assert len(data["slots"]) == 30
    assert data["slots"][1]["fan_in"] == 128
    assert data["signals"][0]["rms"] == pytest.approx(0.58)


def test_it_is_strict_json_also_where_numbers_are_not_finite() -> None:
    bad = samples.finding(measured={"a": math.nan, "b": math.inf, "c": -math.inf})
    report = samples.report()
    report = type(report)(report.target, report.trace, (bad,))

    def refuse(word: str) -> None:
        raise AssertionError(word)

    data = json.loads(dumps(report), parse_constant=refuse)
    assert data["findings"][0]["measured"] == {"a": "nan", "b": "inf", "c": "-inf"}


def test_a_report_comes_back_whole(tmp_path: Path) -> None:
    report = samples.report()
    assert same(loads(dumps(report)), report)
    path = save(report, tmp_path / "report.json")
    assert same(load(path), report)
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


def test_a_fix_is_told_beside_what_it_left() -> None:
    fixed = samples.fixed()
    data = json.loads(dumps(fixed.after, fixed))
    assert [f["code"] for f in data["findings"]] == ["FI502"]
    assert [f["code"] for f in data["fix"]["before"]] == ["FI301", "FI401", "FI502"]
    assert data["fix"]["undone"] == [{"name": "net.4.weight", "reason": "it made FI201 worse"}]
    assert same(loads(dumps(fixed.after, fixed)), fixed.after)


WHOLE = dumps(samples.report(depth=3))


@given(st.integers(0, len(WHOLE) - 1))
def test_a_file_that_was_cut_off_is_refused(length: int) -> None:
    with pytest.raises(FaninValueError):
        loads(WHOLE[:length])


@given(st.integers(0, len(WHOLE) - 1), st.sampled_from('0123456789"{}[],:x'))
def test_a_changed_character_is_refused_or_changes_nothing(place: int, letter: str) -> None:
    changed = WHOLE[:place] + letter + WHOLE[place + 1 :]
    try:
        found = loads(changed)
    except FaninValueError:
        return
    assert dumps(found) == WHOLE


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("[]", "not one of fanin's"),
        ("{}", "not one of fanin's"),
        ('{"version": 2, "findings": []}', "version 2"),
        ('{"version": 1, "findings": []}', "damaged"),
    ],
)
def test_what_is_no_report_is_named(text: str, words: str) -> None:
    with pytest.raises(FaninValueError, match=words):
        loads(text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FaninValueError, match=r"none\.json cannot be read"):
        load(tmp_path / "none.json")


def test_a_custom_activation_is_stored_once_and_comes_back() -> None:
    wave = Activation.of(lambda z: np.sin(z) + 0.1 * z)
    assert wave.table is not None
    report = samples.report()
    slots = tuple(dataclasses.replace(s, activation=wave, input_activation=wave) for s in report.trace.slots)
    custom = dataclasses.replace(report, trace=dataclasses.replace(report.trace, slots=slots))
    text = dumps(custom)
    assert text.count(str(wave.table[7])) == 1
    assert len(text) < len(dumps(report)) + 2 * len(json.dumps(wave.table))
    assert same(loads(text), custom)
