"""Matrices outside plain chains: heads after norms, layers before norms, projections of attention, ends of branches."""

import math

from fanin.activations import Activation
from fanin.auto import facts
from fanin.auto.chains import SIZE
from fanin.distributions import Distribution, Normal, Orthogonal
from fanin.draws.layout import block_shape
from fanin.plans import Entry
from fanin.slots import Axes, Slot
from fanin.traces.records import Trace

LARGE = 2048  # the smaller side from which a matrix is drawn from a Gaussian: orthogonal ones take minutes then


def matrix_entries(trace: Trace) -> dict[str, Entry]:
    """Entries for every weight that multiplies a signal and whose axes are known."""
    return {s.name: _entry(trace, s) for s in trace.slots if s.role == "weight" and s.axes is not None and s.size > 0}


def _entry(trace: Trace, slot: Slot) -> Entry:
    assert slot.axes is not None
    gain, why = _gain(trace, slot)
    place = slot.residual
    if place is not None and place.last and not place.normed:
        scale, why = facts.branch_scale(trace, slot)
        gain *= scale
    elif slot.norm_after:
        gain, why = (
            SIZE,
            "before a norm, which forgets its size: as large as PyTorch's default, so that a step turns it as fast",
        )
    elif slot.head:
        size = facts.output_size(trace, slot)
        gain *= size
        why = f"head: outputs start at ±{size:.2g}; {why}"
    gain /= math.sqrt(facts.valid_share(trace, slot))
    return Entry(law(slot.axes, gain), why)


def _gain(trace: Trace, slot: Slot) -> tuple[float, str]:
    """What gives the output a second moment of 1."""
    f = slot.input_activation
    if f is None:
        rms = facts.input_rms(trace, slot)
        if abs(rms - 1) > 0.05:
            return 1 / rms, f"isometry for an input of rms {rms:.2g}"
        return 1.0, "isometry"
    moment = _second_moment(f)
    return (1 / math.sqrt(moment) if moment > 0 else 1.0), f"keeps the second moment of {f}'s output"


def _second_moment(f: Activation) -> float:
    return f.second_moment(1.0)


def law(axes: Axes, gain: float) -> Distribution:
    """Orthogonal with this gain per unit, or Gaussian where that would take too long."""
    _, out, in_, field = block_shape(axes)
    if min(out, in_ * field) >= LARGE or in_ * field == 0:
        return Normal(gain / math.sqrt(max(axes.fan_in, 1.0)))
    if axes.in_taps != 1:
        return Normal(gain / math.sqrt(max(axes.fan_in, 1.0)))
    return Orthogonal(axes, gain, scale_out=True)
