"""Streams that meet themselves again: x + (F(x) + c x) is F(x) + (1 + c) x, no sum of unrelated signals.

So a factor on a skip path is put into a model whose own code adds the branch (DeepNorm's, Admin's; `fanin.plans.torch.hooks`).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fanin.theory.state import State
from fanin.traces.records import INPUT, Op

if TYPE_CHECKING:
    from fanin.theory.forward import Forward

PRODUCTS = ("mul", "rmul", "multiply")


@dataclass(frozen=True)
class Again:
    """Of an add, the operand that comes a second time inside the other one.

    Attributes:
        place: of the stream among the add's inputs.
        mean, second: of the factor on it in all, 1 + c, and of its square.
        part: second moment of c.
        inner: the add inside, and the place of what else it adds.
    """

    place: int
    mean: float
    second: float
    part: float
    inner: tuple[Op, int]

    def stream(self, x: State) -> State:
        """The stream with all that comes of it."""
        return x.scaled(self.second, self.second).but(mean=self.mean * x.mean)


def again(walk: "Forward", op: Op) -> Again | None:
    """How one operand of an add comes again inside the other; None where it does not."""
    if not _plain(op):
        return None
    for place, stream in enumerate(op.inputs):
        other = op.inputs[1 - place]
        if stream == INPUT or other == INPUT or not _plain(walk.trace.ops[other]):
            continue
        inner = walk.trace.ops[other]
        for k, source in enumerate(inner.inputs):
            factor = _factor(walk, walk.trace.ops[source], stream) if source != INPUT else None
            if factor is not None:
                mean, variance = factor
                return Again(place, 1 + mean, (1 + mean) ** 2 + variance, mean**2 + variance, (inner, 1 - k))
    return None


def _plain(op: Op) -> bool:
    return op.kind == "add" and len(set(op.inputs)) == 2 and not op.name.startswith("sub") and "alpha" not in op.facts


def _factor(walk: "Forward", op: Op, stream: int) -> tuple[float, float] | None:
    """Mean and variance of the number or weight by which an op multiplies this stream, None where it does something else."""
    if op.kind != "pointwise" or op.name not in PRODUCTS or op.inputs != (stream,):
        return None
    if op.weights:
        law = walk._law(op, "norm_scale", "scale", "position", "other")
        return (law.mean, law.variance) if law is not None else None
    constant, rms = op.facts.get("constant"), op.facts.get("constant_rms")
    return (constant, max(rms**2 - constant**2, 0.0)) if constant is not None and rms is not None else None
