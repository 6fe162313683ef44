"""Gates as weights of their own, and the identity from state to state, on torch's layers."""

import numpy as np
import pytest
import torch
from torch import nn

import fanin
from fanin import rules
from fanin.draws import draw
from fanin.errors import FaninTypeError, FaninValueError
from fanin.slots import Axes, Slot


def filled(model: nn.Module, given: dict, width: int = 24, seed: int = 3) -> nn.Module:
    batch = torch.randn(5, 3, width, generator=torch.Generator().manual_seed(0))
    fanin.plan(model, batch, rules=given).apply(model, seed=seed)
    return model


def spectra(weight: torch.Tensor, gates: int) -> np.ndarray:
    return np.linalg.svd(weight.detach().double().numpy().reshape(gates, -1, weight.shape[-1]), compute_uv=False)


@pytest.mark.parametrize(("layer", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_every_gate_of_torchs_layers_is_orthogonal(layer, gates):
    model = filled(layer(24, 32, num_layers=2, bidirectional=True), {"*weight_hh*": rules.gate_blocks()})
    for name, weight in model.named_parameters():
        if "weight_hh" in name:
            assert np.abs(spectra(weight, gates) - 1).max() < 1e-5, name


def test_orthogonal_as_a_whole_is_not_orthogonal_per_gate():
    """Why the rule exists: torch's own on the stacked weight."""
    weight = nn.LSTM(24, 64).weight_hh_l0
    nn.init.orthogonal_(weight, generator=torch.Generator().manual_seed(0))
    found = spectra(weight, 4)
    assert found.min() < 0.02
    assert found.max() < 0.95


def test_fans_are_those_of_one_gate():
    model = filled(nn.LSTM(24, 200), {"weight_*": "gate_blocks('xavier_uniform')"})
    bound = model.weight_hh_l0.detach().abs().max()
    assert float(bound) == pytest.approx((6 / 400) ** 0.5, rel=1e-3)


def test_each_gate_may_have_its_own_rule():
    model = filled(nn.GRU(24, 32), {"weight_hh_l0": rules.gate_blocks("zeros; identity; orthogonal")})
    reset, update, new = model.weight_hh_l0.detach().reshape(3, 32, 32)
    assert not reset.any()
    assert torch.equal(update, torch.eye(32))
    assert (new @ new.T - torch.eye(32)).abs().max() < 1e-5


def test_gates_are_drawn_apart():
    w = draw(rules.gate_blocks(gates=4), (32, 8), seed=0, name="w").reshape(4, 8, 8)
    assert all(np.abs(w[a] - w[b]).max() > 0.1 for a in range(4) for b in range(a))


def test_gates_along_the_second_axis():
    """Keras and Flax store (units, 4 · units)."""
    w = draw(rules.gate_blocks(), (8, 32), seed=0, name="w", axes="i(s4o)", dtype="float64")
    for gate in w.reshape(8, 4, 8).transpose(1, 0, 2):
        assert np.abs(gate @ gate.T - np.eye(8)).max() < 1e-12


def test_specs_are_read_at_once_and_come_back():
    rule = rules.gate_blocks("zeros ;orthogonal(gain=2); kaiming_normal")
    assert rule.arguments["inner"] == "zeros; orthogonal(gain=2.0); he_normal"
    assert rules.parse(rule.spec) == rule
    with pytest.raises(FaninValueError, match="gate_blocks: inner='orthogonl' cannot be used.*did you mean"):
        rules.gate_blocks("orthogonl")
    with pytest.raises(FaninTypeError, match="spec of a rule"):
        rules.gate_blocks(rules.orthogonal())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "shape", "axes", "words"),
    [
        ({"gates": 3}, (32, 8), "oi", "cannot be cut into gates"),
        ({"inner": "zeros; zeros", "gates": 4}, (32, 8), "oi", "names 2 rules for 4 blocks"),
        ({"gates": 4}, (32,), None, "needs to know what the axes"),
        ({"gates": 2}, (2, 3, 4), "kik", "takes a weight whose blocks follow each other"),
    ],
)
def test_bad_input(given, shape, axes, words):
    slot = Slot("w", shape, "float32", "weight", axes=Axes.parse(axes, shape) if axes else None)
    with pytest.raises(FaninValueError, match=words):
        rules.gate_blocks(**given)(slot)


def test_a_layer_of_relu_keeps_a_state_for_a_thousand_steps():
    model = filled(
        nn.RNN(24, 16, nonlinearity="relu"), {"weight_hh_l0": rules.irnn(), "weight_ih_l0": "zeros", "bias*": "zeros"}
    )
    start = torch.rand(1, 2, 16)
    assert torch.equal(model(torch.zeros(1000, 2, 24), start)[1], start)


def test_irnn_takes_square_weights_only():
    with pytest.raises(FaninValueError, match="square matrix"):
        draw(rules.irnn(), (8, 6), seed=0, name="w")
