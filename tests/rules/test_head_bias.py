"""Heads that start at the classes' frequencies."""

import numpy as np
import pytest
import torch
from tests.rules.slots import drawn, keeps, slot

from fanin import rules
from fanin.errors import FaninError


def test_the_first_loss_is_the_entropy_of_the_labels():
    counts = np.array([700, 200, 90, 10])
    b = torch.from_numpy(drawn(rules.class_prior(tuple(counts)), slot(None, (4,), "bias")))
    labels = torch.from_numpy(np.repeat(np.arange(4), counts))
    loss = torch.nn.functional.cross_entropy(b.expand(1000, 4), labels)
    p = counts / 1000
    assert float(loss) == pytest.approx(-(p * np.log(p)).sum(), rel=1e-9)


def test_without_counts_all_classes_are_alike():
    b = drawn(rules.class_prior(), slot(None, (10,), "bias"))
    assert np.allclose(b, -np.log(10))


@pytest.mark.parametrize("prior", [1e-8, 0.01, 0.5, 0.99])
def test_every_output_starts_at_the_prior(prior):
    keeps(rules.focal_prior(prior), slot(None, (7,), "bias"))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: rules.class_prior((1, 0, 3)), "give a class that was never seen a small count"),
        (lambda: rules.class_prior((1, float("nan"))), "counts must be a row of numbers above 0"),
        (lambda: rules.class_prior(3), "counts must be a row"),
        (lambda: rules.class_prior(()), "counts must be a row"),
        (lambda: rules.class_prior((1, 2))(slot(None, (3,), "bias")), "counts has 2 numbers, but 'w' has 3 classes"),
        (lambda: rules.class_prior()(slot("oi", (3, 4))), "it takes the bias of the last layer"),
        (lambda: rules.focal_prior()(slot("oi", (3, 4))), "it takes the bias of the last layer"),
        (lambda: rules.focal_prior()(slot(None, (3,), "norm_scale")), "role 'norm_scale'"),
        (lambda: rules.focal_prior(1.0), "prior must be a probability between 0 and 1"),
        (lambda: rules.focal_prior(0), "prior must be a probability between 0 and 1"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(FaninError, match=words):
        make()
