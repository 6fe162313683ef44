"""Residual nets without norms, or with branches that start at zero: Fixup, SkipInit, ReZero, LayerScale, zero gamma, 1/√L.

L branches that each add as much as the stream carries make it grow like 2^(L/2); so the branches are made small, or zero, at
the start. Where that is done by a scalar on the branch, the architecture must have it: the rule says so (`Requires:`), and
`fanin.torch.edit` puts it in.
"""

import math

from fanin.distributions import Constant, Distribution, Normal
from fanin.errors import FaninValueError
from fanin.rules.arguments import choice_check, number_check
from fanin.rules.branches import COUNTS, branches_of, came_through, he, is_last, layers_of, met
from fanin.rules.constant import everywhere
from fanin.rules.fans import kept
from fanin.rules.promise import Promise
from fanin.rules.requirement import Requirement
from fanin.rules.rule import rule
from fanin.slots import Slot

SCALES = ("norm_scale", "scale")
VECTORS = ("bias", "norm_shift")
MODE = choice_check(("fan_in", "fan_out"))
TENTH = 0.1  # of the learning rate, for Fixup's biases and scalars


def _aside(slot: Slot, scale: float) -> Distribution | None:
    """What is no weight: biases zero, scales of norms one, other scales as said; None for weights."""
    if slot.role in VECTORS:
        return Constant(0.0)
    if slot.role == "norm_scale":
        return Constant(1.0)
    return Constant(scale) if slot.role == "scale" else None


def _keeps(slot: Slot, rule: str, scale: float, factor: float, mode: str = "fan_in") -> tuple[Promise, ...]:
    """Constants where `_aside` gives them, else `factor` of the size that He's rule keeps."""
    aside = _aside(slot, scale)
    if isinstance(aside, Constant):
        return (everywhere(aside.value),)
    through = met(slot) if rule == "fixup" else came_through(slot)
    return kept(slot, mode, rule, factor, through) if factor else (everywhere(0.0),)


def _fixup_factor(
    slot: Slot, branches: float | None, per_branch: float | None, last: bool | None, head: bool | None
) -> float:
    """What Fixup multiplies He's deviation with: 0 for the head and the last of a branch, 1 outside of branches."""
    if slot.head if head is None else head:
        return 0.0
    if slot.residual is None and branches is None:
        return 1.0
    if is_last(slot, last):
        return 0.0
    inside = per_branch if per_branch is not None else slot.residual.layers if slot.residual is not None else 0
    if not inside:
        raise FaninValueError(
            f"fixup cannot tell how many layers the branch of {slot.name!r} has, which the exponent depends on; give per_branch="
        )
    if inside <= 1:
        raise FaninValueError(
            f"fixup: per_branch={inside:g} leaves no weight but the last of the branch of {slot.name!r}; give last=True"
        )
    return branches_of(slot, "fixup", branches) ** (-1.0 / (2.0 * inside - 2.0))


def _fixup_needs(
    slot: Slot, branches: float | None, per_branch: float | None, last: bool | None, head: bool | None, mode: str
) -> tuple[Requirement, ...]:
    if slot.role == "norm_scale":
        return (Requirement("no_norm", slot.module, detail="Fixup's branches are small enough without a norm"),)
    if slot.role != "weight" or slot.residual is None:
        return ()
    biases = Requirement("scalar_biases", slot.name, detail="scalar biases before and after the weight", lr_scale=TENTH)
    if not is_last(slot, last):
        return (biases,)
    what = "a scalar multiplies the branch, one at the start"
    return (Requirement("branch_scalar", slot.name, 1.0, what, lr_scale=TENTH), biases)


def _fixup_lr(slot: Slot, **_: object) -> float:
    """A scalar meets every weight of its layer: its gradient is as much larger."""
    return TENTH if slot.role in (*VECTORS, *SCALES) else 1.0


@rule(
    promise=lambda slot, branches, per_branch, last, head, mode: _keeps(
        slot, "fixup", 1.0, _fixup_factor(slot, branches, per_branch, last, head), mode
    ),
    requires=_fixup_needs,
    lr_scale=_fixup_lr,
    checks={**COUNTS, "mode": MODE},
    samples=({}, {"branches": 16.0, "per_branch": 2.0, "last": False}, {"mode": "fan_in"}),
)
def fixup(
    slot: Slot,
    branches: float | None = None,
    per_branch: float | None = None,
    last: bool | None = None,
    head: bool | None = None,
    mode: str = "fan_out",
) -> Distribution:
    """Residual branches without a norm: the last weight of each is zero, the others small enough that one step changes little.

    Formula:
        outside of branches: He; inside: He · L^(-1/(2m - 2)); the last of a branch and the head: 0; biases 0, scales 1,
        both at a tenth of the learning rate

    Args:
        branches: L, the residual adds of the whole net; from the slot where nothing is said.
        per_branch: m, the weights that follow each other on the branch; from the slot where nothing is said.
        last: whether this is the last weight of its branch; from the slot where nothing is said.
        head: whether this is the head, which starts at zero; from the slot where nothing is said.
        mode: of He's rule: "fan_out" as in the authors' code, or "fan_in".

    Raises:
        FaninValueError: where the slot lies on a branch of unknown length and `per_branch` is not given.

    Promise:
        The last weight of a branch and the head are 0; the others keep L^(-1/(m - 1)) of the second moment that He's rule keeps.

    Requires:
        No norms; a scalar bias before and after each weight of a branch, and a scalar (1) on each branch.

    Paper:
        Zhang, Dauphin & Ma 2019, "Fixup initialization: residual learning without normalization", section 3; the authors' code
        (`fixup_resnet_cifar.py`) takes He's rule over the outputs, and their training script (`cifar_train.py`) a tenth of the
        learning rate for all biases and scalars.

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(fixup(branches=16, per_branch=2), (300, 400), seed=0, name="block.0.conv1.weight")
        >>> round(float(w.std()) * (300 / 2) ** 0.5, 3)      # 1 / √16
        0.25
    """
    aside = _aside(slot, 1.0)
    if aside is not None:
        return aside
    factor = _fixup_factor(slot, branches, per_branch, last, head)
    return Normal(he(slot, "fixup", met(slot), mode) * factor) if factor else Constant(0.0)


def _scalar(slot: Slot, what: str, value: float = 0.0) -> tuple[Requirement, ...]:
    """A scalar on the branch that this weight is the last of."""
    if slot.role != "weight" or slot.residual is None or not slot.residual.last:
        return ()
    return (Requirement("branch_scalar", slot.name, value, what),)


@rule(
    promise=lambda slot: _keeps(slot, "rezero", 0.0, 1.0),
    requires=lambda slot: _scalar(slot, "ReZero's scalar, zero at the start"),
)
def rezero(slot: Slot) -> Distribution:
    """x + α F(x) with a trainable α that starts at 0: the net is the identity at the start, whatever its depth.

    Formula:
        α = 0; weights: He for the activation that the input came through (any rule that keeps the branch's size will do)

    Promise:
        The scalars on the branches are 0; weights keep the second moment through their activation.

    Requires:
        One trainable scalar on each residual branch.

    Paper:
        Bachlechner, Majumder, Mao, Cottrell & McAuley 2020, "ReZero is all you need: fast convergence at large depth",
        equation 1.

    Example:
        >>> from fanin import draws
        >>> from fanin.slots import Slot
        >>> rezero()(Slot("block.0.alpha", (), "float32", "scale"))
        Constant(value=0.0)
    """
    return _aside(slot, 0.0) or Normal(he(slot, "rezero", came_through(slot)))


@rule(
    promise=lambda slot: _keeps(slot, "skipinit", 0.0, 1.0),
    requires=lambda slot: _scalar(slot, "SkipInit's scalar, zero at the start"),
)
def skipinit(slot: Slot) -> Distribution:
    """A residual net without batch norm: a trainable scalar that starts at 0 ends each branch, and weights are He's.

    Batch norm makes branches small against the skip (by 1/√depth); the scalar does the same more strongly.

    Formula:
        α = 0; weights: He for the activation that the input came through

    Promise:
        The scalars on the branches are 0; weights keep the second moment through their activation.

    Requires:
        One trainable scalar on each residual branch.

    Paper:
        De & Smith 2020, "Batch normalization biases residual blocks towards the identity function in deep networks",
        section 4.

    Example:
        >>> from fanin.slots import Slot
        >>> skipinit()(Slot("block.0.alpha", (1,), "float32", "scale"))
        Constant(value=0.0)
    """
    return _aside(slot, 0.0) or Normal(he(slot, "skipinit", came_through(slot)))


CAIT = ((18, 0.1), (24, 1e-5))  # up to this many layers, this start
DEEPER = 1e-6


def _start(slot: Slot, init: float | None, layers: float | None) -> float:
    """LayerScale's start for a net of this depth (12 layers where it is not known)."""
    if init is not None:
        return init
    depth = 12.0 if layers is None and slot.residual is None else layers_of(slot, "layer_scale", layers)
    return next((value for most, value in CAIT if depth <= most), DEEPER)


def _layer_scale_needs(slot: Slot, init: float | None, layers: float | None) -> tuple[Requirement, ...]:
    if slot.role != "weight" or slot.residual is None or not slot.residual.last:
        return ()
    value = _start(slot, init, layers)
    return (Requirement("branch_vector", slot.name, value, f"LayerScale: a number a channel, {value:g} at the start"),)


@rule(
    aliases=("layerscale",),
    promise=lambda slot, init, layers: _keeps(slot, "layer_scale", _start(slot, init, layers), 1.0),
    requires=_layer_scale_needs,
    checks={**COUNTS, "init": number_check("a finite number of at least 0", lambda x: x >= 0, optional=True)},
    samples=({}, {"init": 1e-5}),
)
def layer_scale(slot: Slot, init: float | None = None, layers: float | None = None) -> Distribution:
    """One trainable number a channel on each branch, small at the start, so that deep transformers begin near the identity.

    Formula:
        λ = init; weights: He for the activation that the input came through

    Args:
        init: where nothing is said, as CaiT's paper has it: 0.1 up to 18 layers, 1e-5 up to 24, 1e-6 beyond (the authors' code has 1e-5
            for XXS36 too, their narrowest of 36 layers; timm's default is 1e-5 for any depth).
        layers: how many layers, of two branches each (three in a decoder that attends to an encoder); from the slot where nothing is
            said (12 where it does not know).

    Promise:
        The numbers on the branches are `init`; weights keep the second moment through their activation.

    Requires:
        One trainable number a channel on each residual branch.

    Paper:
        Touvron, Cord, Sablayrolles, Synnaeve & Jégou 2021, "Going deeper with image transformers", equation 4 and section 2.

    Example:
        >>> from fanin.slots import Slot
        >>> layer_scale(layers=24)(Slot("blocks.0.ls1.gamma", (192,), "float32", "scale"))
        Constant(value=1e-05)
    """
    return _aside(slot, _start(slot, init, layers)) or Normal(he(slot, "layer_scale", came_through(slot)))


def _gamma(slot: Slot, last: bool | None) -> float:
    """0 for the last norm of a branch, else 1; raises for what is no scale of a norm."""
    if slot.role not in SCALES and len(slot.shape) != 1:
        raise FaninValueError(
            f"zero_gamma cannot fill {slot.name!r} of shape {slot.shape} and role {slot.role!r}; it takes the scale of a norm"
        )
    return 0.0 if is_last(slot, last) else 1.0


@rule(
    promise=lambda slot, last: everywhere(_gamma(slot, last)),
    checks=COUNTS,
    samples=({}, {"last": True}),
)
def zero_gamma(slot: Slot, last: bool | None = None) -> Distribution:
    """The scale of the last norm of each residual branch is zero, so that each block starts as the identity.

    Formula:
        γ = 0 for the norm that a branch ends in, γ = 1 for all other norms

    Args:
        last: whether this norm ends its branch; from the slot where nothing is said.

    Raises:
        FaninValueError: for a weight that is no scale of a norm.

    Promise:
        The scale is 0 where a branch ends in its norm, else 1.

    Paper:
        Goyal et al. 2017, "Accurate, large minibatch SGD: training ImageNet in 1 hour", section 5.1.

    Example:
        >>> from fanin.slots import Slot
        >>> zero_gamma(last=True)(Slot("layer1.0.bn2.weight", (64,), "float32", "norm_scale"))
        Constant(value=0.0)
    """
    return Constant(_gamma(slot, last))


def _share(slot: Slot, branches: float | None, last: bool | None) -> float:
    """1/√L for the last weight of a branch, else 1."""
    if not is_last(slot, last):
        return 1.0
    return 1.0 / math.sqrt(branches_of(slot, "stable_resnet", branches))


@rule(
    promise=lambda slot, branches, last: _keeps(slot, "stable_resnet", 1.0, _share(slot, branches, last)),
    checks=COUNTS,
    samples=({}, {"branches": 16.0, "last": True}),
)
def stable_resnet(slot: Slot, branches: float | None = None, last: bool | None = None) -> Distribution:
    """Each of L branches adds 1/L of the stream's second moment, so that all of them together multiply it by at most e.

    The paper multiplies the branch by 1/√L; at the start, and without a bias, the factor on the last weight is the same.

    Formula:
        the last weight of a branch: He / √L; others: He, on a branch for the activation that the input came through

    Args:
        branches: L, the residual adds; from the slot where nothing is said.
        last: whether this is the last weight of its branch; from the slot where nothing is said.

    Raises:
        FaninValueError: where neither the slot nor `branches` says how many there are.

    Promise:
        The last weight keeps 1/L of the second moment that He's rule keeps, the others all of it.

    Paper:
        Hayou, Clerico, He, Deligiannidis, Doucet & Rousseau 2021, "Stable ResNet", section 3 (uniform scaling).

    Example:
        >>> from fanin import draws
        >>> w = draws.draw(stable_resnet(branches=16, last=True), (300, 400), seed=0, name="w")
        >>> round(float(w.std()) * (400 / 2) ** 0.5, 3)
        0.25
    """
    return _aside(slot, 1.0) or Normal(he(slot, "stable_resnet", came_through(slot)) * _share(slot, branches, last))
