"""Random orders of lines: made a few lines at a time, with the numbers that all at once would have."""

import tracemalloc
from typing import Any

import numpy as np
import pytest

from fanin.distributions import Distribution, Normal, Permutations, Sparse, Stack
from fanin.draws import compose, draw_distribution
from fanin.draws import torch as torch_draws

LAWS = [
    Permutations(0), Permutations(1), Permutations(-1), Sparse(Normal(1.0), 2, axis=0), Sparse(Normal(1.0), 3, axis=1),
    Stack((Permutations(1), Sparse(Normal(1.0), 1, axis=2)), (3, 4), 0),
]  # fmt: skip


@pytest.mark.parametrize("law", LAWS, ids=str)
@pytest.mark.parametrize(
    "window", [None, (slice(None, None, -2), 3), (5, slice(6, 1, -3), slice(2, None)), (slice(2, 2),)]
)
@pytest.mark.parametrize("at_once", [1, 10, 25])
def test_few_lines_at_a_time_have_the_same_numbers(
    law: Distribution, window: Any, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    named: dict[str, Any] = {"seed": 5, "name": "w", "window": window}
    whole = draw_distribution(law, (7, 9, 5), **named)
    monkeypatch.setattr(compose, "AT_ONCE", at_once)
    assert np.array_equal(draw_distribution(law, (7, 9, 5), **named), whole)
    monkeypatch.setattr(torch_draws, "_as_numpy", lambda tensor: None)
    assert np.array_equal(torch_draws.draw(law, (7, 9, 5), **named).numpy(), whole)


@pytest.mark.parametrize("law", [Permutations(0), Permutations(1), Sparse(Normal(1.0), 50, axis=0)], ids=str)
def test_little_memory_is_needed_besides(law: Distribution) -> None:
    out = np.empty((2000, 3000), dtype=np.float32)
    draw_distribution(law, (3, 60) if law == Permutations(1) else (60, 3), seed=0, name="warm")
    tracemalloc.start()
    draw_distribution(law, out.shape, seed=0, name="w", out=out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * compose.AT_ONCE, "all at once took half a gigabyte for these 24 megabytes"
