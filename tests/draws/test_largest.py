"""Numbers that a format does not hold are refused before they are drawn, by every way to draw."""

import importlib.util
import math

import numpy as np
import pytest

from fanin import distributions as d
from fanin import draws, rules
from fanin.draws.dtypes import NATIVE
from fanin.draws.largest import LARGEST, check_size, largest
from fanin.errors import FaninValueError
from fanin.slots import Axes

AXES = Axes.parse("oi", (4, 4))
TOO_LARGE = [
    d.Normal(2e4), d.Normal(1.0, 1e5), d.TruncatedNormal(1e5), d.Uniform(7e4), d.Signs(7e4), d.Orthogonal(AXES, 7e4),
    d.ZeroRows(d.Normal(2e4), (0,)), d.Stack((d.Constant(0.0), d.Uniform(7e4)), (2, 2)), d.Constant(7e4),
]  # fmt: skip


@pytest.mark.parametrize("name", NATIVE)
def test_the_largest_numbers_are_those_of_the_formats(name: str) -> None:
    assert LARGEST[name] == float(np.finfo(name).max)


@pytest.mark.parametrize("law", TOO_LARGE, ids=lambda law: type(law).__name__)
def test_the_draw_refuses_what_would_be_infinite_and_leaves_the_array(law: d.Distribution) -> None:
    out = np.full((4, 4), 3.0, dtype=np.float16)
    with pytest.raises(FaninValueError, match="too large for float16"):
        draws.draw(law, (4, 4), seed=0, name="w", out=out)
    with pytest.raises(FaninValueError, match="too large for float16"):
        draws.draw(law, (4, 4), seed=0, name="w", dtype="float16")
    assert (out == 3).all()
    assert np.isfinite(draws.draw(law, (4, 4), seed=0, name="w")).all()


def test_what_just_fits_is_drawn() -> None:
    drawn = draws.draw(rules.normal(std=1e4), (64, 64), seed=0, name="w", dtype="float16")
    assert np.isfinite(drawn).all()
    check_size(d.Uniform(65504.0), "float16")
    check_size(d.Normal(1e300), "a format that is not known")


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="needs jax")
def test_so_does_jax_under_jit_too() -> None:
    import jax
    import jax.numpy as jnp

    from fanin.draws.jax import draw

    for run in (lambda f: f(0), lambda f: jax.jit(f)(jnp.uint32(0))):
        with pytest.raises(FaninValueError, match="too large for float16"):
            run(lambda seed: draw(d.Normal(1e6), (4, 4), seed=seed, name="w", dtype="float16"))


@pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="needs keras")
def test_so_does_keras() -> None:
    from tests.keras_backend import keras

    from fanin.draws.keras import draw, fill_

    with pytest.raises(FaninValueError, match="too large for float16"):
        draw(d.Normal(1e6), (4, 4), seed=0, name="w", dtype="float16")
    variable = keras.Variable(np.ones((4, 4)), dtype="float16")
    with pytest.raises(FaninValueError, match="too large for float16"):
        fill_(variable, d.Normal(1e6), seed=0)
    assert (keras.ops.convert_to_numpy(variable) == 1).all()


def test_a_part_in_the_tail_lies_behind_its_nearer_end() -> None:
    """A narrow interval is drawn with 64 bits, which reach further than six deviations, and no nearer than where it begins."""
    far = d.NormalBetween(std=1e4, low=7e4, high=8e4)
    assert largest(far) == 8e4
    with pytest.raises(FaninValueError, match="too large for float16"):
        check_size(far, "float16")
    assert largest(d.NormalBetween(std=0.02, low=-math.inf, high=math.inf)) == pytest.approx(0.184)
