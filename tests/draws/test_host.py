"""Formulas, maps and builds: the same numbers in any window, and one sentence where a named function cannot be used."""

import numpy as np
import pytest

from fanin import formulas
from fanin.distributions import Built, Formula, Mapped, Stack, Uniform
from fanin.draws import draw_distribution
from fanin.errors import FaninValueError
from fanin.formulas import builder, formula, mapping
from fanin.slots import Axes

WINDOWS = [
    (slice(1, 4), slice(None)),
    (2, slice(0, 5, 2)),
    (slice(None, None, -1), slice(3, 4)),
    (slice(0, 0), slice(None)),
]


@pytest.fixture(autouse=True)
def _functions(monkeypatch):
    for table in ("FORMULAS", "MAPPINGS", "BUILDERS"):
        monkeypatch.setattr(formulas, table, dict(getattr(formulas, table)))

    @formula
    def places(at, shape, axes, scale):
        return scale * (at[0] * shape[1] + at[1])

    @mapping
    def raised(x, base):
        return base**x

    @builder
    def summed(axes, source):
        return source("a", axes.shape) + source("b", axes.shape, "uniform")

    @mapping
    def lost(x):
        return np.log(x)


LAWS = [
    Formula("places", (0.5,)),
    Mapped(Uniform(1.0), "raised", (2.0,)),
    Built("summed", Axes.parse("oi", (5, 6))),
    Stack((Mapped(Uniform(1.0), "raised", (2.0,)), Formula("places", (1.0,))), (2, 3)),
]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_a_window_has_the_numbers_of_the_whole(law, window, dtype):
    whole = draw_distribution(law, (5, 6), seed=3, name="w", dtype=dtype)
    part = draw_distribution(law, (5, 6), seed=3, name="w", dtype=dtype, window=window)
    assert np.array_equal(part, whole[window])


def test_a_map_is_rounded_once():
    drawn = draw_distribution(Uniform(1.0), (40, 50), seed=0, name="w", dtype="float64")
    mapped = draw_distribution(Mapped(Uniform(1.0), "raised", (2.0,)), (40, 50), seed=0, name="w")
    assert np.array_equal(mapped, (2.0**drawn).astype(np.float32))


def test_weights_of_one_stream_are_built_from_the_same_numbers():
    axes = Axes.parse("oi", (5, 6))
    one, two = (draw_distribution(Built("summed", axes, stream="qk"), (5, 6), seed=0, name=name) for name in ("q", "k"))
    own = draw_distribution(Built("summed", axes), (5, 6), seed=0, name="q")
    assert np.array_equal(one, two)
    assert not np.array_equal(one, own)


@pytest.mark.parametrize(
    ("law", "words"),
    [
        (Formula("nothing"), "formula 'nothing' is not known"),
        (Mapped(Uniform(1.0), "nothing"), "mapping 'nothing' is not known"),
        (Mapped(Uniform(1.0), "lost"), "not finite"),
        (Built("nothing", Axes.parse("oi", (5, 6))), "builder 'nothing' is not known"),
        (Built("summed", Axes.parse("oi", (6, 5))), "its axes have the shape"),
    ],
)
def test_what_cannot_be_drawn_is_refused(law, words):
    with pytest.raises(FaninValueError, match=words):
        draw_distribution(law, (5, 6), seed=0, name="w")


def test_a_distribution_survives_json():
    for law in LAWS:
        assert type(law).from_dict(law.to_dict()) == law
