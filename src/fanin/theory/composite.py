"""Activations that are written by hand: several elementwise ops that together are one function of one signal.

The watched pass replays them and puts the function into the weight's slot; here is found which ops it spans, so that theory takes
one step over all of them, `x * x.sigmoid()` as one SiLU.
"""

import heapq
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from fanin.activations import Activation
from fanin.slots import Slot
from fanin.traces.records import INPUT, Op, Trace

ELEMENTWISE = ("pointwise", "activation", "add", "mul", "shape")
AFTER_WEIGHT = ("bias", "norm_scale", "norm_shift")
LARGEST = 64  # ops
AGREES = 0.2  # of ln of the second moment, between the function of the measured input's moments and the measured output


@dataclass(frozen=True)
class Composite:
    """One activation made of several ops.

    Attributes:
        base: op whose output goes in.
        end: op whose output comes out.
        inner: all ops of it, `end` included.
        activation: the function.
    """

    base: int
    end: int
    inner: frozenset[int]
    activation: Activation


def consumers_of(trace: Trace) -> dict[int, list[int]]:
    """Which ops read each op's output, in order."""
    readers: dict[int, list[int]] = defaultdict(list)
    for op in trace.ops:
        for source in dict.fromkeys(op.inputs):
            if source != INPUT:
                readers[source].append(op.index)
    return readers


def composites(
    trace: Trace, slots: Mapping[str, Slot], kinds: tuple[str, ...], readers: Mapping[int, list[int]]
) -> list[Composite]:
    """The activations of more than one op that follow the weight ops of these kinds; `readers` as of `consumers_of`."""
    found: dict[int, Composite] = {}
    for op in trace.ops:
        if op.kind not in kinds:
            continue
        f = next(
            (slots[n].activation for n in op.weights if n in slots and slots[n].role in ("weight", "recurrent")), None
        )
        if f is None:
            continue
        base = _past_biases_and_norms(trace, slots, readers, op.index)
        part = _region(trace, readers, base)
        ends = [i for i in part if any(r not in part for r in readers[i]) or i in trace.outputs]
        if (
            len(ends) == 1
            and len([i for i in part if trace.ops[i].kind != "shape"]) > 1
            and _agrees(trace, f, base, ends[0])
        ):
            found[ends[0]] = Composite(base, ends[0], frozenset(part), f)
    return list(found.values())


def _past_biases_and_norms(
    trace: Trace, slots: Mapping[str, Slot], readers: Mapping[int, list[int]], index: int
) -> int:
    while len(readers[index]) == 1:
        op = trace.ops[readers[index][0]]
        owned = op.weights and all(n in slots and slots[n].role in AFTER_WEIGHT for n in op.weights)
        if len(op.inputs) == 1 and (op.kind in ("shape", "norm") or (op.kind == "pointwise" and owned)):
            index = op.index
        else:
            break
    return index


def _region(trace: Trace, readers: Mapping[int, list[int]], base: int) -> set[int]:
    """Elementwise ops that see nothing but the base."""
    inside, queue = {base}, list(readers[base])
    heapq.heapify(queue)
    while queue and len(inside) <= LARGEST:
        index = heapq.heappop(queue)
        op: Op = trace.ops[index]
        alone = op.kind in ELEMENTWISE and all(source in inside for source in op.inputs)
        if index not in inside and alone and (not op.weights or op.activation is not None):
            inside.add(index)
            for reader in readers[index]:
                heapq.heappush(queue, reader)
    return inside - {base}


def _agrees(trace: Trace, f: Activation, base: int, end: int) -> bool:
    """Whether f of the measured signal that goes in has about the measured size of what comes out."""
    from fanin.theory.gaussian import moments

    while trace.ops[base].signal is None and trace.ops[base].kind == "shape" and trace.ops[base].inputs:
        base = trace.ops[base].inputs[0]
        if base == INPUT:
            return True
    before, after = trace.ops[base].signal, trace.ops[end].signal
    if before is None or after is None or not (before.rms > 0 and after.rms > 0 and math.isfinite(before.std)):
        return True
    expected = moments(f, before.mean, before.std**2).second
    return expected > 0 and abs(math.log(after.rms**2 / expected)) < AGREES
