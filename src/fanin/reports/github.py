"""Findings as GitHub workflow commands, which Actions shows as annotations."""

from fanin.checks.report import Report
from fanin.reports.sarif import target_file
from fanin.reports.words import verdict, where_text

COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}


def dumps(report: Report) -> str:
    """One annotation a line, the verdict last."""
    path = target_file(report.target)
    place = f"file={_value(path)},line=1," if path else ""
    lines = []
    for f in report.findings:
        text = f"{f.message} ({where_text(f.where)}) {f.why} Fix: {f.fix.text}"
        lines.append(f"::{COMMANDS[f.severity]} {place}title={_value(f'{f.code} {f.slug}')}::{_message(text)}")
    return "\n".join([*lines, f"{report.target}: {verdict(report).headline}"]) + "\n"


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _value(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
