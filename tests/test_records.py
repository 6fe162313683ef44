"""Records become JSON and come back as they were."""

import dataclasses
import json
import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanin.errors import FaninValueError
from fanin.records import Record


@dataclass(frozen=True)
class Shape(Record):
    """A tagged base, as `Distribution` is one."""

    tagged: ClassVar[bool] = True


@dataclass(frozen=True)
class Circle(Shape):
    radius: float


@dataclass(frozen=True)
class Square(Shape):
    side: float
    label: str = ""


@dataclass(frozen=True)
class Everything(Record):
    number: float
    count: int
    flag: bool
    text: str
    choice: Literal["a", "b"]
    maybe: int | None
    either: float | str | None
    many: tuple[int, ...]
    pair: tuple[int, str]
    table: dict[str, float]
    shape: Shape
    shapes: tuple[Shape, ...] = ()
    named: dict[str, Shape] = field(default_factory=dict)


numbers = st.floats(allow_nan=False)
shapes = st.builds(Circle, numbers) | st.builds(Square, numbers, st.text())
everything = st.builds(
    Everything,
    number=numbers,
    count=st.integers(),
    flag=st.booleans(),
    text=st.text(),
    choice=st.sampled_from(["a", "b"]),
    maybe=st.none() | st.integers(),
    either=st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.text(min_size=9),
    many=st.lists(st.integers()).map(tuple),
    pair=st.tuples(st.integers(), st.text()),
    table=st.dictionaries(st.text(), numbers),
    shape=shapes,
    shapes=st.lists(shapes).map(tuple),
    named=st.dictionaries(st.text(), shapes),
)


@given(everything)
def test_json_is_read_back(record: Everything) -> None:
    text = json.dumps(record.to_dict(), allow_nan=False)  # strict JSON: no bare NaN or Infinity
    assert Everything.from_dict(json.loads(text)) == record


def test_numbers_that_json_has_no_word_for() -> None:
    for value in (math.nan, math.inf, -math.inf):
        again = Circle.from_dict(json.loads(json.dumps(Circle(value).to_dict(), allow_nan=False)))
        assert again.radius == value or (math.isnan(value) and math.isnan(again.radius))


def test_a_whole_number_is_a_float_where_one_is_asked_for() -> None:
    """JSON writers of other languages drop the point."""
    found = Circle.from_dict({"kind": "Circle", "radius": 2})
    assert isinstance(found.radius, float)


GOOD = Everything(1.0, 2, True, "t", "a", None, "x", (1,), (1, "b"), {"k": 1.0}, Circle(1.0)).to_dict()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("number", "one", "Everything.number is 'one', but must be of type float"),
        ("number", True, "must be of type float"),
        ("count", 1.5, "must be of type int"),
        ("count", True, "must be of type int"),
        ("flag", 1, "must be of type bool"),
        ("choice", "c", r"must be one of \['a', 'b'\]"),
        ("maybe", "x", "must be of type int"),
        ("many", [1, "x"], r"Everything.many\[1\] is 'x'"),
        ("many", 3, "Everything.many is 3"),
        ("pair", [1], "has 1 elements, but must have 2"),
        ("table", {"k": None}, "Everything.table.k is None"),
        ("shape", {"kind": "Triangle"}, "must be one of .*'Circle', 'Square'"),
        ("shape", {"kind": "Circle", "radius": 1.0, "x": 1}, r"unknown fields \['x'\]"),
        ("surprise", 1, r"unknown fields \['surprise'\]"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(field: str, value: Any, message: str) -> None:
    with pytest.raises(FaninValueError, match=message):
        Everything.from_dict(GOOD | {field: value})


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(Everything) if f.name not in ("shapes", "named")])
def test_what_is_missing_is_refused(name: str) -> None:
    with pytest.raises(FaninValueError, match=f"lacks the fields \\['{name}'\\]"):
        Everything.from_dict({k: v for k, v in GOOD.items() if k != name})
