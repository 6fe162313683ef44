"""The loss at the start is far above chance.

What: the output that the weights' laws give, knowing nothing of the targets, costs more above chance than chance
itself: for classes, more than ln C on top of ln C.

Why it hurts: the first part of training unlearns a confident random guess, with the largest gradients of the whole
run, before anything is learned. Learning rate warm-up then fights the init.

How it was measured: the outputs' second moment v is predicted from the laws of all weights, and with it the excess
over chance of the loss of Gaussian outputs that know nothing of the targets: E ln Σ exp z - E z - ln C for classes
(the random energy model: v / 2, or √(2 v ln C) - ln C once the softmax is frozen on one class), E softplus(z) - ln 2
for binary targets, v for squares, E |z| = √(2 v / π) for absolute errors (Huber's counts as one). Chance is the loss
of outputs that are all zero: ln C, ln 2, the targets' mean square, their mean absolute value. Null hypothesis: the
excess is at most chance, so that the expected loss is at most twice chance. That is the point where the noise holds
more nats than there are to be learned; for classes it is v = 2 ln C, the freezing point itself. Tolerance: the excess
has to be above chance with v three deviations lower too, and the measured loss has to confirm it: reach twice chance.
Losses with class weights, sums and losses that are not recognised are not judged, so no other chance level
(contrastive, focal) is mistaken for ln C. Where the head's gain is the cause, FI502 says so instead. The threshold is
a deviation of 2.1 for 10 classes, 4.6 for 50,000; with ten classes, whose head has ten rows, the fluctuation makes
the check silent up to features 5 times too large: benchmarks/check_power.py.

How to fix: smaller features (a norm or the right gain below the head), or a smaller head; bias of the head at the log
of the class frequencies.

Papers: Derrida 1981 (random energy model); Lin et al. 2017 (prior in the head's bias); Zhang et al. 2019 (Fixup).
"""

from collections.abc import Iterator

from fanin.checks import logits
from fanin.checks.finding import Finding, Fix, Severity
from fanin.checks.judge import number
from fanin.distributions import Constant, Distribution
from fanin.theory import Prediction
from fanin.traces.records import Trace

CODE = "FI501"
SLUG = "loss-far-from-chance"
SEVERITY: Severity = "warning"


def check(trace: Trace, law: Prediction) -> Iterator[Finding]:
    """One finding for the loss."""
    s = logits.start(trace, law)
    if s is None or not logits.too_large(s) or logits.blames_head(trace, s):
        return
    where = (
        (s.head.name,)
        if s.head is not None
        else (trace.ops[trace.loss.logits].module or "output",)
        if trace.loss
        else ()
    )
    edits: dict[str, Distribution] = {}
    head = s.head.name if s.head is not None else ""
    for bias in trace.slots:
        own = law.laws.get(bias.name) if head and bias.role == "bias" and bias.weight == head else None
        if own is not None and own.variance + own.mean**2 > s.variance / 2:
            edits[bias.name] = Constant(0.0)
    yield Finding(
        CODE,
        SLUG,
        SEVERITY,
        where,
        f"The loss starts at {number(s.measured)}, where chance is {number(s.chance)}: the outputs have deviation "
        f"{number(s.variance**0.5)} before they know anything (theory predicts a loss of {number(s.chance + s.excess)}).",
        {"loss": s.measured},
        {"chance": s.chance, "loss": s.chance + s.excess, "output_std": s.variance**0.5},
        "Training first has to unlearn a confident random guess, with the largest gradients of the run.",
        Fix(
            "Bring the features below the head to unit size (see FI202 and FI503), and set the head's bias to zero.",
            edits,
        ),
    )
