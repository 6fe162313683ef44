"""Maps of numbers: every cell coloured by its value, with its number in it, in the tooltip and in the table."""

import math
import re
from itertools import pairwise

import pytest

from fanin.reports.figures import DotRow, Series, dot_figure, line_figure
from fanin.reports.figures_map import map_figure


def drawn(values: list[list[float]], **rest: object) -> str:
    names = [str(j) for j in range(len(values[0]))]
    rows = [f"r{i}" for i in range(len(values))]
    options = {"x_name": "gain", "y_name": "depth", "text": lambda v: "–" if math.isnan(v) else f"{v:.2f}", **rest}
    return map_figure("A map", "See.", names, rows, values, **options)  # type: ignore[arg-type]


def shades(figure: str) -> list[float]:
    return [float(v) for v in re.findall(r"--v:([\d.]+)", figure)]


def test_colour_follows_the_value() -> None:
    assert shades(drawn([[0.0, 0.5], [1.0, math.nan]])) == [0.0, 0.5, 1.0, 0.0]
    assert shades(drawn([[0.25, 2.0]], span=(0.0, 1.0))) == [0.25, 1.0]
    assert shades(drawn([[0.7, 0.7]])) == [0.0, 0.0]


def test_numbers_are_in_the_cells_the_tooltips_and_the_table() -> None:
    figure = drawn([[0.125, 0.5]], marks=[["", "3 of 10 diverged"]])
    assert ">0.50</text>" in figure
    assert "<title>depth r0, gain 1: 0.50 (3 of 10 diverged)</title>" in figure
    assert "<td>0.50 (3 of 10 diverged)</td>" in figure


def test_cells_do_not_overlap_and_stay_inside() -> None:
    figure = drawn([[0.1] * 12] * 9)
    boxes = [
        tuple(map(float, b))
        for b in re.findall(r'<rect class="cell" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"', figure)
    ]
    width, height = map(float, re.findall(r'viewBox="0 0 (\d+) ([\d.]+)"', figure)[0])
    assert len(boxes) == 108
    assert all(x + w <= width and y + h <= height for x, y, w, h in boxes)
    rows = {y for _, y, _, _ in boxes}
    assert len(rows) == 9
    for y in rows:
        line = sorted((x, w) for x, top, w, _ in boxes if top == y)
        assert all(a + w <= b for (a, w), (b, _) in pairwise(line))


def test_a_number_without_room_is_left_to_the_tooltip() -> None:
    figure = drawn([[0.5] * 30])
    assert ">0.50</text>" not in figure
    assert figure.count("gain 29: 0.50") == 1


def test_names_are_escaped() -> None:
    assert "<script>" not in map_figure("<script>", "", ["<b>"], ["<i>"], [[1.0]], x_name="<u>", y_name="<s>", text=str)


def test_a_logarithmic_x_axis_names_the_values_that_it_is_given() -> None:
    rates = [0.001, 0.01, 0.1]
    figure = line_figure(
        "f", "", rates, [Series("a", "c0", [1.0, 2.0, 3.0])], log=False, log_x=True, x_ticks=rates, x_name="lr"
    )
    places = {
        t: float(x) for x, t in re.findall(r'<text x="([\d.]+)" y="247[\d.]*" text-anchor="middle">([\d.]+)<', figure)
    }
    assert list(places) == ["0.001", "0.01", "0.1"]
    assert places["0.01"] - places["0.001"] == pytest.approx(places["0.1"] - places["0.01"], abs=0.2)


def test_a_remark_is_a_cross_with_its_words() -> None:
    figure = line_figure("f", "", [1.0, 2.0], [Series("a", "c0", [1.0, 2.0], said=["", "3 diverged"])], log=False)
    assert figure.count('class="cross') == 1
    assert "2 (3 diverged)" in figure


def test_a_plain_line_has_no_dots() -> None:
    dotted, plain = (line_figure("f", "", [1.0, 2.0], [Series("a", "c0", [1.0, 2.0], plain=p)]) for p in (False, True))
    assert 'class="point' in dotted
    assert 'class="point' not in plain


def test_a_row_with_a_mean_alone_is_inside_the_axis() -> None:
    rows = [
        DotRow("net", "c0", [0.5, 0.6], 0.55, 0.5, 0.6),
        DotRow("forest", "reference", [], 0.98, math.nan, math.nan),
    ]
    figure = dot_figure("f", "", rows)
    (x,) = re.findall(r'class="mean reference" d="M([\d.]+)', figure)
    assert float(x) <= 440 - 12 - 6
    assert ">0.8</text>" in figure


def test_long_names_stand_over_their_rows() -> None:
    name = "variance_scaling(scale=2.0, mode='fan_in')"
    figure = dot_figure("f", "", [DotRow(name, "c0", [0.5], 0.5, math.nan, math.nan)])
    (x, anchor) = re.findall(r'<text class="row-name" x="([\d.]+)" y="[\d.]+"( text-anchor="end")?>', figure)[0]
    assert (x, anchor) == ("16", "")
