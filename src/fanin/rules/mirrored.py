"""The rule for chains of layers with nothing but activations between them: mirrored (looks-linear)."""

import math

import numpy as np

from fanin.activations import Activation
from fanin.distributions import DeltaOrthogonal, Distribution, Mirrored, Orthogonal
from fanin.draws.layout import block_shape, centre, to_blocks, with_sizes
from fanin.errors import FaninValueError
from fanin.rules.fans import axes_of, fan, finite_gain
from fanin.rules.promise import Array, Promise, values
from fanin.rules.rule import rule
from fanin.slots import Axes, ChainLink, Pairing, Slot

CURVED_FIRST = 0.3  # size of the first layer where o is curved: small enough for the signal to see a straight line
FLAT = 0.02  # an odd part with less slope than this at 0 hands nothing on


def _promise(
    slot: Slot, first: float | None, head: float | None, gain: float | None, pair: bool | None
) -> tuple[Promise, ...]:
    """Pairs cancel, and the Jacobian from the pairs before to the pairs of this layer is a multiple of an isometry."""
    chain, axes = _chain(slot), axes_of(slot, "mirrored")
    out_pairing, in_pairing = _out_pairing(slot, axes, chain, pair), _in_pairing(slot, axes, chain, pair)
    wanted = (1.0 if gain is None else gain) * _place_scale(chain, first, head)
    slope = 1.0 if chain.before is None else 1.0 / _slope_scale(slot, chain.before, paired=in_pairing is not None)

    def cancels(weight: Array, slot: Slot) -> float:
        blocks = to_blocks(weight, axes)
        rows, columns = _halves(blocks, out_pairing, 1), _halves(blocks, in_pairing, 2)
        return max((float(np.abs(a + b).max(initial=0.0)) for a, b in (rows, columns) if b is not None), default=0.0)

    def isometry(weight: Array, slot: Slot) -> float:
        blocks = to_blocks(weight, axes)
        blocks = blocks[..., centre(axes)]
        half = _halves(_halves(blocks, out_pairing, 1)[0], in_pairing, 2)[0]
        values = np.linalg.svd(half * slope, compute_uv=False)
        return float(np.abs(values / math.sqrt(max(1.0, half.shape[1] / half.shape[2])) - wanted).max())

    odd = any(pairing is not None and pairing.units % 2 for pairing in (out_pairing, in_pairing))
    promised = (values(0.0, cancels, "the two weights of a pair add up to 0", 1e-6),)
    if odd or axes.size("stack") > 1:
        return promised
    what = (
        f"the Jacobian from pairs to pairs has all singular values {wanted:.4g} (times sqrt(out / in) where it widens)"
    )
    return (*promised, values(0.0, isometry, what, 1e-5))


def _halves(blocks: Array, pairing: Pairing | None, axis: int) -> tuple[Array, Array | None]:
    """The first and the second units of the pairs along an axis of the blocks; all of them and None where there are none."""
    if pairing is None:
        return blocks, None
    before, after = blocks.shape[:axis], blocks.shape[axis + 1 :]
    split = blocks.reshape(*before, -1, pairing.units, pairing.inner, *after)
    half = pairing.units // 2
    one, two = (np.take(split, range(k, k + half), axis=axis + 1).reshape(*before, -1, *after) for k in (0, half))
    return one, two


@rule(aliases=("looks_linear",), promise=_promise)
def mirrored(
    slot: Slot,
    first: float | None = None,
    head: float | None = None,
    gain: float | None = None,
    pair: bool | None = None,
) -> Distribution:
    """Mirrored halves along a plain chain: at the start the net is a net of half the width, without mean, nearly linear.

    The units of each hidden layer come in pairs f(u), f(-u), and the next layer sees the odd part of the activation,
    o(u) = f(u) - f(-u), only. For ReLU, leaky ReLU, GELU, SiLU, softplus and hardswish o is a straight line, so the
    chain is exactly linear and orthogonal, at any depth. Odd activations (tanh) hand on o by themselves: no pairs are made.

    Formula:
        first weight  [Q; -Q] · first,   inner weights  [[Q, -Q], [-Q, Q]] · s,   last weight  [R, -R] · s · head,
        with Q, R random orthogonal (on the centre tap of a convolution), scaled by sqrt(max(1, out / in)) where a layer
        widens, and s = 1 / o'(0). Where f is odd: Q and s = 1 / f'(0). A unit left over by an odd width has a random row
        of its own and a zero column in the next weight.

    Args:
        first: factor on the first weight; where nothing is said, 1 where o is a straight line, else 0.3.
        head: factor on the last weight; where nothing is said, 1 / first.
        gain: factor on every weight (1 where nothing is said).
        pair: whether to make pairs; where nothing is said, unless the activation is odd. It must be the same along a chain.

    Raises:
        FaninValueError: for a weight that is not in a plain chain, or whose activation has no slope at 0 to hand on.

    Promise:
        The weights of a pair add up to 0, and the Jacobian from pairs to pairs has all its singular values equal: gain (times
        `first` and `head` at the ends, and sqrt(out / in) where a layer widens), so that nothing grows or dies in depth.

    Paper:
        Balduzzi et al. 2017, "The shattered gradients problem: if resnets are the answer, then what is the question?",
        section 4 (ReLU); the general form for any activation is fanin's (`design.md`, "Mirrored chains").

    Example:
        >>> from fanin import draws
        >>> from fanin.slots import Axes, ChainLink, Slot
        >>> relu = Activation.named("relu")
        >>> slot = Slot("0.weight", (4, 3), "float32", "weight", axes=Axes.parse("oi", (4, 3)),
        ...             chain=ChainLink("0.weight", 0, 3, after=relu))
        >>> w = draws.draw_distribution(mirrored()(slot), (4, 3), seed=0, name="0.weight")
        >>> bool((w[:2] == -w[2:]).all())
        True
    """
    chain, axes = _chain(slot), axes_of(slot, "mirrored")
    fan(slot, "fan_geo_avg", "mirrored")  # raises where an axis has no elements
    out_pairing, in_pairing = _out_pairing(slot, axes, chain, pair), _in_pairing(slot, axes, chain, pair)
    scale = (1.0 if gain is None else gain) * _place_scale(chain, first, head)
    if chain.before is not None:
        scale *= _slope_scale(slot, chain.before, paired=in_pairing is not None)
    _, out, in_, field = block_shape(axes)
    half_out = out_pairing.outer * (out_pairing.units // 2) * out_pairing.inner if out_pairing else out
    half_in = in_pairing.outer * (in_pairing.units // 2) * in_pairing.inner if in_pairing else in_
    kind = DeltaOrthogonal if field > 1 else Orthogonal
    if out_pairing is None and in_pairing is None:
        return kind(axes, scale, scale_out=True)
    base = kind(with_sizes(axes, half_out, half_in), scale, scale_out=True)
    return Mirrored(base, axes, out_pairing, in_pairing)


def _chain(slot: Slot) -> ChainLink:
    if slot.chain is None:
        raise FaninValueError(
            f"mirrored: {slot.name!r} is not part of a plain chain (layers that follow each other with nothing but "
            "activations between them), or nothing was traced; use orthogonal() or he_normal() for it"
        )
    return slot.chain


def _pairs(f: Activation, units: int, pair: bool | None) -> bool:
    """Whether this many units that meet this activation are laid out in pairs. Producer and consumer agree by it."""
    return units >= 2 and (not f.is_odd if pair is None else pair)


def _out_pairing(slot: Slot, axes: Axes, chain: ChainLink, pair: bool | None) -> Pairing | None:
    _, out, _, _ = block_shape(axes)
    if chain.after is None or chain.position == chain.length - 1 or not _pairs(chain.after, out, pair):
        return None
    for axis in axes.factors:
        if {"stack", "out"} <= {factor.role for factor in axis if factor.size > 1}:
            raise FaninValueError(
                f"mirrored: the outputs of {slot.name!r} are stacked in blocks (axes {axes.spec!r}), and pairs cannot cross "
                "blocks; use orthogonal() or he_normal() for it"
            )
    return Pairing(out)


def _in_pairing(slot: Slot, axes: Axes, chain: ChainLink, pair: bool | None) -> Pairing | None:
    if chain.position == 0 or chain.before is None:
        return None
    given = chain.in_pairing
    stack, _, in_, _ = block_shape(axes)
    if given is None or given.outer * given.units * given.inner not in (in_, stack * in_):
        raise FaninValueError(
            f"mirrored: {slot.name!r} has {in_} inputs, but its chain says that they lie as {given}; "
            "outer * units * inner must be the number of inputs"
        )
    return given if _pairs(chain.before, given.units, pair) else None


def _place_scale(chain: ChainLink, first: float | None, head: float | None) -> float:
    """The factor of the chain's first and last weight."""
    f = chain.after if chain.position == 0 else chain.before
    if first is None:
        first = 1.0 if f is None or _straight(f) else CURVED_FIRST
    if chain.length == 1:
        return 1.0
    return {"first": first, "inner": 1.0, "last": 1.0 / first if head is None else head}[chain.place]


def _straight(f: Activation) -> bool:
    return f.odd_is_linear


def _slope_scale(slot: Slot, f: Activation, *, paired: bool) -> float:
    """s: one over the slope with which the input comes through its activation."""
    slope = f.odd_slope if paired else f.slope
    if paired or f.is_odd:
        if abs(slope) < FLAT:
            raise FaninValueError(
                f"mirrored: the odd part of {str(f)!r}, which the input of {slot.name!r} comes through, is flat at 0 "
                f"(slope {slope:.3g}), so nothing would be handed on; use he_normal() for this chain"
            )
        return 1.0 / slope
    return finite_gain("mirrored", f)
