import json
import math
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fanin.lab.store.curves import lines_of, read_curve
from fanin.lab.study.rows import CurvePoint

NUMBERS = st.floats() | st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False).map(np.float64)


@given(st.lists(st.builds(CurvePoint, st.integers(0, 10**9), *[NUMBERS] * 6), max_size=3))
def test_lines_are_what_json_writes(points: list[CurvePoint]) -> None:
    assert lines_of(points) == "".join(json.dumps(point.to_dict()) + "\n" for point in points).encode()


def test_lines_are_read_back_equal(tmp_path: Path) -> None:
    points = (CurvePoint(0, held_loss=math.inf, held_score=1 / 3), CurvePoint(7, 0.1, 1e-300, 2.5, 0.25, 1e300, 0.0))
    (tmp_path / "a").write_bytes(lines_of(points))
    assert str(read_curve(tmp_path / "a")) == str(points)  # as text: NaN is not equal to itself


def test_what_is_no_file_has_no_points(tmp_path: Path) -> None:
    assert read_curve(tmp_path / "nothing") == read_curve(tmp_path) == ()
