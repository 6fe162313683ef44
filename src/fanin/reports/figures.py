"""Figures as inline SVG: they need no script, follow the page's colours, and carry their numbers as text besides.

Why not Vega-Lite: docs/decisions/0002-figures.md.
"""

import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from fanin.reports.words import number

WIDTH, HEIGHT = 440, 270
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 12, 40
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
LONGEST_BESIDE = 19  # characters of a row's name that have room beside the row
MOST_POINTS = 240  # a deeper model's curves are thinned to this many points


@dataclass(frozen=True)
class Series:
    """One line of a figure.

    Attributes:
        name: what the legend calls it.
        style: its CSS class ("measured", "predicted", "before", "after", "c0", "c1", …).
        y: one value a point, NaN where there is none.
        low, high: the band around it, empty for none.
        faint: drawn thin and without legend, dots or tooltip (single runs behind their mean).
        plain: drawn without dots (steps, level lines).
        said: a remark a point, shown with its value and as a cross; "" for none.
    """

    name: str
    style: str
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    faint: bool = False
    plain: bool = False
    said: Sequence[str] = ()


@dataclass(frozen=True)
class DotRow:
    """One row of a dot figure: every run as a dot, the mean and its interval (NaN where there is none) besides."""

    name: str
    style: str
    values: Sequence[float]
    mean: float
    low: float
    high: float


class Scale:
    """Value to pixel on one axis, linear or logarithmic, with its ticks."""

    def __init__(self, values: Sequence[float], start: float, end: float, log: bool, tight: bool = False) -> None:
        self.log, self.start, self.end = log, start, end
        seen = [self._inner(v) for v in values if math.isfinite(v) and (v > 0 or not log)]
        low, high = (min(seen), max(seen)) if seen else (0.0, 1.0)
        if tight:
            self.low, self.high = low, high if high > low else low + 1
        elif log:  # at least a decade, so that a flat curve looks flat
            short = max(0.0, 1.0 - (high - low)) / 2
            self.low, self.high = low - short - 0.04 * (high - low), high + short + 0.04 * (high - low)
        else:
            short = 0.04 * (high - low) or 0.05 * max(abs(high), 1e-12)
            self.low, self.high = low - short, high + short

    def _inner(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def __call__(self, value: float) -> float:
        """The pixel of a value; beyond the ends for what is zero or infinite on a log axis."""
        if self.log and value <= 0:
            share = 0.0
        elif math.isinf(value):
            share = 1.0 if value > 0 else 0.0
        else:
            share = (self._inner(value) - self.low) / (self.high - self.low)
        return round(self.start + min(1.02, max(-0.02, share)) * (self.end - self.start), 1)

    def ticks(self, most: int = 6) -> list[float]:
        """At most about `most` round values on the axis."""
        if self.log:
            low, high = math.ceil(self.low - 1e-9), math.floor(self.high + 1e-9)
            step = max(1, math.ceil((high - low + 1) / most))
            decades = [10.0**e for e in range(low, high + 1) if e % step == 0]
            if len(decades) >= 2:
                return decades
            within = [m * 10.0**e for e in range(low - 1, high + 1) for m in (1, 2, 5)]
            return [v for v in within if self.low <= math.log10(v) <= self.high]
        span = (self.high - self.low) / most
        base = 10.0 ** math.floor(math.log10(span))
        step = next(base * m for m in (1, 2, 5, 10) if base * m >= span)
        first = math.ceil(self.low / step - 1e-9)
        return [i * step for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


def line_figure(
    title: str,
    caption: str,
    x: Sequence[float],
    series: Sequence[Series],
    *,
    labels: Sequence[str] = (),
    x_name: str = "depth",
    log: bool = True,
    log_x: bool = False,
    x_ticks: Sequence[float] = (),
) -> str:
    """A figure of lines over one x axis (same length as each series), with legend, tooltips and its numbers as a table.

    Args:
        title: what is shown.
        caption: one sentence that says what to see.
        x: positions of the points, increasing.
        series: the lines; a band is drawn where a series has one.
        labels: a name for each point (the weight), for the tooltip.
        log: whether the y axis is logarithmic.
        log_x: whether the x axis is.
        x_ticks: values to name on the x axis; round ones where none are given.
    """
    keep = thin(len(x), MOST_POINTS)
    x = [x[i] for i in keep]
    labels = [labels[i] for i in keep] if labels else [f"{x_name} {number(v)}" for v in x]
    lines = [
        Series(
            s.name,
            s.style,
            [s.y[i] for i in keep],
            [s.low[i] for i in keep if s.low],
            [s.high[i] for i in keep if s.high],
            s.faint,
            s.plain,
            [s.said[i] for i in keep if s.said],
        )
        for s in series
    ]
    everything = [v for s in lines for v in (*s.y, *_near_band(s))]
    fx = Scale(x, LEFT, WIDTH - RIGHT, log=log_x, tight=True)
    fy = Scale(everything, HEIGHT - BOTTOM, TOP, log=log)
    parts = [_grid(fy, fx, x_name, x_ticks)]
    parts += [_band(s, x, fx, fy) for s in lines if s.low]
    parts += [_line(s, x, fx, fy) for s in sorted(lines, key=lambda s: not s.faint)]
    shown = [s for s in lines if not s.faint]
    points = {
        "x": [fx(v) for v in x],
        "labels": labels,
        "rows": [
            {
                "name": s.name,
                "style": s.style,
                "y": [fy(v) if not math.isnan(v) else None for v in s.y],
                "text": _texts(s),
            }
            for s in shown
        ],
    }
    table = table_of([x_name, "where", *(s.name for s in shown)], [
        [number(v), name, *(number(s.y[i]) + _said(s, i) for s in shown)] for i, (v, name) in enumerate(zip(x, labels, strict=True))
    ])  # fmt: skip
    return figure_frame(
        title, caption, "".join(parts), HEIGHT, [(s.name, s.style, bool(s.low)) for s in shown], points, table
    )


def dot_figure(title: str, caption: str, rows: Sequence[DotRow], *, log: bool = False) -> str:
    """Every run as a dot, one row a way of initialising, with the mean and its interval."""
    longest = max((len(r.name) for r in rows), default=0)
    above = longest > LONGEST_BESIDE  # then names stand over their rows
    row_height = 58 if above else 44
    height = TOP + row_height * len(rows) + BOTTOM
    left = 16 if above else min(150, 18 + 7 * longest)
    finite = [v for r in rows for v in (*r.values, r.mean, r.low, r.high) if math.isfinite(v)]
    fx = Scale(finite, left, WIDTH - RIGHT - 6, log=log)
    parts = [f'<g class="grid">{"".join(_vertical(fx(t), height, text) for t, text in named(fx.ticks(5)))}</g>']
    for i, row in enumerate(rows):
        y = TOP + row_height * (i + 0.5) + (10 if above else 0)
        place = f'x="{left}" y="{y - 18}"' if above else f'x="{left - 10}" y="{y + 4}" text-anchor="end"'
        parts.append(f'<text class="row-name" {place}>{escape(row.name)}</text>')
        if math.isfinite(row.low) and math.isfinite(row.high):
            parts.append(f'<path class="interval {row.style}" d="M{fx(row.low)} {y}H{fx(row.high)}"/>')
        for j, value in enumerate(row.values):
            if math.isfinite(value):
                shift = ((j * 5) % 7 - 3) * 2.2  # fixed places off the line, so that equal runs do not hide each other
                tip = f"{row.name}, run {j + 1}: {number(value, 4)}"
                parts.append(
                    f'<circle class="dot {row.style}" cx="{fx(value)}" cy="{y + shift:g}" r="3.2">{_tip(tip)}</circle>'
                )
        if math.isfinite(row.mean):
            tip = f"{row.name}, mean {number(row.mean, 4)}"
            if math.isfinite(row.low):
                tip += f", 95 % interval {number(row.low, 4)} to {number(row.high, 4)}"
            parts.append(f'<path class="mean {row.style}" d="M{fx(row.mean)} {y - 13}V{y + 13}">{_tip(tip)}</path>')
    table = table_of(["", "mean", "95 % interval", "runs"], [
        [r.name, number(r.mean, 4), f"{number(r.low, 4)} to {number(r.high, 4)}", ", ".join(number(v, 4) for v in r.values)] for r in rows
    ])  # fmt: skip
    return figure_frame(title, caption, "".join(parts), height, [], None, table)


def thin(n: int, most: int) -> list[int]:
    """At most `most` indices of n, evenly spread, the first and the last among them."""
    if n <= most:
        return list(range(n))
    return sorted({round(i * (n - 1) / (most - 1)) for i in range(most)})


def _texts(s: Series) -> list[str]:
    texts = []
    for i, value in enumerate(s.y):
        band = f" ({number(s.low[i])} to {number(s.high[i])})" if s.low and not math.isnan(s.low[i]) else ""
        texts.append("" if math.isnan(value) else number(value, 4) + band + _said(s, i))
    return texts


def _said(s: Series, i: int) -> str:
    return f" ({s.said[i]})" if s.said and s.said[i] else ""


def _near_band(s: Series) -> list[float]:
    """The band's ends where they are within a thousandfold of the line; a band that grows wider runs off the figure."""
    near = []
    for value, low, high in zip(s.y, s.low, s.high, strict=False):
        near += [b for b in (low, high) if (value > 0 and b > 0 and 1e-3 <= b / value <= 1e3) or value <= 0]
    return near


def _line(s: Series, x: Sequence[float], fx: Callable[[float], float], fy: Callable[[float], float]) -> str:
    runs: list[str] = []
    pen = "M"
    for position, value in zip(x, s.y, strict=True):
        if math.isnan(value):
            pen = "M"
            continue
        runs.append(f"{pen}{fx(position)} {fy(value)}")
        pen = "L"
    path = f'<path class="line {s.style}{" faint" if s.faint else ""}" d="{"".join(runs)}"/>'
    broken = [p for p, v in zip(x, s.y, strict=True) if math.isinf(v)]
    crosses = "".join(f'<path class="cross {s.style}" d="M{fx(p) - 4} {TOP}l8 8m0 -8l-8 8"/>' for p in broken)
    if s.said:
        places = [(fx(p), fy(v)) for p, v, said in zip(x, s.y, s.said, strict=True) if said and math.isfinite(v)]
        crosses += "".join(
            f'<path class="cross {s.style}" d="M{px - 5} {py - 5}l10 10m0 -10l-10 10"/>' for px, py in places
        )
    single = sum(not math.isnan(v) for v in s.y) == 1 or (len(x) <= 40 and not s.faint and not s.plain)
    dots = (
        [(p, v) for p, v in zip(x, s.y, strict=True) if math.isfinite(v)] if single and s.style != "predicted" else []
    )
    return (
        path
        + crosses
        + "".join(f'<circle class="point {s.style}" cx="{fx(p)}" cy="{fy(v)}" r="2.4"/>' for p, v in dots)
    )


def _band(s: Series, x: Sequence[float], fx: Callable[[float], float], fy: Callable[[float], float]) -> str:
    spans: list[list[tuple[float, float, float]]] = [[]]
    for position, low, high in zip(x, s.low, s.high, strict=True):
        if math.isfinite(low) and math.isfinite(high):
            spans[-1].append((fx(position), fy(low), fy(high)))
        elif spans[-1]:
            spans.append([])
    paths = []
    for span in spans:
        if len(span) > 1:
            there = "L".join(f"{px} {top}" for px, _, top in span)
            back = "L".join(f"{px} {bottom}" for px, bottom, _ in reversed(span))
            paths.append(f'<path class="band {s.style}" d="M{there}L{back}Z"/>')
    return "".join(paths)


def _grid(fy: Scale, fx: Scale, x_name: str, x_ticks: Sequence[float] = ()) -> str:
    parts = []
    for tick, text in named(fy.ticks(), tick_text):
        y = fy(tick)
        parts.append(
            f'<path d="M{LEFT} {y}H{WIDTH - RIGHT}"/><text x="{LEFT - 7}" y="{y + 4}" text-anchor="end">{text}</text>'
        )
    whole = x_ticks or [t for t in fx.ticks(7) if t == int(t)] or fx.ticks(5)
    for tick, text in named(whole):
        parts.append(f'<text x="{fx(tick)}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">{text}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="axis" x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_name)}</text>')
    return f'<g class="grid">{"".join(parts)}</g>'


def named(ticks: Sequence[float], text: Callable[[float], str] = number) -> list[tuple[float, str]]:
    """Each tick with its text; more digits than elsewhere where two would read alike.

    Example:
        >>> named([0.9980, 0.9985, 0.9990])
        [(0.998, '0.9980'), (0.9985, '0.9985'), (0.999, '0.9990')]
    """
    texts = [text(tick) for tick in ticks]
    if len(set(texts)) < len(texts):
        step = min(b - a for a, b in itertools.pairwise(ticks))
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        texts = [f"{tick:,.{decimals}f}" for tick in ticks]
    return list(zip(ticks, texts, strict=True))


def tick_text(value: float) -> str:
    """A round number on an axis; powers of ten beyond a thousandth or a hundred thousand as 10⁻⁶."""
    text = number(value)
    mantissa, e, exponent = text.partition("e")
    if not e:
        return text
    power = f"10{exponent.translate(SUPERSCRIPTS)}"
    return power if mantissa == "1" else f"{mantissa} · {power}"


def _vertical(x: float, height: float, text: str) -> str:
    bottom = height - BOTTOM + 4
    return f'<path d="M{x} {TOP}V{bottom}"/><text x="{x}" y="{bottom + 16}" text-anchor="middle">{text}</text>'


def _tip(text: str) -> str:
    return f"<title>{escape(text)}</title>"


def figure_frame(
    title: str,
    caption: str,
    inside: str,
    height: float,
    legend: Sequence[tuple[str, str, bool]],
    points: dict[str, object] | None,
    table: str,
) -> str:
    """What all figures have around their drawing: title and caption, legend, data of the tooltip, numbers as a table.

    Args:
        inside: SVG, `WIDTH` wide and `height` high.
        legend: (name, style, whether it has a band) of each line.
        points: of the tooltip, as report.js reads them; None for none.
        table: the numbers as HTML.
    """
    keys = "".join(
        '<span class="key"><svg class="swatch" viewBox="0 0 22 10" aria-hidden="true">'
        + (f'<path class="band {style}" d="M0 0H22V10H0Z"/>' if band else "")
        + f'<path class="line {style}" d="M0 5H22"/></svg>{escape(name)}{" (band: 2 σ)" if band and style == "predicted" else ""}</span>'
        for name, style, band in legend
    )
    data = ""
    if points is not None:
        data = f'<script type="application/json">{json.dumps(points, separators=(",", ":")).replace("<", chr(92) + "u003c")}</script>'
    focus = ' tabindex="0"' if points is not None else ""
    return (
        f'<figure class="plot"><figcaption><strong>{escape(title)}</strong> <span>{escape(caption)}</span></figcaption>'
        f'<div class="canvas"><svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(f"{title}. {caption}")}"{focus}>'
        f"{inside}</svg></div>"
        f'<div class="legend">{keys}</div>{data}<details class="numbers"><summary>Numbers</summary>{table}</details></figure>'
    )


def table_of(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Numbers below a figure as a table."""
    cells = "".join(f"<th>{escape(h)}</th>" for h in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>'
