"""A topic with its figure and the user's own numbers: in the terminal, and as one page for the browser."""

import re
from html import escape

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from fanin.lessons.own import Own
from fanin.lessons.pictures import Picture
from fanin.reports.figures import Series, line_figure
from fanin.reports.html import page
from fanin.reports.rich_parts import bar_span, ends, sparkline

BARS = 40  # of a line in the terminal


def figure_parts(shown: Picture) -> list[RenderableType]:
    """A figure in the terminal: one row of bars a line, on one scale."""
    span = bar_span([v for _, line in shown.lines for v in line], shown.log)
    rows = [(name, line) for name, line in shown.lines]
    at = f"{shown.x_name}: {shown.x[0]:g} to {shown.x[-1]:g}" + (", logarithmic" if shown.log else "")
    return [Text(shown.title, style="bold"), _bars(rows, span, shown.log), Text(f"{at}. {shown.caption}", style="dim")]


def own_parts(model: str, told: Own) -> list[RenderableType]:
    """What was measured on the user's model."""
    found: list[RenderableType] = [Text(f"In your model ({model})", style="bold"), *map(Text, told.sentences)]
    if len(told.y) > 1:
        found += [_bars([(told.y_name, told.y)], bar_span(told.y, told.log), told.log)]
    return found


def _bars(rows: list, span: tuple[float, float], log: bool) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(max_width=30, overflow="fold")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", style="dim")
    for name, line in rows:
        table.add_row(name, sparkline(line, BARS, span, log), ends(line))
    return table


def topic_page(name: str, text: str, shown: Picture | None, model: str = "", told: Own | None = None) -> str:
    """The topic as one self-contained page: text, figure, own numbers."""
    parts = [markdown(text)]
    if shown is not None:
        styles = [Series(line, f"c{k}", y) for k, (line, y) in enumerate(shown.lines)]
        parts.append(line_figure(shown.title, shown.caption, list(shown.x), styles, x_name=shown.x_name, log=shown.log))
    if told is not None:
        parts.append(
            f"<h2>In your model ({escape(model)})</h2>" + "".join(f"<p>{escape(s)}</p>" for s in told.sentences)
        )
        if len(told.y) > 1:
            series = [Series(told.y_name, "measured", told.y)]
            x = list(range(1, len(told.y) + 1))
            parts.append(
                line_figure(told.y_name, "One point for each, in order.", x, series, x_name="weight", log=told.log)
            )
    return page(name, f'<section class="lesson">{"".join(parts)}</section>')


def markdown(text: str) -> str:
    """The Markdown that topics are written in, as HTML: headings, lists, code, bold and emphasis."""
    return "".join(map(_block, re.split(r"\n\s*\n", text.strip())))


def _block(block: str) -> str:
    lines = block.splitlines()
    if lines[0].startswith("#"):
        level = len(lines[0]) - len(lines[0].lstrip("#"))
        return f"<h{level}>{_inline(lines[0].lstrip('# '))}</h{level}>"
    if all(line.startswith("    ") for line in lines):
        return f"<pre><code>{escape(chr(10).join(line[4:] for line in lines))}</code></pre>"
    if lines[0].startswith("- "):
        items = re.split(r"\n(?=- )", block)
        return "<ul>" + "".join(f"<li>{_inline(item[2:])}</li>" for item in items) + "</ul>"
    return f"<p>{_inline(block)}</p>"


def _inline(text: str) -> str:
    done = escape(" ".join(text.split()))
    done = re.sub(r"`([^`]+)`", r"<code>\1</code>", done)
    done = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", done)
    return re.sub(r"(?<![\w*])\*(?!\s)([^*]+?)\*(?![\w*])", r"<em>\1</em>", done)
