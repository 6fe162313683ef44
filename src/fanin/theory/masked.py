"""Gradients of a stream through activations: where its value is small, a later activation is likely to stop them too.

A residual stream through ReLUs is a random walk that is reflected at zero. What comes back along it has passed the later
ReLUs, so it lies where the stream is positive there, and is likely to be so here: more of it passes than the share of
units that do. The gradient's second moment is therefore kept by the signal's value, on the points of the signal's law, and
goes back through sums as the walk went forward (its backward equation).
"""

import math
from collections.abc import Callable

import numpy as np

from fanin.activations import Array
from fanin.theory import elementwise, gaussian
from fanin.theory.expected import Expected
from fanin.theory.state import State
from fanin.traces.records import Op

Slopes = Callable[[Array], Array]
NODES = 32  # of what is added


def followed(
    walk: Expected, op: Op, place: int, source: int, by_value: Array | None, slopes: Slopes | None
) -> tuple[Array | None, float]:
    """(by the value of an input, the gradient's second moment over its mean; what the op's factor is to be multiplied with).

    Args:
        by_value: the same of the op's output, None where it does not depend on the value.
        slopes: of an activation, the squares of its slopes at given points; None for other ops.
    """
    x, y = walk.states[source], walk.states[op.index]
    if x is None or y is None:
        return None, 1.0
    if slopes is not None:
        points, weights = x.law or _gaussian(x, elementwise.MIXTURE)  # those of the law behind it
        squares = slopes(points)
        kept = squares if by_value is None else squares * by_value
        plain, passed = float(weights @ squares), float(weights @ kept)
        return (kept / passed, passed / plain) if passed > 0 and plain > 0 else (None, 1.0)
    law, other = elementwise.law_of(x), walk.arriving(op, 1 - place) if len(op.inputs) == 2 else None
    if op.kind != "add" or by_value is None or law is None or y.law is None or other is None:
        return None, 1.0
    values, chance = elementwise.law_of(other) or _gaussian(other, NODES)
    ahead = np.interp(law[0][:, None] + values, y.law[0], by_value) @ chance
    mean = float(law[1] @ ahead)
    return (ahead / mean if mean > 0 else None), 1.0


def merged(part: float, own: Array | None, other: float, known: Array | None) -> Array | None:
    """Of two gradients that meet at one signal, weighted with their second moments."""
    if (own is None and known is None) or part + other <= 0:
        return None
    first, second = (1.0 if some is None else some for some in (own, known))
    return np.asarray((part * first + other * second) / (part + other), dtype=np.float64)


def _gaussian(x: State, points: int) -> tuple[Array, Array]:
    nodes, chance = gaussian._grid(points)
    return x.mean + math.sqrt(x.variance) * nodes, chance
