"""Each redraw gives another scale: the net is too deep for its width and its random weights.

What: along a stretch of layers without norms, the logarithm of one example's squared gradient has a variance between
redraws of more than 1.

Why it hurts: even with the right gain, one draw has a vanishing and the next an exploding gradient, by a factor of e
each way or more; inside one net, examples and directions differ as much. Runs with other seeds train or fail by luck.

How it was measured: each layer of independent weights adds (3 E f'⁴ / (E f'²)² - 1) / width to the variance of ln
‖gradient‖², 5 / width for ReLU (Hanin & Nica 2020); orthogonal weights add less, mirrored orthogonal ReLU layers
nothing. Null hypothesis: the sum over the layers is below 1, where the typical draw still is within a factor e of the
mean one. The sum depends on widths and on the activation only, not on the draw, so it needs no tolerance; orthogonal
layers are not counted. Stretches that end in a norm are not judged. Silent for He-initialized ReLU up to depth /
width of 0.2: 26 layers of 128: benchmarks/check_power.py.

How to fix: orthogonal weights, mirrored for the ReLU family; or wider layers, or norms.

Papers: Hanin & Nica 2020, Products of Many Large Random Matrices and Gradients in Deep Neural Networks; Hanin &
Rolnick 2018.
"""

from collections.abc import Iterator

from fanin.checks import judge
from fanin.checks.finding import Finding, Fix, Severity
from fanin.checks.judge import number
from fanin.distributions import Distribution, Orthogonal
from fanin.theory import Prediction
from fanin.theory.path import Segment
from fanin.traces.records import Trace

CODE = "FI304"
SLUG = "depth-over-width"
SEVERITY: Severity = "warning"
LIMIT = 1.0  # of the variance of ln ‖gradient‖²: a factor of e for one deviation


def check(trace: Trace, law: Prediction) -> Iterator[Finding]:
    """One finding a segment that no norm ends."""
    for segment in law.segments:
        if segment.end != "output" or segment.merged or len(segment.judged) < 2:
            continue
        steps = [s for s in segment.judged[:-1] if trace.ops[s.op].kind == "linear" and not s.law.orthogonal]
        variance = sum(s.wobble for s in steps)
        if variance <= LIMIT:
            continue
        share = len(steps) / (sum(s.law.outputs for s in steps) / len(steps))
        yield Finding(
            CODE,
            SLUG,
            SEVERITY,
            judge.names(steps),
            f"{len(steps)} layers of independent weights are too many for their width (depth / width {number(share)}): between "
            f"redraws ln of the squared gradient of one example varies by ± {number(variance**0.5)}.",
            {"variance": variance, "depth_over_width": share},
            {"variance": LIMIT},
            "Even with the right gain, whether this net trains depends on the seed.",
            Fix(
                "Draw orthogonal weights (mirrored, as `fanin.plan` does, for the ReLU family), or widen the layers.",
                _edits(trace, segment),
            ),
        )


def _edits(trace: Trace, segment: Segment) -> dict[str, Distribution]:
    edits: dict[str, Distribution] = {}
    for step in segment.judged:
        slot = trace.slot(step.name)
        if slot.trainable and slot.axes is not None:
            gain = step.activation.gain if step.activation is not None and not step.activation.is_odd else 1.0
            edits[slot.name] = Orthogonal(slot.axes, gain, scale_out=True)
    return edits
