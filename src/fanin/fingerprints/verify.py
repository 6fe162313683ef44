"""A model or checkpoint compared with what a plan gives, number by number: `verify`."""

import sys
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.draws.largest import largest
from fanin.errors import FaninTypeError, FaninValueError
from fanin.fingerprints.compute import held_by, is_keras, pieces
from fanin.fingerprints.hashing import Bits, as_bits
from fanin.fingerprints.records import Held, Verification, Verified
from fanin.plans import laws
from fanin.plans.parts import Part
from fanin.plans.records import Plan
from fanin.plans.stream import Drawn
from fanin.plans.work import Progress, run, thread_count

MATRICES = 1e-6  # of the largest number: how far orthogonal families may differ between machines
EPSILON = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float8_e4m3fn": 2.0**-3, "float8_e5m2": 2.0**-2}


def verify(model: Any, plan: Any, *, threads: int | None = None, progress: Progress = None) -> Verification:
    """Whether every weight that a plan draws is what the plan gives with its seed; says which are not.

    Elementwise numbers must be the same bit for bit, those of orthogonal families to 1e-6. Of a sharded model every process
    compares what it holds; all learn the outcome. Weights that the plan leaves alone are not looked at.

    Args:
        model: a model, a mapping from names to tensors, or the path of a checkpoint (as for `fingerprint`).
        plan: a `Plan`, or the path of a saved one.
        threads, progress: as for `fingerprint`.

    Example:
        >>> import numpy as np, fanin
        >>> from fanin.plans import Entry, Need, Plan
        >>> from fanin.distributions import Normal
        >>> plan = Plan({"w": Entry(Normal(1.0))}, seed=3, requires={"w": Need((4, 5))})
        >>> w = fanin.draw(Normal(1.0), (4, 5), seed=3, name="w")
        >>> verify({"w": w}, plan).same, print(verify({"w": w.T.reshape(4, 5)}, plan))
        different: 1 of 1 weights are not what the plan gives
        w: 18 of 20 numbers differ, by up to ...
        (True, None)
    """
    if not isinstance(plan, Plan):
        plan = Plan.load(plan)
    count = thread_count(threads)
    if isinstance(model, Plan):
        raise FaninTypeError("model is a plan; give a model or a checkpoint, or compare plans with plan.diff(other)")
    known, together = held_by(model)
    torch = sys.modules.get("torch")
    behind: dict[str, str] = {}
    names = {other: h for h in known for other in h.others} | {h.name: h for h in known}
    if torch is not None and isinstance(model, torch.nn.Module) and not is_keras(model):
        from fanin.fingerprints.effective_torch import aliases, compare_behind

        names |= aliases(model, names)
        behind = compare_behind(model, plan)
    elif not isinstance(model, Mapping) and not known:
        raise FaninValueError(f"{model} holds no tensors")
    chosen, rows = _chosen(plan, names, behind)
    counted = _compared(chosen, count, progress)
    index = {id(h): k for k, h in enumerate(known)}
    differing, largest = [[0] for _ in known], [[0] for _ in known]
    for (h, _), (count, apart) in zip(chosen, counted, strict=True):
        k = index[id(h)]
        differing[k], largest[k] = (
            [count],
            [int(np.float64(apart).view(np.int64))],
        )  # bits of floats ≥ 0 keep their order
    once, copies, tops = together(differing, "once"), together(differing, "every"), together(largest, "largest")
    for h, drawn in chosen:
        k = index[id(h)]
        rows[drawn.name] = _row(drawn.name, h, once[k][0], copies[k][0], float(np.int64(tops[k][0]).view(np.float64)))
    return Verification(tuple(rows[name] for name in plan.entries))


def _row(name: str, held: Held, once: int, copies: int, largest: float) -> Verified:
    if not copies:
        return Verified(name)
    size = int(np.prod(held.shape, dtype=object))
    how = f", by up to {largest:.3g}" if np.isfinite(largest) else ", some of them not finite"
    what = (
        f"{once:,} of {size:,} numbers differ" if once else f"{copies:,} numbers differ on processes that hold copies"
    )
    return Verified(name, what + how, once or copies, largest)


def _chosen(
    plan: Plan, names: dict[str, Held], behind: dict[str, str]
) -> tuple[list[tuple[Held, Drawn]], dict[str, Verified]]:
    """What is compared number by number; and the rows of weights that are not."""
    chosen, rows = [], dict[str, Verified]()
    for name, entry in plan.entries.items():
        held, need = names.get(name), plan.requires.get(name)
        if name in behind:
            rows[name] = Verified(name, behind[name])
        elif held is None:
            rows[name] = Verified(name, "there is no such weight")
        elif need is not None and held.shape != need.shape:
            rows[name] = Verified(name, f"its shape is {held.shape}, but the plan is for {need.shape}")
        elif "float" not in held.dtype:
            rows[name] = Verified(name, f"its type is {held.dtype}")
        else:
            law, factor = laws.drawn(entry)
            chosen.append((held, Drawn(law, factor, held.shape, held.dtype, plan.seed, name)))
    return chosen, rows


def _compared(chosen: list[tuple[Held, Drawn]], threads: int, progress: Progress) -> list[tuple[int, float]]:
    """For each weight, how many numbers held here differ, and by how much at most."""
    found = [(0, 0.0)] * len(chosen)
    lock = threading.Lock()

    def one(k: int, part: Part) -> None:
        held, drawn = chosen[k]
        count, largest = _difference(held.bits(part), as_bits(drawn.values(part.window)), drawn)
        with lock:
            found[k] = (found[k][0] + count, max(found[k][1], largest))

    total = sum(part.size for h, _ in chosen for part in h.parts)
    work = pieces([h for h, _ in chosen], one, whole=[d.whole for _, d in chosen])
    run(work, total, threads, progress, "comparing")
    return found


def _difference(a: Bits, b: Bits, drawn: Drawn) -> tuple[int, float]:
    differ = a != b
    if not differ.any():
        return 0, 0.0
    x, y = _numbers(a[differ], drawn.dtype), _numbers(b[differ], drawn.dtype)
    with np.errstate(invalid="ignore"):
        apart = np.abs(x - y)
    apart[~np.isfinite(apart)] = np.inf
    if drawn.whole:
        top = largest(drawn.law)
        allowed = MATRICES * (top or 1.0) + EPSILON.get(drawn.dtype, 0.0) * np.abs(y)
        apart = apart[~(apart <= allowed)]
    return len(apart), float(apart.max(initial=0.0))


def _numbers(bits: Bits, dtype: str) -> NDArray[np.float64]:
    if dtype == "bfloat16":
        return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32).astype(np.float64)
    from fanin.draws.dtypes import numpy_dtype

    return np.ascontiguousarray(bits).view(numpy_dtype(dtype)).astype(np.float64)
