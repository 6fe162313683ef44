"""Weights or signals are NaN or infinite.

What: a stored weight holds NaN or infinity, or a finite batch makes a signal that does.

Why it hurts: one NaN reaches every output and every gradient in one step; nothing trains.

How it was measured: every stored number of each weight is looked at, and a sample of each op's output. Null
hypothesis: none is NaN or infinite. This is a fact, not an estimate, so there is no tolerance. Entries that are
infinite on purpose (attention masks) live in signals inside attention, whose outputs are finite; signals are reported
only where the output of the net or the loss is not finite. Weights that no op consumes are reported too: the batch
may have missed them. The check is silent below one number in the sample of a signal; in a weight it misses none.

How to fix: draw the weight again. Where a signal overflows, see FI202.

Papers: IEEE 754; Goldberg 1991, What every computer scientist should know about floating-point arithmetic.
"""

import math
from collections.abc import Iterator

from fanin.checks.finding import Finding, Fix, Severity
from fanin.checks.judge import counted, listed, number
from fanin.theory import Prediction
from fanin.traces.records import Trace

CODE = "FI001"
SLUG = "non-finite"
SEVERITY: Severity = "error"
WHY = "One NaN reaches every output and every gradient in one step."


def check(trace: Trace, law: Prediction) -> Iterator[Finding]:
    """One finding for the weights, one for the first signal that is not finite although the weights are."""
    bad = {n: f.nonfinite for n, f in trace.weights.items() if f.nonfinite > 0}
    if bad:
        name, share = max(bad.items(), key=lambda item: item[1])
        yield Finding(
            CODE,
            SLUG,
            SEVERITY,
            tuple(bad),
            f"{counted(len(bad), 'weight')} with NaN or infinity: {listed(bad)} ({number(100 * share)} % of the numbers of {name}).",
            {"nonfinite": share, "weights": float(len(bad))},
            {"nonfinite": 0.0},
            WHY,
            Fix("Draw these weights again; `fanin.plan(model, batch)` chooses their rules."),
        )
        return
    loss = trace.loss.value if trace.loss is not None else 0.0
    ends = [trace.ops[i].signal for i in trace.outputs]
    if math.isfinite(loss) and not any(s is not None and s.nonfinite > 0 for s in ends):
        return
    first = next((o for o in trace.ops if o.signal is not None and o.signal.nonfinite > 0), None)
    if first is None:
        return
    where = first.weights[:1] or (first.module or first.name,)
    share = first.signal.nonfinite if first.signal is not None else math.nan
    yield Finding(
        CODE,
        SLUG,
        SEVERITY,
        where,
        f"The signal is first NaN or infinite behind {first.name} in {first.module or 'the model'} "
        f"({number(100 * share)} % of it), though every weight is finite.",
        {"nonfinite": share},
        {"nonfinite": 0.0},
        WHY,
        Fix(
            "Look at this op: a division by zero, a logarithm of zero, or an overflow. Smaller weights before it help an overflow."
        ),
    )
