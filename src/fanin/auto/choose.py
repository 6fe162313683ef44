"""A rule for every weight, from the trace alone: `choose`.

Each family of weights has a file of its own with one function (trace, …) → entries; the first that knows a weight has it.
What none knows keeps its values, and the plan's notes say why.
"""

from collections.abc import Iterable

from fanin.auto.chains import chain_entries
from fanin.auto.keep import kept
from fanin.auto.matrices import matrix_entries
from fanin.auto.modulation import with_modulations
from fanin.auto.recurrent import recurrent_entries
from fanin.auto.residual import with_residuals
from fanin.auto.streams import paired_streams
from fanin.auto.vectors import set_on_purpose, vector_entries
from fanin.plans import Entry, Plan
from fanin.slots import Slot
from fanin.traces.records import Trace

FAMILIES = (chain_entries, recurrent_entries, matrix_entries, vector_entries)


def choose(trace: Trace, *, seed: int = 0, keep: Iterable[str] | str = ()) -> Plan:
    """The plan that fanin would choose: a distribution and a one-line reason for each weight.

    Args:
        trace: a watched pass of the model.
        seed: the plan's seed (0 ≤ seed < 2⁶⁴).
        keep: patterns over weight names that keep their present values; "pretrained" stands for every weight whose
            values no longer look freshly drawn, "frozen" for those that need no gradient.

    Returns:
        A plan with an entry for each weight that fanin has a rule for; `notes` names the others and says why.

    Raises:
        FaninValueError: a pattern in `keep` matches no weight.

    Example:
        >>> import torch
        >>> from fanin.traces.torch import trace
        >>> model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
        >>> print(choose(trace(model, torch.randn(32, 8))).entries["2.bias"].reason)
        bias: zero
    """
    held = kept(trace, keep)
    entries: dict[str, Entry] = {}
    for family in FAMILIES:
        for name, entry in family(trace).items():
            entries.setdefault(name, entry)
    entries |= with_residuals(trace, entries)
    entries |= with_modulations(trace, entries)
    notes = [*held.notes]
    for slot in trace.slots:  # values made for a bias are made for its weight's size too (Mamba's dt)
        if slot.role == "bias" and slot.weight in entries and not slot.head and set_on_purpose(trace, slot):
            del entries[slot.weight]
            notes.append(f"{slot.weight} keeps its values: those of its bias were set on purpose.")
    for slot in trace.slots:
        if slot.name in held.names:
            entries.pop(slot.name, None)
        elif slot.name in entries and (why := _left_on_purpose(trace, slot)):
            del entries[slot.name]
            notes.append(f"{slot.name} keeps its values: {why}.")
        elif slot.name not in entries and not any(note.startswith(f"{slot.name} keeps") for note in notes):
            notes.append(f"{slot.name} keeps its values: {_why_left(trace, slot)}.")
    broken = _without_broken_chains(trace, entries)
    entries |= paired_streams(trace, entries)
    notes += [f"{name} keeps its values: its neighbours in a mirrored chain keep theirs." for name in broken]
    return Plan.of(trace.slots, entries, seed=seed, notes=notes)


def _without_broken_chains(trace: Trace, entries: dict[str, Entry]) -> list[str]:
    """Draws anew, by the rules for single weights, what is left of chains from which a weight is kept."""
    from fanin.auto.chains import chains_of

    alone = matrix_entries(trace)
    left = []
    for slots in chains_of(trace):
        names = [s.name for s in slots]
        if all(n in entries for n in names):
            continue
        for name in names:
            if name in entries and name in alone:
                entries[name] = alone[name]
            elif name in entries:
                del entries[name]
                left.append(name)
    return left


def _left_on_purpose(trace: Trace, slot: Slot) -> str:
    """Why a weight with a rule keeps its values all the same; "" where it does not."""
    if not slot.dtype.startswith(("float", "bfloat")):
        return f"its type is {slot.dtype}, and only real floating-point weights are drawn"
    facts = trace.weights.get(slot.name)
    zero = facts is not None and facts.constant and facts.low == 0.0
    if zero and slot.role in ("weight", "norm_scale") and facts is not None and facts.grad_rms > 0:
        # LoRA's B, zero last gammas, adaLN-zero, zero couplings of flows, zero heads: a dead pair has no gradient
        return "it is zero on purpose: what it ends starts switched off, and its gradient is alive"
    return ""


def _why_left(trace: Trace, slot: Slot) -> str:
    if slot.role == "unused":
        return "no op used it in the watched pass"
    if slot.role == "opaque":
        return "it is used by code that cannot be seen into"
    if slot.role == "scale":
        return "it is a scale outside a norm, and such scales are set on purpose"
    if slot.role == "bias" and set_on_purpose(trace, slot):
        return "its values were set on purpose"
    if slot.role in ("weight", "recurrent", "embedding") and slot.axes is None:
        return "the meaning of its axes is not known"
    return "fanin has no rule for its role"
