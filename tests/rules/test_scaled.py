"""Each rule keeps its promise on a real layer: the second moment forward, or that of the gradient backward."""

import math
from typing import Any

import numpy as np
import pytest
from tests.rules.layers import LAYERS, Layer

from fanin import rules
from fanin.activations import Activation
from fanin.distributions import Normal, TruncatedNormal, Uniform
from fanin.draws import draw_distribution
from fanin.errors import FaninError
from fanin.rules import Rule
from fanin.slots import Axes, Slot

KINDS = pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: f"{layer.name} {layer.axes.spec}")


def slot_of(layer: Layer, **known: Any) -> Slot:
    return Slot("w", layer.axes.shape, "float32", "weight", axes=layer.axes, **known)


def measured(rule: Rule, layer: Layer) -> tuple[float, float]:
    """E[y²] and E[dx²] of the layer with weights of this rule."""
    slot = slot_of(layer)
    weight = draw_distribution(rule(slot), slot.shape, seed=0, name="w", dtype="float64")
    return layer.moments(weight, np.random.default_rng(0))


@KINDS
@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg", "fan_geo_avg"])
def test_a_second_moment_is_kept(layer: Layer, mode: str) -> None:
    """fan_in keeps the signal, fan_out the gradient; the means split the difference: forward × backward = 1, or both ≤."""
    forward, backward = measured(rules.normal_fan(mode), layer)
    if mode == "fan_in":
        assert forward == pytest.approx(1.0, rel=0.05)
    elif mode == "fan_out":
        assert backward == pytest.approx(1.0, rel=0.05)
    elif mode == "fan_avg":
        assert forward + backward == pytest.approx(2.0, rel=0.05)
    else:
        assert forward * backward == pytest.approx(1.0, rel=0.07)


@KINDS
@pytest.mark.parametrize(
    ("rule", "promise"),
    [
        (rules.he_normal(nonlinearity="relu"), 2.0),
        (rules.he_uniform(nonlinearity="gelu"), 1.5335**2),
        (rules.he_normal(a=0.2), 2 / 1.04),
        (rules.lecun_normal(), 1.0),
        (rules.lecun_uniform(gain=1.5), 2.25),
        (rules.uniform_fan(), 1 / 3),
        (rules.variance_scaling(2.0), 2.0),
        (rules.variance_scaling(2.0, distribution="uniform"), 2.0),
        (rules.variance_scaling(2.0, distribution="normal"), 2.0),
    ],
    ids=str,
)
def test_forward_promise(layer: Layer, rule: Rule, promise: float) -> None:
    assert measured(rule, layer)[0] == pytest.approx(promise, rel=0.05)


@KINDS
@pytest.mark.parametrize(
    ("rule", "promise"),
    [(rules.he_normal(nonlinearity="relu", mode="fan_out"), 2.0), (rules.he_uniform(mode="fan_out"), 2.0)],
    ids=str,
)
def test_backward_promise(layer: Layer, rule: Rule, promise: float) -> None:
    assert measured(rule, layer)[1] == pytest.approx(promise, rel=0.05)


@KINDS
@pytest.mark.parametrize("rule", [rules.xavier_normal(gain=2.0), rules.xavier_uniform(gain=2.0)], ids=str)
def test_xavier_shares_between_forward_and_backward(layer: Layer, rule: Rule) -> None:
    forward, backward = measured(rule, layer)
    assert (forward + backward) / 2 == pytest.approx(4.0, rel=0.05)


@pytest.mark.parametrize("name", ["relu", "gelu", "silu", "tanh", "elu", "selu", "sigmoid", "mish", "softplus"])
def test_he_keeps_the_second_moment_through_the_activation(name: str) -> None:
    """E[f(W x)²] = E[x²] = 1: measured after the activation, on a wide layer."""
    f = Activation.named(name)
    slot = Slot("w", (2000, 1000), "float32", "weight", axes=Axes.parse("oi", (2000, 1000)), activation=f)
    w = draw_distribution(rules.lecun_normal()(slot), slot.shape, seed=0, name="w", dtype="float64")
    x = np.random.default_rng(0).standard_normal((100, 1000))
    z = x @ w.T
    gain = rules.he_normal()(slot).std * math.sqrt(1000)  # type: ignore[attr-defined]
    assert (f(z) ** 2).mean() * gain**2 == pytest.approx(1.0, rel=0.03)


WIDE = Axes.parse("oi", (30, 50))


def wide(**known: Any) -> Slot:
    return Slot("w", (30, 50), "float32", "weight", axes=WIDE, **known)


def test_he_takes_the_slots_own_activation_else_relu() -> None:
    silu = Activation.named("silu")
    assert rules.he_normal()(wide(activation=silu)) == Normal(silu.gain / math.sqrt(50))
    assert rules.he_normal()(wide()) == Normal(Activation.named("relu").gain / math.sqrt(50))
    assert rules.he_normal(nonlinearity="tanh")(wide(activation=silu)) == Normal(
        Activation.named("tanh").gain / math.sqrt(50)
    )


def test_formulas() -> None:
    """The closed forms of the papers."""
    assert rules.he_normal(nonlinearity="relu")(wide()).std == pytest.approx(math.sqrt(2 / 50))  # type: ignore[attr-defined]
    assert rules.he_uniform(nonlinearity="relu")(wide()).bound == pytest.approx(math.sqrt(6 / 50))  # type: ignore[attr-defined]
    assert rules.xavier_normal()(wide()) == Normal(math.sqrt(2 / 80))
    assert rules.xavier_uniform()(wide()).bound == pytest.approx(math.sqrt(6 / 80))  # type: ignore[attr-defined]
    assert rules.lecun_uniform()(wide()).bound == pytest.approx(math.sqrt(3 / 50))  # type: ignore[attr-defined]
    assert rules.uniform_fan()(wide()) == Uniform(1 / math.sqrt(50))
    assert rules.variance_scaling(2.0)(wide()) == TruncatedNormal(math.sqrt(2 / 50), 2.0)


def test_pytorchs_default_is_he_uniform_with_slope_sqrt_5() -> None:
    ours, torchs = rules.uniform_fan()(wide()), rules.kaiming_uniform(a=math.sqrt(5))(wide())
    assert torchs.bound == pytest.approx(ours.bound)  # type: ignore[attr-defined]


def test_a_callable_is_a_nonlinearity() -> None:
    known = rules.he_normal(nonlinearity="silu")(wide())
    by_hand = rules.he_normal(nonlinearity=lambda z: z / (1 + np.exp(-z)))(wide())
    assert by_hand == known


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rules.he_normal(nonlinearity="rellu"), "nonlinearity='rellu' is not known; accepted are"),
        (lambda: rules.he_normal(nonlinearity="leaky_relu(x)"), "does not parse; write a name"),
        (lambda: rules.he_normal(nonlinearity=3), "nonlinearity=3 cannot be used"),  # type: ignore[arg-type]
        (lambda: rules.he_normal(nonlinearity=lambda z: z[:3]), "it must map each number to one number"),
        (lambda: rules.he_normal(mode="fan-in"), "mode='fan-in' is not known; accepted are 'fan_in', 'fan_out'"),
        (lambda: rules.he_normal(nonlinearity="gelu", a=0.1), "a=0.1 is the slope of a leaky ReLU, but"),
        (lambda: rules.xavier_normal(gain=2, nonlinearity="relu"), "exclude each other; give one"),
        (lambda: rules.xavier_normal(gain="relu"), "gain='relu' cannot be used; gain must be a finite number"),  # type: ignore[arg-type]
        (lambda: rules.variance_scaling(-1), "scale=-1 cannot be used"),
        (lambda: rules.variance_scaling(distribution="gauss"), "accepted are 'normal', 'truncated_normal', 'uniform'"),
        (lambda: rules.he_normal(fan="in"), r"unexpected keyword argument 'fan'; it takes \(nonlinearity=None, mode="),  # type: ignore[call-arg]
        (lambda: rules.he_normal(nonlinearity=lambda z: 0 * z)(wide()), "is zero everywhere, so no gain"),
        (lambda: rules.he_normal()(Slot("b", (3,), "float32", "bias")), "for a bias or a scale use zeros"),
        (
            lambda: rules.he_normal()(Slot("w", (3, 0), "float32", "weight", axes=Axes.parse("oi", (3, 0)))),
            "has fan_in 0, because an axis has no elements",
        ),
    ],
)
def test_what_cannot_be_used_is_named(make: Any, message: str) -> None:
    with pytest.raises(FaninError, match=message):
        make()


def test_pytorchs_arguments_are_taken_together() -> None:
    """`a=0, nonlinearity="relu"` is what people copy from PyTorch's documentation."""
    assert rules.kaiming_normal(a=0, mode="fan_out", nonlinearity="relu")(wide()).std == pytest.approx(  # type: ignore[attr-defined]
        math.sqrt(2 / 30)
    )
