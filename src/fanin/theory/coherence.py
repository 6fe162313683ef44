"""What gradients of different positions have in common on their way back, and what an attention makes of that.

Behind a class token, or a mean over positions, all tokens get the same gradient. An attention then sums n equal gradients at
each key where it would sum n unrelated ones: n times as much. `near` is the mean product of the gradients at two positions of
one example, beside the second moment at one of them.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from fanin.theory import averages as attend
from fanin.theory import gaussian, mixing
from fanin.theory.state import State
from fanin.traces.records import Op

if TYPE_CHECKING:
    from fanin.theory.expected import Expected


def passed_back(walk: "Expected", op: Op, g: float, near: float, factor: float, source: int) -> float:
    """`near` at an op's input, for ops that treat each position alike or pick some; `factor` is that of second moments."""
    if near == 0 and op.kind != "reduce":
        return 0.0
    if op.kind == "reduce":
        before = walk.trace.ops[source].shape
        whole = (
            len(before) > 2
            and before[0] == op.shape[0]
            and math.prod(op.shape) * _positions(before) == math.prod(before)
        )
        return g * factor if whole else near * factor
    if op.kind == "shape" and op.name == "getitem" and math.prod(op.shape) < math.prod(walk.trace.ops[source].shape):
        return 0.0
    return near * factor


def placed(
    walk: "Expected", op: Op, place: int, source: int, found: np.ndarray | None
) -> tuple[np.ndarray | None, float]:
    """Where among the tokens an input's gradient lies (1 in the mean), and by what that changes its second moment.

    `found` is where the output's lies, None for all alike. Behind a class token only that token has a gradient, and a norm
    of tokens of unlike sizes multiplies the smaller one's by more.
    """
    before = walk.trace.ops[source].shape
    if op.kind == "shape" and op.name == "getitem" and len(before) == 3 and op.facts.get("axis") == 1.0 != before[1]:
        only = np.zeros(before[1])
        only[int(op.facts["index"])] = before[1]
        return only, 1.0
    if op.kind == "norm" and len(op.shape) == 3:
        level = sizes(walk.arriving(op, place), op.shape[1])
        if level is None or (found is not None and len(found) != len(level)):
            return found, 1.0
        after = (found if found is not None else 1.0) / np.maximum(level, 1e-12)
        mean = float(after.mean())
        return (after / mean, mean) if mean > 0 else (found, 1.0)
    if op.kind == "attention":
        return (found, 1.0) if place == mixing.place_of(op, "query") else (_at_keys(op, found), 1.0)
    if found is None or op.kind in ("matmul", "softmax", "reduce"):
        return None, 1.0
    if op.kind == "concat":
        start = op.facts.get(f"start {place}")
        if start is None or op.facts.get("axis") != 1.0 or len(op.shape) != 3 or len(found) != op.shape[1]:
            return None, 1.0
        part = found[int(start) : int(start) + before[1]]
        mean = float(part.mean())
        return (part / mean, mean) if mean > 0 else (None, mean)
    return found, 1.0


def _at_keys(op: Op, found: np.ndarray | None) -> np.ndarray | None:
    """Where the gradient of keys and values lies: under a causal mask with the early ones, which all later queries see."""
    n = int(op.facts.get("queries", 1))
    if not op.facts.get("causal") or op.facts.get("keys") != n or (found is not None and len(found) != n):
        return None
    each = (found if found is not None else 1.0) / np.arange(1.0, n + 1) ** 2
    seen = np.cumsum(each[::-1])[::-1]
    return np.asarray(seen / seen.mean())


def sizes(x: State | None, length: int) -> np.ndarray | None:
    """The second moment at each token over that of all, where it is followed."""
    if x is None or not x.q > 0:
        return None
    if x.kernel is not None and len(x.kernel) == length:
        return np.diagonal(x.kernel) / x.q
    return np.asarray(x.profile[0]) if len(x.profile) == 1 and len(x.profile[0]) == length else None


def merged(found: np.ndarray | None, part: float, other: np.ndarray | None, rest: float) -> np.ndarray | None:
    """Where a sum of two gradients lies."""
    if (found is None and other is None) or not part + rest > 0:
        return found
    a, b = (1.0 if x is None else x for x in (found, other))
    if found is not None and other is not None and len(found) != len(other):
        return found if part > rest else other
    return np.asarray((part * a + rest * b) / (part + rest))


def _positions(shape: tuple[int, ...]) -> int:
    return math.prod(shape[2:]) if len(shape) == 4 else shape[1]


def bent(x: State | None, f: gaussian.Function | None) -> float:
    """How much of what two positions' gradients share an activation's slopes leave, relative to one position's second moment."""
    if x is None or f is None or not x.variance > 0:
        return 1.0
    z, w = gaussian._grid(gaussian.COARSE)
    deviation = math.sqrt(x.variance)
    mean = float(w @ (z * f(x.mean + deviation * z))) / deviation  # E f' (Stein)
    second = gaussian.moments(f, x.mean, x.variance).slope2
    rho = 1 - min(mixing._apart(x) / x.variance, 1.0)
    share = min(mean**2 / second, 1.0) if second > 0 else 1.0
    return share + rho * (1 - share)


def at_values(count: np.ndarray, keys: float, share: float, both: float, g: float, near: float) -> tuple[float, float]:
    """(second moment, what two share) of the gradients at the keys of Σ_i a_ij g_i, the queries' rows summing to one."""
    queries = float(len(count))
    own = queries / keys * (share * g + max(queries - 1, 0.0) * both * near)
    total = queries * (g - near) + queries**2 * near
    rest = max(total - keys * own, 0.0) / (keys * (keys - 1)) if keys > 1 else 0.0
    return own, min(rest, own)


def elements(walk: "Expected", index: int) -> int:
    """Of an op's output."""
    return max(math.prod(walk.trace.ops[index].shape), 1)


def overlap(op: Op, logits: tuple[float, float]) -> tuple[np.ndarray, float, float]:
    """(keys of each query, E Σ a², E Σ a_ij a_i'j of two queries) of an attention."""
    count = attend.looks(op, int(op.facts.get("keys", 1)), int(op.facts.get("queries", 1)))
    each = attend.shares(count, logits[0])
    more = attend.growth(count, each, logits)
    return count, float(each.mean()), attend.overlap(count, bool(op.facts.get("causal", 0.0)), more)
