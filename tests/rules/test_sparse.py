"""The same number of zeros in each line, block by block, at places that differ."""

import numpy as np
import pytest
import torch
from tests.rules.slots import drawn, keeps, slot

from fanin import rules
from fanin.errors import FaninError


@pytest.mark.parametrize(
    ("axes", "shape"), [("oi", (20, 12)), ("io", (12, 20)), ("(s4o)i", (80, 12)), ("sio", (3, 12, 20))]
)
@pytest.mark.parametrize(
    "rule", [rules.sparse(0.4), rules.sparse_connections(5), rules.sparse_connections(50)], ids=str
)
def test_zeros_are_counted_within_each_block(axes, shape, rule):
    keeps(rule, slot(axes, shape))


def test_as_torch_counts():
    ours = drawn(rules.sparse(0.33), slot("oi", (10, 50)))
    theirs = torch.nn.init.sparse_(torch.empty(10, 50), 0.33).numpy()
    assert set((theirs == 0).sum(0)) == set((ours == 0).sum(0)) == {4}
    assert len({tuple(column) for column in (ours == 0).T}) > 20  # places differ from input to input


def test_the_papers_units_hear_the_same_number_of_inputs_where_torchs_may_hear_none():
    """Of 10 x 10 weights with a share of 0.9 zeros, counted along the columns, one unit in three hears nothing."""
    deaf = np.mean([(drawn(rules.sparse(0.9), slot("oi", (10, 10)), seed) == 0).all(1).mean() for seed in range(200)])
    assert deaf == pytest.approx(0.9**10, abs=0.03)
    assert (drawn(rules.sparse_connections(1), slot("oi", (10, 10))) != 0).any(1).all()


def test_the_size_of_a_signal_does_not_grow_with_the_width():
    for width in (64, 1024):
        w = drawn(rules.sparse_connections(15), slot("oi", (400, width)))
        y = np.random.default_rng(0).standard_normal((200, width)) @ w.T
        assert (y**2).mean() == pytest.approx(15, rel=0.08)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: rules.sparse(1.5), "sparsity must be a number from 0 to 1"),
        (lambda: rules.sparse("half"), "sparsity must be a number from 0 to 1"),
        (lambda: rules.sparse_connections(0), "connections must be a whole number of at least 1"),
        (lambda: rules.sparse_connections(1.5), "whole number"),
        (lambda: rules.sparse(0.5)(slot("oikk", (4, 4, 3, 3))), "it takes a dense weight"),
        (lambda: rules.sparse(0.5)(slot("vo", (4, 4))), "it takes a dense weight"),
        (lambda: rules.sparse(0.5)(slot("oi", (0, 4))), "no elements"),
        (lambda: rules.sparse(0.5)(slot("ooi", (4, 4, 4))), "spread over the axes 'ooi'"),
        (lambda: rules.sparse(0.5)(slot(None, (4,))), "needs to know what the axes"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(FaninError, match=words):
        make()
