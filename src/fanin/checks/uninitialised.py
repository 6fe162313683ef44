"""A weight looks like memory that nobody wrote.

What: the numbers of a weight are absurd (beyond 1e10) or mostly denormal (under 1e-30, not zero), as `torch.empty`
leaves them.

Why it hurts: the values are those of whatever used the memory before. They differ from run to run, and often overflow
at the first step.

How it was measured: the extremes of all stored numbers and the share of denormal ones in a sample. Null hypothesis:
the weight was drawn by some rule; no rule in use gives |w| > 1e10, and a normal law of any sensible deviation gives
|w| < 1e-30 once in 1e28 draws. Memory that happens to hold ordinary numbers cannot be told from a draw: there the
check is silent, as it is for memory that was zero (see FI303 and FI101 for what zeros break).

How to fix: call `reset_parameters()` (or the model's own init) after `to_empty()` or `torch.empty`, or apply a plan.

Papers: PyTorch issues 90465 and 104187 (meta device and `reset_parameters`); transformers issue 30953.
"""

from collections.abc import Iterator

from fanin.checks.finding import Finding, Fix, Severity
from fanin.checks.judge import counted, listed, number
from fanin.theory import Prediction
from fanin.traces.records import Trace

CODE = "FI002"
SLUG = "uninitialised"
SEVERITY: Severity = "error"


def check(trace: Trace, law: Prediction) -> Iterator[Finding]:
    """One finding for all such weights."""
    bad = tuple(n for n, f in trace.weights.items() if f.uninitialised)
    if not bad:
        return
    facts = trace.weights[bad[0]]
    largest = max(abs(facts.low), abs(facts.high))
    yield Finding(
        CODE,
        SLUG,
        SEVERITY,
        bad,
        f"{counted(len(bad), 'weight')} like memory that nobody wrote: {listed(bad)} (largest number {number(largest)}).",
        {"largest": largest},
        {"largest": 1e10},
        "The values are those of whatever used the memory before; they change from run to run.",
        Fix("Run the model's own initialization after creating it empty, or apply `fanin.plan(model, batch)`."),
    )
