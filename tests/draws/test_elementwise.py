"""Draws into arrays that are not contiguous need little memory besides, whichever backend draws."""

import tracemalloc

import numpy as np
import pytest

from fanin.distributions import Normal
from fanin.draws import backends, draw_distribution, prepare


@pytest.mark.parametrize("kept", ["numpy", "numba"])
def test_arrays_of_any_strides_need_no_copy(kept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kept == "numba" and prepare(threads=1) != "numba":
        pytest.skip("needs numba: pip install 'fanin[fast]'")
    monkeypatch.setattr(backends.State, "engine", backends.State.engine if kept == "numba" else None)
    monkeypatch.setattr(backends.State, "drawn", 0)
    law, shape = Normal(1.0), (3000, 1000)
    whole = draw_distribution(law, shape, seed=0, name="w")
    target = np.zeros((3000, 2000), dtype=np.float32)[:, ::2]
    # Loading a compiled kernel takes megabytes the first time: that is not what is measured here.
    draw_distribution(law, shape, seed=1, name="w", out=target)
    tracemalloc.start()
    draw_distribution(law, shape, seed=0, name="w", out=target)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    prepare()
    assert np.array_equal(target, whole)
    assert peak < whole.nbytes / 4
