"""A weight takes no part in the output.

What: no op of the watched pass consumes the weight, and autograd does not reach it from the loss or the output.

Why it hurts: it never trains. Often it is a layer that was built and forgotten in `forward`, a module under a wrong
name, or a weight that weight norm shadows. Distributed training stops at it (`find_unused_parameters`).

How it was measured: two witnesses, because the watched pass cannot see into scripted code: the ops that ran, and
autograd's graph. Null hypothesis: at least one of the two finds the weight. Where one cannot see, the weight is
*opaque* and the finding is only `info`. Frozen weights (no gradient asked) are not judged. A weight that this batch
did not need (an expert that no token chose, a mask token) is unused in this pass only: the message says what was
watched. The check is silent for a weight that is used but multiplied by zero.

How to fix: use it in `forward`, or delete it; where it is meant for other inputs, ignore the finding.

Papers: none needed.
"""

from collections.abc import Iterator

from fanin.checks.finding import Finding, Fix, Severity
from fanin.checks.judge import counted, listed
from fanin.theory import Prediction
from fanin.traces.records import Trace

CODE = "FI003"
SLUG = "never-used"
SEVERITY: Severity = "warning"
WHY = "It gets no gradient and never trains; distributed training stops at it."


def check(trace: Trace, law: Prediction) -> Iterator[Finding]:
    """One finding for the unused weights, one for those that could not be seen."""
    reached = {n: f.reached for n, f in trace.weights.items()}
    unused = tuple(s.name for s in trace.slots if s.role == "unused" and s.trainable and not reached.get(s.name))
    if unused:
        count = sum(trace.slot(n).size for n in unused)
        known = trace.backward != "none"
        yield Finding(
            CODE,
            SLUG,
            SEVERITY if known else "info",
            unused,
            f"{counted(len(unused), 'weight')} ({counted(count, 'number')}) took no part in this pass: {listed(unused)}.",
            {"weights": float(len(unused)), "numbers": float(count)},
            {"weights": 0.0},
            WHY,
            Fix("Use them in forward, delete them, or ignore this where other inputs need them."),
        )
    opaque = tuple(s.name for s in trace.slots if s.role == "opaque" and s.trainable)
    if opaque:
        yield Finding(
            CODE,
            SLUG,
            "info",
            opaque,
            f"{counted(len(opaque), 'weight')} in code that the watched pass cannot see into: {listed(opaque)}.",
            {"weights": float(len(opaque))},
            {},
            "Nothing can be said about them: not their fan, and not the activation that they meet.",
            Fix("Pass the model before `torch.jit.script`, or check these weights by hand."),
        )
