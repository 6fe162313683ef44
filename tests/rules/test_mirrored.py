"""Mirrored chains: linear nets at the start where f(u) - f(-u) is a line, half-width nets with that odd part elsewhere."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from tests.rules.chains import dense_slots, drawn, forward

from fanin import rules
from fanin.activations import Activation
from fanin.distributions import DeltaOrthogonal, Mirrored, Orthogonal
from fanin.draws import draw_distribution
from fanin.errors import FaninValueError
from fanin.slots import Axes, ChainLink, Pairing, Slot

STRAIGHT = ["relu", "gelu", "silu", "softplus", "hardswish", "leaky_relu", "quick_gelu", "gelu_tanh"]
CURVED = ["elu", "mish", "sigmoid", "relu6", "selu", "celu"]


def gaussian(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape)


def net(widths: Sequence[int], name: str, rule: rules.Rule | None = None, seed: int = 0):
    f = Activation.named(name)
    weights = drawn(rule or rules.mirrored(), dense_slots(widths, f), seed)
    return lambda x: forward(weights, f, x)


@pytest.mark.parametrize("name", STRAIGHT)
@pytest.mark.parametrize("width", [64, 97])
def test_a_deep_net_is_exactly_linear(name: str, width: int) -> None:
    """30 layers: additive, homogeneous, without mean. An odd width changes nothing (its last unit is not heard yet)."""
    compute = net([20, *[width] * 30, 10], name)
    x, y = gaussian(2, 7, 20)
    scale = np.abs(compute(x)).max()
    assert np.allclose(compute(x + y), compute(x) + compute(y), atol=1e-9 * scale)
    assert np.allclose(compute(-2.5 * x), -2.5 * compute(x), atol=1e-9 * scale)
    assert not compute(np.zeros((1, 20))).round(12).any()


@pytest.mark.parametrize("name", ["relu", "gelu", "leaky_relu"])
@pytest.mark.parametrize("depth", [3, 30, 100])
def test_depth_does_not_matter(name: str, depth: int) -> None:
    """The Gram matrix of the examples, all that a later layer can see, comes through unchanged."""
    compute = net([64, *[128] * depth, 64], name)
    x = gaussian(6, 64)
    assert np.allclose(compute(x) @ compute(x).T, x @ x.T, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("widths", [[32, 256, 64, 256, 64, 10], [100, 30, 40, 50, 200, 200, 3]])
def test_the_mean_square_of_a_unit_survives_widening_and_narrowing(widths: list[int]) -> None:
    """In the mean over seeds, since a projection keeps a random part."""
    x = gaussian(50, widths[0])
    measured = [(net(widths, "relu", seed=seed)(x) ** 2).mean() for seed in range(30)]
    assert np.mean(measured) == pytest.approx(1.0, rel=0.15)


@pytest.mark.parametrize("name", CURVED)
def test_a_curved_net_is_half_the_net_with_the_odd_part(name: str) -> None:
    """f(W x) through mirrored weights equals o(Q x) through their quarters, for any activation."""
    f = Activation.named(name)
    weights = drawn(rules.mirrored(), dense_slots([12, 40, 40, 40, 5], f))
    x = gaussian(9, 12)
    h = x @ weights[0][:20].T
    for w in weights[1:-1]:
        h = f.odd(h) @ w[:20, :20].T
    assert np.allclose(forward(weights, f, x), f.odd(h) @ weights[-1][:, :20].T)


@pytest.mark.parametrize("name", [*CURVED, "tanh", "softsign"])
def test_a_curved_net_is_nearly_linear_for_a_small_signal(name: str) -> None:
    width = 64 if Activation.named(name).is_odd else 128  # an odd activation gets no pairs
    compute = net([64, *[width] * 20, 64], name, rules.mirrored(first=1e-4))
    x = gaussian(6, 64)
    assert np.allclose(compute(x) @ compute(x).T, x @ x.T, rtol=0.03, atol=0.3)


def test_odd_activations_get_no_pairs() -> None:
    slots = dense_slots([8, 16, 16, 4], Activation.named("tanh"))
    laws = [rules.mirrored()(slot) for slot in slots]
    assert all(isinstance(law, Orthogonal) for law in laws)
    assert [law.gain for law in laws] == pytest.approx([0.3, 1.0, 1 / 0.3], rel=1e-4)  # type: ignore[attr-defined]
    paired = rules.mirrored(pair=True)(slots[1])
    assert isinstance(paired, Mirrored)
    assert paired.base.gain == pytest.approx(0.5, rel=1e-4)  # type: ignore[attr-defined]


def test_the_scale_is_one_over_the_slope_of_the_odd_part() -> None:
    for name, parameters, s in [("sigmoid", (), 2.0), ("leaky_relu", (0.2,), 1 / 1.2), ("relu", (), 1.0)]:
        slot = dense_slots([8, 16, 16, 4], Activation.named(name, *parameters))[1]
        assert rules.mirrored()(slot).base.gain == pytest.approx(s, rel=1e-4)  # type: ignore[attr-defined]


def test_factors_of_the_first_and_the_last_weight() -> None:
    slots = dense_slots([8, 16, 16, 4], Activation.named("relu"))
    laws = [rules.mirrored(first=0.5, head=0.1, gain=2.0)(slot) for slot in slots]
    assert [law.base.gain for law in laws] == pytest.approx([1.0, 2.0, 0.2])  # type: ignore[attr-defined]
    assert rules.mirrored(first=0.5)(slots[-1]).base.gain == pytest.approx(2.0)  # type: ignore[attr-defined]


def test_every_unpaired_unit_gets_a_gradient_path() -> None:
    """Its incoming row is as large as the others; its outgoing column starts at zero, and so gets a gradient first."""
    first, inner, last = drawn(rules.mirrored(), dense_slots([10, 7, 7, 3], Activation.named("relu")))
    for w in (first, inner):
        norms = np.linalg.norm(w, axis=1)
        assert norms[-1] == pytest.approx(norms[0], rel=1e-6)
    assert not inner[:, -1].any()
    assert not last[:, -1].any()


def conv_slots(channels: Sequence[int], side: int, classes: int, f: Activation) -> list[Slot]:
    """3×3 convolutions, a flatten of (channels, height, width), and a linear head."""
    last = len(channels) - 1
    slots = []
    for k, (in_, out) in enumerate(itertools.pairwise(channels)):
        shape = (out, in_, 3, 3)
        link = ChainLink("0", k, last + 1, f if k else None, f, Pairing(in_) if k else None)
        slots.append(Slot(f"{k}", shape, "float32", "weight", axes=Axes.parse("oikk", shape), chain=link))
    shape = (classes, channels[-1] * side * side)
    link = ChainLink("0", last, last + 1, f, None, Pairing(channels[-1], inner=side * side))
    return [*slots, Slot("head", shape, "float32", "weight", axes=Axes.parse("oi", shape), chain=link)]


def convolve(w: np.ndarray, x: np.ndarray) -> np.ndarray:
    """3×3, zero padded: x of shape (batch, channels, height, width)."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    h, v = x.shape[2:]
    return sum(
        np.einsum("bihw,oi->bohw", padded[:, :, a : a + h, b : b + v], w[:, :, a, b])
        for a in range(3)
        for b in range(3)
    )


@pytest.mark.parametrize("channels", [[3, 16, 16, 16, 16], [3, 9, 15, 9]])
@pytest.mark.parametrize("name", ["relu", "silu"])
def test_a_convolutional_net_is_linear_through_the_flatten(channels: list[int], name: str) -> None:
    f, side = Activation.named(name), 4
    *convolutions, head = drawn(rules.mirrored(), conv_slots(channels, side, 10, f))

    def compute(x: np.ndarray) -> np.ndarray:
        for w in convolutions:
            x = f(convolve(w, x))
        return x.reshape(len(x), -1) @ head.T

    x, y = gaussian(2, 5, 3, side, side)
    assert np.allclose(compute(x + y), compute(x) + compute(y))
    assert np.allclose(compute(-x), -compute(x))
    assert (compute(x) ** 2).mean() == pytest.approx(1.0, rel=0.5)


def test_a_convolutions_base_is_on_the_centre_tap() -> None:
    slot = conv_slots([3, 16, 16], 4, 10, Activation.named("relu"))[1]
    law = rules.mirrored()(slot)
    assert isinstance(law, Mirrored)
    assert isinstance(law.base, DeltaOrthogonal)
    w = draw_distribution(law, slot.shape, seed=0, name="w")
    w[:, :, 1, 1] = 0
    assert not w.any()


def test_a_chain_of_one_and_a_hidden_width_of_one() -> None:
    """Nothing to pair: plain orthogonal, and nothing is cut off."""
    slot = dense_slots([8, 4], Activation.named("relu"))[0]
    assert rules.mirrored()(slot) == Orthogonal(slot.axes, 1.0, scale_out=True)  # type: ignore[arg-type]
    x = gaussian(5, 3)
    assert net([3, 1, 1, 2], "softplus")(x).any()


def replaced(slot: Slot, **changes: object) -> Slot:
    return dataclasses.replace(slot, chain=dataclasses.replace(slot.chain, **changes))  # type: ignore[type-var]


INNER = dense_slots([8, 16, 16, 4], Activation.named("relu"))[1]
GROUPED = Slot(
    "g",
    (16, 4, 3),
    "float32",
    "weight",
    axes=Axes.parse("(s4o)ik", (16, 4, 3)),
    chain=ChainLink("g", 0, 3, after=Activation.named("relu")),
)


@pytest.mark.parametrize(
    ("slot", "message"),
    [
        (dataclasses.replace(INNER, chain=None), "is not part of a plain chain"),
        (replaced(INNER, in_pairing=None), "its chain says that they lie as None"),
        (replaced(INNER, in_pairing=Pairing(15)), "outer \\* units \\* inner must be the number of inputs"),
        (replaced(INNER, before=Activation.named("abs")), "is flat at 0"),
        (replaced(INNER, before=Activation.named("square")), "is flat at 0"),
        (GROUPED, "pairs cannot cross blocks"),
    ],
)
def test_what_cannot_be_mirrored_is_named(slot: Slot, message: str) -> None:
    with pytest.raises(FaninValueError, match=message):
        rules.mirrored()(slot)
