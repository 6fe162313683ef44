"""DKS and TAT: what they draw, and what they ask of the architecture."""

import pytest
from tests.rules.chains import dense_slots
from tests.rules.slots import slot

from fanin import rules
from fanin.activations import Activation
from fanin.distributions import DeltaOrthogonal
from fanin.errors import FaninError
from fanin.reshaping import Reshaped, maps


@pytest.mark.parametrize("name", ["tanh", "relu", "silu"])
def test_a_chain_tells_its_depth_and_its_head_needs_nothing(name):
    slots = dense_slots([8, *[16] * 30, 4], Activation.named(name))
    for rule in (rules.dks(), rules.tat()):
        needs = [rule.requires(s) for s in slots]
        assert needs[-1] == ()
        details = {need[0].detail for need in needs[:-1]}
        assert len(details) == 1
        assert [need[0].where for need in needs[:-1]] == [s.name for s in slots[:-1]]
        assert all(isinstance(rule(s), DeltaOrthogonal) for s in slots)
        g = Reshaped.parse(details.pop())
        assert maps(g).q == pytest.approx(1.0, abs=1e-6)
        if rule.name == "dks":
            assert maps(g).c_slope ** 30 == pytest.approx(1.5, abs=1e-4)


@pytest.mark.parametrize("role", ["bias", "norm_scale", "norm_shift", "scale"])
@pytest.mark.parametrize("rule", [rules.dks(), rules.tat(depth=9, nonlinearity="tanh")])
def test_only_weights_ask_for_an_activation(role, rule):
    assert rule.requires(slot(None, (8,), role=role)) == ()


def test_a_watched_weight_that_meets_no_activation_asks_for_none():
    rule = rules.dks(depth=9, nonlinearity="tanh")
    assert rule.requires(slot("oi", (8, 8), op="linear")) == ()
    assert rule.requires(slot("oi", (8, 8)))[0].kind == "activation"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: rules.dks(1.0), "slope must be a finite number above 1"),
        (lambda: rules.tat(curve=0), "curve must be a finite number above 0"),
        (lambda: rules.tat(correlation=1), "correlation must be a number between 0 and 1"),
        (lambda: rules.dks(depth=0), "depth must be a whole number of at least 1 or None"),
        (lambda: rules.dks()(slot("oi", (8, 8))), "is not part of a traced plain chain.*give depth"),
        (lambda: rules.tat(nonlinearity="selu", depth=9).requires(slot("oi", (8, 8))), "has a kink"),
        (
            lambda: rules.tat(nonlinearity="relu", depth=3).requires(slot("oi", (8, 8))),
            "3 ReLUs take uncorrelated signals",
        ),
        (lambda: rules.dks(nonlinearity="linear", depth=3).requires(slot("oi", (8, 8))), "cannot be reshaped"),
        (lambda: rules.dks(depth=3)(slot("oi", (8, 0))), "no elements"),
        (lambda: rules.dks(depth=3)(slot(None, (8,))), "needs to know what the axes"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(FaninError, match=words):
        make()
