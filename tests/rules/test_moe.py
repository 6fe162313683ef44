"""Routers and experts."""

import math

import numpy as np
import pytest

from fanin import rules
from fanin.draws import draw
from fanin.errors import FaninValueError
from fanin.slots import Axes, Slot


def test_a_router_is_nearly_undecided():
    w = draw(rules.router(), (8, 512), seed=0, name="router.weight", dtype="float64")
    logits = np.random.default_rng(0).standard_normal((4000, 512)) @ w.T
    share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    entropy = -(share * np.log(share)).sum(axis=1).mean()
    assert entropy > math.log(8) - 0.06
    assert np.bincount(logits.argmax(axis=1), minlength=8).min() > 4000 / 8 / 2
    assert np.abs(w).max() <= 2 * math.sqrt(0.1 / 512)


@pytest.mark.parametrize(("shape", "axes"), [((8, 64, 96), "sio"), ((8, 96, 64), "soi"), ((8 * 96, 64), "(s8o)i")])
def test_each_expert_has_fans_of_its_own(shape, axes):
    w = draw(rules.experts("lecun_normal"), shape, seed=0, name="w1", axes=axes)
    assert float(np.sqrt(np.mean(w**2))) == pytest.approx(math.sqrt(1 / 64), rel=0.03)  # an expert's inputs


def test_experts_are_orthogonal_one_by_one_and_differ():
    w = draw(rules.experts("orthogonal"), (4, 16, 16), seed=0, name="w1", axes="sio", dtype="float64")
    assert np.abs(w @ w.transpose(0, 2, 1) - np.eye(16)).max() < 1e-12
    assert np.abs(w[0] - w[1]).max() > 0.1


def test_bad_input():
    for shape, axes in (((8, 6), "oi"), ((8, 6, 3), "oik")):
        slot = Slot("w", shape, "float32", "weight", axes=Axes.parse(axes, shape))
        with pytest.raises(FaninValueError, match="takes a weight that stacks experts"):
            rules.experts()(slot)
    with pytest.raises(FaninValueError, match="inner='he' cannot be used"):
        rules.experts("he")
    with pytest.raises(FaninValueError, match="scale=0.0"):
        rules.router(scale=0.0)
    with pytest.raises(FaninValueError, match="needs to know"):
        rules.router()(Slot("b", (8,), "float32", "bias"))
