"""Identities hand a signal on; constants fill anything."""

import numpy as np
import pytest
import torch

from fanin import rules
from fanin.draws import draw
from fanin.errors import FaninValueError


def test_identity_hands_a_vector_on() -> None:
    x = np.array([1.0, 2.0, 3.0])
    assert (draw(rules.identity(), (3, 3), seed=0, name="w") @ x).tolist() == [1, 2, 3]
    assert (draw(rules.identity(gain=2.0), (2, 3), seed=0, name="w") @ x).tolist() == [2, 4]
    assert (x @ draw(rules.identity(), (3, 4), seed=0, name="w", axes="io")).tolist() == [1, 2, 3, 0]


def test_identity_fills_every_stacked_block() -> None:
    w = draw(rules.identity(), (6, 2), seed=0, name="w", axes="(s3o)i")
    assert np.array_equal(w, np.tile(np.eye(2), (3, 1)))


@pytest.mark.parametrize(
    ("spec", "shape"), [("oik", (4, 4, 3)), ("oikk", (4, 4, 3, 5)), ("(s2o)ikkk", (4, 2, 3, 3, 1))]
)
def test_dirac_hands_an_image_on(spec: str, shape: tuple[int, ...]) -> None:
    """Convolved by correlation at the centre of a constant-free window, each channel comes out as it went in."""
    w = draw(rules.dirac(), shape, seed=0, name="w", axes=spec, dtype="float64")
    groups = 4 // shape[1]
    window = np.random.default_rng(0).standard_normal((4, *shape[2:]))
    per_group = window.reshape(groups, shape[1], *shape[2:])
    out = [(w[c] * per_group[c * groups // 4]).sum() for c in range(4)]
    centre = tuple(n // 2 for n in shape[2:])
    assert np.allclose(out, window[(slice(None), *centre)])


@pytest.mark.parametrize(
    ("shape", "groups"), [((6, 3, 3), 2), ((12, 2, 3, 5), 3), ((4, 4, 3, 3, 3), 1), ((8, 1, 3), 4)]
)
def test_dirac_in_groups_is_torchs(shape: tuple[int, ...], groups: int) -> None:
    spec = "oi" + "k" * (len(shape) - 2)
    theirs = torch.nn.init.dirac_(torch.empty(shape), groups).numpy()
    assert np.array_equal(draw(rules.dirac(groups), shape, seed=0, name="w", axes=spec), theirs)


@pytest.mark.parametrize(
    ("groups", "spec", "shape", "message"),
    [
        (3, "oik", (8, 2, 3), "groups=3 does not cut its 8 outputs of 'w' into equal groups"),
        (2, "(s4o)ik", (8, 2, 3), "outputs in groups already"),
        (2, "oioik", (2, 2, 2, 2, 3), "needs outputs on an axis of their own"),
    ],
)
def test_unequal_groups_are_refused(groups: int, spec: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(FaninValueError, match=message):
        draw(rules.dirac(groups), shape, seed=0, name="w", axes=spec)


@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (2, 3, 4)])
def test_constants_fill_any_shape(shape: tuple[int, ...]) -> None:
    for rule, value in ((rules.zeros(), 0), (rules.ones(), 1), (rules.constant(0.5), 0.5)):
        w = draw(rule, shape, seed=0, name="w")
        assert w.shape == shape
        assert (w == value).all()


@pytest.mark.parametrize(
    ("rule", "shape", "axes", "message"),
    [
        (rules.identity(), (3,), "oi", "identity needs to know what the axes of 'w'"),
        (rules.identity(), (3, 4), "vo", "it takes a weight with an out and an in axis, but the axes are 'vo'"),
        (rules.identity(), (3, 3, 3, 3), "oikk", "a convolution with 9 taps; use dirac"),
        (rules.dirac(), (3, 3), "oi", "has no receptive field"),
        (rules.dirac(), (3,), "k", "it takes a weight with an out and an in axis"),
    ],
)
def test_shapes_that_cannot_be_filled(rule: rules.Rule, shape: tuple[int, ...], axes: str, message: str) -> None:
    with pytest.raises(FaninValueError, match=message):
        draw(rule, shape, seed=0, name="w", axes=axes)
