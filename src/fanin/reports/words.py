"""The English words of a report, shared by every format, so that a finding reads the same wherever it is shown."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fanin.checks.finding import SEVERITIES, Finding, Severity
from fanin.checks.report import Report
from fanin.distributions import Distribution

SEVERITY_WORDS: dict[Severity, str] = {
    "error": "it will not train",
    "warning": "it trains worse than it could",
    "info": "worth knowing",
}


@dataclass(frozen=True)
class Verdict:
    """The one thing to know first.

    Attributes:
        level: the worst severity found, "ok" where there is none.
        headline: one short sentence.
        detail: what was looked at: sizes, loss, time.
    """

    level: Literal["ok", "info", "warning", "error"]
    headline: str
    detail: str


def verdict(report: Report) -> Verdict:
    """The verdict on a report."""
    level = worst(report.findings)
    counted = count_findings(report.findings)
    headline = {
        "ok": "Ready to train: nothing to report",
        "info": f"Ready to train: {counted}, nothing worse",
        "warning": f"Trains worse than it could: {counted}",
        "error": f"Will not train as it is: {counted}",
    }[level]
    return Verdict(level, headline, detail(report))


def detail(report: Report) -> str:
    """What was looked at, in one line."""
    trace = report.trace
    parts = [
        f"{trace.parameters:,} parameters in {count(len(trace.slots), 'weight')}",
        f"{trace.depth} deep",
    ]
    if trace.loss is not None and not math.isnan(trace.loss.value):
        chance = "" if math.isnan(trace.loss.chance) else f" (chance {number(trace.loss.chance, 4)})"
        parts.append(f"loss {number(trace.loss.value, 4)}{chance}")
    parts.append(
        {"loss": "gradients of the loss", "probe": "gradients of a random projection", "none": "no gradients"}[
            trace.backward
        ]
    )
    if report.seconds > 0:
        parts.append(f"checked in {number(report.seconds, 2)} s")
    return " · ".join(parts)


def worst(findings: Sequence[Finding]) -> Literal["ok", "info", "warning", "error"]:
    """The worst severity among the findings, "ok" where there are none."""
    for severity in reversed(SEVERITIES):
        if any(f.severity == severity for f in findings):
            return severity
    return "ok"


def count_findings(findings: Sequence[Finding]) -> str:
    """ "2 errors, 1 warning": how many of each severity, the worst first."""
    words = {"error": "error", "warning": "warning", "info": "remark"}
    counts = [(sum(f.severity == s for f in findings), words[s]) for s in reversed(SEVERITIES)]
    return ", ".join(count(n, word) for n, word in counts if n) or "nothing"


def count(n: int, word: str) -> str:
    """ "1 weight", "1,200 weights"."""
    return f"{n:,} {word}{'' if n == 1 else 's'}"


def number(x: float, digits: int = 3) -> str:
    """A number for people: three significant digits, no trailing zeros, ∞ and – for what is not finite.

    Example:
        >>> number(0.000012345), number(1234567.0), number(2.0), number(float("inf"))
        ('1.23e-5', '1.23e6', '2', '∞')
    """
    if math.isnan(x):
        return "–"
    if math.isinf(x):
        return "∞" if x > 0 else "-∞"
    if x == int(x) and abs(x) < 1e6:
        return f"{int(x):,}"
    if 1e-3 <= abs(x) < 1e5:
        whole = len(str(int(abs(x))))
        text = f"{x:,.{max(0, digits - whole)}f}" if abs(x) >= 1 else f"{x:.{digits}g}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    mantissa, exponent = f"{x:.{digits - 1}e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(exponent)}"


def label(key: str) -> str:
    """The key of a measured or expected number, as words."""
    return key.replace("_", " ")


def evidence(finding: Finding) -> list[tuple[str, str, str]]:
    """Rows (name, measured, expected) of a finding's numbers; an empty cell where one side has none."""
    names = [*finding.measured, *(k for k in finding.expected if k not in finding.measured)]
    rows = []
    for name in names:
        measured = number(finding.measured[name]) if name in finding.measured else ""
        expected = number(finding.expected[name]) if name in finding.expected else ""
        rows.append((label(name), measured, expected))
    return rows


def where_text(where: Sequence[str], limit: int = 3) -> str:
    """The first places and how many more there are; the whole model where there are none."""
    if not where:
        return "the whole model"
    shown = [w or "(root)" for w in where[:limit]]
    rest = len(where) - limit
    return ", ".join(shown) + (f" and {rest} more" if rest > 0 else "")


def undone_text(undone: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """(the first weights and how many more, reason), one row a reason."""
    reasons: dict[str, list[str]] = {}
    for name, reason in undone:
        reasons.setdefault(reason, []).append(name)
    return [(where_text(names), reason) for reason, names in reasons.items()]


def shape_text(shape: Sequence[int]) -> str:
    """ "128 × 64", "scalar"."""
    return " × ".join(str(n) for n in shape) if shape else "scalar"


def distribution_text(distribution: Distribution) -> str:
    """A distribution in a few words, without the axes: "Mirrored(Orthogonal(gain 1))"."""
    inside: list[str] = []
    for field in dataclasses.fields(distribution):
        value = getattr(distribution, field.name)
        if isinstance(value, Distribution):
            inside.append(distribution_text(value))
        elif isinstance(value, tuple) and value and isinstance(value[0], Distribution):
            inside.append(", ".join(dict.fromkeys(distribution_text(part) for part in value)))
        elif isinstance(value, float) and (value != field.default or field.name == "gain"):
            inside.append(f"{field.name} {number(value)}")
    return f"{type(distribution).__name__}({', '.join(inside)})"


def fates(before: Sequence[Finding], after: Sequence[Finding]) -> list[tuple[str, list[Finding], list[Finding]]]:
    """Per code, in order: what was found before a fix, and what is found after it."""
    codes = dict.fromkeys(f.code for f in (*before, *after))
    return [(c, [f for f in before if f.code == c], [f for f in after if f.code == c]) for c in codes]


def counterpart(finding: Finding, after: Sequence[Finding]) -> Finding | None:
    """What became of a finding: the one of the same code that shares most of its places (any, where it has none)."""
    same = [f for f in after if f.code == finding.code]
    near = [f for f in same if set(f.where) & set(finding.where) or not finding.where]
    return max(near, key=lambda f: len(set(f.where) & set(finding.where)), default=None)
