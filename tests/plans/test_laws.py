"""What plans know of distributions holds for the numbers that are drawn."""

import numpy as np
import pytest

from fanin import distributions as d
from fanin.draws import draw_distribution
from fanin.draws.largest import largest
from fanin.plans import Entry
from fanin.plans.laws import drawn, elementwise, refused, times
from fanin.slots import Axes

SHAPE = (40, 30)
AXES = Axes.parse("oi", SHAPE)
LAWS = [
    d.Normal(2.0, 0.5), d.TruncatedNormal(2.0, 1.5, -1.0), d.NormalBetween(1.0, -0.5, 2.0), d.Uniform(3.0, 1.0),
    d.Signs(2.0), d.Bernoulli(0.3, -4.0), d.Integers(-3, 9), d.Constant(-2.5), d.Identity(AXES, 3.0),
    d.Orthogonal(AXES, 2.0, True), d.Centred(d.Uniform(1.0), AXES), d.ZeroRows(d.Normal(1.0), (3,)),
    d.Sparse(d.Normal(1.0), 5), d.Stack((d.Normal(1.0), d.Constant(9.0)), (10, 30)),
]  # fmt: skip


def numbers(law: d.Distribution) -> np.ndarray:
    return draw_distribution(law, SHAPE, seed=0, name="w", dtype="float64")


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_no_number_is_larger_than_the_bound(law: d.Distribution) -> None:
    bound = largest(law)
    assert bound is not None
    assert np.abs(numbers(law)).max() <= bound


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
@pytest.mark.parametrize("factor", [2.0, -0.3, 0.0, 1.0])
def test_a_multiplier_multiplies(law: d.Distribution, factor: float) -> None:
    scaled, left = drawn(Entry(law, multiplier=factor))
    assert np.allclose(numbers(scaled) * left, factor * numbers(law), rtol=1e-7, atol=1e-12)
    if times(law, 2.0) is not None:
        assert abs(left) == 1


def test_every_kind_is_known() -> None:
    """A kind that is added later is still drawn, but a bound is better: give it one."""
    known = {type(law) for law in LAWS}
    others = {d.DeltaOrthogonal, d.Mirrored, d.Permutations}
    others |= {d.Formula, d.Mapped, d.Built}  # named functions: no bound is known of any function
    kinds = {kind for kind in vars(d).values() if isinstance(kind, type) and issubclass(kind, d.Distribution)}
    assert kinds - {d.Distribution} <= known | others, "add a law of this kind to LAWS, and to fanin.plans.laws"


def test_elementwise_ones_are_drawn_by_windows_and_matrices_are_not() -> None:
    assert elementwise(d.Stack((d.Normal(1.0), d.ZeroRows(d.Uniform(1.0), (0,))), (3, 4)))
    assert not elementwise(d.Stack((d.Normal(1.0), d.Orthogonal(AXES)), (3, 40)))


def test_what_the_draw_refuses_is_known_before() -> None:
    assert refused(d.Normal(1.0), SHAPE, "w") is None
    assert "ZeroRows" in str(refused(d.ZeroRows(d.Normal(1.0), (40,)), SHAPE, "w"))
