"""Language models' own recipes: a small fixed deviation, and less for what writes to the residual stream.

They are stated here for a weight that lies on a branch; whether it is the last one comes from the slot. None of the numbers is
free of scale: 0.02 suits a width of about 1/0.02² = 2,500 at gain 1, whatever the model's width is.
"""

import math

from fanin.distributions import Constant, Distribution, Normal, NormalBetween
from fanin.draws.quantile import truncated_std
from fanin.errors import FaninValueError
from fanin.rules.arguments import number_check
from fanin.rules.branches import COUNTS, block_of, branches_of, is_last, layers_of
from fanin.rules.constant import everywhere
from fanin.rules.fans import axes_of, fan
from fanin.rules.promise import Promise, law
from fanin.rules.rule import rule
from fanin.slots import Slot

SMALL = 0.02
DEVIATION = number_check("a finite number of at least 0", lambda x: x >= 0)
WIDTH = number_check("a finite number above 0", lambda x: x > 0, optional=True)
CHECKS = {**COUNTS, "std": DEVIATION, "width": WIDTH}
CUT = 3.0  # deviations, of OLMo's truncated numbers
KEPT = truncated_std(CUT)  # deviation of a Gaussian that is cut at three: 0.98658


def _aside(slot: Slot) -> Constant | None:
    """Biases zero, scales one; None for weights."""
    if slot.role in ("bias", "norm_shift"):
        return Constant(0.0)
    return Constant(1.0) if slot.role in ("norm_scale", "scale") else None


def _promised(slot: Slot, std: float) -> tuple[Promise, ...]:
    aside = _aside(slot)
    return (everywhere(aside.value),) if aside is not None else (law(std),)


def _gpt2(slot: Slot, std: float, branches: float | None, last: bool | None) -> float:
    return std / math.sqrt(branches_of(slot, "gpt2_residual", branches)) if is_last(slot, last) else std


@rule(
    aliases=("megatron_scaled",),
    promise=lambda slot, std, branches, last: _promised(slot, _gpt2(slot, std, branches, last)),
    checks=CHECKS,
    samples=({}, {"branches": 24.0, "last": True}),
)
def gpt2_residual(
    slot: Slot, std: float = SMALL, branches: float | None = None, last: bool | None = None
) -> Distribution:
    """Gaussian numbers of 0.02, and 1/√branches of it for the last weight of each residual branch.

    A layer has two residual adds, so GPT-2's 1/√N, N counting residual layers, is Megatron's 1/√(2 L), L counting transformer
    layers: both are 1/√branches, and so is Megatron's 1/√L for hybrid models with one add a layer.

    Formula:
        W ~ N(0, std²); the last of a branch: N(0, std² / branches); biases 0, scales 1

    Args:
        std: deviation, at least 0 (Megatron's `init_method_std`).
        branches: residual adds of the stream; from the slot where nothing is said.
        last: whether this is the last weight of its branch; from the slot where nothing is said.

    Raises:
        FaninValueError: where neither the slot nor `branches` says how many there are.

    Promise:
        The numbers have this deviation.

    Paper:
        Radford et al. 2019, "Language models are unsupervised multitask learners", section 2.3; Shoeybi et al. 2019,
        "Megatron-LM", on the optimization of training (`scaled_init_method_normal`).

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(gpt2_residual(branches=24, last=True), (300, 400), seed=0, name="h.0.attn.c_proj.weight")
        >>> round(float(w.std()) * 24 ** 0.5, 3)
        0.02
    """
    return _aside(slot) or Normal(_gpt2(slot, std, branches, last))


def _depth_scaled(slot: Slot, std: float, block: int | None) -> float:
    return std / math.sqrt(2.0 * (block_of(slot, "depth_scaled", block) + 1))


@rule(
    promise=lambda slot, std, block: _promised(slot, _depth_scaled(slot, std, block)),
    checks=CHECKS,
    samples=({"block": 0}, {"block": 7}),
)
def depth_scaled(slot: Slot, std: float = SMALL, block: int | None = None) -> Distribution:
    """Less for later layers: the deviation falls with the layer's own index instead of the number of layers.

    Formula:
        W ~ N(0, std² / (2 (l + 1))), l = 0 for the first layer

    Args:
        std: deviation, at least 0.
        block: l, the index of the transformer layer (two residual adds each); from the slot where nothing is said.

    Raises:
        FaninValueError: where neither the slot nor `block` says which layer it is.

    Promise:
        The numbers have this deviation.

    Paper:
        Zhang, Titov & Sennrich 2019, "Improving deep transformer with depth-scaled initialization and merged attention",
        section 4.1 (their factor is 1/√l); torchtitan (`models/common/param_init.py`) has this one. Its bounds of ±2 are
        absolute and cut nothing off at 0.02.

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(depth_scaled(block=7), (300, 400), seed=0, name="layers.7.attention.wo.weight")
        >>> round(float(w.std()) * 16 ** 0.5, 3)
        0.02
    """
    return _aside(slot) or Normal(_depth_scaled(slot, std, block))


def _mitchell(slot: Slot, block: int | None, last: bool | None) -> float:
    axes = axes_of(slot, "mitchell")
    if axes.size("lookup") > 1:
        return 1.0 / math.sqrt(axes.size("out"))
    std = 1.0 / math.sqrt(fan(slot, "fan_in", "mitchell"))
    return std / math.sqrt(2.0 * (block_of(slot, "mitchell", block) + 1)) if is_last(slot, last) else std


@rule(
    promise=lambda slot, block, last: _promised(slot, KEPT * _mitchell(slot, block, last)),
    checks=CHECKS,
    samples=({}, {"block": 3, "last": True}),
)
def mitchell(slot: Slot, block: int | None = None, last: bool | None = None) -> Distribution:
    """Variance 1 / fan_in, and less for what later layers write to the stream; cut at three deviations (OLMo).

    Formula:
        W ~ N(0, 1 / fan_in); the last of a branch: N(0, 1 / (2 fan_in (l + 1))); embeddings: N(0, 1 / width); cut at ±3σ

    Args:
        block: l, the index of the transformer layer from 0 (two residual adds each); from the slot where nothing is said.
        last: whether this is the last weight of its branch; from the slot where nothing is said.

    Raises:
        FaninValueError: where it is the last of a branch, and neither the slot nor `block` says which layer it is.

    Promise:
        The numbers have this deviation times 0.9866, which is what the cut leaves.

    Paper:
        Groeneveld et al. 2024, "OLMo: accelerating the science of language models", code (`InitFnType.mitchell`).

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(mitchell(), (300, 400), seed=0, name="ff_proj.weight")
        >>> round(float(w.std()) * 400 ** 0.5, 1), round(float(abs(w).max()) * 400 ** 0.5, 1)
        (1.0, 3.0)
    """
    aside = _aside(slot)
    if aside is not None:
        return aside
    std = _mitchell(slot, block, last)
    return NormalBetween(std, -CUT * std, CUT * std)


def _full_megatron(slot: Slot, std: float, branches: float | None, last: bool | None, head: bool | None) -> float:
    """The deviation before the cut."""
    table = slot.axes is not None and slot.axes.size("lookup") > 1  # one that is also the head is drawn as a table
    if slot.head and not table if head is None else head:
        return 1.0 / math.sqrt(fan(slot, "fan_in", "full_megatron"))
    return std / math.sqrt(branches_of(slot, "full_megatron", branches)) if is_last(slot, last) else std


@rule(
    aliases=("olmo_megatron",),
    promise=lambda slot, std, cut, branches, last, head: _promised(
        slot, truncated_std(cut) * _full_megatron(slot, std, branches, last, head)
    ),
    checks=CHECKS,
    samples=({}, {"branches": 24.0, "last": True}, {"head": True}, {"cut": 2.0}),
)
def full_megatron(
    slot: Slot,
    std: float = SMALL,
    cut: float = CUT,
    branches: float | None = None,
    last: bool | None = None,
    head: bool | None = None,
) -> Distribution:
    """Megatron's rule as OLMo has it: cut at three deviations, less for what writes to the stream, and a head of its own scale.

    It is `gpt2_residual` with two differences. Numbers beyond the cut are drawn again, and the deviation is not corrected for it.
    A head that is not tied to the embedding has deviation 1/√d, so that logits of normed signals start at size 1; one that is
    tied is drawn as the embedding.

    Formula:
        W ~ N(0, std²); the last of a branch: N(0, std² / branches), where OLMo counts layers L and writes std² / (2 L);
        embeddings: N(0, std²); head: N(0, 1 / fan_in); all cut at ±cut of their own deviations; biases 0, scales 1

    Args:
        std: deviation before the cut, at least 0 (OLMo's `init_std`).
        cut: where to cut, in deviations before the cut, above 0 (OLMo's `init_cutoff_factor`).
        branches: residual adds of the stream, two a layer; from the slot where nothing is said.
        last: whether this is the last weight of its branch; from the slot where nothing is said.
        head: whether this is the head; from the slot where nothing is said.

    Raises:
        FaninValueError: where neither the slot nor `branches` says how many branches there are, and for a head without axes.

    Promise:
        The numbers have this deviation times what the cut leaves: 0.9866 at three, 0.8796 at two.

    Paper:
        Groeneveld et al. 2024, "OLMo: accelerating the science of language models", code (`InitFnType.full_megatron` in
        `olmo/model.py`); Shoeybi et al. 2019, "Megatron-LM", section 4.1.

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(full_megatron(branches=64, last=True), (300, 400), seed=0, name="blocks.0.ff_out.weight")
        >>> round(float(w.std()) * 8, 4), round(float(abs(w).max()) * 8, 2)
        (0.0197, 0.06)
    """
    aside = _aside(slot)
    if aside is not None:
        return aside
    size = _full_megatron(slot, std, branches, last, head)
    return NormalBetween(size, -cut * size, cut * size) if size else Constant(0.0)


def _stream_width(slot: Slot, rule: str, width: float | None, last: bool | None) -> float:
    """The width of the stream that the weight reads, or, as the last of its branch, writes."""
    if width is not None:
        return width
    axes = axes_of(slot, rule)
    if axes.size("lookup") > 1:
        return float(axes.size("out"))
    found = fan(slot, "fan_out" if is_last(slot, last) else "fan_in", rule)
    if found < 1:
        raise FaninValueError(f"{rule} cannot tell the width of the stream from {slot.name!r}; give width=")
    return found


@rule(
    promise=lambda slot, width, last: _promised(
        slot, math.sqrt(2.0 / (5.0 * _stream_width(slot, "small_init", width, last)))
    ),
    checks=CHECKS,
    samples=({}, {"width": 512.0}),
)
def small_init(slot: Slot, width: float | None = None, last: bool | None = None) -> Distribution:
    """Xavier's rule of the widest layer of a transformer (d to 4 d) for all of them.

    Formula:
        W ~ N(0, 2 / (5 d))

    Args:
        width: d, of the residual stream; from the weight where nothing is said (what it reads, or writes as the last).
        last: whether this is the last weight of its branch; from the slot where nothing is said.

    Promise:
        The numbers have this deviation.

    Paper:
        Nguyen & Salazar 2019, "Transformers without tears: improving the normalization of self-attention", section 2.2
        ("SmallInit"); GPT-NeoX takes it for all weights but the last of a branch.

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(small_init(), (300, 400), seed=0, name="w")
        >>> round(float(w.std()) * (5 * 400 / 2) ** 0.5, 2)
        1.0
    """
    return _aside(slot) or Normal(math.sqrt(2.0 / (5.0 * _stream_width(slot, "small_init", width, last))))


def _wang(slot: Slot, layers: float | None, width: float | None, last: bool | None) -> float:
    depth = layers_of(slot, "wang", layers)
    return 2.0 / (depth * math.sqrt(_stream_width(slot, "wang", width, last)))


@rule(
    aliases=("wang_init",),
    promise=lambda slot, layers, width, last: _promised(slot, _wang(slot, layers, width, last)),
    checks=CHECKS,
    samples=({"layers": 12.0}, {"layers": 12.0, "width": 512.0}),
)
def wang(slot: Slot, layers: float | None = None, width: float | None = None, last: bool | None = None) -> Distribution:
    """What writes to the stream, small by the number of layers itself (GPT-J, GPT-NeoX).

    Formula:
        W ~ N(0, 4 / (L² d))

    Args:
        layers: L, transformer layers (two residual adds each); from the slot where nothing is said.
        width: d, of the residual stream; from the weight where nothing is said (what it reads, or writes as the last).
        last: whether this is the last weight of its branch; from the slot where nothing is said.

    Raises:
        FaninValueError: where neither the slot nor `layers` says how many layers there are.

    Promise:
        The numbers have this deviation.

    Paper:
        Wang & Komatsuzaki 2021, "Mesh-Transformer-JAX" (code); Black et al. 2022, "GPT-NeoX-20B", section 3.1
        (`wang_init_method`).

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(wang(layers=10), (300, 400), seed=0, name="w")
        >>> round(float(w.std()) * 10 * 400 ** 0.5 / 2, 2)
        1.0
    """
    return _aside(slot) or Normal(_wang(slot, layers, width, last))
