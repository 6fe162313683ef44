"""The residual stream through depth: in nets with residual adds, the size of what runs past the branches tells more
than the sizes inside them, which go up and down by design."""

import math

from fanin.checks.report import Curve, Report
from fanin.traces.records import Trace

LEAST = 3  # adds that make a curve


def curves_of(report: Report) -> tuple[Curve, ...]:
    """The report's curves, those of its residual stream first where it has one."""
    return (*stream_curves(report.trace), *report.curves)


def stream_curves(trace: Trace) -> tuple[Curve, ...]:
    """Rms of the signal and of its gradient behind each residual add (unitless); none where there are few adds."""
    points = []
    for add in trace.residuals:
        signal = trace.ops[add.add].signal if add.add < len(trace.ops) else None
        if signal is not None:
            points.append(
                (add.weights[-1] if add.weights else trace.ops[add.add].module, trace.ops[add.add].depth, signal)
            )
    if len(points) < LEAST:
        return ()
    where, depth = tuple(name for name, _, _ in points), tuple(d for _, d, _ in points)
    unknown = (math.nan,) * len(points)
    values = (
        ("stream rms", tuple(s.rms for _, _, s in points)),
        ("stream gradient", tuple(s.grad_rms for _, _, s in points)),
    )
    return tuple(
        Curve(title, where, depth, measured, unknown, unknown, unknown)
        for title, measured in values
        if any(math.isfinite(v) for v in measured)
    )
