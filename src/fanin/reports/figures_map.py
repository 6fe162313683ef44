"""Figures of two axes: a map of numbers (depth × gain), and a confusion matrix."""

import math
from collections.abc import Callable, Sequence
from html import escape

from fanin.reports.figures import WIDTH, figure_frame, table_of

LEFT, TOP, BOTTOM = 64, 8, 46


def map_figure(
    title: str,
    caption: str,
    columns: Sequence[str],
    rows: Sequence[str],
    values: Sequence[Sequence[float]],
    *,
    x_name: str,
    y_name: str,
    text: Callable[[float], str],
    marks: Sequence[Sequence[str]] = (),
    span: tuple[float, float] | None = None,
) -> str:
    """A map: one coloured cell a pair of values, with its number in it.

    Args:
        title, caption: what is shown, and what to see.
        columns, rows: names along x and y; the first row is drawn at the top.
        values: one list a row, NaN where there is nothing.
        x_name, y_name: of the axes.
        text: a value in few characters.
        marks: a text a cell that is drawn after its number ("3 diverged"), in the tooltip and the table.
        span: values with no colour and with the most; the least and the largest unless given.
    """
    known = [v for row in values for v in row if math.isfinite(v)]
    low, high = span or (min(known, default=0.0), max(known, default=1.0))
    wide = (WIDTH - LEFT - 12) / max(1, len(columns))
    tall = min(34.0, max(18.0, wide))
    bottom = TOP + tall * len(rows)
    parts, lines = [], []
    for i, (name, row) in enumerate(zip(rows, values, strict=True)):
        y = TOP + tall * i
        parts.append(f'<text x="{LEFT - 7}" y="{y + tall / 2 + 4:g}" text-anchor="end">{escape(name)}</text>')
        cells = [name]
        for j, value in enumerate(row):
            mark = marks[i][j] if marks else ""
            parts.append(_cell(LEFT + wide * j, y, wide, tall, value, (low, high), text))
            tip = f"{y_name} {name}, {x_name} {columns[j]}: {text(value)}{f' ({mark})' if mark else ''}"
            parts[-1] = parts[-1].replace("<!--tip-->", f"<title>{escape(tip)}</title>")
            cells.append(f"{text(value)}{f' ({mark})' if mark else ''}")
        lines.append(cells)
    for j, name in enumerate(columns):
        x = LEFT + wide * (j + 0.5)
        parts.append(f'<text x="{x:g}" y="{bottom + 16:g}" text-anchor="middle">{escape(name)}</text>')
    parts.append(
        f'<text class="axis" x="{(LEFT + WIDTH) / 2:g}" y="{bottom + 36:g}" text-anchor="middle">{escape(x_name)} →</text>'
        f'<text class="axis" x="4" y="{bottom + 36:g}">{escape(y_name)} ↓</text>'
    )
    table = table_of([f"{y_name} \\ {x_name}", *columns], lines)
    return figure_frame(title, caption, f'<g class="map">{"".join(parts)}</g>', bottom + BOTTOM, [], None, table)


def _cell(
    x: float, y: float, wide: float, tall: float, value: float, span: tuple[float, float], text: Callable[[float], str]
) -> str:
    low, high = span
    share = 0.0
    if math.isfinite(value) and high > low:
        share = min(1.0, max(0.0, (value - low) / (high - low)))
    box = f'x="{x:.1f}" y="{y:.1f}" width="{wide - 1.5:.1f}" height="{tall - 1.5:.1f}"'
    shown = text(value) if 6.4 * len(text(value)) <= wide else ""  # what has no room is in the tooltip and the table
    middle = f'x="{x + wide / 2 - 0.75:.1f}" y="{y + tall / 2 + 3.5:.1f}"'
    return (
        f'<g><!--tip--><rect class="cell" {box} style="--v:{share:.3f}"/>'
        f'<text class="cell-text" {middle} text-anchor="middle">{escape(shown)}</text></g>'
    )
