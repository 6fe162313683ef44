"""The words that every format shares."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reports import samples

from fanin.distributions import Mirrored, Normal, Orthogonal
from fanin.reports.words import count_findings, distribution_text, number, verdict, where_text
from fanin.slots import Axes


@given(st.floats(-1e300, 1e300))
def test_a_number_reads_as_what_it_is_to_three_digits(x: float) -> None:
    text = number(x).replace(",", "")
    assert math.isclose(float(text), x, rel_tol=6e-3, abs_tol=1e-320)
    assert len(text) <= 10


def test_numbers_that_are_not_finite_have_signs_of_their_own() -> None:
    assert [number(x) for x in (math.inf, -math.inf, math.nan)] == ["∞", "-∞", "–"]


@pytest.mark.parametrize(
    ("kept", "level", "words"),
    [
        ((), "ok", "nothing to report"),
        ((2,), "info", "1 remark"),
        ((1, 2), "warning", "1 warning, 1 remark"),
        ((0, 1, 2), "error", "1 error, 1 warning, 1 remark"),
    ],
)
def test_the_verdict_is_the_worst_finding(kept: tuple[int, ...], level: str, words: str) -> None:
    full = samples.report()
    report = type(full)(full.target, full.trace, tuple(full.findings[i] for i in kept))
    found = verdict(report)
    assert found.level == level
    assert words in found.headline
    assert report.ok == (level in ("ok", "info"))


def test_counts_use_the_plural() -> None:
    findings = samples.report().findings
    assert count_findings((findings[0], findings[0], findings[1])) == "2 errors, 1 warning"


def test_long_lists_of_places_are_cut() -> None:
    assert where_text(["a", "b"]) == "a, b"
    assert where_text(list("abcdef")) == "a, b, c and 3 more"
    assert where_text([]) == "the whole model"


def test_a_distribution_is_told_without_its_axes() -> None:
    half = Axes.parse("oi", (4, 8))
    whole = Axes.parse("oi", (8, 16))
    assert distribution_text(Normal(0.125)) == "Normal(std 0.125)"
    assert distribution_text(Mirrored(Orthogonal(half), whole)) == "Mirrored(Orthogonal(gain 1))"
