"""The law of the net's output before the loss: shared by the checks of loss and head."""

import math
from dataclasses import dataclass

from fanin.activations import Activation
from fanin.checks.judge import SIGMAS
from fanin.theory import Prediction
from fanin.theory.gaussian import moments
from fanin.theory.path import Step
from fanin.traces.records import Trace


@dataclass(frozen=True)
class Start:
    """What the laws of the weights say of the loss at the start.

    Attributes:
        variance: predicted second moment of one logit (or of one regression output).
        surely: the same, three deviations lower.
        excess: predicted loss above chance.
        surely_excess: the same, three deviations lower.
        chance: the loss that can be had without looking at the input.
        measured: measured loss.
        head: the last weight of the main path, where it has a law.
    """

    variance: float
    surely: float
    excess: float
    surely_excess: float
    chance: float
    measured: float
    head: Step | None


def excess(kind: str, variance: float, classes: int) -> float:
    """Expected loss above chance of Gaussian outputs of this variance that know nothing of the targets.

    Cross-entropy: E ln Σ exp z - E z_y - ln C, which is v / 2 up to v = 2 ln C and √(2 v ln C) - ln C beyond, where the
    softmax is frozen on one class (the random energy model, Derrida 1981). Binary: E softplus(z) - ln 2. Squares: v.
    """
    if kind == "cross_entropy":
        log_c = math.log(max(classes, 2))
        return variance / 2 if variance <= 2 * log_c else math.sqrt(2 * variance * log_c) - log_c
    if kind == "bce":
        return moments(Activation("softplus", (1.0,)), 0.0, variance).mean - math.log(2.0)
    return variance if kind == "mse" else math.sqrt(2 * variance / math.pi)


def start(trace: Trace, law: Prediction) -> Start | None:
    """The law of the loss, None where the loss is not one that theory models."""
    loss = trace.loss
    if loss is None or loss.logits < 0 or loss.weighted or loss.kind not in ("cross_entropy", "bce", "mse", "l1"):
        return None
    state = law.states[loss.logits]
    if state is None or not (math.isfinite(loss.chance) and loss.chance > 0 and math.isfinite(state.q)):
        return None
    surely = state.q * math.exp(-SIGMAS * math.sqrt(max(state.var_q, 0.0)))
    heads = [s for segment in law.segments for s in segment.steps if s.head]
    return Start(
        state.q,
        surely,
        excess(loss.kind, state.q, loss.classes),
        excess(loss.kind, surely, loss.classes),
        loss.chance,
        loss.value,
        heads[0] if heads else None,
    )


def too_large(s: Start) -> bool:
    """Whether the outputs' own noise costs more than all there is to be learned, in law and in the measurement."""
    return s.surely_excess > s.chance and not s.measured - s.chance < s.chance


def blames_head(trace: Trace, s: Start) -> bool:
    """Whether the head's gain alone makes the outputs too large: with unit gain they would not be."""
    if s.head is None or trace.loss is None:
        return False
    gain = max(s.head.law.power, 1.0)
    return excess(trace.loss.kind, s.variance / gain, trace.loss.classes) <= s.chance
