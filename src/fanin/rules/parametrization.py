"""Parametrizations: how deviation and learning rate go with width, so that what is tuned on a small model holds for a large one.

A parametrization gives each weight three numbers: a factor on the op's output, a deviation, and a factor on the learning rate. The
rules here return the deviation; the factor on the learning rate goes into the plan's entry (`lr_scale`, see `Plan.param_groups`),
and a factor on the op is a requirement of the architecture.

A weight is *input-like* where only its outputs grow with the width of the model (the first layer, embeddings, biases, scales of
norms), *output-like* where only its inputs do (the head), and *hidden* where both do.
"""

import math

from fanin.distributions import Constant, Distribution, Normal
from fanin.errors import FaninValueError
from fanin.rules.arguments import choice_check, number_check
from fanin.rules.constant import everywhere
from fanin.rules.fans import axes_of, fan, gain_of
from fanin.rules.promise import Promise, law
from fanin.rules.requirement import Requirement
from fanin.rules.rule import rule
from fanin.slots import Slot

KINDS = ("", "input", "hidden", "output", "vector", "fixed")  # "" leaves it to the slot
VECTORS = ("bias", "norm_shift", "norm_scale", "scale", "position")
RATIO = number_check("a finite number above 0", lambda x: x > 0, optional=True)
WIDTH = number_check("a finite number above 0", lambda x: x > 0)
CHECKS = {
    "base_width": WIDTH,
    "in_ratio": RATIO,
    "out_ratio": RATIO,
    "optimizer": choice_check(("adam", "sgd")),
    "kind": choice_check(KINDS),
    "std": number_check("a finite number of at least 0", lambda x: x >= 0, optional=True),
    "gain": number_check("a finite number above 0", lambda x: x > 0, optional=True),
    "branches": RATIO,
}


def kind_of(slot: Slot, kind: str = "") -> str:
    """How the weight grows with the model's width: "input", "hidden", "output" or "vector"; as given, else from the slot."""
    if kind:
        return kind
    if slot.role == "position":  # rows that are added to the stream, as those of an embedding are
        return "input"
    if slot.role in VECTORS or slot.axes is None:
        return "fixed" if slot.head else "vector"  # the head's bias does not grow
    if slot.role == "recurrent":  # from state to state, at any depth
        return "hidden"
    if slot.axes.size("lookup") > 1 or (slot.depth == 1 and not slot.head):
        return "input"
    return "output" if slot.head else "hidden"


def _aside(slot: Slot) -> Constant | None:
    """Biases zero, scales one; None for weights."""
    if slot.role in ("bias", "norm_shift"):
        return Constant(0.0)
    return Constant(1.0) if slot.role in ("norm_scale", "scale") else None


def _law(slot: Slot, std: float) -> tuple[Promise, ...]:
    aside = _aside(slot)
    return (everywhere(aside.value),) if aside is not None else (law(std),)


def _fan_in(slot: Slot, rule: str) -> float:
    """The inputs that are summed; 1 for a lookup or a position, which sum nothing."""
    if slot.role in VECTORS or slot.axes is None or slot.axes.size("lookup") > 1:
        return 1.0
    return fan(slot, "fan_in", rule)


def _fan_out(slot: Slot) -> float:
    """The width of what the weight makes."""
    if slot.role in VECTORS or slot.axes is None:
        return float(slot.shape[-1]) if slot.shape else 1.0
    return slot.axes.fan_out


def _ratios(slot: Slot, base_width: float, in_ratio: float | None, out_ratio: float | None) -> tuple[float, float]:
    """How many times as wide the weight's inputs and outputs are as those of the base model."""
    into = in_ratio if in_ratio is not None else _fan_in(slot, "mup") / base_width
    return into, out_ratio if out_ratio is not None else _fan_out(slot) / base_width


def _mup_std(
    slot: Slot,
    base_width: float,
    kind: str,
    std: float | None,
    gain: float | None,
    in_ratio: float | None,
    out_ratio: float | None,
) -> float:
    """The deviation; at the base width it is that of the standard parametrization."""
    which, into = kind_of(slot, kind), _ratios(slot, base_width, in_ratio, out_ratio)[0]
    if std is not None:
        return std * {"hidden": into**-0.5, "output": 1.0 / into}.get(which, 1.0)
    size = gain_of("mup", gain, None) / math.sqrt(_fan_in(slot, "mup"))
    return size * into**-0.5 if which == "output" and not _tied(slot) else size


def _tied(slot: Slot) -> bool:
    """Whether one weight is the embedding and the head."""
    return slot.role == "embedding" and slot.head


def _head_name(slot: Slot) -> str:
    """The name that a tied weight has in the head."""
    heads = [name for name in slot.names if name.rpartition(".")[0] != slot.module]
    return (heads or [slot.name])[-1]


def _width(slot: Slot) -> float:
    """What a tied weight sums over as a head."""
    return float(slot.axes.size("out")) if slot.axes is not None else 1.0


def _mup_lr(
    slot: Slot,
    base_width: float,
    optimizer: str,
    kind: str,
    std: float | None,
    gain: float | None,
    in_ratio: float | None,
    out_ratio: float | None,
) -> float:
    into, out = _ratios(slot, base_width, in_ratio, out_ratio)
    which = kind_of(slot, kind)
    if which == "fixed":
        return 1.0
    if optimizer == "adam":
        return 1.0 / into if which in ("hidden", "output") else 1.0
    return {"hidden": out / into, "output": 1.0 / into}.get(which, out)


def _mup_needs(
    slot: Slot,
    base_width: float,
    optimizer: str,
    kind: str,
    std: float | None,
    gain: float | None,
    in_ratio: float | None,
    out_ratio: float | None,
) -> tuple[Requirement, ...]:
    if not _tied(slot):
        return ()
    wide = _ratios(slot, base_width, in_ratio, out_ratio)[1]
    heads = [name for name in slot.names if name.rpartition(".")[0] != slot.module]
    return (
        Requirement("op_scale", (heads or [slot.name])[-1], 1.0 / wide, "muP of a head that is also the embedding"),
    )


@rule(
    promise=lambda slot, base_width, optimizer, kind, std, gain, in_ratio, out_ratio: _law(
        slot, _mup_std(slot, base_width, kind, std, gain, in_ratio, out_ratio)
    ),
    requires=_mup_needs,
    lr_scale=_mup_lr,
    checks=CHECKS,
    samples=({"base_width": 64.0}, {"base_width": 64.0, "std": 0.02}, {"base_width": 64.0, "kind": "output"}),
)
def mup(
    slot: Slot,
    base_width: float,
    optimizer: str = "adam",
    kind: str = "",
    std: float | None = None,
    gain: float | None = None,
    in_ratio: float | None = None,
    out_ratio: float | None = None,
) -> Distribution:
    """The maximal update parametrization: every layer's features move as much at any width, with one learning rate.

    At the base width (m_in = m_out = 1) it is the standard parametrization. m_in and m_out are how many times as wide the weight's
    inputs and outputs are as the base model's.

    Formula:
        input-like (and vectors): W ~ N(0, gain² / fan_in), Adam: lr, SGD: lr · m_out;
        hidden: W ~ N(0, gain² / fan_in), Adam: lr / m_in, SGD: lr · m_out / m_in;
        output-like: W ~ N(0, gain² / (fan_in · m_in)), Adam and SGD: lr / m_in;
        embeddings: N(0, gain²). With `std`, the deviation at the base width: std / √m_in for hidden, std / m_in for output-like.

    Args:
        base_width: width of the base model. In a plan, m is the width of the residual stream over it, for all weights on or beside
            the stream, so that a feed-forward of 4 d counts as m times as wide. Where there is no stream (or several of different
            width), and for a slot on its own, m_in and m_out are the weight's own fans over it; `fanin.plans.mup_rules` takes them
            from the base model instead.
        optimizer: "adam" (and whatever normalises each number's gradient) or "sgd".
        kind: "input", "hidden", "output", "vector" or "fixed" (grows with nothing); from the slot where empty.
        std: deviation at the base width, instead of gain / √fan_in.
        gain: factor on the deviation, such as √2 for ReLU (1 where nothing is said).
        in_ratio: m_in, instead of a width over base_width.
        out_ratio: m_out, instead of a width over base_width.

    Promise:
        The numbers have this deviation.

    Requires:
        Where the head is also the embedding: a factor 1 / m on the head's output. Not seen by the rule: where the width of an
        attention head grows, its logits must be divided by that width instead of its square root.

    Paper:
        Yang, Hu, Babuschkin, Sidor, Liu, Farhi, Ryder, Pachocki, Chen & Gao 2022, "Tensor programs V: tuning large neural
        networks via zero-shot hyperparameter transfer", table 3 (without multipliers; tables 8 and 9 are the same with some);
        learning rates as in `microsoft/mup` (`mup/optim.py`).

    Example:
        >>> from fanin.slots import Axes, Slot
        >>> hidden = Slot("h.weight", (1024, 1024), "float32", "weight", axes=Axes.parse("oi", (1024, 1024)))
        >>> mup(base_width=64)(hidden), mup(base_width=64).lr_scale(hidden)
        (Normal(std=0.03125, mean=0.0), 0.0625)
    """
    return _aside(slot) or Normal(_mup_std(slot, base_width, kind, std, gain, in_ratio, out_ratio))


# -- u-muP ------------------------------------------------------------------------------------------------------------


def _umup_op(slot: Slot, kind: str) -> float:
    """The factor on the op's output; of a tied weight, on that of the head."""
    if _tied(slot):
        return 1.0 / _width(slot)
    into = _fan_in(slot, "umup")
    return 1.0 / into if kind_of(slot, kind) == "output" else into**-0.5


def _umup_lr(slot: Slot, kind: str, branches: float | None) -> float:
    which = kind_of(slot, kind)
    count = branches if branches is not None else slot.residual.branches if slot.residual is not None else 1.0
    depth = count**-0.5
    if which in ("vector", "fixed", "output"):
        return depth if which == "vector" else 1.0
    rows = slot.role == "position" or (slot.axes is not None and slot.axes.size("lookup") > 1)
    return depth * (_fan_out(slot) if rows else _fan_in(slot, "umup")) ** -0.5


def _factor(slot: Slot, value: float, what: str) -> tuple[Requirement, ...]:
    if _tied(slot) and slot.axes is not None:
        return (Requirement("op_scale", _head_name(slot), value, what),)
    if slot.role not in ("weight", "recurrent") or value == 1.0:
        return ()
    return (Requirement("op_scale", slot.name, value, what),)


@rule(
    aliases=("u_mup",),
    promise=lambda slot, kind, branches: _law(slot, 1.0),
    requires=lambda slot, kind, branches: _factor(
        slot, _umup_op(slot, kind), "u-muP multiplies the product with the weight"
    ),
    lr_scale=_umup_lr,
    checks=CHECKS,
)
def umup(slot: Slot, kind: str = "", branches: float | None = None) -> Distribution:
    """The unit-scaled maximal update parametrization: all weights are N(0, 1), and the scale is in the op (for Adam).

    Formula:
        W ~ N(0, 1); op: 1/√fan_in (output-like: 1 / fan_in; embeddings, positions: 1); learning rate of Adam: hidden and input
        lr / √fan_in, embeddings and positions lr / √width, output-like and vectors lr; on a branch of a stream of L adds, lr / √L
        besides

    Args:
        kind: "input", "hidden", "output", "vector" or "fixed"; from the slot where empty.
        branches: L, residual adds of the stream; from the slot where nothing is said (1 outside of branches).

    Promise:
        The numbers have deviation 1.

    Requires:
        A factor on the product with each weight: 1/√fan_in, 1 / fan_in for the head. (u-muP also weighs residual branches
        and unit-scales activations, attention and the loss, forward and backward: this rule is about the weights alone.)

    Paper:
        Blake, Eichenberg, Dean, Balles, Prince, Deiseroth, Cruz Salinas, Luschi, Weinbach & Orr 2024, "u-muP: the unit-scaled
        maximal update parametrization", table 2; learning rates as in `graphcore-research/unit-scaling` (`optim.py`).

    Example:
        >>> from fanin.slots import Axes, Slot
        >>> hidden = Slot("h.weight", (1024, 1024), "float32", "weight", axes=Axes.parse("oi", (1024, 1024)))
        >>> umup()(hidden), umup().lr_scale(hidden), umup().requires(hidden)[0].value
        (Normal(std=1.0, mean=0.0), 0.03125, 0.03125)
    """
    return _aside(slot) or Normal(1.0)


# -- NTK and standard -------------------------------------------------------------------------------------------------


@rule(
    aliases=("ntk_parametrization",),
    promise=lambda slot, gain: _law(slot, 1.0),
    requires=lambda slot, gain: _factor(
        slot,
        gain_of("ntk", gain, None) / math.sqrt(_width(slot) if _tied(slot) else _fan_in(slot, "ntk")),
        "the NTK parametrization: gain / √fan_in",
    ),
    checks=CHECKS,
)
def ntk(slot: Slot, gain: float | None = None) -> Distribution:
    """The neural tangent kernel's parametrization: all weights are N(0, 1), and gain / √fan_in is in the op.

    The net starts as in the standard parametrization, but each weight moves by less the wider it is: in the limit the kernel stays
    as it was at the start, and no features are learned.

    Formula:
        y = (gain / √fan_in) W x, W ~ N(0, 1); one learning rate for all

    Args:
        gain: σ_w, such as √2 for ReLU (1 where nothing is said).

    Promise:
        The numbers have deviation 1.

    Requires:
        A factor gain / √fan_in on the product with each weight.

    Paper:
        Jacot, Gabriel & Hongler 2018, "Neural tangent kernel: convergence and generalization in neural networks", section 3.

    Example:
        >>> from fanin.slots import Axes, Slot
        >>> hidden = Slot("h.weight", (256, 256), "float32", "weight", axes=Axes.parse("oi", (256, 256)))
        >>> ntk()(hidden), ntk().requires(hidden)[0].value
        (Normal(std=1.0, mean=0.0), 0.0625)
    """
    return _aside(slot) or Normal(1.0)


def _standard(slot: Slot, gain: float | None) -> float:
    axes_of(slot, "standard")
    return gain_of("standard", gain, None) / math.sqrt(_fan_in(slot, "standard"))


@rule(
    aliases=("standard_parametrization",),
    promise=lambda slot, gain: _law(slot, _standard(slot, gain) if _aside(slot) is None else 0.0),
    checks=CHECKS,
)
def standard(slot: Slot, gain: float | None = None) -> Distribution:
    """The standard parametrization: variance 1 / fan_in everywhere, one learning rate, nothing in the op.

    The wider the model, the more one step of one learning rate changes its features (with Adam, by √width to width): it must be
    tuned anew at each width.

    Formula:
        W ~ N(0, gain² / fan_in); embeddings N(0, gain²); one learning rate for all

    Args:
        gain: σ_w, such as √2 for ReLU (1 where nothing is said).

    Promise:
        The numbers have this deviation.

    Paper:
        LeCun, Bottou, Orr & Müller 1998, "Efficient BackProp", equation 16; named so by Sohl-Dickstein, Novak, Schoenholz & Lee
        2020, "On the infinite width limit of neural networks with a standard parameterization".

    Example:
        >>> from fanin.slots import Axes, Slot
        >>> standard()(Slot("h.weight", (256, 256), "float32", "weight", axes=Axes.parse("oi", (256, 256))))
        Normal(std=0.0625, mean=0.0)
    """
    aside = _aside(slot)
    if aside is not None:
        return aside
    if not slot.size:
        raise FaninValueError(f"standard cannot fill {slot.name!r} of shape {slot.shape}, which has no elements")
    return Normal(_standard(slot, gain))
