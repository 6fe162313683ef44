"""The committed vectors hold every distribution and format, and NumPy and numba give them."""

from typing import Any

import numpy as np
import pytest
from tests.draws.vectors import VECTORS, arguments, check, label

import fanin.distributions
from fanin.distributions import Distribution
from fanin.draws import backends, draw_distribution, elementwise
from fanin.draws.dtypes import DTYPES


def test_every_distribution_and_format_is_there() -> None:
    records = {
        name
        for name, record in vars(fanin.distributions).items()
        if isinstance(record, type) and issubclass(record, Distribution) and record is not Distribution
    }
    assert {vector["law"]["kind"] for vector in VECTORS} == records
    exact = [vector for vector in VECTORS if "hash" in vector]
    kinds = {vector["law"]["kind"] for vector in exact}
    assert {(v["law"]["kind"], v["dtype"]) for v in exact} == {(kind, dtype) for kind in kinds for dtype in DTYPES}
    assert len(VECTORS) == len({str((v["law"], v["dtype"], v["bits"], v["window"])) for v in VECTORS})


@pytest.mark.parametrize("vector", VECTORS, ids=label)
def test_numpy(vector: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "fill", elementwise.fill)
    monkeypatch.setattr(backends, "fill_whole", lambda *_: False, raising=False)
    law, shape, named = arguments(vector)
    check(vector, draw_distribution(law, shape, dtype=vector["dtype"], **named))


@pytest.mark.parametrize("vector", VECTORS, ids=label)
def test_numba(vector: dict[str, Any]) -> None:
    if backends.prepare() != "numba":
        pytest.skip("needs numba")
    law, shape, named = arguments(vector)
    check(vector, draw_distribution(law, shape, dtype=vector["dtype"], **named))


def test_a_vector_is_of_the_whole_array() -> None:
    """One wrong bit anywhere is seen."""
    law, shape, named = arguments(VECTORS[0])
    values = draw_distribution(law, shape, dtype="float64", **named)
    values[-1, -1] = np.nextafter(values[-1, -1], 9.0)
    with pytest.raises(AssertionError):
        check(VECTORS[0], values)
