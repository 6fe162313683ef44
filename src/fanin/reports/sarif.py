"""Findings as SARIF 2.1.0, the form that code scanners and editors read."""

import json
import re
from importlib import metadata
from pathlib import Path
from typing import Any

from fanin.checks.finding import Finding
from fanin.checks.report import Report
from fanin.reports.words import evidence, where_text

LEVELS = {"error": "error", "warning": "warning", "info": "note"}


def dumps(report: Report) -> str:
    """A report as SARIF text: one rule for each code, one result for each finding, places as logical locations."""
    codes = {f.code: f for f in reversed(report.findings)}
    return json.dumps(
        {
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [
                {
                    "tool": {
                        "driver": {
                            "name": "fanin",
                            "version": version(),
                            "rules": [_rule(codes[c]) for c in sorted(codes)],
                        }
                    },
                    "results": [_result(f, report.target, sorted(codes)) for f in report.findings],
                }
            ],
        },
        indent=2,
    )


def version() -> str:
    """The version of fanin that is installed."""
    try:
        return metadata.version("fanin")
    except metadata.PackageNotFoundError:
        return "0"


def _rule(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.code,
        "name": "".join(word.capitalize() for word in finding.slug.split("-")),
        "shortDescription": {"text": finding.slug.replace("-", " ")},
        "help": {"text": f"fanin explain {finding.code}"},
        "defaultConfiguration": {"level": LEVELS[finding.severity]},
    }


def _result(finding: Finding, target: str, codes: list[str]) -> dict[str, Any]:
    location: dict[str, Any] = {
        "logicalLocations": [{"fullyQualifiedName": name or "(root)", "kind": "member"} for name in finding.where[:50]]
    }
    path = target_file(target)
    if path:
        location["physicalLocation"] = {"artifactLocation": {"uri": path}, "region": {"startLine": 1}}
    return {
        "ruleId": finding.code,
        "ruleIndex": codes.index(finding.code),
        "level": LEVELS[finding.severity],
        "message": {"text": f"{finding.message} {finding.why} Fix: {finding.fix.text}"},
        "locations": [location],
        "partialFingerprints": {"fanin/v1": f"{finding.code}:{where_text(finding.where, 1)}"},
        "properties": {
            "measured": {n: m for n, m, _ in evidence(finding) if m},
            "expected": {n: e for n, _, e in evidence(finding) if e},
        },
    }


def target_file(target: str) -> str | None:
    """The file of a target such as `path/model.py:net`, with forward slashes; None where it names no file."""
    found = re.fullmatch(r"(.+\.py):[\w.]+", target)
    return Path(found[1]).as_posix() if found else None
