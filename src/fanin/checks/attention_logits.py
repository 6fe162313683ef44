"""Attention is frozen: each query looks at one key from the start.

What: the logits of an attention layer vary so much that softmax puts nearly all weight on one key.

Why it hurts: the softmax's gradient with respect to its logits is p (1 - p), nothing where p is 0 or 1: queries and
keys do not learn, and which key was chosen is noise of the draw.

How it was measured: deviation of the logits over the keys of a query, and the entropy, recomputed from the call's
arguments. Null hypothesis: the deviation is below √(2 ln T), T the number of keys allowed (exp of the largest
possible entropy): the freezing point of Gaussian logits in the random energy model (Derrida 1981), beyond which the
weight sits on finitely many keys however many there are. Tolerance: 3 deviations of the logits' scale between
redraws, whose relative variance is about 4 / width of the attention's output; and the measured entropy has to be
under one half of the largest. Logits are measured on many queries, keys and heads, so that their deviation is a
property of the law. Silent up to a deviation of 5 for 64 keys (the freezing point is 2.9; unit logits are healthy):
benchmarks/check_power.py.

How to fix: divide logits by sqrt(head size); draw queries and keys from std = 1 / sqrt(fan_in) or smaller; normalise
them (QK norm).

Papers: Vaswani et al. 2017; Derrida 1981; Zhai et al. 2023 (entropy collapse); Dehghani et al. 2023 (QK norm).
"""

import math
from collections.abc import Iterator

from fanin.checks.finding import Finding, Fix, Severity
from fanin.checks.judge import SIGMAS, counted, number
from fanin.theory import Prediction
from fanin.traces.records import Op, Trace

CODE = "FI602"
SLUG = "attention-frozen"
SEVERITY: Severity = "warning"


def check(trace: Trace, law: Prediction) -> Iterator[Finding]:
    """One finding for all such layers."""
    frozen = [op for op in trace.ops if _attends(trace, op) and _frozen(op)]
    if not frozen:
        return
    worst = max(frozen, key=lambda o: o.facts["logit_std"] / math.sqrt(max(o.facts["max_entropy"], 1e-3)))
    limit = math.sqrt(2 * worst.facts["max_entropy"])
    share = worst.facts["entropy"] / worst.facts["max_entropy"]
    where = tuple(dict.fromkeys(o.weights[0] if o.weights else o.module or o.name for o in frozen))
    yield Finding(
        CODE,
        SLUG,
        SEVERITY,
        where,
        f"{counted(len(frozen), 'attention layer')} frozen from the start: {where[0]} has logits of deviation "
        f"{number(worst.facts['logit_std'])} (freezing point {number(limit)}) and {number(100 * share)} % of the largest entropy.",
        {"logit_std": worst.facts["logit_std"], "entropy": worst.facts["entropy"]},
        {"logit_std": 1.0, "limit": limit, "max_entropy": worst.facts["max_entropy"]},
        "Softmax passes no gradient where it is 0 or 1: queries and keys do not learn.",
        Fix(
            "Divide logits by sqrt(head size), and draw the weights of queries and keys with std = 1 / sqrt(fan_in) or less."
        ),
    )


def _frozen(op: Op) -> bool:
    std, entropy, most = (op.facts.get(k, math.nan) for k in ("logit_std", "entropy", "max_entropy"))
    if not (math.isfinite(std) and most > 0):
        return False
    width = max(op.shape[-1], 1) if op.kind == "attention" else 64
    return std * math.exp(-SIGMAS * math.sqrt(1.0 / width)) > math.sqrt(2 * most) and entropy < most / 2


def _attends(trace: Trace, op: Op) -> bool:
    """A fused attention, or a softmax whose output multiplies another signal as a matrix."""
    if "logit_std" not in op.facts:
        return False
    if op.kind == "attention":
        return True
    carrying = {op.index}
    for after in trace.ops[op.index + 1 :]:
        if op.kind == "softmax" and carrying & set(after.inputs):
            if after.kind == "matmul":
                return True
            if after.kind in ("shape", "dropout", "pointwise"):
                carrying.add(after.index)
    return False
