"""A draw that is refused has written nothing."""

from typing import Any

import numpy as np
import pytest
import torch

from fanin.distributions import (
    Built,
    Centred,
    Constant,
    Distribution,
    Formula,
    Integers,
    Mapped,
    Mirrored,
    Normal,
    NormalBetween,
    Orthogonal,
    Permutations,
    Signs,
    Sparse,
    Stack,
    ZeroRows,
)
from fanin.draws import draw, draw_distribution
from fanin.draws.bits import Stream
from fanin.draws.precheck import certain, check_formulas, leaves
from fanin.draws.torch import fill_
from fanin.errors import FaninError, FaninValueError
from fanin.formulas import FORMULAS
from fanin.slots import Axes, Pairing

SHAPE = (4, 6)
AXES = Axes.parse("oi", SHAPE)
WRONG: dict[str, tuple[Distribution, str]] = {
    "zeros": (Sparse(Normal(1.0), 5), "zeros=5 is more than the 4 numbers"),
    "axis": (Permutations(2), "axis=2 is not an axis"),
    "sizes": (Stack((Normal(1.0), Normal(1.0)), (1, 2)), "do not add up"),
    "rows": (ZeroRows(Normal(1.0), (4,)), "not all rows"),
    "axes": (Orthogonal(Axes.parse("oi", (6, 4))), "its axes have the shape"),
    "formula": (Formula("nowhere"), "is not known"),
    "mapping": (Mapped(Normal(1.0), "nowhere"), "is not known"),
    "builder": (Built("nowhere", AXES), "is not known"),
    "interval": (NormalBetween(1.0, 30.0, 31.0), "cannot be drawn"),
    "halves": (Mirrored(Orthogonal(AXES), AXES, out=Pairing(4)), "half of the weight has"),
    "pairs": (Mirrored(Normal(1.0), AXES, out=Pairing(8)), "covers 8 elements"),
    "centred": (Centred(Stack((Normal(1.0),), (7,), 1), AXES), "do not add up"),
    "kind": (Distribution(), "cannot be drawn"),
}


@pytest.mark.parametrize(("law", "words"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_drawn_in_this_shape(law: Distribution, words: str) -> None:
    with pytest.raises(FaninError, match=words):
        list(leaves(law, SHAPE, Stream(0, "w")))


@pytest.mark.parametrize(("law", "words"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("wrap", ["array", "tensor", "without NumPy"])
def test_in_a_later_part_it_leaves_the_first_one_unwritten(
    wrap: str, law: Distribution, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole: Any = Stack((Normal(1.0), law), (2, 4))
    if wrap == "without NumPy":
        monkeypatch.setattr("fanin.draws.torch._as_numpy", lambda target: None)
    tensor = torch.full((6, 6), 7.0)
    if wrap == "array":
        with pytest.raises(FaninError, match=words):
            draw_distribution(whole, (6, 6), seed=0, name="w", out=tensor.numpy())
    else:
        with pytest.raises(FaninError, match=words):
            fill_(tensor, whole, seed=0, name="w")
    assert (tensor == 7.0).all()


def test_a_constant_of_a_later_part_that_the_format_does_not_hold() -> None:
    out = np.full((6, 6), 7.0, dtype=np.float16)
    with pytest.raises(FaninValueError, match="too large for float16"):
        draw_distribution(Stack((Normal(1.0), Constant(1e6)), (2, 4)), (6, 6), seed=0, name="w", out=out)
    assert (out == 7.0).all()


def last_is_infinite(places: Any, shape: Any, axes: Any) -> Any:
    return np.where(places[0] + 1 == shape[0], np.inf, 1.0)


def test_formulas_are_computed_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMULAS, "last_is_infinite", last_is_infinite)
    law, shape = Stack((Normal(1.0), Formula("last_is_infinite")), (2, 1 << 20)), (2 + (1 << 20),)
    assert len(list(leaves(law, shape, Stream(0, "w")))) == 2
    with pytest.raises(FaninValueError, match="not finite for 'w'"):
        check_formulas(law, shape, Stream(0, "w"))


@pytest.mark.parametrize(
    ("dtype", "last"), [("float16", 2048), ("bfloat16", 256), ("float8_e4m3fn", 16), ("float8_e5m2", 8)]
)
def test_whole_numbers_that_a_format_does_not_hold(dtype: str, last: int) -> None:
    pytest.importorskip("ml_dtypes")
    kind = getattr(torch, dtype)
    held = torch.arange(last + 2, dtype=torch.float32).to(kind).float()
    assert (held[: last + 1] == torch.arange(last + 1)).all()
    assert held[last + 1] != last + 1
    fits: list[Distribution] = [Integers(-last, last + 1), Permutations(0), Stack((Permutations(0),), (last + 1,))]
    for law in fits:
        found = draw(law, (last + 1,), seed=0, name="w", dtype=dtype).astype(np.float64)
        assert (found == draw(law, (last + 1,), seed=0, name="w", dtype="float64")).all()
    wrong = [
        Integers(0, last + 2),
        Integers(-last - 1, 0),
        Permutations(0),
        Sparse(Stack((Permutations(0),), (last + 2,)), 1),
    ]
    for law in wrong:
        words = f"whole numbers up to {last + 1}, but {dtype} holds those up to {last} only"
        with pytest.raises(FaninValueError, match=words):
            draw(law, (last + 2,), seed=0, name="w", dtype=dtype)
        assert draw_distribution(law, (last + 2,), seed=0, name="w", dtype=dtype).shape == (last + 2,), "it rounds"


def test_what_is_certain() -> None:
    assert certain(Stack((Sparse(Signs(), 1), ZeroRows(Mirrored(Orthogonal(AXES), AXES), ())), (2, 2)))
    for law in (Formula("x"), Mapped(Normal(1.0), "x"), Built("x", AXES)):
        assert not certain(law)
        assert not certain(ZeroRows(Stack((Normal(1.0), Sparse(law, 1)), (1, 1)), (0,)))


@pytest.mark.parametrize("law", [Permutations(1), Stack((Normal(1.0), Integers(0, 2**24 + 2)), (1, 1), 0)])
def test_float32_too_holds_whole_numbers_up_to_a_bound(law: Any) -> None:
    """2^24 + 1 rounded to its neighbour: an order in which one number is there twice."""
    shape, some = (2, 2**24 + 2), (0, slice(0, 3))
    with pytest.raises(
        FaninValueError, match="whole numbers up to 16777217, but float32 holds those up to 16777216 only"
    ):
        draw(law, shape, seed=0, name="w", window=some)
    assert draw(law, shape, seed=0, name="w", window=some, dtype="float64").shape == (3,)
