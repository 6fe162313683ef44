"""Small outputs of convolutional chains: where the signal is to become small on the way.

Outputs that stand for quantities start small (see `facts.output_size`). In a dense chain the head alone makes them so: its
input stays large, and the head learns fast. A kernel that is shared by P positions gets the sum of P gradients, and so learns
much faster than the rest in any case; what limits such a net are the kernels before the head, whose gradients go with the
gains behind them. There the signal declines evenly, over all kernels
from the head back to the last dense layer; it begins well above unit size where pairs make the activation straight at any size.
(Measured on the autoencoder of two convolutions and two transposed ones, R²: by the head alone .75, evenly from ±1 .83, from ±3
.88; in dense autoencoders the same decline costs .2.)
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fanin.auto import facts
from fanin.auto.working_point import BUDGET, LARGER, through
from fanin.slots import Slot
from fanin.traces.records import Trace

if TYPE_CHECKING:
    from fanin.auto.chains import Link


def declining(trace: Trace, slots: Sequence[Slot], links: "list[Link]") -> "list[Link]":
    """The links of a chain, their signals smaller towards a small output where kernels are shared.

    Args:
        slots: the chain's weights, in order.
        links: between each two of them.
    """
    small = facts.output_size(trace, slots[-1]) if slots[-1].head else 1.0
    run = _shared(trace, slots, links)
    if small >= 1 or run < 2:
        return links
    start = len(slots) - run  # of the first kernel that is shared; what it meets comes from the link before it
    top = _largest(links[start - 1], len(links))
    powers = [top * (small**2 / top) ** (k / run) for k in range(run)]
    changed = [
        replace(link, q=q, moments=through(link.f, link.carrier, q))
        for link, q in zip(links[start - 1 :], powers, strict=True)
    ]
    return [*links[: start - 1], *changed]


def _largest(link: "Link", layers: int) -> float:
    """The largest useful second moment before an activation: well above 1 where it is straight for pairs at any size."""
    useful = (q for q in LARGER if layers * through(link.f, link.carrier, q).curved <= BUDGET)
    return max(link.q, *useful, 0.0) if link.carrier == "paired" else link.q


def _shared(trace: Trace, slots: Sequence[Slot], links: "Sequence[Link]") -> int:
    """How many kernels at the chain's end are shared by positions, without norms between; the first weight is not counted."""
    count = 0
    for k in range(len(slots) - 1, 0, -1):
        if facts.positions(trace, slots[k]) < 2 or links[k - 1].normed:
            break
        count += 1
    return count
