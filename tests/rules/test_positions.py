"""Tables of positions."""

import numpy as np
import pytest
from tests.rules.slots import drawn, keeps, slot

from fanin import rules
from fanin.errors import FaninError


def test_the_formula_of_the_paper_number_by_number():
    table = drawn(rules.sinusoid(), slot("vo", (50, 16)))
    for position in (0, 3, 49):
        for pair in range(8):
            angle = position / 10000 ** (2 * pair / 16)
            assert table[position, 2 * pair : 2 * pair + 2] == pytest.approx([np.sin(angle), np.cos(angle)], abs=1e-12)


def test_a_shift_is_one_linear_map_for_all_positions():
    """The paper's reason for sinusoids: the table at p + 5 is the same linear function of the table at p."""
    table = drawn(rules.sinusoid(layout="halves"), slot("vo", (60, 12)))
    ahead = np.linalg.lstsq(table[:40], table[5:45], rcond=None)[0]
    assert np.allclose(table[:55] @ ahead, table[5:], atol=1e-6)


@pytest.mark.parametrize(
    ("rule", "axes", "shape"),
    [
        (rules.sinusoid(), "vo", (40, 6)),
        (rules.sinusoid(layout="halves", base=100.0), "svo", (1, 40, 6)),
        (rules.sinusoid(width=8), "vo", (40, 12)),
        (rules.sinusoid(width=8, skip=1, layout="halves"), "vo", (41, 12)),
    ],
)
def test_inner_products_tell_distances(rule, axes, shape):
    keeps(rule, slot(axes, shape, "position"))


def test_class_tokens_are_left_at_zero():
    table = drawn(rules.sinusoid(width=3, skip=2), slot("vo", (11, 8)))
    assert not table[:2].any()
    assert np.array_equal(table[2:], drawn(rules.sinusoid(width=3), slot("vo", (9, 8))))


@pytest.mark.parametrize("shape", [(64,), (1, 1, 64), (7, 64), (1, 7, 7, 64), (4, 7, 64)])
def test_learned_positions_take_a_token_a_table_and_a_grid(shape):
    """CLIP's class token is one row without an axis of positions."""
    of = slot(None, shape, "position")
    weight = np.stack([drawn(rules.learned_positions(0.01), of, seed) for seed in range(40)])
    assert weight.std() == pytest.approx(0.01, rel=6 / np.sqrt(2 * weight.size))
    assert abs(weight).max() < 0.01 * 2 / 0.87  # cut at two deviations of the uncut Gaussian


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: rules.sinusoid(base=1), "base must be a finite number above 1"),
        (lambda: rules.sinusoid(layout="mixed"), "layout='mixed' is not known"),
        (lambda: rules.sinusoid(width=0), "width must be a whole number of at least 1 or None"),
        (lambda: rules.sinusoid()(slot("vo", (4, 7))), "it takes a multiple of 2"),
        (lambda: rules.sinusoid(width=2)(slot("vo", (4, 6))), "it takes a multiple of 4"),
        (lambda: rules.sinusoid(width=3)(slot("vo", (4, 8))), "width=3 does not divide the 4 positions"),
        (lambda: rules.sinusoid()(slot(None, (4,))), "it takes a table of shape"),
        (lambda: rules.sinusoid()(slot("svo", (2, 4, 8))), "axes of length 1 before them"),
        (lambda: rules.sinusoid()(slot("vo", (0, 8))), "it takes a table"),
        (lambda: rules.learned_positions()(slot(None, ())), "it takes at least one axis"),
        (lambda: rules.learned_positions()(slot("vo", (0, 8))), "it takes at least one axis"),
        (lambda: rules.learned_positions(-1), "std must be"),
        (lambda: rules.learned_positions(distribution="uniform"), "distribution='uniform' is not known"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(FaninError, match=words):
        make()
