"""Ops over positions: windows, means and maxima, views, signals side by side."""

import math
from typing import TYPE_CHECKING

import numpy as np

from fanin.theory import gaussian
from fanin.theory.elementwise import compressed, law_of
from fanin.theory.laws import WeightLaw
from fanin.theory.mixing import BACK, _apart
from fanin.theory.state import State
from fanin.theory.taps import Passed, Profile, pairs, passed
from fanin.traces.records import INPUT, Op

if TYPE_CHECKING:
    from fanin.theory.expected import Expected

COPIES = (
    "constant",
    "reflect",
    "edge",
    "wrap",
)  # numpy's names of what `pad` puts around a signal, in the order of its facts


def concat(walk: "Expected", op: Op, x: State | None) -> State | None:
    """Signals (and weights, such as a class token) side by side."""
    total = math.prod(op.shape)
    parts: list[tuple[float, State]] = []
    for place, source in enumerate(op.inputs):
        state = walk.arriving(op, place)
        n = _elements(walk, op, place, source)
        if state is None or n == 0:
            return None
        parts.append((float(n), state))
    used = sum(n for n, _ in parts)
    laws = [walk.laws[n] for n in op.weights if n in walk.laws]
    if laws and used < total:
        for law in laws:
            own = State(law.mean, law.variance + law.mean**2, 0.0, apart=law.variance)
            parts.append(((total - used) / len(laws), own))
    used = sum(n for n, _ in parts)
    if used <= 0:
        return None

    def mean(field: str) -> float:
        return sum(n * getattr(s, field) for n, s in parts) / used

    apart = sum(n * _apart(s) for n, s in parts) / used
    profiles = {s.profile for _, s in parts}
    mean_, q, s, noise, var_q, var_r, shared = (
        mean(f) for f in ("mean", "q", "s", "noise", "var_q", "var_r", "shared")
    )
    profile = profiles.pop() if len(profiles) == 1 else ()
    if len(op.shape) == 3 and op.facts.get("axis") == 1.0:
        profile = _side_by_side(walk, op, laws)
    return State(mean_, q, s, noise, var_q, var_r, shared, apart=apart, profile=profile)


def _elements(walk: "Expected", op: Op, place: int, source: int) -> float:
    """How many of the elements are those of one signal (or of all model inputs, which have one place); 0 if unknown."""
    axis, size = op.facts.get("axis"), op.facts.get(f"size {place}")
    if axis is not None and size is not None:
        return math.prod(op.shape) * size / max(op.shape[int(axis)], 1)
    n = math.prod(walk.extents(op, place))
    once = source != INPUT and op.shape and walk.trace.ops[source].shape[:1] == (1,) and op.shape[0] > 1
    return n * op.shape[0] if once else n


def _side_by_side(walk: "Expected", op: Op, laws: list[WeightLaw]) -> tuple[Profile, ...]:
    """The second moment at each token of signals (and one weight, such as a class token) in a row."""
    level = np.full(op.shape[1], math.nan)
    for place in range(len(op.inputs)):
        x, shape = walk.arriving(op, place), walk.extents(op, place)
        if x is None or len(shape) != 3 or f"start {place}" not in op.facts:
            return ()
        start = int(op.facts[f"start {place}"])
        own = np.asarray(x.profile[0]) if len(x.profile) == 1 and len(x.profile[0]) == shape[1] else 1.0
        level[start : start + shape[1]] = x.q * own
    if len(laws) == 1:
        level[np.isnan(level)] = laws[0].variance + laws[0].mean ** 2
    mean = float(level.mean())
    return (tuple((level / mean).tolist()),) if mean > 0 else ()  # not where a NaN is left


def shape(walk: "Expected", op: Op, x: State | None) -> State | None:
    """Views: the same elements, some of them, or padded ones."""
    if x is None:
        return None
    if op.name == "pad":
        return _padded(walk, op, x)
    if op.name == "getitem" and "index" in op.facts:
        place, extent = int(op.facts["index"]), int(op.facts["extent"])
        if (len(x.profile) == 1 and len(x.profile[0]) == extent and op.facts["axis"] != 0.0) or (
            len(x.profile) == 1 and len(x.profile[0]) == extent and extent != walk.batch
        ):
            level = x.profile[0][place]
            return x.scaled(level, level).but(profile=(), kernel=None)
    return x


def _padded(walk: "Expected", op: Op, x: State) -> State | None:
    """The signal with numbers or copies of itself put around it: what windows meet at the border is in the profile."""
    before, after, facts = walk.extents(op), op.shape, op.facts
    if "mode" not in facts or len(before) != len(after):
        kept = min(math.prod(before) / max(math.prod(after), 1), 1.0) if before else 1.0
        return x.scaled(kept, kept).but(mean=x.mean * kept, profile=())
    mode, value = COPIES[int(facts["mode"])], facts["value"] ** 2
    kept, axes = 1.0, []
    positions = range(1, 2) if len(before) == 3 and "low 1" in facts else range(2, len(before))
    known = x.profile if len(x.profile) == len(positions) else ()
    uneven = bool(known)
    for axis, n in enumerate(before):
        low, high = int(facts.get(f"low {axis}", 0)), int(facts.get(f"high {axis}", 0))
        level = np.ones(n)
        if axis in positions and known and len(known[axis - positions[0]]) == n:
            level = np.asarray(known[axis - positions[0]])
        level = level[max(-low, 0) : n - max(-high, 0)]
        around = (max(low, 0), max(high, 0))
        put = {"constant_values": value / x.q if x.q > 0 else 0.0} if mode == "constant" else {}
        level = np.pad(level, around, mode=mode, **put)  # type: ignore[call-overload]
        mean = float(level.mean()) if len(level) else 0.0
        if axis in positions:
            axes.append(tuple((level / mean).tolist()) if mean > 0 else ())
            uneven = uneven or bool(low or high)
        kept *= mean
    if mode != "constant":
        return x.but(q=x.q * kept, s=x.s * kept, profile=tuple(axes) if uneven else (), kernel=None)
    if value and sum(name.startswith("low ") for name in facts) > 1:
        return None  # a frame of numbers is no product of profiles
    share = math.prod(before) / max(math.prod(after), 1)
    own = x.q * min(share, 1.0) if not value else x.q * share
    near = (x.q - _apart(x)) * share**2 if share < 1 else x.q - _apart(x)
    q = x.q * kept if value or share > 1 else own
    s = x.s * min(share, 1.0)
    mean_ = x.mean * share + facts["value"] * (1 - share) if share < 1 else x.mean
    return State(
        mean_, q, s, x.noise * min(share, 1.0), x.var_q, x.var_r, x.shared * min(share, 1.0),
        apart=max(q - near, 0.0), profile=tuple(axes) if uneven else (),
    )  # fmt: skip


def pool(walk: "Expected", op: Op, x: State | None) -> State | None:
    """Means and maxima over windows of positions."""
    if x is None:
        return None
    from fanin.theory.expected import walk_windows

    before, after = walk.extents(op)[2:], op.shape[2:]
    window = walk_windows(walk, op)
    kept: list[Passed] = [
        passed(w, x.profile[a] if len(x.profile) > a and len(x.profile[a]) == w.before else None)
        for a, w in enumerate(window)
    ]
    if window:
        size = math.prod(w.kernel for w in window)
        filled = math.prod(len(pairs(w)[0]) / max(w.after, 1) for w in window)
    else:
        size = filled = math.prod(n / max(m, 1) for n, m in zip(before, after, strict=True)) if before else 1.0
    if op.name in ("interpolate", "upsample"):
        kept_each = math.prod(v for k, v in op.facts.items() if k.startswith("kept "))
        q = x.q - _apart(x) * (1 - kept_each)  # what positions have in common is kept
        return x.scaled(q / x.q, q / x.q).but(mean=x.mean, apart=_apart(x) * kept_each, profile=()) if x.q > 0 else x
    if "max" in op.name:
        y = _largest(x, filled)
        return y.but(profile=tuple(k.profile for k in kept))
    if "avg" not in op.name:
        return None
    # Zero padding counts in the mean: of `size` cells `filled` hold a signal.
    near, apart = x.q - _apart(x), _apart(x)
    share = filled / size
    q = share**2 * near + apart * share / size
    level = math.prod(k.factor for k in kept)
    q *= level / share if share > 0 and kept else 1.0
    common = (x.q - x.s) * share**2
    return State(
        x.mean * share, q, max(q - min(common, q), 0.0), 0.0, x.var_q, x.var_r, x.shared * share**2,
        apart=q - share**2 * near, profile=tuple(k.profile for k in kept),
    )  # fmt: skip


def _largest(x: State, count: float) -> State:
    """The largest of `count` positions, which share what is not apart."""
    if count <= 1:
        return x.but(before=None, paired=False)
    nodes, chance = gaussian._grid(gaussian.COARSE)
    u = x.before.state if x.before is not None else None
    source = u if u is not None else x
    apart = min(_apart(source), source.variance)
    z0, w0 = gaussian._grid(24)
    common = math.sqrt(max(source.variance - apart, 0.0)) * z0
    steps_up = np.cumsum(chance) ** count
    top = np.diff(steps_up, prepend=0.0)
    values = source.mean + common[:, None] + math.sqrt(apart) * nodes[None, :]
    if u is None and x.law is not None:
        order = np.argsort(x.law[0])
        values, w0 = x.law[0][order][None, :], np.ones(1)
        top = np.diff(np.cumsum(x.law[1][order]) ** count, prepend=0.0)
    elif x.before is not None:
        values = x.before.activation(values)
    mean, q = float(w0 @ (values @ top)), float(w0 @ (values**2 @ top))
    per = values @ top
    near = float(w0 @ per**2)
    ratio = q / x.q if x.q > 0 else 1.0
    return State(
        mean, q, min(x.s * ratio, q - min(mean**2, q)), 0.0, x.var_q, x.var_r, apart=max(q - near, 0.0),
        law=_thin(values, w0, top),
    )  # fmt: skip


def _thin(values: np.ndarray, common: np.ndarray, top: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return compressed(values.ravel(), (common[:, None] * top[None, :]).ravel())


def reduce(walk: "Expected", op: Op, x: State | None) -> State | None:
    """Means and sums over positions or units; what is left is nearly a constant where many are averaged."""
    before = walk.extents(op)
    if x is None or not before or op.name not in ("mean", "sum", "nanmean", "var", "std", "norm", "vector_norm"):
        return None
    count = max(math.prod(before) / max(math.prod(op.shape), 1), 1.0)
    units = before[1] if len(before) == 4 else before[-1]
    kept = tuple(n for n in op.shape if n != 1)
    over_positions = units in kept and len(before) > 2
    if op.name in ("var", "std", "norm", "vector_norm"):
        level = x.q * count if "norm" in op.name else x.variance
        level = math.sqrt(level) if op.name != "var" else level
        return State(level, level**2, 0.0, apart=0.0)
    if over_positions:
        near, apart = x.q - _apart(x), _apart(x)
        q = near + apart / count if x.kernel is None else float(x.kernel.mean())
        y = State(x.mean, q, max(q - min(x.q - x.s, near), 0.0), 0.0, x.var_q, x.var_r, x.shared)
    else:
        spread = x.variance
        if (law := law_of(x)) is not None:
            spread = max(float(law[1] @ law[0] ** 2) - float(law[1] @ law[0]) ** 2, 0.0)
        uneven = math.prod(float(np.mean(np.sqrt(np.maximum(np.asarray(axis), 0.0)))) for axis in x.profile)
        q = x.mean**2 / max(uneven**2, 1e-300) + spread / count
        y = State(x.mean, q, x.s / count, 0.0, apart=_apart(x) / count)
    factor = count**2 if op.name == "sum" else 1.0
    return y.scaled(factor, factor).but(mean=y.mean * math.sqrt(factor)) if factor != 1 else y


def mean_of(walk: "Expected", index: int, source: int) -> bool:
    """Whether an op is the mean of another one's output over its units (so that their difference is centred)."""
    here = index
    for _ in range(BACK):
        if here == INPUT:
            return False
        op = walk.trace.ops[here]
        if op.kind == "reduce" and op.name == "mean":
            return bool(op.inputs) and walk.root(op.inputs[0]) == walk.root(source)
        if op.kind != "shape" or not op.inputs:
            return False
        here = op.inputs[0]
    return False
