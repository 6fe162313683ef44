"""Figures: what the SVG shows is what the numbers say."""

import math
import re

from hypothesis import given
from hypothesis import strategies as st

from fanin.reports.figures import BOTTOM, HEIGHT, TOP, DotRow, Scale, Series, dot_figure, line_figure, thin, tick_text

positive = st.floats(1e-30, 1e30)


@given(st.lists(positive, min_size=2, max_size=50), st.booleans())
def test_a_larger_value_stands_higher_and_inside(values: list[float], log: bool) -> None:
    scale = Scale(values, HEIGHT - BOTTOM, TOP, log=log)
    pixels = [scale(v) for v in sorted(values)]
    assert pixels == sorted(pixels, reverse=True)
    assert min(pixels) >= TOP
    assert max(pixels) <= HEIGHT - BOTTOM


@given(st.lists(positive, min_size=1, max_size=20), st.booleans())
def test_there_are_a_few_ticks_and_they_stand_inside(values: list[float], log: bool) -> None:
    scale = Scale(values, HEIGHT - BOTTOM, TOP, log=log)
    ticks = scale.ticks()
    assert 1 <= len(ticks) <= 8
    assert all(TOP - 1 <= scale(t) <= HEIGHT - BOTTOM + 1 for t in ticks)


@given(st.integers(1, 5000), st.integers(2, 300))
def test_thinning_keeps_both_ends(n: int, most: int) -> None:
    kept = thin(n, most)
    assert kept[0] == 0
    assert kept[-1] == n - 1
    assert len(kept) <= max(most, 1)
    assert kept == sorted(set(kept))


def test_what_was_not_measured_leaves_a_gap() -> None:
    text = line_figure("a", "b", [1, 2, 3, 4, 5], [Series("m", "measured", [1.0, 0.5, math.nan, 0.1, 0.01])])
    line = re.search(r'class="line measured" d="([^"]+)"', text)
    assert line is not None
    assert line[1].count("M") == 2
    assert line[1].count("L") == 2


def test_an_infinite_value_is_marked_at_the_top() -> None:
    text = line_figure("a", "b", [1, 2, 3], [Series("m", "measured", [1.0, math.inf, 2.0])])
    assert text.count('class="cross measured"') == 1


def test_nothing_at_all_is_still_a_figure() -> None:
    text = line_figure("a", "b", [1, 2], [Series("m", "measured", [math.nan, math.nan])])
    assert "<svg" in text
    assert "nan" not in text


def test_every_run_is_a_dot_and_every_number_stands_in_the_table() -> None:
    rows = [
        DotRow("fanin", "c0", [0.95, 0.96, 0.97], 0.96, 0.94, 0.98),
        DotRow("one", "c1", [0.5], 0.5, math.nan, math.nan),
    ]
    text = dot_figure("a", "b", rows)
    assert text.count("<circle") == 4
    assert text.count('class="interval') == 1
    assert "0.95, 0.96, 0.97" in text


def test_ticks_read_as_powers_of_ten() -> None:
    assert [tick_text(v) for v in (1e-6, 0.01, 1.0, 2e-9, 1e7)] == ["10⁻⁶", "0.01", "1", "2 · 10⁻⁹", "10⁷"]
