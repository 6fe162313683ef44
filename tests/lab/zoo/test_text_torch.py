"""Classifiers of texts."""

import pytest
import torch
from tests.lab.zoo.tools import TEXT, examples, size

from fanin.errors import FaninValueError
from fanin.lab.models.text_torch import mean_of_words, text_cnn, text_embedding


def test_the_mean_is_over_words_alone() -> None:
    ids = torch.tensor([[3, 4, 0, 0], [0, 0, 0, 0]])
    row = torch.arange(8.0).reshape(2, 4, 1)
    assert mean_of_words(row, ids).tolist() == [[0.5], [4.0]]  # an empty text has its first position


def test_the_order_of_words_and_padding_do_not_matter_to_a_mean() -> None:
    torch.manual_seed(0)
    model, ids = text_embedding(TEXT, 8, 1), examples(TEXT)
    ids[:, 9:] = 0
    torch.testing.assert_close(model(ids), model(ids[:, :9].flip(1)))


def test_sizes_are_those_of_the_paper() -> None:
    """Kim 2014: 300 numbers a word, 100 feature maps for each of the windows 3, 4 and 5."""
    assert size("text_cnn", TEXT) == 50 * 300 + sum(100 * (300 * n + 1) for n in (3, 4, 5)) + 2 * 301


def test_what_a_window_finds_counts_wherever_it_stands() -> None:
    torch.manual_seed(0)
    model = text_cnn(TEXT, 8, 16, (2,)).eval()
    ids = torch.full((2, 12), 5)
    ids[0, 2:4] = ids[1, 8:10] = torch.tensor([7, 9])
    out = model(ids)
    torch.testing.assert_close(out[0], out[1])


@pytest.mark.parametrize("windows", [(), (3, 13), (0,)])
def test_windows_that_there_are_not(windows: tuple[int, ...]) -> None:
    with pytest.raises(FaninValueError, match="windows="):
        text_cnn(TEXT, windows=windows)
