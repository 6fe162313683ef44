"""The page: whole, self-contained, small, and right in a real browser at phone and desktop width, dark and light."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tests.reports import samples

from fanin.checks.report import Report
from fanin.reports.html import comparison_fragment, fixed_fragment, report_fragment, report_html

PAGES = {
    "check": lambda: report_html(samples.report()),
    "clean": lambda: report_html(samples.report(clean=True)),
    "fix": lambda: report_html(samples.report(), samples.fixed()),
    "whole": lambda: report_html(samples.report(), samples.fixed(), samples.comparison()),
    "comparison": lambda: report_html(comparison=samples.comparison()),
}
VOID = {"meta", "link", "input", "br", "path", "circle"}


class Balance(HTMLParser):
    """Fails where tags do not close in the order in which they opened; collects the ids."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_well_formed_and_needs_nothing_from_outside(name: str) -> None:
    text = PAGES[name]()
    parser = Balance()
    parser.feed(text)
    assert parser.open == []
    assert len(parser.ids) == len(set(parser.ids))
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", text)
    assert "@import" not in text
    assert "url(" not in text


def test_names_of_weights_cannot_break_out_of_the_page() -> None:
    evil = "</script><script>alert(1)</script>&\"'"
    report = samples.report()
    finding = samples.finding(where=(evil,), message=evil)
    curves = tuple(replace(c, where=(evil,) * len(c.where)) for c in report.curves)
    slots = (replace(report.trace.slots[0], name=evil, names=(evil,)), *report.trace.slots[1:])
    text = report_html(Report(evil, replace(report.trace, slots=slots), (finding,), curves))
    assert "<script>alert" not in text
    parser = Balance()
    parser.feed(text)
    assert parser.open == []


def test_a_very_large_model_stays_under_two_megabytes_and_says_what_was_cut() -> None:
    fixed = samples.fixed()
    large = samples.report(depth=3000, gain=1.0)
    entries = {s.name: next(iter(fixed.plan.entries.values())) for s in large.trace.slots}
    finding = samples.finding(where=tuple(s.name for s in large.trace.slots))
    large = Report(large.target, large.trace, (finding,) * 20, large.curves)
    plan = type(fixed.plan)(entries)
    text = report_html(large, replace(fixed, before=large, after=large, plan=plan), samples.comparison(30))
    assert len(text.encode()) < 2_000_000
    assert "The first 1,200 of 3,000 are shown" in text


def test_fragments_for_notebooks_carry_their_styles_and_no_script() -> None:
    for text in (
        report_fragment(samples.report()),
        fixed_fragment(samples.fixed()),
        comparison_fragment(samples.comparison()),
    ):
        assert text.startswith('<div class="fanin fragment"><style>')
        assert not re.search(r"<script(?! type=\"application/json\")", text)
        assert not re.search(
            r"^(?!\.fanin|body\.fanin|[ }/]|$)", text.split("<style>")[1].split("</style>")[0], re.MULTILINE
        )
    assert samples.report()._repr_html_() == report_fragment(samples.report())


@contextmanager
def opened(chromium: str, text: str, folder: Path, **options: Any) -> Iterator[tuple[Any, list[str]]]:
    """A page in Chromium, and a list of what went wrong in it: console messages, errors, requests."""
    playwright = pytest.importorskip("playwright.sync_api")
    file = folder / "report.html"
    file.write_text(text, encoding="utf-8")
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(**options)
        wrong: list[str] = []
        page.on("console", lambda m: wrong.append(f"{m.type}: {m.text}"))
        page.on("pageerror", lambda e: wrong.append(str(e)))
        page.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else wrong.append(r.url))
        page.goto(file.resolve().as_uri())
        yield page, wrong
        browser.close()


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_in_a_browser(chromium: str, tmp_path: Path, width: int, scheme: str) -> None:
    text = report_html(samples.report(), samples.fixed(), samples.comparison())
    view = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    with opened(chromium, text, tmp_path, **view) as (page, wrong):
        assert page.evaluate("document.documentElement.scrollWidth") <= width  # nothing to scroll sideways
        verdict = page.locator("h1")
        assert verdict.inner_text().startswith("Mended")
        assert verdict.bounding_box()["y"] < 300
        assert page.locator("figure.plot").count() == 3 + 4
        for figure in page.locator("figure.plot svg[role=img]").all():
            box = figure.bounding_box()
            assert box["width"] >= min(width - 80, 280)
            assert box["height"] > 100
        assert page.locator("article.finding").count() == 3
        assert page.locator("article .gone").count() == 2
        assert smallest_contrast(page) >= 4.5
        assert wrong == []


@pytest.mark.browser
@pytest.mark.slow
def test_tooltips_sorting_and_filtering(chromium: str, tmp_path: Path) -> None:
    with opened(chromium, report_html(samples.report()), tmp_path) as (page, wrong):
        figure = page.locator("figure.plot").first
        tip = figure.locator(".tip")
        assert not tip.is_visible()
        box = figure.locator("svg[role=img]").bounding_box()
        page.mouse.move(box["x"] + box["width"] - 4, box["y"] + 50)
        assert "net.58.weight" in tip.inner_text()
        assert "measured: " in tip.inner_text()
        figure.locator("svg[role=img]").focus()
        page.keyboard.press("ArrowLeft")
        assert "net.56.weight" in tip.inner_text()
        page.keyboard.press("Escape")
        assert not tip.is_visible()

        names = "table.sortable tbody tr:not([hidden]) td:first-child"
        button = page.get_by_role("button", name="gradient rms")
        button.click()
        assert page.locator(names).first.inner_text() == "net.0.weight"
        button.click()
        assert page.locator(names).first.inner_text() == "net.58.weight"
        assert page.locator("th[aria-sort=descending]").count() == 1
        page.get_by_placeholder("name, role").fill("net.4")
        assert page.locator(names).count() == 6  # 4, 40, 42, …, 48
        page.get_by_placeholder("name, role").fill("")
        page.get_by_label("only with findings").check()
        assert page.locator(names).count() == 29
        assert wrong == []


@pytest.mark.browser
@pytest.mark.slow
def test_the_page_is_whole_without_script_and_on_paper(chromium: str, tmp_path: Path) -> None:
    with opened(chromium, report_html(samples.report()), tmp_path, java_script_enabled=False) as (page, wrong):
        assert page.locator("table.sortable tbody tr").count() == 30
        assert page.locator("path.line.measured").count() >= 3
        page.emulate_media(media="print")
        assert not page.locator(".top nav").is_visible()
        assert len(page.pdf()) > 20_000
        assert wrong == []


# Contrast of every piece of text against what is painted behind it (WCAG 2.1, 1.4.3), the smallest of them.
CONTRAST = """() => {
  const luminance = ([r, g, b]) => {
    const f = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b);
  };
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const color = parse(getComputedStyle(node).backgroundColor);
      if (color.length < 4 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  let smallest = 21;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || ["SCRIPT", "STYLE", "TITLE", "title"].includes(node.tagName)) continue;
    const style = getComputedStyle(node);
    const [a, b] = [parse(node.closest("svg") ? style.fill : style.color), behind(node)].map(luminance);
    smallest = Math.min(smallest, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
  }
  return smallest;
}"""


def smallest_contrast(page: Any) -> float:
    return page.evaluate(CONTRAST)
