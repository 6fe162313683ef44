"""The result of a check: the trace, the findings, and a verdict."""

from dataclasses import dataclass

from fanin.checks.finding import SEVERITIES, Finding, Severity
from fanin.records import Record
from fanin.traces.records import Trace


@dataclass(frozen=True)
class Curve(Record):
    """A signal through depth: one value a weight op, measured beside predicted (with a band of two deviations).

    Attributes:
        title: what is shown ("forward rms", "gradient rms", "correlation").
        where: name of the weight at each point.
        depth: depth of each point.
        measured: measured values.
        predicted: values that theory predicts from the weights' laws; NaN where it has none.
        low, high: the band of predicted values that redraws of the same laws stay in.
    """

    title: str
    where: tuple[str, ...]
    depth: tuple[int, ...]
    measured: tuple[float, ...]
    predicted: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Report(Record):
    """What `fanin.check` returns.

    Attributes:
        target: what was checked, in words.
        trace: the watched pass.
        findings: most severe first.
        curves: the signal through depth, measured and predicted.
        seconds: how long the check took (seconds of wall time).
    """

    target: str
    trace: Trace
    findings: tuple[Finding, ...]
    curves: tuple[Curve, ...] = ()
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether there is nothing at or above "warning"."""
        return not self.at_least("warning")

    def at_least(self, severity: Severity) -> tuple[Finding, ...]:
        """The findings of at least this severity."""
        least = SEVERITIES.index(severity)
        return tuple(f for f in self.findings if SEVERITIES.index(f.severity) >= least)

    def __str__(self) -> str:
        from fanin.reports.terminal import report_text  # a result shows itself; the room above draws it

        return report_text(self)

    def _repr_html_(self) -> str:
        from fanin.reports.html import report_fragment

        return report_fragment(self)
