"""Pieces that the terminal's reports are made of: colours, labelled lines, bars."""

import io
import math
from collections.abc import Iterable, Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table

from fanin.reports.words import number

STYLES = {"ok": "bold green", "info": "bold cyan", "warning": "bold yellow", "error": "bold red"}
MARKS = {"ok": "✓", "info": "✓", "warning": "!", "error": "✗"}
BARS = "▁▂▃▄▅▆▇█"
ASCII = str.maketrans({**dict(zip(BARS, "_.:-=+*#", strict=True)), "✓": "+", "✗": "x", "→": ">", "·": "|", "×": "x", "∞": "inf",
                       "–": "-", "…": "...", "±": "+-", "−": "-", "▲": "^", "▼": "v"})  # fmt: skip
MIN_DECADES = 1.0  # a curve that moves less than this over the whole depth is drawn as nearly flat


def render(parts: Iterable[RenderableType], width: int, color: bool) -> str:
    """Rich renderables as text; trailing spaces are cut, so that logs and diffs stay clean."""
    out = io.StringIO()
    console = Console(
        file=out,
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        no_color=not color,
        highlight=False,
        legacy_windows=False,
        _environ={},
    )
    for part in parts:
        console.print(part)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def labelled(rows: Sequence[tuple[str, RenderableType]], indent: int = 2) -> RenderableType:
    """Label and text in two columns; a row without a label takes the full width."""
    parts: list[RenderableType] = []
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(min_width=8, no_wrap=True, style="dim")
    table.add_column(ratio=1, overflow="fold")
    for name, value in rows:
        if name:
            table.add_row(name, value)
        else:
            parts.append(Padding(value, (0, 0, 0, indent)))
    return Group(*parts, Padding(table, (0, 0, 0, indent)))


def bar_span(values: Iterable[float], log: bool = True) -> tuple[float, float]:
    """What the lowest and the highest bar stand for: log10 of the positive values, at least `MIN_DECADES` apart, or the values."""
    seen = [v for v in values if math.isfinite(v)]
    if not log:
        return min([0.0, *seen]), max([1.0, *seen])
    logs = [math.log10(v) for v in seen if v > 0]
    low, high = (min(logs), max(logs)) if logs else (0.0, 0.0)
    short = max(0.0, MIN_DECADES - (high - low))
    return low - short * 4 / 7, high + short * 3 / 7  # the middle falls on a bar, not between two


def sparkline(
    values: Sequence[float], width: int = 36, span: tuple[float, float] | None = None, log: bool = True
) -> str:
    """One bar a value, at most `width` of them (else medians of runs); × where a value is not finite, a gap for NaN.

    Example:
        >>> sparkline([1.0, 0.1, 0.01])
        '█▅▁'
    """
    low, high = span or bar_span(values, log)
    points = list(values)
    if len(values) > width:
        groups = [values[i * len(values) // width : (i + 1) * len(values) // width] for i in range(width)]
        points = [sorted(g, key=lambda v: (math.isfinite(v), v))[len(g) // 2] for g in groups]
    return "".join(_bar(v, low, high, log) for v in points)


def _bar(value: float, low: float, high: float, log: bool) -> str:
    if not math.isfinite(value):
        return " " if math.isnan(value) else "×"
    if log and value <= 0:
        return BARS[0]
    if not high > low:  # a curve that stays where it is
        return BARS[0]
    return BARS[min(7, max(0, round(7 * ((math.log10(value) if log else value) - low) / (high - low))))]


def ends(values: Sequence[float]) -> str:
    """First and last value: "0.98 → 1.1e-8"."""
    seen = [v for v in values if not math.isnan(v)]
    return f"{number(seen[0])} → {number(seen[-1])}" if seen else "not measured"
