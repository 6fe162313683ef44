"""A finding, and the protocol that every check follows."""

from dataclasses import dataclass, field
from typing import Literal

from fanin.distributions import Distribution
from fanin.records import Record

Severity = Literal["info", "warning", "error"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "error")


@dataclass(frozen=True)
class Fix(Record):
    """What to do about a finding: a sentence, and where fanin can do it, the edit to the plan.

    Attributes:
        text: what to do, one or two plain sentences.
        edits: weight name → distribution to draw it from instead.
    """

    text: str
    edits: dict[str, Distribution] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding(Record):
    """One fault of one model.

    Attributes:
        code: stable code, "FI" and three digits.
        slug: stable name in words, such as "vanishing-forward-signal".
        severity: "error" (it will not train), "warning" (it trains worse than it could), "info" (worth knowing).
        where: names of the slots or modules concerned, the first the most telling.
        message: one English sentence with the numbers in it.
        measured: the measured numbers, by name.
        expected: what theory predicts for them, or the bounds that they should keep.
        why: one or two sentences: why this hurts.
        fix: what to do.
    """

    code: str
    slug: str
    severity: Severity
    where: tuple[str, ...]
    message: str
    measured: dict[str, float]
    expected: dict[str, float]
    why: str
    fix: Fix
