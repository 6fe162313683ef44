"""A little drawing for the examples: panels with axes, lines, dots, filled cells and bars, written as one SVG file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from fanin.reports.figures import Scale, tick_text

COLOURS = ("#2a6fdb", "#d1495b", "#3a9d5d", "#8a5cc2", "#e08a1e", "#4b5563", "#0d9aa5")
INK, FAINT = "#1f2933", "#d5dae1"
CSS = "text{font:12px system-ui,'DejaVu Sans',Arial,sans-serif;fill:#1f2933} .t{font-weight:600} .s{font-size:11px;fill:#52606d}"


class Panel:
    """One pair of axes at (x, y) on the page; `log_x` and `log_y` make an axis logarithmic.

    Give the values that each axis must show; things are drawn in the order they are asked for.
    """

    def __init__(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        xs: Sequence[float],
        ys: Sequence[float],
        title: str = "",
        x_name: str = "",
        y_name: str = "",
        log_x: bool = False,
        log_y: bool = False,
    ) -> None:
        self.box = (x, y, width, height)
        self.fx = Scale(xs, x, x + width, log=log_x, tight=True)
        self.fy = Scale(ys, y + height, y, log=log_y, tight=True)
        self.names = (title, x_name, y_name)
        self.inside: list[str] = []
        self.over: list[str] = []

    def line(
        self, xs: Sequence[float], ys: Sequence[float], colour: str, dashed: bool = False, width: float = 2.0
    ) -> None:
        """A line through the finite points."""
        pen, path = "M", []
        for a, b in zip(xs, ys, strict=True):
            if not (math.isfinite(a) and math.isfinite(b)):
                pen = "M"
                continue
            path.append(f"{pen}{self.fx(a)} {self.fy(b)}")
            pen = "L"
        dash = ' stroke-dasharray="6 4"' if dashed else ""
        self.inside.append(f'<path d="{"".join(path)}" fill="none" stroke="{colour}" stroke-width="{width}"{dash}/>')

    def band(self, xs: Sequence[float], low: Sequence[float], high: Sequence[float], colour: str) -> None:
        """A filled band between two lines."""
        there = "L".join(f"{self.fx(a)} {self.fy(b)}" for a, b in zip(xs, high, strict=True))
        back = "L".join(f"{self.fx(a)} {self.fy(b)}" for a, b in reversed(list(zip(xs, low, strict=True))))
        self.inside.append(f'<path d="M{there}L{back}Z" fill="{colour}" fill-opacity=".16"/>')

    def dots(self, xs: Sequence[float], ys: Sequence[float], colour: str, radius: float = 2.6) -> None:
        """A dot a point."""
        self.inside += [
            f'<circle cx="{self.fx(a)}" cy="{self.fy(b)}" r="{radius}" fill="{colour}"/>'
            for a, b in zip(xs, ys, strict=True)
            if math.isfinite(a) and math.isfinite(b)
        ]

    def cell(self, x: tuple[float, float], y: tuple[float, float], colour: str) -> None:
        """A filled rectangle between two values of each axis."""
        a, b = sorted(self.fx(v) for v in x)
        c, d = sorted(self.fy(v) for v in y)
        self.inside.append(f'<rect x="{a}" y="{c}" width="{b - a + 0.4:g}" height="{d - c + 0.4:g}" fill="{colour}"/>')

    def bars(self, edges: Sequence[float], heights: Sequence[float], colour: str) -> None:
        """A histogram: one bar between each two edges."""
        points = [f"M{self.fx(edges[0])} {self.fy(0.0)}"]
        for low, high, h in zip(edges, edges[1:], heights, strict=False):
            points.append(f"L{self.fx(low)} {self.fy(h)}L{self.fx(high)} {self.fy(h)}")
        points.append(f"L{self.fx(edges[-1])} {self.fy(0.0)}Z")
        self.inside.append(f'<path d="{"".join(points)}" fill="{colour}" fill-opacity=".75"/>')

    def note(self, x: float, y: float, text: str, colour: str = INK, anchor: str = "start") -> None:
        """A word at a place of the axes."""
        self.over.append(
            f'<text class="s" x="{self.fx(x)}" y="{self.fy(y)}" text-anchor="{anchor}" style="fill:{colour}">{escape(text)}</text>'
        )

    def svg(self, ticks: int = 5, y_ticks: int = 5) -> str:
        """The panel's elements, with about so many ticks on each axis."""
        x, y, width, height = self.box
        title, x_name, y_name = self.names
        clip = f"c{int(x)}-{int(y)}"
        parts = [f'<clipPath id="{clip}"><rect x="{x}" y="{y}" width="{width}" height="{height}"/></clipPath>']
        parts.append(f'<g clip-path="url(#{clip})">{"".join(self.inside)}</g>')
        for t in self.fx.ticks(ticks):
            if x - 1 <= self.fx(t) <= x + width + 1:
                parts.append(f'<path d="M{self.fx(t)} {y + height}v4" stroke="{INK}"/>')
                parts.append(
                    f'<text class="s" x="{self.fx(t)}" y="{y + height + 17}" text-anchor="middle">{tick_text(t)}</text>'
                )
        for t in self.fy.ticks(y_ticks) if y_ticks else ():
            if y - 1 <= self.fy(t) <= y + height + 1:
                parts.append(f'<path d="M{x - 4} {self.fy(t)}h4" stroke="{INK}"/>')
                parts.append(
                    f'<text class="s" x="{x - 7}" y="{self.fy(t) + 4}" text-anchor="end">{tick_text(t)}</text>'
                )
        parts.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="none" stroke="{INK}"/>')
        parts.append("".join(self.over))
        parts.append(f'<text class="t" x="{x}" y="{y - 9}">{escape(title)}</text>')
        parts.append(f'<text x="{x + width / 2}" y="{y + height + 36}" text-anchor="middle">{escape(x_name)}</text>')
        if y_name:
            at = f"{x - 46} {y + height / 2}"
            parts.append(f'<text transform="translate({at}) rotate(-90)" text-anchor="middle">{escape(y_name)}</text>')
        return "".join(parts)


def legend(x: float, y: float, entries: Sequence[tuple[str, str]], step: float = 18.0) -> str:
    """Names under each other, each with its colour."""
    return "".join(
        f'<path d="M{x} {y + i * step}h22" stroke="{colour}" stroke-width="3"/>'
        f'<text class="s" x="{x + 28}" y="{y + i * step + 4}">{escape(name)}</text>'
        for i, (name, colour) in enumerate(entries)
    )


def save(path: Path, width: float, height: float, title: str, caption: str, parts: Sequence[str]) -> None:
    """One SVG file with a title, a sentence that says what to see, and the parts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = f'<text x="20" y="28" style="font-size:16px;font-weight:600">{escape(title)}</text>'
    words = f'<text class="s" x="20" y="47">{escape(caption)}</text>'
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}">'
        f'<style>{CSS}</style><rect width="100%" height="100%" fill="#fff"/>{head}{words}{"".join(parts)}</svg>\n',
        encoding="utf-8",
    )


def shade(share: float) -> str:
    """White (0) to a deep blue (1)."""
    share = min(max(share, 0.0), 1.0) if math.isfinite(share) else 0.0
    low, high = (247, 250, 253), (24, 78, 162)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(low, high, strict=True))
