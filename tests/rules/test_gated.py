"""Products of two signals keep their size, and logits have the deviation that was asked for."""

import numpy as np
import pytest
from scipy import integrate
from tests.rules.slots import drawn, keeps, slot

from fanin import rules
from fanin.activations import Activation
from fanin.errors import FaninError
from fanin.rules.gated import product_scale


@pytest.mark.parametrize("name", ["silu", "gelu", "sigmoid", "relu", "linear", "tanh", "softplus"])
def test_the_products_scale_solves_its_equation(name):
    """Against SciPy's quadrature."""
    f, s = Activation.named(name), product_scale(Activation.named(name))

    def density(z):
        return float(f(np.array([s * z]))[0] ** 2) * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)

    moment = integrate.quad(density, -10, 0)[0] + integrate.quad(density, 0, 10)[0]
    assert s**2 * moment == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize("name", ["silu", "gelu", "sigmoid", "relu"])
def test_every_layer_of_a_deep_net_with_norms_keeps_the_size_of_its_signal(name):
    """Norm, gate and value, a matrix of gain 1, twenty times: each product has the size of what went in."""
    f, width = Activation.named(name), 400
    x, sizes = np.random.default_rng(1).standard_normal((100, width)), []
    for layer in range(20):
        x = x / np.sqrt((x**2).mean(1, keepdims=True))
        w, v, out = (
            drawn(slot_rule, slot("oi", (width, width)), layer, n)
            for slot_rule, n in zip(
                (rules.gated_normal(name), rules.gated_normal(name), rules.lecun_normal()), "gvo", strict=True
            )
        )
        x = (f(x @ w.T) * (x @ v.T)) @ out.T
        sizes.append((x**2).mean())
    assert np.mean(sizes) == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize("name", ["silu", "sigmoid", "gelu"])
def test_the_weight_behind_a_product_gives_size_one(name):
    f, rng = Activation.named(name), np.random.default_rng(0)
    a, b = rng.standard_normal((2, 500, 800))
    y = (f(a) * b) @ drawn(rules.gated_out_normal(name), slot("oi", (400, 800))).T
    assert (y**2).mean() == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize("heads", [1, 4, 8])
@pytest.mark.parametrize("std", [0.3, 1.0, 3.0])
def test_logits_have_the_deviation(heads, std):
    rng, of = np.random.default_rng(0), slot("oi", (128, 256))
    q, k = (drawn(rules.attention_logits(std, heads), of, name=n).reshape(heads, -1, 256) for n in "qk")
    x, y = rng.standard_normal((2, 300, 256))
    logits = np.einsum("ti,hdi,hdj,sj->hts", x, q, k, y, optimize=True) / np.sqrt(128 / heads)
    assert logits.std() == pytest.approx(std, rel=0.05)


@pytest.mark.parametrize(
    ("axes", "shape"), [("(s3o)i", (384, 96)), ("i(s3o)", (96, 384)), ("(s2o)i", (256, 96)), ("sio", (3, 96, 128))]
)
def test_fused_projections(axes, shape):
    keeps(rules.attention_logits(0.5, heads=4), slot(axes, shape))


def test_the_values_of_a_fused_projection_keep_their_size():
    q, k, v = np.split(drawn(rules.attention_logits(0.25), slot("(s3o)i", (600, 400))), 3)
    assert [float((w**2).mean() * 400) for w in (q, k, v)] == pytest.approx([0.25, 0.25, 1.0], rel=0.02)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: rules.attention_logits(0), "logit_std must be a finite number above 0"),
        (lambda: rules.attention_logits(heads=5)(slot("oi", (128, 64))), "heads=5 does not divide the 128 outputs"),
        (lambda: rules.gated_normal(lambda z: 0 * z)(slot("oi", (8, 8))), "no scale at which the product keeps size 1"),
        (lambda: rules.gated_normal("sillu"), "'sillu' is not known"),
        (lambda: rules.gated_out_normal(lambda z: 0 * z)(slot("oi", (8, 8))), "is zero everywhere, so no gain"),
        (lambda: rules.gated_normal()(slot("oi", (8, 0))), "no elements"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(FaninError, match=words):
        make()
