"""Mirrored draws come in exact pairs, and a chain of them computes what half of the net with the odd part would."""

import numpy as np
import pytest
from hypothesis import given
from tests.draws.laws import mirrored_laws

from fanin.distributions import DeltaOrthogonal, Mirrored, Normal, Orthogonal
from fanin.draws import draw_distribution
from fanin.draws.layout import block_shape, to_blocks
from fanin.errors import FaninValueError
from fanin.slots import Axes, Pairing


def blocks_of(law: Mirrored, seed: int = 0) -> np.ndarray:
    return to_blocks(draw_distribution(law, law.axes.shape, seed=seed, name="w", dtype="float64"), law.axes)


def split(blocks: np.ndarray, pairing: Pairing | None, axis: int) -> np.ndarray:
    """The axis of a block as (outer, units, inner)."""
    return np.moveaxis(blocks, axis, -1).reshape(-1, pairing.outer, pairing.units, pairing.inner) if pairing else blocks


@given(mirrored_laws())
def test_pairs_are_exact(law: Mirrored) -> None:
    blocks = blocks_of(law)
    for pairing, axis in ((law.out, 1), (law.in_, 2)):
        if pairing is None:
            continue
        h = pairing.units // 2
        units = split(blocks, pairing, axis)
        assert np.array_equal(units[:, :, :h], -units[:, :, h : 2 * h])
    if law.in_ and law.in_.units % 2:
        assert not split(blocks, law.in_, 2)[:, :, -1].any()


@given(mirrored_laws())
def test_an_unpaired_unit_listens(law: Mirrored) -> None:
    """Its own row is not zero (where it has paired inputs at all), so it learns."""
    _, _, _, field = block_shape(law.axes)
    hears = law.in_ is None or law.in_.units > 1
    if law.out and law.out.units % 2 and hears and not (type(law.base).__name__ == "Identity" and field):
        assert np.abs(split(blocks_of(law), law.out, 1)[:, :, -1]).max() > 0


def test_the_first_quarter_is_the_base() -> None:
    half = Axes.parse("oi", (3, 4))
    law = Mirrored(Orthogonal(half, 2.0), Axes.parse("oi", (6, 8)), Pairing(6), Pairing(8))
    w = draw_distribution(law, (6, 8), seed=1, name="w", dtype="float64")
    q = draw_distribution(Orthogonal(half, 2.0), (3, 4), seed=1, name="w", dtype="float64")
    assert np.array_equal(w, np.block([[q, -q], [-q, q]]))


def test_the_unpaired_row_is_as_large_as_the_others() -> None:
    half = Axes.parse("oi", (48, 48))
    law = Mirrored(Orthogonal(half, 1.5), Axes.parse("oi", (97, 97)), Pairing(97), Pairing(97))
    w = draw_distribution(law, (97, 97), seed=0, name="w", dtype="float64")
    norms = np.linalg.norm(w, axis=1)
    assert np.allclose(norms, 1.5 * np.sqrt(2))
    assert np.linalg.norm(w[:48, :48] @ w[:48, :48].T - 2.25 * np.eye(48)) < 1e-10  # the pairs lost nothing to it


@pytest.mark.parametrize("scale_out", [False, True])
@pytest.mark.parametrize(("units", "in_"), [(97, 5), (97, 200), (3, 7), (1, 6)])
def test_the_unpaired_row_is_as_large_where_the_layer_widens(units: int, in_: int, scale_out: bool) -> None:
    law = Mirrored(
        Orthogonal(Axes.parse("oi", (units // 2, in_)), 1.5, scale_out), Axes.parse("oi", (units, in_)), Pairing(units)
    )
    w = draw_distribution(law, (units, in_), seed=0, name="w", dtype="float64")
    others = np.sqrt((w[:-1] ** 2).sum(axis=1).mean()) if units > 1 else 1.5
    assert np.linalg.norm(w[-1]) == pytest.approx(others)


def test_the_unpaired_row_is_drawn_apart() -> None:
    law = Mirrored(Normal(1.0), Axes.parse("oi", (7, 4)), out=Pairing(7))
    w = draw_distribution(law, (7, 4), seed=0, name="w")
    assert len(np.unique(abs(w))) == 4 * 4


def test_units_can_lie_inside_an_axis() -> None:
    """A flatten of (channels, height, width): all places of a channel belong to one unit."""
    pairing = Pairing(units=4, inner=3)
    law = Mirrored(Normal(1.0), Axes.parse("oi", (2, 12)), in_=pairing)
    w = draw_distribution(law, (2, 12), seed=0, name="w").reshape(2, 4, 3)
    assert np.array_equal(w[:, :2], -w[:, 2:])
    assert len(np.unique(abs(w))) == 12


def test_stacked_blocks_are_mirrored_one_by_one() -> None:
    axes = Axes.parse("soi", (3, 4, 4))
    law = Mirrored(Orthogonal(Axes.parse("soi", (3, 2, 2))), axes, Pairing(4), Pairing(4))
    w = draw_distribution(law, (3, 4, 4), seed=0, name="w")
    assert np.array_equal(w[:, :2], -w[:, 2:])
    assert np.array_equal(w[:, :, :2], -w[:, :, 2:])
    assert len(np.unique(abs(w[:, 0, 0]))) == 3


def test_a_pairing_of_the_whole_axis_is_cut_into_blocks() -> None:
    """Outputs (2 blocks × 4): given for the axis with outer = 2, or for a block, it is the same weight."""
    axes, half = Axes.parse("(s2o)i", (8, 3)), Axes.parse("(s2o)i", (4, 3))
    whole = blocks_of(Mirrored(Orthogonal(half), axes, out=Pairing(4, outer=2)))
    assert np.array_equal(whole, blocks_of(Mirrored(Orthogonal(half), axes, out=Pairing(4))))
    assert np.array_equal(whole[:, :2], -whole[:, 2:])


def test_a_convolutions_taps_stay_together() -> None:
    axes = Axes.parse("oikk", (4, 6, 3, 3))
    law = Mirrored(DeltaOrthogonal(Axes.parse("oikk", (2, 3, 3, 3))), axes, Pairing(4), Pairing(6))
    w = draw_distribution(law, axes.shape, seed=0, name="w", dtype="float64")
    assert np.allclose(w[:2, :3, 1, 1] @ w[:2, :3, 1, 1].T, np.eye(2))
    assert np.array_equal(w[:2], -w[2:])
    assert not w[:, :, 0].any()


@pytest.mark.parametrize(
    ("law", "message"),
    [
        (Mirrored(Normal(1.0), Axes.parse("oi", (4, 4)), out=Pairing(3)), "out=.* covers 3 elements"),
        (Mirrored(Normal(1.0), Axes.parse("(s2o)i", (6, 4)), out=Pairing(6)), "must not cross blocks"),
        (Mirrored(Orthogonal(Axes.parse("oi", (4, 4))), Axes.parse("oi", (4, 4)), Pairing(4)), "half of the weight"),
    ],
)
def test_what_does_not_fit_is_named(law: Mirrored, message: str) -> None:
    with pytest.raises(FaninValueError, match=message):
        draw_distribution(law, law.axes.shape, seed=0, name="w")
