"""Recurrent nets."""

import pytest
import torch
from tests.lab.zoo.tools import TEXT, examples

from fanin.errors import FaninValueError
from fanin.lab.models.facts import Facts
from fanin.lab.models.recurrent_torch import gru, lstm, rnn, series_lstm

STEPS = Facts((10, 2), "sequence", 3)


@pytest.mark.parametrize("pool", ["last", "mean"])
@pytest.mark.parametrize("model", [lstm, gru, rnn])
def test_padding_is_not_read(model, pool: str) -> None:
    torch.manual_seed(0)
    made, ids = model(TEXT, 8, pool=pool), examples(TEXT)
    ids[:, 7:] = 0
    torch.testing.assert_close(made(ids), made(ids[:, :7]))
    assert made(torch.zeros_like(ids)).isfinite().all()


def test_one_output_is_made_of_the_state_after_the_last_step() -> None:
    model = lstm(STEPS, 8)
    x = examples(STEPS)
    _, (state, _) = model.layers(x)
    torch.testing.assert_close(model(x), model.head(state[-1]))


def test_outputs_at_each_position_see_what_was_before() -> None:
    facts = Facts((10, 2), "sequence", 3, positions=True)
    model, x = gru(facts, 8), examples(facts)
    assert model(x).shape == (4, 10, 3)
    torch.testing.assert_close(model(x)[:, :6], model(x[:, :6]))


def test_a_window_is_read_as_one_feature_a_step() -> None:
    torch.manual_seed(0)
    flat = series_lstm(Facts((10,), "vector", 1), 4)
    torch.manual_seed(0)
    steps = series_lstm(Facts((10, 1), "sequence", 1), 4)
    x = torch.randn(3, 10)
    assert torch.equal(flat(x), steps(x.unsqueeze(-1)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"pool": "max"}, "pool='max'"), ({"dropout": 0.5}, "dropout=0.5.*layers=1"), ({"layers": 0}, "layers=0")],
)
def test_what_there_is_not_is_said(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(FaninValueError, match=message):
        lstm(STEPS, **arguments)  # type: ignore[arg-type]
    with pytest.raises(FaninValueError, match="activation='gelu' is unknown; accepted are tanh and relu"):
        rnn(STEPS, activation="gelu")
