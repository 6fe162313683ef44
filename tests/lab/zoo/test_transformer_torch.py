"""Transformers of ids."""

import pytest
import torch
from tests.lab.zoo.tools import CHARACTERS, TEXT, examples

from fanin.errors import FaninValueError
from fanin.lab.models.facts import Facts
from fanin.lab.models.transformer_torch import char_transformer, text_transformer

SHAKESPEARE = Facts((64,), "ids", 65, positions=True, vocabulary=65)


def test_the_weights_of_a_gpt() -> None:
    """12 width² for each layer (4 of attention, 8 of the net of two layers), and a row of the tied table for each id."""
    with torch.device("meta"):
        model = char_transformer(SHAKESPEARE, tied=True)
    matrices = {name: p.numel() for name, p in model.named_parameters() if p.dim() == 2}
    assert matrices.pop("position.weight") == 64 * 128
    assert sum(matrices.values()) == 4 * 12 * 128**2 + 65 * 128


def test_a_position_sees_itself_and_those_before_it() -> None:
    torch.manual_seed(0)
    model, ids = char_transformer(CHARACTERS, 2, 16, 2), examples(CHARACTERS)
    changed = ids.clone()
    changed[:, 5] = (changed[:, 5] + 1) % 30
    before, after = model(ids), model(changed)
    torch.testing.assert_close(before[:, :5], after[:, :5])
    assert ((before - after)[:, 5:].abs().amax((0, 2)) > 1e-4).all()


def test_a_tied_head_is_the_embedding() -> None:
    model = char_transformer(CHARACTERS, 1, 16, 2, tied=True)
    assert model.head.weight is model.embedding.weight
    with pytest.raises(FaninValueError, match="tied=True needs as many outputs as ids"):
        char_transformer(Facts((8,), "ids", 9, positions=True, vocabulary=10), tied=True)


def test_a_context_that_is_too_short_is_refused() -> None:
    with pytest.raises(FaninValueError, match="context=5 is too short for rows of 12"):
        char_transformer(CHARACTERS, context=5)


def test_padding_is_not_looked_at() -> None:
    torch.manual_seed(0)
    model, ids = text_transformer(TEXT, 2, 16, 2), examples(TEXT)
    ids[:, 7:] = 0
    torch.testing.assert_close(model(ids), model(ids[:, :7]))
    assert model(torch.zeros_like(ids)).isfinite().all()
