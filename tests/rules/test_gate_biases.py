"""How long recurrent layers remember, measured on torch's layers; two biases that add up count once."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import fanin
from fanin import rules
from fanin.draws import draw
from fanin.errors import FaninTypeError, FaninValueError
from fanin.slots import Axes, Slot

H = 400


def biases(model: nn.Module, rule) -> np.ndarray:
    """The sum of both biases, gate by gate, under this rule, all weights zero."""
    batch = torch.zeros(2, 3, 5)
    fanin.plan(model, batch, rules={"weight*": rules.zeros(), "bias*": rule}).apply(model, seed=1)
    both = (model.bias_ih_l0 + model.bias_hh_l0).detach().double().numpy()
    return both.reshape(-1, H)


def left_after(model: nn.LSTM, steps: int) -> torch.Tensor:
    """What is left of a cell state of one after so many steps without input."""
    start = torch.zeros(1, 1, H), torch.ones(1, 1, H)
    with torch.no_grad():
        return model(torch.zeros(steps, 1, 5), start)[1][1][0, 0]


@pytest.mark.parametrize("value", [1.0, 3.0, -2.0])
def test_a_state_fades_by_sigma_of_the_bias_at_each_step(value):
    model = nn.LSTM(5, H)
    gates = biases(model, rules.forget_bias(value))
    assert np.abs(gates[1] - value).max() < 1e-6
    assert not gates[[0, 2, 3]].any()
    assert left_after(model, 7).numpy() == pytest.approx((1 / (1 + math.exp(-value))) ** 7, rel=1e-4)


def test_torchs_habit_of_filling_every_bias_counts_twice():
    """What the rule avoids: 1 in both biases is 2 in the cell."""
    model = nn.LSTM(5, H)
    for name, parameter in model.named_parameters():
        nn.init.zeros_(parameter)
        if "bias" in name:
            nn.init.ones_(parameter[H : 2 * H])
    assert left_after(model, 1).mean().item() == pytest.approx(1 / (1 + math.exp(-2)), rel=1e-5)


def test_chrono_remembers_for_every_time_up_to_the_longest():
    model = nn.LSTM(5, H)
    gates = biases(model, rules.chrono(200))
    steps = np.sort(1 + np.exp(gates[1]))
    assert steps[0] >= 2 - 1e-5
    assert steps[-1] <= 200 + 1e-3
    # uniform: the largest gap to the straight line is that of a sample of H (Kolmogorov, 1 in 10,000)
    uniform = (steps - 2) / 198
    assert np.abs(uniform - (np.arange(H) + 0.5) / H).max() < 2.23 / math.sqrt(H)
    assert np.array_equal(gates[0], -gates[1])
    assert not gates[2:].any()
    # in the layer: e-fold decay after the promised number of steps, to first order
    left = left_after(model, 50).double().numpy()
    assert np.abs(np.log(left) / (50 * np.log(1 - 1 / (1 + np.exp(gates[1])))) - 1).max() < 1e-3


def test_a_gru_keeps_by_its_update_gate():
    model = nn.GRU(5, H)
    gates = biases(model, rules.chrono(100))
    assert not gates[[0, 2]].any()
    start = torch.ones(1, 1, H)
    with torch.no_grad():
        left = model(torch.zeros(1, 1, 5), start)[1][0, 0].double().numpy()
    steps = 1 / (1 - left)
    assert steps.min() >= 2 - 1e-3
    assert steps.max() <= 100.5
    assert steps.mean() == pytest.approx(51, rel=0.15)


def test_the_longer_the_longest_time():
    means = [(1 + np.exp(biases(nn.LSTM(5, H), rules.chrono(t))[1])).mean() for t in (10, 100, 1000)]
    assert np.array(means) == pytest.approx([6, 51, 501], rel=0.15)


def test_kerass_gru_keeps_two_biases_as_rows_of_one():
    slot = Slot("gru/bias", (2, 12), "float32", "bias", parts="gru")
    for rule in (rules.forget_bias(2.0, gate=0), rules.chrono(30, gate=0)):
        law = rule(slot)
        from fanin.draws import draw_distribution

        b = draw_distribution(law, (2, 12), seed=0, name="gru/bias")
        assert b[0, :4].all()
        assert not b[0, 4:].any()
        assert not b[1].any()


def test_a_flax_cells_bias_by_its_gates():
    slot = Slot("cell.dense_i.bias", (16,), "float32", "bias", parts="lstm")
    assert rules.forget_bias()(slot) == rules.forget_bias()(Slot("bias_ih_l0", (16,), "float32", "bias", parts="lstm"))


def test_xlstms_gates_remember_by_powers():
    b = draw(rules.linspace_bias(), (7,), seed=0, name="fgate.bias", dtype="float64")
    assert np.allclose(np.exp(np.diff(b)), math.exp(0.5))
    assert (b[0], b[-1]) == (3.0, 6.0)
    gates = biases(nn.LSTM(5, H), rules.linspace_bias(1.0, 2.0))
    assert np.allclose(gates[1], np.linspace(1, 2, H), atol=1e-6)
    assert not gates[[0, 2, 3]].any()


def test_a_linear_layers_bias_is_no_gate():
    model = nn.Linear(8, 8)
    with pytest.raises(FaninValueError, match="no bias of an LSTM or GRU"):
        fanin.plan(model, torch.zeros(2, 8), rules={"bias": rules.forget_bias()})


@pytest.mark.parametrize(
    ("rule", "shape", "words"),
    [
        (lambda: rules.forget_bias(), (7,), "cannot be cut into gates"),
        (lambda: rules.forget_bias(gate=4), (8,), "has 4 gates, and gate 4"),
        (lambda: rules.forget_bias(), (3, 8), "takes the bias of a recurrent layer"),
        (lambda: rules.chrono(2, t_min=1.5), (8,), "t_min=1.5 must be at most"),
        (lambda: rules.chrono(20, gate=0), (8,), "is the input gate"),
        (lambda: rules.linspace_bias(), (0,), "takes a bias of some units"),
    ],
)
def test_bad_input(rule, shape, words):
    with pytest.raises(FaninValueError, match=words):
        rule()(Slot("b", shape, "float32", "weight", axes=Axes.parse("o" * len(shape), shape)))


def test_bad_arguments():
    with pytest.raises(FaninValueError, match="t_max=1.0.*above 1"):
        rules.chrono(1.0)
    with pytest.raises(FaninTypeError, match="t_max"):
        rules.chrono("long")  # type: ignore[arg-type]
    with pytest.raises(FaninTypeError, match="gate"):
        rules.forget_bias(gate=0.5)  # type: ignore[arg-type]
