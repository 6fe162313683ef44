"""A plan corrected by one measured pass: where theory cannot know a signal's size, it is measured.

Theory follows a signal through dense layers and activations. Pools, means over positions, states of recurrent layers and
correlated pixels change its size in ways that depend on the data, so after a trial the planned sizes of a chain and of
a head's outputs are compared with the measured ones, and each weight's gain is set right.

Each correction divides the ratio of two *measured* sizes by the ratio of the planned ones: it is what the layer itself
did, whatever the layers before it did, so one pass sets all of them right. Small deviations are the luck of one draw
(finite width) and stay.
"""

import dataclasses
import math
import re

from fanin.auto import facts
from fanin.auto.chains import ChainPlan, chain_plans
from fanin.auto.scaling import times
from fanin.checks.judge import DEPTH_SCALES
from fanin.distributions import Centred, Orthogonal
from fanin.plans import Entry, Plan
from fanin.slots import Slot
from fanin.traces.records import Trace

MEASURED = re.compile(r"; × ([\d.e+-]+) as measured")
LUCK = 1.3  # a measured size within this factor of the planned one is the luck of the draw
MOST = 100.0  # no gain is changed by more than this factor
SHARED = 2.0  # outputs this many times as large as what differs between examples are mostly what all share
AVERAGED = 0.3  # outputs of a head after a mean over positions: larger ones grow unstable in training (measured)


def corrections(planned: Trace, measured: Trace, plan: Plan) -> dict[str, Entry]:
    """Entries to replace after a trial of the plan.

    Args:
        planned: the trace that the plan was chosen from.
        measured: a trace of the same model with the plan's weights.
        plan: the plan.
    """
    changed: dict[str, Entry] = {}
    done: set[str] = set()
    for chain in chain_plans(planned):
        names = [s.name for s in chain.slots]
        if all(n in plan.entries for n in names):
            changed |= _chain(chain, measured, plan)
            done |= set(names)
    for slot in measured.slots:
        if (
            slot.head
            and slot.role == "weight"
            and slot.name in plan.entries
            and slot.name not in done
            and not slot.residual
        ):
            changed |= _head(slot, measured, plan)
    return changed


def _chain(chain: ChainPlan, measured: Trace, plan: Plan) -> dict[str, Entry]:
    slots, sizes = chain.slots, chain.sizes
    if chain.normed:  # norms set every size but the last
        return _head(slots[-1], measured, plan) if slots[-1].head else {}
    found = [_size(measured, slot) for slot in slots]
    if found[0] is None or found[0] <= 0:
        return {}
    changed = {}
    bend = sizes[0] / found[0] if _off(sizes[0] / found[0]) else 1.0
    ratios = [bend]
    for k in range(1, len(slots)):
        before, after = found[k - 1], found[k]
        if before is None or after is None or before <= 0 or after <= 0:
            return {}
        wanted = _averaged(measured, slots[k], sizes[k]) if k == len(slots) - 1 else sizes[k]
        factor = (wanted / sizes[k - 1]) / (after / before)
        ratios.append(factor)
    # what is not corrected at one layer is carried on to the next
    carried = 1.0
    for slot, ratio in zip(slots, ratios, strict=True):
        carried *= ratio
        if _off(carried):
            changed |= _scaled(slot, carried, plan)
            carried = 1.0
    return changed


def _head(slot: Slot, measured: Trace, plan: Plan) -> dict[str, Entry]:
    size = _size(measured, slot)
    if size is None or size <= 0:
        return {}
    factor = _averaged(measured, slot, facts.output_size(measured, slot)) / size
    if not _off(factor):
        return {}
    scaled = _scaled(slot, factor, plan)
    return {name: _centred(entry) for name, entry in scaled.items()} if _shares(measured, slot, size) else scaled


def _shares(trace: Trace, slot: Slot, size: float) -> bool:
    """Whether most of the outputs' power is common to all examples, as after a mean over signals that are never negative."""
    op = facts.op_of(trace, slot)
    return op is not None and op.signal is not None and size < op.signal.rms / SHARED


def _centred(entry: Entry) -> Entry:
    """The same weights less their mean over the inputs, so that what all inputs share is not handed on."""
    law = entry.distribution
    if not isinstance(law, Orthogonal):
        return entry
    return dataclasses.replace(
        entry, distribution=Centred(law, law.axes), reason=f"{entry.reason}; without what all inputs share"
    )


def _averaged(trace: Trace, slot: Slot, wanted: float) -> float:
    op = facts.op_of(trace, slot)
    steps = list(facts.before(trace, op)) if op is not None else []
    if trace.residuals or not any(o.kind == "reduce" for o in steps):
        return wanted  # damped branches keep a residual net's outputs from running away
    return min(wanted, AVERAGED)


def _off(factor: float) -> bool:
    return math.isfinite(factor) and factor > 0 and not 1 / LUCK <= factor <= LUCK


def _size(trace: Trace, slot: Slot) -> float | None:
    """The measured size of what a weight gives: across examples for outputs, over everything inside.

    Where what all examples share dwarfs what differs between them (an input with a large mean, FI503), outputs count by
    what they share: scaled up to make the difference seen, they would start the loss far above chance.
    """
    op = facts.op_of(trace, slot)
    if op is None or op.signal is None or op.signal.nonfinite > 0:
        return None
    size = op.signal.rms
    if slot.head and op.signal.examples > 1 and not op.signal.spread < size * math.exp(-DEPTH_SCALES / 2):
        size = op.signal.spread
    return size if math.isfinite(size) else None


def _scaled(slot: Slot, factor: float, plan: Plan) -> dict[str, Entry]:
    factor = min(max(factor, 1 / MOST), MOST)
    entry = plan.entries[slot.name]
    law = times(entry.distribution, factor)
    if law is None:
        return {}
    before = MEASURED.search(entry.reason)  # a second trial corrects the first one's correction
    total = factor * float(before[1]) if before else factor
    reason = f"{MEASURED.sub('', entry.reason)}; × {total:.2g} as measured"
    return {slot.name: dataclasses.replace(entry, distribution=law, reason=reason)}
