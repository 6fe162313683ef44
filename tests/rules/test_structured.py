"""Heads that start as taps of a convolution."""

import numpy as np
import pytest
from tests.rules.slots import drawn, keeps, slot

from fanin import rules
from fanin.errors import FaninError

QKV = slot("(s3o)i", (288, 96))


@pytest.mark.parametrize(("axes", "shape"), [("(s3o)i", (288, 96)), ("i(s3o)", (96, 288)), ("(s2o)i", (192, 96))])
def test_each_head_looks_at_its_neighbour(axes, shape):
    keeps(rules.impulse_attention(3, 5, 4), slot(axes, shape))


def test_attention_over_real_positions_moves_an_image():
    """The first heads of a model whose tokens are sinusoids and little else: mostly 'itself', 'above', … of the patch."""
    table = drawn(rules.sinusoid(layout="halves", width=6), slot("vo", (36, 96), "position"))
    x = (table - table.mean(1, keepdims=True)) / table.std(1, keepdims=True)
    w = drawn(rules.impulse_attention(3, 6, 6), QKV)
    q, k = (b.reshape(3, 32, 96) for b in (w[:96], w[96:192]))
    logits = np.einsum("ti,hdi,hdj,sj->hts", x, q, k, x, optimize=True) / np.sqrt(32)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    image = np.arange(36.0)
    inner = [r * 6 + c for r in range(1, 5) for c in range(1, 5)]
    for head, offset in enumerate((0, -6, -1)):
        moved = weights[head].argmax(-1)
        assert np.mean(moved[inner] == image[inner] + offset) > 0.9


def test_values_are_drawn_as_usual_and_weights_have_the_size_asked_for():
    w = drawn(rules.impulse_attention(3, 5, 5, norm=2.0), QKV)
    assert np.allclose(np.linalg.norm(w[:192].reshape(6, 32, 96), axis=(1, 2)), 2.0)
    assert w[192:].std() == pytest.approx(96**-0.5, rel=0.03)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: rules.impulse_attention(0, 4, 4), "heads must be a whole number of at least 1"),
        (lambda: rules.impulse_attention(5, 4, 4)(QKV), "heads=5 must divide the 96 outputs"),
        (lambda: rules.impulse_attention(3, 2, 4)(QKV), "a window of 3 patches does not fit a grid of 2 x 4"),
        (
            lambda: rules.impulse_attention(3, 4, 4)(slot("oi", (96, 96))),
            "it takes a projection that makes queries and keys",
        ),
        (lambda: rules.impulse_attention(2, 4, 4)(slot("(s3o)i", (12, 6))), "multiple of 4"),
        (lambda: rules.impulse_attention(2, 4, 4, norm=0), "norm must be a finite number above 0"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(FaninError, match=words):
        make()
