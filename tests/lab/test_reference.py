"""Ordinary learners on the same split."""

from pathlib import Path

import pytest

from fanin.errors import FaninValueError
from fanin.lab.data import load
from fanin.lab.reference import reference_lines


def test_the_form_of_the_images_does_not_matter() -> None:
    flat, images = reference_lines("digits:300"), reference_lines("digits_images:300")
    assert [line.metrics for line in flat] == [line.metrics for line in images]
    assert {line.name for line in flat if line.metrics["accuracy"] > 0.9} >= {"svm", "forest", "logistic regression"}


def test_only_classification_has_references() -> None:
    with pytest.raises(FaninValueError, match="classification only, but data='diabetes' is regression"):
        reference_lines(load("diabetes"))


def test_text_is_learned_from_its_words(data_folder: Path) -> None:
    lines = {line.name: line for line in reference_lines("imdb:1000:200")}
    assert lines["logistic regression"].metrics["accuracy"] > 0.7
    assert all(line.note == "" for line in lines.values())
