"""Ops that mix a signal with its own past: recurrent calls, and steps of cells."""

from typing import TYPE_CHECKING

import numpy as np

from fanin.theory import steps, tokens
from fanin.theory.laws import WeightLaw
from fanin.theory.mixing import _apart
from fanin.theory.state import State
from fanin.traces.records import Op

if TYPE_CHECKING:
    from fanin.theory.expected import Expected


def recurrent(walk: "Expected", op: Op, x: State | None) -> State | None:
    """A fused recurrent call, layer by layer, or one step of a cell."""
    kind = op.name.removesuffix("_cell")
    groups = _recurrent_weights(walk, op)
    if x is None or kind not in steps.GATES or groups is None:
        return None
    cell = op.name.endswith("_cell")
    same = [o.index for o in walk.trace.ops if o.kind == "recurrent" and o.weights == op.weights]
    length = len(same) if cell else int(op.facts.get("steps", 1))
    directions = int(op.facts.get("directions", 1))
    shared, apart = max(x.q - _apart(x), 0.0), _apart(x)
    if cell and op.weights[0] in walk.steps:
        return _step_state(walk.steps[op.weights[0]], same.index(op.index))
    found: steps.Steps | None = None
    past: list[tuple[list[steps.Gate], steps.Steps, float]] = []
    for layer in range(0, len(groups), directions):
        gates, uniform = _gates(kind, groups[layer])
        found = steps.through_time(kind, gates, shared, apart, length, uniform)
        into = groups[layer][0][1]
        past.append((gates, found, into.fan_out / into.fan_in))
        q, near = _over_time(found, length)
        p = op.facts.get("p", 0.0) if layer + directions < len(groups) else 0.0
        shared, apart = near, q - near + (q * p / (1 - p) if 0 < p < 1 else 0.0)
    if found is None:
        return None
    walk.past[op.index] = past
    if cell:
        walk.steps[op.weights[0]] = found.q.tolist()
        return _step_state(walk.steps[op.weights[0]], same.index(op.index))
    q, near = _over_time(found, length)
    far = min(float(found.kernel[-1, len(found.q) // 2]), near) if len(found.q) > 1 else 0.0
    level = np.concatenate([found.q, np.full(max(length - len(found.q), 0), found.q[-1])])
    if directions == 2:
        level = (level + level[::-1]) / 2
    profile = (tuple((level / q).tolist()),) if q > 0 and len(level) > 1 else ()
    mean = float(found.mean.mean())
    y = State(mean, q, max(q - max(far, 0.0), 0.0), apart=q - near, profile=profile)
    return tokens.with_kernel(y, found.kernel) if directions == 1 and len(found.q) == length > 1 else y


def _step_state(levels: list[float], step: int) -> State:
    q = levels[min(step, len(levels) - 1)]
    return State(0.0, q, q, apart=q)


def _over_time(found: steps.Steps, length: int) -> tuple[float, float]:
    """Mean second moment over the steps, and mean covariance of two different ones."""
    n = len(found.q)
    q = (float(found.q.sum()) + max(length - n, 0) * float(found.q[-1])) / max(length, 1)
    near = (float(found.kernel.sum()) - float(found.q.sum())) / (n * (n - 1)) if n > 1 else 0.0
    return q, min(max(near, 0.0), q)


def _recurrent_weights(walk: "Expected", op: Op) -> list[list[tuple[str, WeightLaw]]] | None:
    """(role, law) of the weights, a list for each layer and direction; None for projected states."""
    groups: list[list[tuple[str, WeightLaw]]] = []
    roles = {name: str(walk.slots[name].role) for name in op.weights}
    matrices = [name for name in op.weights if roles[name] in ("weight", "recurrent")]
    if all(roles[name] == "recurrent" for name in matrices):  # called step by step, all of them come back to themselves
        roles |= dict.fromkeys(matrices[::2], "weight")
    for name in op.weights:
        role, law = roles[name], walk.laws.get(name)
        if law is None:
            return None
        if role == "weight":
            groups.append([])
        if not groups:
            return None
        groups[-1].append((role, law))
    complete = all(any(role == "recurrent" for role, _ in group) for group in groups)
    return groups if groups and complete else None


def _gates(kind: str, group: list[tuple[str, WeightLaw]]) -> tuple[list[steps.Gate], bool]:
    """The gates' powers from the laws of one layer, and whether its biases are uniform numbers."""
    n = steps.GATES[kind]

    def part(role: str, which: int, gate: int) -> WeightLaw | None:
        laws = [law for r, law in group if r == role]
        if which >= len(laws):
            return None
        law = laws[which]
        return law.parts[gate] if len(law.parts) == n else law

    gates = []
    for g in range(n):
        into, over = part("weight", 0, g), part("recurrent", 0, g)
        b, b2 = part("bias", 0, g), part("bias", 1, g)
        apart = kind == "gru" and g == 2  # the reset gate multiplies the recurrent part with its bias
        first = [x for x in ((b,) if apart else (b, b2)) if x is not None]
        gates.append(
            steps.Gate(
                into.fan_in * (into.variance + into.mean**2) if into is not None else 0.0,
                over.fan_in * (over.variance + over.mean**2) if over is not None else 0.0,
                sum(x.mean for x in first),
                sum(x.variance for x in first),
                b2.mean if apart and b2 is not None else 0.0,
                b2.variance if apart and b2 is not None else 0.0,
            )
        )
    biases = [law for role, law in group if role == "bias" and law.variance > 0]
    return gates, bool(biases) and all(law.kurtosis < 2.4 for law in biases)
