"""Transformers drawn by depth: T-Fixup, Admin, DeepNorm, Sub-LN.

All four bound what one step changes in a net of N layers, by weights that shrink (or grow) with N: those of the value, of the
output projection and of the feed-forward. Query and key decide only where attention looks, and keep Xavier's size. A fused
projection is therefore cut into its blocks, of which the last one (the value) is scaled.

Attention's part of a weight comes from `Slot.parts`: "query", "key", "value", or "qkv" for a fused one (`fanin.plan` finds it from
the attention that the weight feeds), unless `part` says it.
"""

import math
from dataclasses import replace

from fanin.distributions import Constant, Distribution, Normal, Stack
from fanin.errors import FaninValueError
from fanin.rules.arguments import choice_check, flag_check, number_check
from fanin.rules.branches import COUNTS, FUSED, KEY, QUERY, branch_of, xavier
from fanin.rules.constant import everywhere
from fanin.rules.depths import Depths, depths_of, other_of
from fanin.rules.fans import axes_of
from fanin.rules.promise import Promise, forward, law
from fanin.rules.requirement import Requirement
from fanin.rules.rule import rule
from fanin.slots import Factor, Slot

STACKS = ("", "alone", "encoder", "decoder")  # "" leaves it to the slot
PARTS = ("", QUERY, KEY, "value", FUSED)  # the same
CHECKS = {**COUNTS, "stack": choice_check(STACKS), "part": choice_check(PARTS), "other": COUNTS["layers"]}


def _scaled(slot: Slot, rule: str, part: str, factor: float) -> Distribution:
    """Xavier's normal rule times `factor` for the value, the output and the feed-forward."""
    aside = _aside(slot)
    if aside is not None:
        return aside
    axes = axes_of(slot, rule)
    std = xavier(axes)
    part = part or slot.parts or ""
    if part != FUSED:
        return Normal(std if part in (QUERY, KEY) else std * factor)
    blocks = (Normal(std), Normal(std), Normal(std * factor))
    for place, axis in enumerate(axes.factors):
        at = next((i for i, f in enumerate(axis) if f == Factor("stack", 3)), None)
        if at is not None:  # heads may lie outside of the three blocks
            heads, size = (math.prod(f.size for f in some) for some in (axis[:at], axis[at + 1 :]))
            return Stack(blocks * heads, (size,) * (3 * heads), place)
    raise FaninValueError(
        f"{rule} cannot find the block of the value in {slot.name!r} (axes {axes.spec!r}); it takes three equal blocks, as in '(s3o)i'"
    )


def _outside(slot: Slot, layers: float | None, part: str) -> bool:
    """Whether the weight was seen to lie on no branch (the head, the first layer), and the user does not say otherwise."""
    return slot.residual is None and slot.op is not None and layers is None and not part


def _aside(slot: Slot) -> Distribution | None:
    """Biases zero, scales one; None for weights."""
    if slot.role in ("bias", "norm_shift"):
        return Constant(0.0)
    return Constant(1.0) if slot.role in ("norm_scale", "scale") else None


def _keeps(law_: Distribution, slot: Slot, rule: str) -> tuple[Promise, ...]:
    """What a distribution of `_scaled` promises, read from its numbers' own deviation."""
    if isinstance(law_, Constant):
        return (everywhere(law_.value),)
    parts = law_.parts if isinstance(law_, Stack) else (law_,)
    square = sum(part.std**2 for part in parts if isinstance(part, Normal)) / len(parts)
    axes = axes_of(slot, rule)
    lookup = axes.size("lookup") > 1
    return (law(math.sqrt(square)),) + (() if lookup else (forward(square * axes.fan_in),))


# -- T-Fixup ----------------------------------------------------------------------------------------------------------


def _t_fixup(slot: Slot, layers: float | None, stack: str, part: str) -> Distribution:
    lookup = slot.axes is not None and slot.axes.size("lookup") > 1
    if _outside(slot, layers, part) and not lookup:
        return _scaled(slot, "t_fixup", part, 1.0)
    depths = depths_of(slot, "t_fixup", layers, stack)
    if slot.axes is not None and lookup:
        return Normal((9.0 * depths.own) ** -0.25 / math.sqrt(slot.axes.size("out")))
    factor = (9.0 * depths.own) ** -0.25 if depths.stack == "decoder" else 0.67 * depths.own**-0.25
    return _scaled(slot, "t_fixup", part, factor)


def _t_fixup_needs(
    slot: Slot, layers: float | None, stack: str, part: str, multiplied: bool
) -> tuple[Requirement, ...]:
    if slot.role == "norm_scale":
        return (Requirement("no_norm", slot.module, detail="T-Fixup's branches are small enough without a norm"),)
    if not multiplied or slot.axes is None or slot.axes.size("lookup") <= 1:
        return ()
    factor = math.sqrt(slot.axes.size("out"))
    return (
        Requirement("op_scale", slot.name, factor, "looked-up rows are multiplied by the square root of their width"),
    )


@rule(
    aliases=("tfixup",),
    promise=lambda slot, layers, stack, part, multiplied: _keeps(
        t_fixup_law(slot, layers, stack, part), slot, "t_fixup"
    ),
    requires=_t_fixup_needs,
    checks={**CHECKS, "multiplied": flag_check},
    samples=({"layers": 6.0}, {"layers": 6.0, "stack": "decoder", "part": "value"}),
)
def t_fixup(
    slot: Slot, layers: float | None = None, stack: str = "", part: str = "", multiplied: bool = True
) -> Distribution:
    """A transformer without layer norm and without warm-up: value, output, feed-forward and embeddings shrink with depth.

    Formula:
        encoder: Xavier · 0.67 N^(-1/4) for the value, the output and both feed-forward weights; decoder: Xavier · (9 N)^(-1/4);
        embeddings: N(0, 1/d) · (9 N)^(-1/4); query, key and all others: Xavier

    Args:
        layers: N, of the stack that the weight is in; from the slot where nothing is said (its stream's residual adds / 2, / 3 for
            a decoder that attends to an encoder). For embeddings it is the decoder's N, where there are both: their factor is
            the decoder's.
        stack: "alone" (an encoder or a decoder on its own) and "encoder" take the encoder's factor, "decoder" the decoder's; from
            the slot where empty.
        part: "query", "key", "value" or "qkv"; from the slot where empty.
        multiplied: whether looked-up rows are multiplied by √d, as fairseq does: the plan then requires it. Without it and without a
            norm, tokens come into the stream √d times as small as the authors trained them.

    Raises:
        FaninValueError: where the slot does not say how many layers there are and `layers` is not given (a tensor on its own, a
            model whose ops nobody watched).

    Promise:
        The numbers have Xavier's deviation times the factor (of a fused projection: its blocks' together).

    Requires:
        No layer norms; with `multiplied`, looked-up rows that are multiplied by √d.

    Paper:
        Huang, Pérez, Ba & Volkovs 2020, "Improving transformer optimization through better initialization", section 3.2; the
        authors' code multiplies the value by √2 besides, because fairseq draws q, k and v with gain 1/√2, and takes the N of
        their own stack for embeddings (the paper has as many layers in both); looked-up rows it multiplies by √d
        (`transformer.py`: `embed_scale`).

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(t_fixup(layers=6), (256, 256), seed=0, name="fc1.weight")
        >>> round(float(w.std()) * 256 ** 0.5 / 0.67 * 6 ** 0.25, 2)
        1.0
    """
    return t_fixup_law(slot, layers, stack, part)


def t_fixup_law(slot: Slot, layers: float | None, stack: str, part: str) -> Distribution:
    """What T-Fixup draws this weight from."""
    return _aside(slot) or _t_fixup(slot, layers, stack, part)


# -- DeepNorm ---------------------------------------------------------------------------------------------------------


def deepnorm_numbers(depth: float, stack: str = "alone", other: float | None = None) -> tuple[float, float]:
    """DeepNorm's α (factor on the skip) and β (gain of the scaled weights).

    Args:
        depth: layers of the weight's own stack.
        stack: "alone", "encoder" or "decoder" (of a model with both).
        other: layers of the other stack; an encoder's numbers depend on both.

    Example:
        >>> [round(x, 3) for x in deepnorm_numbers(18)]
        [2.449, 0.289]
    """
    if stack == "encoder":
        mixed = (depth**4 * other_of("deepnorm", Depths(stack, depth, other))) ** (1 / 16)
        return 0.81 * mixed, 0.87 / mixed
    if stack == "decoder":
        return (3.0 * depth) ** 0.25, (12.0 * depth) ** -0.25
    return (2.0 * depth) ** 0.25, (8.0 * depth) ** -0.25


def _deepnorm(slot: Slot, layers: float | None, stack: str, other: float | None, part: str) -> Distribution:
    aside = _aside(slot)
    if aside is not None:
        return aside
    if _outside(slot, layers, part):
        return _scaled(slot, "deepnorm", part, 1.0)
    depths = depths_of(slot, "deepnorm", layers, stack, other)
    return _scaled(slot, "deepnorm", part, deepnorm_numbers(depths.own, depths.stack, depths.other)[1])


def _deepnorm_needs(
    slot: Slot, layers: float | None, stack: str, other: float | None, part: str
) -> tuple[Requirement, ...]:
    if slot.role != "weight" or slot.residual is None or not slot.residual.last:
        return ()
    depths = depths_of(slot, "deepnorm", layers, stack, other)
    alpha = deepnorm_numbers(depths.own, depths.stack, depths.other)[0]
    return (Requirement("skip_weight", slot.name, alpha, "DeepNorm's α multiplies the skip, a norm follows the add"),)


@rule(
    promise=lambda slot, layers, stack, other, part: _keeps(
        _deepnorm(slot, layers, stack, other, part), slot, "deepnorm"
    ),
    requires=_deepnorm_needs,
    checks=CHECKS,
    samples=({"layers": 18.0}, {"layers": 18.0, "stack": "encoder", "other": 6.0, "part": "value"}),
)
def deepnorm(
    slot: Slot, layers: float | None = None, stack: str = "", other: float | None = None, part: str = ""
) -> Distribution:
    """Post-norm transformers of up to 1,000 layers: the skip is made larger by α, and the weights of branches smaller by β.

    Formula:
        LN(α x + F(x)); value, output and both feed-forward weights: Xavier (normal) with gain β, all others with gain 1;
        an encoder or decoder alone: α = (2 N)^(1/4), β = (8 N)^(-1/4);
        with both: encoder α = 0.81 (N⁴ M)^(1/16), β = 0.87 (N⁴ M)^(-1/16), decoder α = (3 M)^(1/4), β = (12 M)^(-1/4)

    Args:
        layers: of the stack that the weight is in: N of an encoder, M of a decoder; from the slot where nothing is said (its
            stream's residual adds / 2, / 3 for a decoder of a model with both).
        stack: "alone", or "encoder" or "decoder" of a model with both; from the slot where empty (a decoder is what attends to
            values that do not come from its own stream).
        other: layers of the other stack, for an encoder; from the slot where nothing is said.
        part: "query", "key", "value" or "qkv"; from the slot where empty.

    Raises:
        FaninValueError: where the numbers of layers are not known (a tensor on its own, a model whose ops nobody watched).

    Promise:
        The numbers have Xavier's deviation times β (of a fused projection: its blocks' together).

    Requires:
        A factor α on the skip of each residual add, with a norm after the add.

    Paper:
        Wang, Ma, Dong, Huang, Zhang & Wei 2022, "DeepNet: scaling transformers to 1,000 layers", figure 2.

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(deepnorm(layers=18), (256, 256), seed=0, name="fc1.weight")
        >>> round(float(w.std()) * 256 ** 0.5 * (8 * 18) ** 0.25, 2)
        1.0
    """
    return _deepnorm(slot, layers, stack, other, part)


# -- Sub-LN -----------------------------------------------------------------------------------------------------------


def _subln(slot: Slot, layers: float | None, stack: str, other: float | None, part: str) -> Distribution:
    aside = _aside(slot)
    if aside is not None:
        return aside
    if _outside(slot, layers, part):
        return _scaled(slot, "subln", part, 1.0)
    depths = depths_of(slot, "subln", layers, stack, other)
    if layers is None:  # a lone residual add is a layer too, of which the logarithm would leave nothing
        depths = replace(depths, own=max(depths.own, 1.0), other=depths.other and max(depths.other, 1.0))
    if depths.stack == "encoder":
        square = math.log(3.0 * other_of("subln", depths)) * math.log(2.0 * depths.own) / 3.0
    else:
        square = math.log((3.0 if depths.stack == "decoder" else 2.0) * depths.own)
    if square <= 0:
        raise FaninValueError(
            f"subln: layers={depths.own:g} gives no gain, as the logarithm of twice as many is not above 0; give layers= of at "
            "least 1"
        )
    return _scaled(slot, "subln", part, math.sqrt(square))


def _subln_needs(
    slot: Slot, layers: float | None, stack: str, other: float | None, part: str
) -> tuple[Requirement, ...]:
    if slot.role != "weight" or slot.residual is None or not slot.residual.last:
        return ()
    return (Requirement("branch_norm", slot.name, detail="Sub-LN: a norm before the last weight of each branch"),)


@rule(
    aliases=("magneto",),
    promise=lambda slot, layers, stack, other, part: _keeps(_subln(slot, layers, stack, other, part), slot, "subln"),
    requires=_subln_needs,
    checks=CHECKS,
    samples=({"layers": 12.0}, {"layers": 12.0, "stack": "encoder", "other": 6.0, "part": "value"}),
)
def subln(
    slot: Slot, layers: float | None = None, stack: str = "", other: float | None = None, part: str = ""
) -> Distribution:
    """A second norm inside each branch bounds it, so that weights may grow with depth (Magneto).

    Formula:
        value, output and both feed-forward weights: Xavier (normal) with gain γ, all others with gain 1;
        an encoder or decoder alone: γ = √(log 2N); with both: encoder γ = √(log(3M) · log(2N) / 3), decoder γ = √(log 3M)

    Args:
        layers, stack, other, part: as for `deepnorm`; a stack with a single residual add counts as one layer, since log(2N) is 0
            for half of one.

    Raises:
        FaninValueError: where the numbers of layers are not known (a tensor on its own, a model whose ops nobody watched).

    Promise:
        The numbers have Xavier's deviation times γ (of a fused projection: its blocks' together).

    Requires:
        A norm in each branch before its last weight, besides the one that the branch begins with.

    Paper:
        Wang et al. 2022, "Foundation transformers" (Magneto), figure 2; torchscale's code leaves out the attention to the
        encoder.

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(subln(layers=12), (256, 256), seed=0, name="fc1.weight")
        >>> round(float(w.std()) * 256 ** 0.5, 1)      # √(log 24) = 1.78
        1.8
    """
    return _subln(slot, layers, stack, other, part)


# -- Admin ------------------------------------------------------------------------------------------------------------


def _admin_needs(slot: Slot, variance: float, branch: int | None) -> tuple[Requirement, ...]:
    if slot.role != "weight" or slot.residual is None or not slot.residual.last:
        return ()
    omega = math.sqrt(1.0 + variance * branch_of(slot, "admin", branch))
    return (
        Requirement("skip_weight", slot.name, omega, "Admin's ω, trainable: a number a channel multiplies the skip"),
    )


@rule(
    promise=lambda slot, variance, branch: _keeps(
        _aside(slot) or Normal(xavier(axes_of(slot, "admin"))), slot, "admin"
    ),
    requires=_admin_needs,
    checks={**COUNTS, "variance": number_check("a finite number of at least 0", lambda x: x >= 0)},
    samples=({}, {"variance": 0.5}),
)
def admin(slot: Slot, variance: float = 1.0, branch: int | None = None) -> Distribution:
    """Post-norm transformers whose skip counts as much as all branches before it: early steps then disturb the output less.

    Formula:
        LN(ω_i x + F_i(x)), ω_i = sqrt(1 + Σ_{j<i} Var[F_j]); weights: Xavier

    Args:
        variance: Var[F_j] of each branch's output. The paper profiles it on a batch; here it is one number for all of them.
        branch: i, from 0; from the slot where nothing is said.

    Promise:
        The numbers have Xavier's deviation.

    Requires:
        A trainable factor ω on the skip of each residual add (one number a channel), with a norm after the add.

    Paper:
        Liu, Liu, Gao, Chen & Han 2020, "Understanding the difficulty of training transformers", section 4.1; the authors' code
        (`transformer_layer.py`) starts the sum at 1, the variance of the first layer's input.

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(admin(), (256, 256), seed=0, name="fc1.weight")
        >>> round(float(w.std()) * 256 ** 0.5, 2)
        1.0
    """
    return _aside(slot) or Normal(xavier(axes_of(slot, "admin")))
