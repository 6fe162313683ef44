"""One weight has the same bits whoever draws it: backends × formats × windows × placements × numbers of threads."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.draws.laws import exact, laws, windows

from fanin.draws import backends, draw_distribution
from fanin.draws.threads import set_threads
from fanin.plans.parts import Split, extents, owned, parts_of

torch = pytest.importorskip("torch")
pytest.importorskip("ml_dtypes", reason="NumPy has no bfloat16 of its own")
numba_fill = pytest.importorskip("fanin.draws.numba_fill", reason="needs numba: pip install 'fanin[fast]'")
from fanin.draws import torch as torch_draws  # noqa: E402  (torch is there)

DTYPES = ("float32", "float64", "float16", "bfloat16", "float8_e4m3fn")
ERRORS = {"float64": 1e-14, "float32": 1e-6, "float16": 2e-3, "bfloat16": 2e-2, "float8_e4m3fn": 0.2}
BACKENDS = ("numpy", "numba", "torch", "torch operations")
Array = np.ndarray[Any, Any]
Draw = Callable[..., None]  # fills the array that is `out`


@contextmanager
def drawing(backend: str, threads: int) -> Iterator[Draw]:
    """How a backend fills a part of a NumPy array, on this many threads, which it takes for few numbers already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numba_fill, "SHARE", 256)
        patch.setattr(backends.State, "engine", numba_fill if backend in ("numba", "torch") else None)
        patch.setattr(backends, "WORTH_IT", 1 << 60)
        if backend == "torch operations":
            patch.setattr(torch_draws, "_as_numpy", lambda tensor: None)
        set_threads(threads)
        try:
            yield by_torch if backend.startswith("torch") else draw_distribution  # type: ignore[misc]
        finally:
            set_threads(None)


def by_torch(law: Any, shape: tuple[int, ...], *, out: Array, **named: Any) -> None:
    """The tensor shares the array's memory, whatever its strides."""
    integers = out.view({1: np.int8, 2: np.int16}.get(out.dtype.itemsize, out.dtype))
    torch_draws.fill_(torch.from_numpy(integers).view(getattr(torch, out.dtype.name)), law, shape, **named)


@st.composite
def placements(draw: Any, shape: tuple[int, ...]) -> list[list[Split]]:
    """How a weight lies on every process of a mesh of up to three axes: split evenly or not, in blocks or not."""
    axes = []
    for _ in range(draw(st.integers(0, 3)) if shape else 0):
        parts, blocks = draw(st.integers(1, 3)), draw(st.sampled_from([1, 1, 2]))
        axis = draw(st.integers(0, len(shape) - 1))
        axes.append([Split(axis, parts, index, blocks) for index in range(parts)])
    return [list(process) for process in itertools.product(*axes)]


def check(law: Any, wanted: Array, found: Array) -> None:
    if exact(law):
        assert found.tobytes() == wanted.tobytes()
    else:
        error = ERRORS[wanted.dtype.name] * max(1.0, float(np.abs(wanted.astype(float)).max(initial=0)))
        assert np.abs(found.astype(float) - wanted.astype(float)).max(initial=0) <= error


CASES = given(st.data(), laws(), st.sampled_from(DTYPES), st.sampled_from([32, 64]), st.integers(0, 2**64 - 1))


@CASES
def test_the_same_bits(data: Any, case: Any, dtype: str, bits: int, seed: int) -> None:
    everyone(data, case, dtype, bits, seed)


@pytest.mark.slow
@settings(max_examples=2000)
@CASES
def test_the_same_bits_in_two_thousand_cases(data: Any, case: Any, dtype: str, bits: int, seed: int) -> None:
    everyone(data, case, dtype, bits, seed)


def everyone(data: Any, case: Any, dtype: str, bits: int, seed: int) -> None:
    """A backend, on some threads, draws each process's share and a window; NumPy, on one, has drawn the whole."""
    law, shape = case
    named = {"seed": seed, "name": "w", "bits": bits}
    with drawing("numpy", 1):
        whole = draw_distribution(law, shape, dtype=dtype, **named)
    backend, threads = data.draw(st.sampled_from(BACKENDS)), data.draw(st.integers(1, 4))
    window = data.draw(windows(shape))
    joined, times = np.zeros_like(whole), np.zeros(shape, int)
    with drawing(backend, threads) as draw:
        part = np.zeros(whole[window].shape, whole.dtype)
        draw(law, shape, out=part, window=window, **named)
        for splits in data.draw(placements(shape)):
            held = owned(shape, splits)
            local = np.zeros(extents(held), whole.dtype)
            for block in parts_of(held):
                draw(law, shape, out=local[(*block.local, ...)], window=block.window, **named)
                joined[block.window] = local[block.local]
                times[block.window] += 1
    check(law, np.ascontiguousarray(whole[window]), part)
    assert (times == 1).all()
    check(law, whole, joined)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_rows_large_enough_for_many_threads(backend: str, threads: int) -> None:
    from fanin.distributions import TruncatedNormal

    law, shape = TruncatedNormal(0.02, 2.0, 1.0), (301, 257)
    with drawing("numpy", 1):
        whole = draw_distribution(law, shape, seed=1, name="w", dtype="bfloat16")
    found = np.zeros_like(whole)
    with drawing(backend, threads) as draw:
        for rank in range(4):
            for block in parts_of(owned(shape, [Split(0, 4, rank)])):
                draw(law, shape, seed=1, name="w", window=block.window, out=found[(*block.window, ...)])
    assert found.tobytes() == whole.tobytes()
