"""One self-contained HTML file: no network, no fonts, no libraries; the whole report is there without script too."""

from functools import cache
from html import escape
from importlib import resources
from typing import Any

from fanin.checks.report import Report
from fanin.reports import comparison, sections
from fanin.reports.sarif import version

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def report_html(report: Report | None = None, fixed: Any = None, comparison: Any = None) -> str:
    """A whole page: the verdict first, then the signal through depth, the findings, the fix, the comparison, the weights.

    Args:
        report: what `fanin.check` returned; taken from `fixed.before` where it is left out.
        fixed: what `fanin.fix` returned: adds before and after, and the plan with a reason for each weight.
        comparison: what `fanin.compare` returned: adds its curves, dots and differences.

    Returns:
        HTML text; under 2 MB, since long tables are cut with a note that says so.
    """
    report = report if report is not None else fixed.before if fixed is not None else None
    target = report.target if report is not None else comparison.model
    parts = _parts(report, fixed, comparison)
    links = "".join(f'<a href="#{name}">{escape(title)}</a>' for name, title, _ in parts if title)
    return page(target, "".join(content for _, _, content in parts), links)


def page(title: str, body: str, links: str = "") -> str:
    """One self-contained page around a body of HTML, with the reports' styles and script."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>fanin: {escape(title)}</title><style>{_asset('report.css')}</style></head>"
        '<body class="fanin"><header class="top"><div class="wrap"><span class="brand">fanin</span>'
        f'<span class="name">{escape(title)}</span><nav aria-label="Sections">{links}</nav></div></header>'
        f'<main class="wrap">{body}</main>'
        f'<footer class="wrap">Made by fanin {escape(version())}. Know before you train.</footer>'
        f"<script>{_asset('report.js')}</script></body></html>\n"
    )


def report_fragment(report: Report) -> str:
    """A report as a piece of HTML for a notebook: verdict, signal and findings, with styles of its own and no script."""
    inside = sections.verdict_section(report) + sections.signal_section(report) + sections.findings_section(report)
    return f'<div class="fanin fragment"><style>{_asset("report.css")}</style>{inside}</div>'


def comparison_fragment(result: Any) -> str:
    """A comparison as a piece of HTML for a notebook."""
    inside = comparison.comparison_section(result)
    return f'<div class="fanin fragment"><style>{_asset("report.css")}</style>{inside}</div>'


def fragment(inside: str) -> str:
    """A piece of HTML for a notebook, with the reports' styles and no script."""
    return f'<div class="fanin fragment"><style>{_asset("report.css")}</style>{inside}</div>'


def fixed_fragment(fixed: Any) -> str:
    """A fix as a piece of HTML for a notebook."""
    inside = sections.verdict_section(fixed.before, fixed) + sections.signal_section(fixed.before, fixed)
    inside += sections.findings_section(fixed.before, fixed)
    return f'<div class="fanin fragment"><style>{_asset("report.css")}</style>{inside}</div>'


def _parts(report: Report | None, fixed: Any, result: Any) -> list[tuple[str, str, str]]:
    parts: list[tuple[str, str, str]] = []
    if report is not None:
        parts.append(("verdict", "", sections.verdict_section(report, fixed)))
        parts.append(("signal", "Signal", sections.signal_section(report, fixed)))
        parts.append(("findings", "Findings", sections.findings_section(report, fixed)))
    if fixed is not None:
        parts.append(("fix", "Fix", sections.fix_section(fixed)))
    if result is not None:
        parts.append(("comparison", "Comparison", comparison.comparison_section(result, first=report is None)))
    if report is not None:
        parts.append(("weights", "Weights", sections.weights_section(report, fixed)))
        parts.append(("notes", "Notes", sections.notes_section(fixed.after if fixed is not None else report)))
    return [part for part in parts if part[2]]


@cache
def _asset(name: str) -> str:
    return resources.files("fanin.reports").joinpath("assets", name).read_text(encoding="utf-8")
