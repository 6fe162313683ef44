"""Rows for new tokens in a table of torch's."""

import pytest
import torch

import fanin.torch as face
from fanin.draws.new_rows import new_rows
from fanin.errors import FaninTypeError, FaninValueError


def table(dtype=torch.float32):
    return torch.cat([torch.randn(50, 6, generator=torch.Generator().manual_seed(0)) + 2, torch.zeros(4, 6)]).to(dtype)


def test_new_rows_are_those_of_the_draw_and_old_ones_stay() -> None:
    before = table()
    after = face.new_rows_(table(), 50, seed=3, name="wte", spread=1.0)
    assert torch.equal(after[:50], before[:50])
    wanted = new_rows(before[:50].double().numpy(), 4, seed=3, name="wte", spread=1.0)
    assert torch.equal(after[50:], torch.from_numpy(wanted).float())
    assert len(torch.unique(after[50:], dim=0)) == 4


def test_half_precision_and_parameters() -> None:
    weight = torch.nn.Parameter(table(torch.bfloat16))
    assert face.new_rows_(weight, 50, seed=0) is weight
    assert weight.requires_grad and weight[50:].abs().min() > 1


@pytest.mark.parametrize(
    ("tensor", "old", "error"),
    [(table(), 0, FaninValueError), (table(), 55, FaninValueError), (torch.zeros(3), 1, FaninTypeError),
     (torch.zeros(3, 2, dtype=torch.int64), 1, FaninTypeError), ([1.0], 1, FaninTypeError)],
)  # fmt: skip
def test_bad_input_leaves_the_table_alone(tensor, old, error) -> None:
    before = tensor.clone() if isinstance(tensor, torch.Tensor) else None
    with pytest.raises(error, match="new_rows_"):
        face.new_rows_(tensor, old, seed=0)
    assert before is None or torch.equal(tensor, before)
