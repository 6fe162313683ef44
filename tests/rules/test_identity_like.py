"""Identities for layers that widen or narrow."""

import numpy as np
import pytest
import torch
from tests.rules.slots import drawn, keeps, slot

from fanin import rules
from fanin.errors import FaninError
from fanin.slots import ResidualPlace

END = ResidualPlace(branch=0, branches=3, last=True)


@pytest.mark.parametrize(
    ("axes", "shape"), [("oi", (16, 16)), ("oi", (8, 16)), ("io", (8, 16)), ("oik", (16, 4, 3)), ("(s2o)i", (16, 8))]
)
def test_hadamard_is_orthogonal_and_flat(axes, shape):
    of = slot(axes, shape)
    w = drawn(rules.hadamard(gain=2.0), of)
    assert len(np.unique(np.abs(w[w != 0]).round(12))) == 1
    from tests.promises.measure import singular_values

    assert np.allclose(singular_values(w, of), 2.0)


def test_zero_as_its_authors_wrote_it():
    """Algorithm 1: the identity where it keeps or narrows, else a cut Hadamard matrix (SciPy's) over the root of its side."""
    from scipy.linalg import hadamard

    for out, in_ in ((5, 9), (7, 7), (9, 5), (16, 3), (48, 20)):
        side = 2 ** int(np.ceil(np.log2(out)))
        theirs = (
            np.eye(out, in_) if out <= in_ else np.eye(out, side) @ hadamard(side) @ np.eye(side, in_) / np.sqrt(side)
        )
        assert np.allclose(drawn(rules.zero_hadamard(), slot("oi", (out, in_))), theirs)


def test_the_units_of_a_wider_layer_train_apart_from_a_hadamard_start_but_not_from_a_cut_identity():
    """Theorem 1 of the paper: from the identity, the rank of what a wide layer learns stays within the input's size."""
    torch.manual_seed(0)
    x, y = torch.randn(64, 4), torch.randn(64, 1)
    ranks = {}
    for name, rule in (("identity", rules.identity()), ("zero", rules.zero_hadamard())):
        shapes = [(16, 4), (16, 16), (1, 16)]
        w = [torch.from_numpy(drawn(rule, slot("oi", s))).float().requires_grad_() for s in shapes]
        start = w[1].detach().clone()
        for _ in range(30):
            loss = (torch.relu(torch.relu(x @ w[0].T) @ w[1].T) @ w[2].T - y).square().mean()
            gradients = torch.autograd.grad(loss, w)
            with torch.no_grad():
                for p, g in zip(w, gradients, strict=True):
                    p -= 0.05 * g
        ranks[name] = int(torch.linalg.matrix_rank((w[1] - start).detach().double(), atol=1e-6))
    assert ranks["identity"] <= 4 < ranks["zero"]


@pytest.mark.parametrize("shape", [(7, 3), (3, 7), (6, 6), (8, 2)])
@pytest.mark.parametrize("axes", ["oi", "io"])
def test_idinit_is_full_of_identities(axes, shape):
    keeps(rules.idinit(), slot(axes, shape))


@pytest.mark.parametrize(("axes", "shape"), [("oikk", (40, 3, 3, 3)), ("(s2o)ik", (8, 5, 3)), ("iokk", (4, 5, 2, 2))])
def test_convolutions(axes, shape):
    for rule in (rules.idinit(), rules.zero_hadamard()):
        keeps(rule, slot(axes, shape))
        keeps(rule, slot(axes, shape, residual=END))


def test_idinit_s_neighbouring_outputs_look_at_different_taps():
    """Of an input's taps each goes to an output of its own, where there are as many outputs."""
    w = drawn(rules.idinit(), slot("oikk", (12, 2, 3, 3)))
    assert [int(np.argmax(w[j, 0])) for j in range(9)] == list(range(9))
    assert np.array_equal(w[:, 0].sum(axis=0), np.ones((3, 3)))


def test_the_end_of_a_branch_is_zero_or_nearly():
    of = slot("oi", (6, 4), residual=END)
    assert not drawn(rules.zero_hadamard(), of).any()
    assert set(np.unique(drawn(rules.idinit(epsilon=1e-5), of))) == {0.0, 1e-5}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: rules.hadamard()(slot("oi", (12, 5))), "its larger side is 12.*powers of 2; zero_hadamard"),
        (lambda: rules.hadamard()(slot(None, (4,))), "needs to know what the axes"),
        (lambda: rules.hadamard()(slot("vo", (4, 4))), "an out and an in axis"),
        (lambda: rules.zero_hadamard()(slot("oi", (0, 4))), "no elements"),
        (lambda: rules.idinit()(slot("vo", (4, 4))), "an out and an in axis"),
        (lambda: rules.idinit(epsilon=-1), "epsilon must be a finite number of at least 0"),
        (lambda: rules.idinit(tau=float("nan")), "tau must be a finite number"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(FaninError, match=words):
        make()
