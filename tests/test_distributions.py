"""Distributions are complete records: JSON in and out, and no number that cannot be drawn."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from tests.draws.laws import laws

from fanin import distributions
from fanin.distributions import Distribution, Identity, Normal, Orthogonal, Stack, TruncatedNormal, Uniform
from fanin.draws import draw_distribution
from fanin.errors import FaninValueError
from fanin.slots import Axes


@given(laws())
def test_json_is_read_back_and_draws_the_same(case: tuple[Distribution, tuple[int, ...]]) -> None:
    law, shape = case
    again = Distribution.from_dict(json.loads(json.dumps(law.to_dict())))
    assert again == law
    assert hash(again) == hash(law)
    drawn = [draw_distribution(d, shape, seed=0, name="w") for d in (law, again)]
    assert np.array_equal(*drawn)


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf, "1", None, 10**400])
@pytest.mark.parametrize(
    ("kind", "field"), [(Normal, "std"), (TruncatedNormal, "std"), (TruncatedNormal, "cut"), (Uniform, "bound")]
)
def test_scales_are_finite_and_not_negative(kind: type[Distribution], field: str, bad: Any) -> None:
    arguments = {"std": 1.0} if kind is not Uniform else {}
    with pytest.raises(FaninValueError, match=f"{kind.__name__}: {field}=.* cannot be used; {field} must be"):
        kind(**(arguments | {field: bad}))


def test_other_fields_are_checked_too() -> None:
    axes = Axes.parse("oi", (2, 2))
    for make in (
        lambda: distributions.Constant(math.nan),
        lambda: Normal(1.0, mean=math.inf),
        lambda: Orthogonal(axes, gain=math.nan),
        lambda: Identity(axes, gain=math.inf),
        lambda: Stack((), ()),
        lambda: Stack((Normal(1.0),), (1, 2)),
    ):
        with pytest.raises(FaninValueError, match="cannot be used"):
            make()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"kind": "Gauss", "std": 1.0}, "kind is 'Gauss', but must be one of"),
        ({"std": 1.0}, "kind is None"),
        ({"kind": "Normal"}, r"lacks the fields \['std'\]"),
        ({"kind": "Normal", "std": 1.0, "sigma": 1.0}, r"unknown fields \['sigma'\]"),
        ({"kind": "Normal", "std": "big"}, "must be of type float"),
        ({"kind": "Normal", "std": -1.0}, "std must be a finite number of at least 0"),
        ({"kind": "Orthogonal", "axes": "oi"}, "must be an object with the fields of Axes"),
        ([], "must be an object"),
    ],
)
def test_damaged_json_is_refused(data: Any, message: str) -> None:
    with pytest.raises(FaninValueError, match=message):
        Distribution.from_dict(data)
