"""Weights of plain chains: layers that follow each other with nothing but activations between them.

At the start the chain is made a linear, isometric net as nearly as its activations allow (see `working_point`): then
neither the signal nor its gradient dies or grows, and different inputs stay apart, at any depth. What is left is how
fast it learns. A step of gradient descent changes output k by the learning rate times the trace of the tangent kernel,

    T = Σ over layers l of  fan_in E[f²] · Σ over units E[(∂ output / ∂ pre-activation)²],

which grows with depth, with the head's scale, and with the constant part of f. The head's scale is chosen so that T is
at most what a net of a few layers has: then learning rates that people use fit every depth.

Where a chain hands on less than it is given (fewer directions than the input has, or a signal drowned in dropout's noise),
what it hands on is a matter of luck, and only what turns the first layer can choose better. It turns the faster, the
smaller it starts: its signal is made smaller, and the second layer's gain larger, until half of T is the first layer's.

Chains go on through norms. A norm takes (u, -u) to (v, -v): batch norm treats every channel alike but for its sign, and a
layer norm's mean over pairs is zero; so a mirrored net with norms is linear at the start too, without what norms add to deep
plain nets: gradients that grow with every batch norm, examples that grow alike with every layer norm. A norm forgets the
size of the weights before it; their size decides how far one step turns them.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from fanin.activations import Activation
from fanin.auto import facts
from fanin.auto.decline import declining
from fanin.auto.working_point import SMALLEST, Carrier, Through, carrier_of, gentler, through, working_point
from fanin.distributions import Centred, Constant, Distribution, Mirrored, Orthogonal
from fanin.draws.layout import block_shape, with_sizes
from fanin.plans import Entry
from fanin.slots import ChainLink, Pairing, Slot
from fanin.traces.records import Trace

KERNEL_TRACE = (
    2500.0  # the most that T may be (measured: 500 to 5000 train alike at 30 layers, 2000 to 3000 best at 100)
)
FIRST_SHARE = 0.5  # of T, of a first layer that has to choose (measured: .25 to .8 help)
CHOOSING_TRACE = 1500.0  # the most that T may be then, as the first layer's weights grow while it turns (measured)
SIZE = 1 / math.sqrt(6)  # of weights before a norm: as PyTorch's U(±1/√n), of variance 1 / (3 n), halved by the pairs
DEEP = 8  # layers from which weights before layer norms are larger, as a step turns all layers at once (measured)


@dataclass(frozen=True)
class Link:
    """Two neighbours of a chain: the activation between them, and how it is used.

    Attributes:
        f: the activation.
        carrier: how the signal is handed on (see `working_point`).
        pairing: how the units lie along the consumer's input axis.
        q: second moment of the pre-activation.
        moments: of f at q.
        dropped: share of the units that dropout sets to zero.
        normed: whether a norm stands between the two weights.
        bias: that the weight before it is given (see `working_point.gentler`); f has it in it.
    """

    f: Activation
    carrier: Carrier
    pairing: Pairing
    q: float
    moments: Through
    dropped: float
    normed: bool
    bias: float = 0.0

    @property
    def paired(self) -> bool:
        """Whether the units come in pairs."""
        return self.carrier == "paired"

    @property
    def handed_on(self) -> float:
        """Second moment of what the next layer sees, per unit (or pair), the noise of dropout included."""
        copies = 2 if self.paired else 1
        return self.moments.carried + copies * self.dropped / (1 - self.dropped) * self.moments.power


@dataclass(frozen=True)
class ChainPlan:
    """One plain chain, planned.

    Attributes:
        slots: its weights, in order.
        entries: one entry a weight.
        sizes: the rms that each weight's output is planned to have (after its norm, where there is one).
        normed: whether norms stand in it.
    """

    slots: list[Slot]
    entries: dict[str, Entry]
    sizes: list[float]
    normed: bool


def chain_entries(trace: Trace) -> dict[str, Entry]:
    """Entries for the weights of every plain chain of the trace."""
    return {name: entry for chain in chain_plans(trace) for name, entry in chain.entries.items()}


def chain_plans(trace: Trace) -> list[ChainPlan]:
    """Every plain chain of the trace, planned."""
    return [_chain(trace, slots) for slots in chains_of(trace)]


def link_of(slot: Slot) -> ChainLink | None:
    """A weight's place in a chain: the one through norms where there is one, else the plain one."""
    return slot.normed_chain or slot.chain


def chains_of(trace: Trace) -> Iterator[list[Slot]]:
    """The chains of a trace, each a list of slots in order."""
    groups: dict[str, list[tuple[int, int, Slot]]] = {}
    for slot in trace.slots:
        link = link_of(slot)
        if link is not None and slot.axes is not None and slot.role == "weight":
            groups.setdefault(link.id, []).append((link.position, link.length, slot))
    for members in groups.values():
        members.sort(key=lambda m: m[0])
        if len(members) > 1 and [m[0] for m in members] == list(range(members[0][1])):
            yield [slot for _, _, slot in members]


def _chain(trace: Trace, slots: list[Slot]) -> ChainPlan:
    links = declining(trace, slots, _links(trace, slots))
    rms = facts.input_rms(trace, slots[0])
    before_norm = _size_before_norm(trace, len(slots))
    choosing = _has_plain_head(slots, links) and _hands_on_less(trace, slots, links)
    if choosing:
        links[0] = _quieter_first(slots, links, rms)
    gains = _gains(links, rms, before_norm)
    target, why = _output(trace, slots, links, gains, rms, CHOOSING_TRACE if choosing else KERNEL_TRACE)
    gains.append(target / math.sqrt(links[-1].handed_on))
    entries: dict[str, Entry] = {}
    for k, slot in enumerate(slots):
        before, after = _around(links, k)
        reason = why if after is None else _reason(slots, before, after)
        if choosing and k == 0:
            reason += ", small so that training turns it fast towards what is worth handing on"
        assert slot.axes is not None
        gain = gains[k] / math.sqrt(facts.valid_share(trace, slot) * slot.axes.in_taps)
        entries[slot.name] = Entry(_weight(slot, before, after, gain), reason)
        if after is not None and after.bias and (vector := _bias_of(trace, slot)) is not None:
            entries[vector.name] = Entry(Constant(after.bias), "bias: to where a pair of units is less steep")
    sizes = [*(math.sqrt(link.q + link.bias**2) for link in links), target]
    return ChainPlan(slots, entries, sizes, any(link.normed for link in links))


def _gains(links: Sequence[Link], rms: float, before_norm: float) -> list[float]:
    """The gains of all weights but the last."""
    gains = [before_norm if links[0].normed else math.sqrt(links[0].q) / rms]
    for before, after in itertools.pairwise(links):
        gains.append(before_norm if after.normed else math.sqrt(after.q / before.handed_on))
    return gains


def _has_plain_head(slots: Sequence[Slot], links: Sequence[Link]) -> bool:
    """Whether the chain ends in the model's outputs without a norm, so that its kernel's trace can be known."""
    last = slots[-1]
    return last.head and last.residual is None and not last.norm_after and not any(link.normed for link in links)


def _hands_on_less(trace: Trace, slots: list[Slot], links: list[Link]) -> bool:
    """Whether less comes out of the chain's narrowest place, and through its dropout, than the first layer is given."""
    op = facts.op_of(trace, slots[0])
    if op is None or len(op.shape) > 2:
        return False  # kernels and tokens: what meets every position of an example turns faster than T says
    sizes = [block_shape(s.axes) if s.axes else (1, 1, 1, 1) for s in slots]
    units = [
        size[1] * facts.positions(trace, slot) // (2 if link.paired else 1)
        for size, slot, link in zip(sizes, slots, links, strict=False)
    ]
    kept = math.prod(link.moments.carried / link.handed_on for link in links)
    return min(units) * kept < sizes[0][2]


def _quieter_first(slots: list[Slot], links: list[Link], rms: float) -> Link:
    """The first link with a signal as small as gives the first layer its share of T.

    Its part of T goes with 1 / q, nearly: slopes change with q a little, so the steps are repeated. The link stays as it is
    where a smaller signal would drown in a constant that is handed on.
    """
    link = links[0]
    for _ in range(4):
        trial = [link, *links[1:]]
        first, *others = _kernel(slots, trial, _gains(trial, rms, 1.0), rms)
        wanted = FIRST_SHARE / (1 - FIRST_SHARE) * sum(others)
        if wanted <= 0:
            return links[0]
        q = min(links[0].q, max(link.q * first / wanted, SMALLEST))
        link = replace(link, q=q, moments=through(link.f, link.carrier, q))
    drowned = link.carrier == "single" and link.moments.constant > links[0].moments.constant + 1e-3
    return links[0] if drowned or link.q >= links[0].q else link


def _size_before_norm(trace: Trace, layers: int) -> float:
    """The gain of weights before norms."""
    names = {op.name for op in trace.ops if op.kind == "norm"}
    whole = any("layer" in name or "rms" in name for name in names)  # norms over units, which see each example alone
    return min(1.0, SIZE * max(1.0, math.sqrt(layers / DEEP))) if whole else SIZE


def _around(links: Sequence[Link], k: int) -> tuple[Link | None, Link | None]:
    """The links before and after the chain's weight k."""
    return links[k - 1] if k else None, links[k] if k < len(links) else None


def _links(trace: Trace, slots: list[Slot]) -> list[Link]:
    carriers: list[tuple[Activation, Carrier, ChainLink]] = []
    for k, slot in enumerate(slots[1:]):
        place = link_of(slot)
        assert place is not None
        f = place.before or Activation.named("linear")
        units = place.in_pairing.units if place.in_pairing else 1
        carrier = carrier_of(f)
        if carrier == "paired" and (units < 2 or _is_waist(trace, slots, k)):
            carrier = "single"  # pairs would halve what little goes through
        carriers.append((f, carrier, place))
    links = []
    plain = slots[-1].head and not any(place.normed for _, _, place in carriers)
    for (f, carrier, place), slot, producer in zip(carriers, slots[1:], slots, strict=False):
        alike = sum(f == g and carrier == other and not p.normed for g, other, p in carriers)
        alone = carrier == "single" and carrier_of(f) == "paired"
        bias = 0.0
        if plain and carrier == "paired" and _bias_of(trace, producer) is not None:
            f, bias = gentler(f, alike)
        q = 1.0 if alone or place.normed else working_point(f, carrier, alike)
        pairing = place.in_pairing or Pairing(1)
        moments = through(f, carrier, q)
        links.append(Link(f, carrier, pairing, q, moments, facts.dropout_before(trace, slot), place.normed, bias))
    return links


def _bias_of(trace: Trace, slot: Slot) -> Slot | None:
    """The bias that is added to what a weight gives."""
    return next((s for s in trace.slots if s.role == "bias" and s.weight == slot.name), None)


def _is_waist(trace: Trace, slots: list[Slot], k: int) -> bool:
    """Whether pairs between the weights k and k + 1 would narrow the chain: a place narrower than both its neighbours,
    half of which is less than the narrowest place before or after it can hand on."""
    sizes = [block_shape(s.axes)[1] * facts.positions(trace, s) if s.axes else 1 for s in slots]
    before = [facts.values_in(trace, slots[0]), *sizes[:k]]
    after = sizes[k + 1 :]
    return sizes[k] < min(before[-1], after[0]) and sizes[k] // 2 < min(*before, *after)


def _sizes(slot: Slot, before: Link | None, after: Link | None) -> tuple[int, int, int]:
    """(out, in, field) of the weight that is drawn: halves where units come in pairs."""
    assert slot.axes is not None
    _, out, in_, field = block_shape(slot.axes)
    if after is not None and after.paired:
        out //= 2
    if before is not None and before.paired:
        p = before.pairing
        in_ = p.outer * (p.units // 2) * p.inner
    return out, in_, field


def _weight(slot: Slot, before: Link | None, after: Link | None, gain: float) -> Distribution:
    assert slot.axes is not None
    axes = slot.axes
    out, in_, _ = _sizes(slot, before, after)
    made = Pairing(block_shape(axes)[1]) if after is not None and after.paired else None
    met = before.pairing if before is not None and before.paired else None
    half = with_sizes(axes, out, in_) if made or met else axes
    law: Distribution = Orthogonal(half, gain, scale_out=True)
    if made or met:
        law = Mirrored(law, axes, made, met)
    if before is not None and before.carrier == "centred":
        law = Centred(law, axes)
    return law


def _output(
    trace: Trace,
    slots: list[Slot],
    links: list[Link],
    gains: list[float],
    rms: float,
    most: float,
) -> tuple[float, str]:
    """How large the chain's output should be at the start (standard deviation), and why."""
    last = slots[-1]
    if last.residual is not None and last.residual.last and not last.residual.normed:
        return facts.branch_scale(trace, last)
    if last.norm_after:
        return (
            SIZE,
            "before a norm, which forgets its size: as large as PyTorch's default, so that a step turns it as fast",
        )
    if last.head and any(link.normed for link in links):
        return facts.output_size(trace, last), f"head: outputs start at ±{facts.output_size(trace, last):.2g}"
    if not last.head:
        return 1.0, "last of a plain chain: hands on a signal of unit size"
    kernel = sum(_kernel(slots, links, gains, rms))
    target = facts.output_size(trace, last)
    target = min(target, math.sqrt(most / kernel)) if kernel > 0 else target
    return target, f"head: outputs start at ±{target:.2g}, so that {len(slots)} layers learn as fast as a few"


def _kernel(slots: list[Slot], links: list[Link], gains: list[float], rms: float) -> list[float]:
    """The parts of T that each layer makes up, for a head that gives outputs of unit size.

    Going back through a layer, Σ E[(∂ output / ∂ ·)²] is multiplied by the slope's and the gain's squares alone: where a
    layer widens, its weights are larger, but only that part of a gradient comes through that lies in their image.
    """
    assert slots[-1].axes is not None
    below = links[-1]
    parts = [slots[-1].axes.fan_in * below.moments.power]
    backward = 1.0 / below.handed_on  # E[(∂ output / ∂ φ)²], summed over units
    for k in range(len(links) - 1, -1, -1):
        slot, link = slots[k], links[k]
        assert slot.axes is not None
        power = links[k - 1].moments.power if k else rms**2
        parts.append(slot.axes.fan_in * power * (2 if link.paired else 1) * link.moments.own_slope * backward)
        backward *= link.moments.slope * gains[k] ** 2
    return parts[::-1]


def _reason(slots: list[Slot], before: Link | None, after: Link) -> str:
    how = {
        "paired": f"mirrored: pairs of units hand on {after.f}'s odd part, without mean",
        "single": "isometry where the activation is nearly straight" if after.f.is_odd else "keeps the second moment",
        "centred": f"isometry; {after.f} is odd about a constant, which the next layer does not see",
    }[after.carrier]
    place = f"{'first' if before is None else 'one'} of {len(slots)} layers with"
    if after.normed:
        return f"{place} norms between; {how}"
    return f"{place}out norm; {how}; signal ±{math.sqrt(after.q):.2g}"


__all__ = ["ChainPlan", "chain_entries", "chain_plans", "chains_of", "link_of"]
