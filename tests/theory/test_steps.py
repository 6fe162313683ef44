"""Recurrent layers through time against PyTorch's on wide layers."""

import math

import numpy as np
import pytest
import torch

from fanin.theory.steps import GATES, Gate, back_through_time, through_time

CLASSES = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn_tanh": torch.nn.RNN}
STEPS, UNITS = 12, 512


def layer(kind: str, seed: int, inputs: float, hidden: float, bias: float) -> torch.nn.Module:
    """A layer of 512 units with Gaussian weights of these powers and uniform biases of this variance each."""
    torch.manual_seed(seed)
    module = CLASSES[kind](64, UNITS, batch_first=True)
    with torch.no_grad():
        for name, p in module.named_parameters():
            if "bias" in name:
                p.uniform_(-math.sqrt(3 * bias), math.sqrt(3 * bias))
            else:
                p.normal_(0.0, math.sqrt((inputs if "ih" in name else hidden) / p.shape[1]))
    return module


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize(("inputs", "hidden", "bias"), [(1.0, 1.0, 0.0), (0.3, 2.0, 0.1)])
def test_the_state_grows_as_predicted(kind: str, inputs: float, hidden: float, bias: float) -> None:
    """E h² at every step within 10 %, over six draws of 512 units: sampling errors of both sides together."""
    gates = [Gate(inputs, hidden, 0.0, 2 * bias) for _ in range(GATES[kind])]
    if kind == "gru":
        gates[2] = Gate(inputs, hidden, 0.0, bias, 0.0, bias)
    predicted = through_time(kind, gates, 0.0, 1.0, STEPS, uniform=False)
    measured = np.zeros(STEPS)
    for seed in range(6):
        with torch.no_grad():
            x = torch.randn(16, STEPS, 64, generator=torch.Generator().manual_seed(seed))
            measured += layer(kind, seed, inputs, hidden, bias)(x)[0].square().mean(dim=(0, 2)).numpy() / 6
    assert predicted.q == pytest.approx(measured, rel=0.1)


@pytest.mark.parametrize("kind", CLASSES)
def test_the_gradient_goes_back_as_predicted(kind: str) -> None:
    """The gradient of the input at every step, of a random projection of the last state, within a factor e^.4 over eleven steps."""
    gates = [Gate(1.0, 1.0) for _ in range(GATES[kind])]
    found = through_time(kind, gates, 0.0, 1.0, STEPS)
    arriving = np.zeros((STEPS, STEPS))
    arriving[-1, -1] = 1.0
    back, _ = back_through_time(kind, gates, found, arriving)
    predicted = np.diagonal(back) * UNITS / 64  # each input goes to 512 units with weights of variance 1 / 64
    measured = np.zeros(STEPS)
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(16, STEPS, 64, generator=generator).requires_grad_()
        h = layer(kind, seed, 1.0, 1.0, 0.0)(x)[0][:, -1]
        signs = torch.randint(0, 2, h.shape, generator=generator) * 2.0 - 1
        (g,) = torch.autograd.grad((h * signs).sum(), x)
        measured += g.square().mean(dim=(0, 2)).numpy() / 4
    assert np.log(predicted) == pytest.approx(np.log(measured), abs=0.4)


def test_a_shared_input_is_the_same_at_every_step() -> None:
    """With an input that never changes the state settles and successive states are alike."""
    still = through_time("rnn_tanh", [Gate(1.0, 0.5)], 1.0, 0.0, 30)
    moving = through_time("rnn_tanh", [Gate(1.0, 0.5)], 0.0, 1.0, 30)
    assert still.kernel[-1, -2] / still.q[-1] > 0.95
    assert abs(moving.kernel[-1, -2]) / moving.q[-1] < 0.1
