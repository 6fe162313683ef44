"""The head is drawn so large that the outputs start as confident noise.

What: the output's size is too large in the sense of FI501, and the head's own gain, fan_in · std², is the cause: with
unit gain the outputs would be fine. The common case is a head tied to an embedding of N(0, 1): logits of deviation
√width.

Why it hurts: the loss starts far above chance, and training begins with unlearning.

How it was measured: as in FI501, plus the head's law. Null hypothesis: the predicted excess of the loss over chance
is at most chance (for C classes: logits of variance up to 2 ln C), or it would be above chance with a head of unit
gain too (then FI501 speaks). Tolerance: as in FI501: the excess is above chance with the variance three deviations
lower (its deviation between redraws is √(2 / C) for C classes, and what the layers below add), and the measured loss
confirms by reaching twice chance. Silent up to a head of gain 5 at unit features for 10 classes (the threshold is
2.1): benchmarks/check_power.py.

How to fix: std = 1 / sqrt(fan_in) at most; zero is healthy too. For a tied embedding, a smaller embedding (or a scale
on its way in).

Papers: Press & Wolf 2017 (tying); Derrida 1981; Zhang et al. 2019 (zero head).
"""

import math
from collections.abc import Iterator

from fanin.checks import logits
from fanin.checks.finding import Finding, Fix, Severity
from fanin.checks.judge import number
from fanin.distributions import Distribution, Normal
from fanin.theory import Prediction
from fanin.traces.records import Trace

CODE = "FI502"
SLUG = "head-too-large"
SEVERITY: Severity = "warning"


def check(trace: Trace, law: Prediction) -> Iterator[Finding]:
    """One finding for the head."""
    s = logits.start(trace, law)
    if s is None or s.head is None or not logits.too_large(s) or not logits.blames_head(trace, s):
        return
    slot, width = trace.slot(s.head.name), s.head.law.fan_in
    tied = " (tied)" if len(slot.names) > 1 else ""
    edits: dict[str, Distribution] = {slot.name: Normal(1 / math.sqrt(width))} if slot.trainable else {}
    yield Finding(
        CODE,
        SLUG,
        SEVERITY,
        (slot.name,),
        f"The head {slot.name}{tied} has a gain of {number(math.sqrt(s.head.law.power))}: outputs start with deviation "
        f"{number(math.sqrt(s.variance))} and the loss at {number(s.measured)}, where chance is {number(s.chance)}.",
        {"loss": s.measured, "gain": math.sqrt(s.head.law.power)},
        {"chance": s.chance, "gain": 1.0, "loss": s.chance + s.excess},
        "Training first has to unlearn a confident random guess, with the largest gradients of the run.",
        Fix("Draw the head with std = 1 / sqrt(fan_in), or start it at zero.", edits),
    )
