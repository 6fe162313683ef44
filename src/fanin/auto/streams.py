"""Residual streams that pass an activation after each add (ResNet's relu(x + f(x))), in pairs of units.

Such a stream is never negative, so that what its units have in common grows with every block while what tells examples apart
does not; after a mean over positions hardly anything but the common part is left, and a head that brings the rest to unit
size begins with logits many times as large, the same for every input. Pairs cure it as they do in plain chains: what is
written to the stream comes as (v, -v), what is read from it is f(u) - f(-u), so that the common part cancels, in whatever
is read and in the gradients, and the stream is nearly linear at the start.

A stream is taken whole or not at all. From an add, the walk goes back to everything that writes the sum and on to
everything that reads it, through norms, pools, dropout and further adds; a product, a join by `cat`, or a signal that leaves
the model unread ends it, and then the stream stays as the other rules have it.
"""

import itertools
import math
from collections import defaultdict
from dataclasses import dataclass, field, replace

from fanin.activations import Activation
from fanin.auto.scaling import times
from fanin.auto.working_point import carrier_of, through
from fanin.distributions import Distribution, Mirrored, Normal, Orthogonal
from fanin.draws.layout import block_shape, with_sizes
from fanin.plans import Entry
from fanin.slots import Pairing, Slot
from fanin.traces.records import Op, Trace

MOVES, MEANS = ("shape", "reduce"), ("mean", "amax")  # kinds, and names of reductions, that may stand before a reader
SAME = ("norm", "pool", "dropout")  # kinds that take (u, -u) to (v, -v) and keep the axis of the units
DENSE = ("linear", "conv", "conv_transpose")


@dataclass
class Stream:
    """One stream: what writes its units, what reads them, and the activations between.

    Attributes:
        writers: slots whose outputs are added up in the stream.
        readers: slots that see it through an activation, and how its units lie along their inputs.
        functions: its activations.
    """

    writers: dict[str, Slot] = field(default_factory=dict)
    readers: dict[str, tuple[Slot, Pairing]] = field(default_factory=dict)
    functions: list[Activation] = field(default_factory=list)

    @property
    def names(self) -> set[str]:
        """Its weights."""
        return {*self.writers, *self.readers}


def paired_streams(trace: Trace, entries: dict[str, Entry]) -> dict[str, Entry]:
    """The entries of the weights around streams that can be paired: each mirrored on the sides that meet the stream.

    Args:
        trace: a watched pass.
        entries: the final entries; a stream with a weight that has none, or one of another kind, is left alone.
    """
    changed = dict(entries)
    for stream in streams(trace):
        laws = {name: _law(changed[name].distribution if name in changed else None) for name in stream.names}
        if all(laws.values()):
            for slot in stream.writers.values():
                changed[slot.name] = _writes(slot, changed[slot.name])
            for slot, pairing in stream.readers.values():
                changed[slot.name] = _reads(slot, changed[slot.name], pairing, stream.functions[0])
    return {name: entry for name, entry in changed.items() if entry is not entries.get(name)}


def streams(trace: Trace) -> list[Stream]:
    """The streams of a trace that pass an activation, each once."""
    consumers: dict[int, list[Op]] = defaultdict(list)
    for op in trace.ops:
        for index in dict.fromkeys(op.inputs):
            consumers[index].append(op)
    found: list[Stream] = []
    seen: set[int] = set()
    for add in trace.residuals:
        if add.add not in seen:
            walk = _Walk(trace, consumers)
            whole = walk.run(add.add)
            seen |= walk.before
            if whole:
                found.append(walk.stream)
    return found


class _Walk:
    """Visits every signal of one stream: `before` an activation, where units are (u, -u), and `after` one."""

    def __init__(self, trace: Trace, consumers: dict[int, list[Op]]) -> None:
        self.trace, self.consumers = trace, consumers
        self.slots = {s.name: s for s in trace.slots}
        self.before: set[int] = set()
        self.after: set[int] = set()
        self.stream = Stream()
        self.reads: dict[str, int] = {}  # reader → the signal that it takes

    def run(self, start: int) -> bool:
        """Whether the stream with this add can be paired as a whole."""
        todo = [(start, True)]
        while todo:
            index, before = todo.pop()
            if index in (self.before if before else self.after):
                continue
            (self.before if before else self.after).add(index)
            more = self._made(index, before) if index >= 0 else None
            further = self._used(index, before) if more is not None else None
            if more is None or further is None:
                return False
            todo += [*more, *further]
        return self._fits()

    def _fits(self) -> bool:
        """Whether all writers make the same units, all activations are alike, and every reader's inputs are known."""
        made = {(s.axes.size("out"), s.op == "linear") for s in self.stream.writers.values() if s.axes is not None}
        functions = self.stream.functions
        if len(made) != 1 or not functions or any(f != functions[0] for f in functions):
            return False
        units, dense = made.pop()
        for name, index in self.reads.items():
            pairing = _lies(self.trace, index, self.slots[name], units, dense)
            if pairing is None:
                return False
            self.stream.readers[name] = (self.slots[name], pairing)
        return units > 1 and bool(self.reads) and not (dense and self._narrow(units))

    def _narrow(self, units: int) -> bool:
        """Whether pairs would lose some of what comes in (measured: no gain then; images have positions to spare)."""
        stems = [s.axes.size("in") for s in self.stream.writers.values() if s.residual is None and s.axes is not None]
        return units // 2 < min(stems, default=units)

    def _made(self, index: int, before: bool) -> list[tuple[int, bool]] | None:
        """The signals that this one is made of; None where it cannot be paired."""
        op = self.trace.ops[index]
        if before and op.kind in DENSE:
            slot = self._weight(op)
            if slot is None:
                return None
            self.stream.writers[slot.name] = slot
            return []
        if before and op.kind == "add" and len(op.inputs) == 2:
            return [(i, not self._activated(i)) for i in op.inputs]
        if not before and _pairs(op):
            assert op.activation is not None
            self.stream.functions.append(op.activation)
            return [(op.inputs[0], True)]
        if op.kind in SAME and len(op.inputs) == 1:
            return [(op.inputs[0], before)]
        return [] if op.kind in MOVES else None  # those are met from their inputs only

    def _used(self, index: int, before: bool) -> list[tuple[int, bool]] | None:
        """The signals that are made of this one; None where it goes to something that knows nothing of pairs."""
        users = self.consumers.get(index, [])
        found: list[tuple[int, bool]] = []
        for op in users:
            if op.kind in SAME and len(op.inputs) == 1:
                found.append((op.index, before))
            elif op.kind == "add" and len(op.inputs) == 2:
                found.append((op.index, True))
            elif before and _pairs(op):
                found.append((op.index, False))
            elif not before and op.kind in DENSE:
                slot = self._weight(op)
                if slot is None:
                    return None
                self.reads[slot.name] = index
            elif not before and op.kind in MOVES and (op.kind == "shape" or op.name in MEANS) and len(op.inputs) == 1:
                found.append((op.index, False))
            else:
                return None
        return found if users else None

    def _activated(self, index: int) -> bool:
        """Whether a signal comes out of an activation with nothing but pools and the like between."""
        while index >= 0 and self.trace.ops[index].kind in SAME:
            index = self.trace.ops[index].inputs[0]
        return index >= 0 and _pairs(self.trace.ops[index])

    def _weight(self, op: Op) -> Slot | None:
        """The one plain matrix of an op."""
        slots = [self.slots[n] for n in op.weights if n in self.slots and self.slots[n].role == "weight"]
        if len(slots) != 1 or slots[0].axes is None or slots[0].uses != 1:
            return None
        return slots[0] if block_shape(slots[0].axes)[0] == 1 else None


def _pairs(op: Op) -> bool:
    """Whether an op is an activation whose odd part pairs hand on."""
    return op.kind == "activation" and op.activation is not None and carrier_of(op.activation) == "paired"


def _lies(trace: Trace, index: int, reader: Slot, units: int, dense: bool) -> Pairing | None:
    """How a stream's units lie along a reader's inputs; None where that cannot be told.

    Args:
        index: the signal that the reader takes.
        units: of the stream.
        dense: whether they lie along its last axis; else along its second, as convolutions leave them.
    """
    path: list[Op] = [trace.ops[index]]
    while path[-1].kind in (*SAME, *MOVES):
        path.append(trace.ops[path[-1].inputs[0]])
    path.reverse()
    inner = 1
    for source, op in itertools.pairwise(path):
        if op.kind not in MOVES or op.shape == source.shape:
            continue
        if inner > 1 or (op.kind == "shape" and len(op.shape) == len(source.shape)):
            return None  # axes may have changed places
        if not dense and len(op.shape) == 2 and op.shape[1] == math.prod(source.shape[1:]):
            inner = op.shape[1] // units
        elif op.shape[-1 if dense else 1] != units:
            return None
    assert reader.axes is not None
    last = path[-1].shape
    along = (reader.op == "linear" and (dense or len(last) == 2)) or (reader.op != "linear" and not dense)
    return Pairing(units, 1, inner) if along and reader.axes.size("in") == units * inner else None


def _law(law: Distribution | None) -> Distribution | None:
    """The law, where its halves can be drawn; None for other kinds."""
    base = law.base if isinstance(law, Mirrored) else law
    return law if isinstance(base, Orthogonal | Normal) else None


def _writes(slot: Slot, entry: Entry) -> Entry:
    assert slot.axes is not None
    law = _mirrored(entry.distribution, slot, Pairing(slot.axes.size("out")), None)
    return replace(entry, distribution=law, reason=f"{entry.reason}; writes pairs of units to its stream")


def _reads(slot: Slot, entry: Entry, pairing: Pairing, f: Activation) -> Entry:
    gain = 1.0
    if not slot.norm_after and not slot.head:  # a head is measured
        seen = slot.input_activation if slot.chain is None else None
        size = seen.second_moment(1.0) if seen is not None else 1.0  # that the gain was chosen for
        gain = math.sqrt(size / through(f, "paired", 1.0).carried)
    law = times(_mirrored(entry.distribution, slot, None, pairing), gain) or entry.distribution
    return replace(entry, distribution=law, reason=f"{entry.reason}; reads pairs of units, without what they share")


def _mirrored(law: Distribution, slot: Slot, out: Pairing | None, in_: Pairing | None) -> Distribution:
    """The law with one more side in pairs."""
    assert slot.axes is not None
    base, old = (law.base, law) if isinstance(law, Mirrored) else (law, None)
    out, in_ = out or (old.out if old else None), in_ or (old.in_ if old else None)
    half_out = slot.axes.size("out") // (2 if out else 1)
    half_in = in_.outer * (in_.units // 2) * in_.inner if in_ else slot.axes.size("in")
    half = with_sizes(slot.axes, half_out, half_in)
    if isinstance(base, Orthogonal):
        base = replace(base, axes=half)
    elif isinstance(base, Normal):
        was = old.in_ if old else None
        before = was.outer * (was.units // 2) * was.inner if was else slot.axes.size("in")
        base = replace(base, std=base.std * math.sqrt(before / half_in))
    return Mirrored(base, slot.axes, out, in_)
