"""Residual rules on real streams: a branch starts as the rule says, and the stream grows as promised."""

import numpy as np
import pytest

from fanin import rules
from fanin.activations import Activation
from fanin.distributions import Constant, Normal
from fanin.draws import draw_distribution
from fanin.errors import FaninError
from fanin.slots import Axes, ResidualPlace, Slot, SlotRole

WIDTH = 256


def slot(branch: int = 0, branches: int = 16, last: bool = False, **known) -> Slot:
    place = ResidualPlace(branch, branches, last, layers=2)
    axes = Axes.parse("oi", (WIDTH, WIDTH))
    return Slot(
        f"b{branch}.{'down' if last else 'up'}", (WIDTH, WIDTH), "float32", "weight", axes=axes, residual=place, **known
    )


def stream(rule: rules.Rule, branches: int) -> list[float]:
    """E[x²] along a stream of ReLU branches of two layers."""
    x = np.random.default_rng(0).standard_normal((64, WIDTH))
    sizes = [float((x**2).mean())]
    for i in range(branches):
        slots = slot(i, branches), slot(i, branches, True, input_activation=Activation.named("relu"))
        up, down = (draw_distribution(rule(s), s.shape, seed=0, name=s.name, dtype="float64") for s in slots)
        x = x + np.maximum(x @ up.T, 0) @ down.T
        sizes.append(float((x**2).mean()))
    return sizes


def test_stable_resnet_bounds_the_stream_at_any_depth() -> None:
    """L branches that each add 1/L of the stream multiply it by (1 + 1/L)^L, at most e; He's rule alone doubles it each time."""
    for branches in (8, 64):
        ends = stream(rules.stable_resnet(), branches)
        assert ends[-1] / ends[0] == pytest.approx((1 + 1 / branches) ** branches, rel=0.25)
    assert stream(rules.he_normal(nonlinearity="relu"), 8)[-1] > 100


def test_fixup_is_the_identity_at_the_start() -> None:
    ends = stream(rules.fixup(), 8)
    assert ends[-1] == ends[0]


def test_fixup_makes_one_step_as_large_at_any_depth() -> None:
    """The gradient of the last weights is the first ones' output: L branches together move the output by L · L^(-1/(2m-2))²."""
    for branches in (4, 64):
        first = rules.fixup()(slot(0, branches))
        assert isinstance(first, Normal)
        assert branches * (first.std**2 * WIDTH / 2) == pytest.approx(1.0)


def test_fixup_asks_a_tenth_of_the_rate_for_scalars() -> None:
    """cifar_train.py of the authors: biases and scales at base_lr / 10."""
    roles: tuple[SlotRole, ...] = ("weight", "bias", "scale")
    rates = {role: rules.fixup().lr_scale(Slot("w", (4,), "float32", role)) for role in roles}
    assert rates == {"weight": 1.0, "bias": 0.1, "scale": 0.1}


def test_fixup_by_layers_in_a_branch() -> None:
    """Three layers: L^(-1/4), and the head starts at zero."""
    ratio = rules.fixup(branches=16, per_branch=3)(slot()).std / rules.fixup(branches=1, per_branch=3)(slot()).std  # type: ignore[attr-defined]
    assert ratio == pytest.approx(16 ** (-1 / 4))
    assert rules.fixup()(
        Slot("head", (10, 8), "float32", "weight", axes=Axes.parse("oi", (10, 8)), head=True)
    ) == Constant(0.0)


@pytest.mark.parametrize(("rule", "kind", "start"), [
    (rules.rezero(), "branch_scalar", 0.0),
    (rules.skipinit(), "branch_scalar", 0.0),
    (rules.layer_scale(init=1e-5), "branch_vector", 1e-5),
    (rules.layer_scale(), "branch_vector", 0.1),  # 8 layers of two branches
    (rules.layer_scale(layers=36), "branch_vector", 1e-6),
])  # fmt: skip
def test_what_a_branch_is_multiplied_by(rule: rules.Rule, kind: str, start: float) -> None:
    (need,) = rule.requires(slot(last=True))
    assert (need.kind, need.value) == (kind, start)
    assert rule.requires(slot()) == ()  # once a branch
    assert rule(Slot("scale", (WIDTH,), "float32", "scale", residual=slot().residual)) == Constant(start)


def test_zero_gamma_is_about_the_last_norm_alone() -> None:
    place = ResidualPlace(0, 4, True, True)
    norm = Slot("bn2.weight", (8,), "float32", "norm_scale")
    assert rules.zero_gamma()(norm) == Constant(1.0)
    assert rules.zero_gamma()(Slot("bn2.weight", (8,), "float32", "norm_scale", residual=place)) == Constant(0.0)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: rules.stable_resnet(last=True)(Slot("w", (4, 4), "float32", "weight", axes=Axes.parse("oi", (4, 4)))), "give branches="),
    (lambda: rules.fixup(branches=4)(Slot("w", (4, 4), "float32", "weight", axes=Axes.parse("oi", (4, 4)))), "give per_branch="),
    (lambda: rules.fixup(branches=4, per_branch=1)(slot()), "leaves no weight but the last"),
    (lambda: rules.zero_gamma()(slot()), "it takes the scale of a norm"),
    (lambda: rules.layer_scale(init=-1), "init=-1 cannot be used"),
    (lambda: rules.fixup(mode="fan_avg"), "mode='fan_avg' is not known"),
    (lambda: rules.rezero()(Slot("w", (4,), "float32", "weight")), "needs to know what the axes"),
])  # fmt: skip
def test_what_cannot_be_used_is_named(make, message: str) -> None:
    with pytest.raises(FaninError, match=message):
        make()
