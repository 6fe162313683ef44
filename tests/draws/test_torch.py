"""Torch tensors get NumPy's bits: by way of NumPy, and by torch's own operations, which other devices use."""

import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.draws.laws import laws, windows
from tests.draws.vectors import VECTORS, arguments, check, label

from fanin.distributions import Distribution, Normal, Uniform
from fanin.draws import draw_distribution
from fanin.draws import torch as draws
from fanin.draws.bits import Stream
from fanin.draws.dtypes import DTYPES
from fanin.draws.recipe import recipe
from fanin.errors import FaninError

INTEGERS = {8: torch.int64, 4: torch.int32, 2: torch.int16, 1: torch.int8}
Case = tuple[Distribution, tuple[int, ...]]


@pytest.fixture(params=["numpy", "operations"])
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """By NumPy into the tensor's memory, or by torch's operations, as on a device that NumPy cannot reach."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "operations":
            patch.setattr(draws, "_as_numpy", lambda tensor: None)
        yield request.param


def as_numpy(tensor: torch.Tensor, dtype: Any) -> np.ndarray[Any, Any]:
    """The bits of a tensor, read as a NumPy dtype."""
    whole = tensor.reshape(-1).clone().view(INTEGERS[tensor.element_size()])
    return whole.numpy().view(dtype).reshape(tuple(tensor.shape))


def equal(tensor: torch.Tensor, values: np.ndarray[Any, Any]) -> bool:
    return as_numpy(tensor, values.dtype).tobytes() == values.tobytes()


def is_matrix(law: Any) -> bool:
    """Whether numbers are sums of many, so that they are equal to 1e-6 and not bit for bit."""
    inner = (*getattr(law, "parts", ()), *([law.base] if hasattr(law, "base") else []))
    return getattr(law, "axes", None) is not None or any(map(is_matrix, inner))


@pytest.mark.parametrize("vector", VECTORS, ids=label)
def test_vectors(vector: dict[str, Any], way: str) -> None:
    law, shape, named = arguments(vector)
    drawn = draws.draw(law, shape, dtype=getattr(torch, vector["dtype"]), **named)
    dtype = draw_distribution(Normal(1.0), (0,), seed=0, name="", dtype=vector["dtype"]).dtype
    check(vector, as_numpy(drawn, dtype))


WINDOWS = given(laws(), st.data(), st.sampled_from(DTYPES), st.sampled_from([32, 64]), st.integers(0, 2**64 - 1))


@pytest.mark.parametrize("operations", [False, True])
@WINDOWS
def test_any_window_in_any_layout_has_the_bits(
    operations: bool, case: Case, data: st.DataObject, dtype: str, bits: int, seed: int
) -> None:
    check_window(operations, case, data, dtype, bits, seed)


@pytest.mark.slow
@pytest.mark.parametrize("operations", [False, True])
@settings(max_examples=1000)
@WINDOWS
def test_any_of_thousands_of_windows_has_the_bits(
    operations: bool, case: Case, data: st.DataObject, dtype: str, bits: int, seed: int
) -> None:
    check_window(operations, case, data, dtype, bits, seed)


def check_window(operations: bool, case: Case, data: st.DataObject, dtype: str, bits: int, seed: int) -> None:
    """A window of any distribution, into a tensor with gaps and its axes in any order."""
    law, shape = case
    named = {"seed": seed, "name": "w", "window": data.draw(windows(shape)), "bits": bits}
    wanted = draw_distribution(law, shape, dtype=dtype, **named)
    gaps = data.draw(st.tuples(*[st.integers(1, 2) for _ in wanted.shape]))
    order = data.draw(st.permutations(range(wanted.ndim)))
    room = torch.zeros([wanted.shape[a] * gaps[a] for a in order], dtype=getattr(torch, dtype))
    target = room[tuple(slice(None, None, gaps[a]) for a in order)].permute(
        [order.index(a) for a in range(wanted.ndim)]
    )
    with pytest.MonkeyPatch.context() as patch:
        if operations:
            patch.setattr(draws, "_as_numpy", lambda tensor: None)
        assert draws.fill_(target, law, shape, **named) is target
    if is_matrix(law):
        assert np.allclose(target.to(torch.float64), wanted.astype(np.float64), atol=1e-6, rtol=2**-3)
    else:
        assert equal(target, wanted)
    assert int((room != 0).sum()) == int((target != 0).sum())  # nothing was written between


def test_long_runs_and_far_places(way: str) -> None:
    law, shape = Normal(0.02, 1.0), (2**24, 2**20 + 7)
    for window in ((slice(2**24 - 2, 2**24), slice(3, 200_000)), (slice(2**23, None, -(2**22)), slice(5, None, 9))):
        wanted = draw_distribution(law, shape, seed=2**64 - 1, name="w", window=window)
        drawn = draws.draw(law, shape, seed=2**64 - 1, name="w", window=window)
        assert equal(drawn, wanted)


def test_large_transposed_tensors_are_filled_in_pieces(way: str) -> None:
    target = torch.zeros(600, 700).T
    draws.fill_(target, Uniform(1.0), seed=0, name="w")
    assert equal(target, draw_distribution(Uniform(1.0), (700, 600), seed=0, name="w"))


def test_parameters_are_filled_and_autograd_knows(way: str) -> None:
    weight = torch.nn.Parameter(torch.zeros(3, 4))
    product = (weight * weight).sum()
    assert draws.fill_(weight, Normal(1.0), seed=0, name="w") is weight
    assert weight.requires_grad
    assert weight.grad_fn is None
    assert weight.detach().any()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.backward()


def test_inference_tensors_are_filled(way: str) -> None:
    with torch.inference_mode():
        weight = draws.fill_(torch.zeros(3, 4), Normal(1.0), seed=0, name="w")
    assert weight.any()


def test_bfloat16_needs_no_ml_dtypes(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ml_dtypes", reason="the numbers to compare with need ml_dtypes")
    wanted = draw_distribution(Normal(1.0), (50, 60), seed=0, name="w", dtype="bfloat16")
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    draws._extended.cache_clear()
    drawn = draws.draw(Normal(1.0), (50, 60), seed=0, name="w", dtype=torch.bfloat16)
    monkeypatch.undo()
    draws._extended.cache_clear()
    assert equal(drawn, wanted)


def test_no_random_state_is_touched(way: str) -> None:
    before = torch.get_rng_state()
    draws.draw(Normal(1.0), (50,), seed=0, name="w")
    assert torch.equal(torch.get_rng_state(), before)


BAD: list[tuple[Any, dict[str, Any], str]] = [
    (np.zeros(3), {}, "tensor=ndarray cannot be used; give a torch.Tensor"),
    (torch.zeros(3, dtype=torch.int64), {}, "the tensor has dtype torch.int64; accepted are float64"),
    (torch.zeros(3, device="meta"), {}, "is on the meta device, so there is no memory to write to"),
    (torch.zeros(3).to_sparse(), {}, "has layout torch.sparse_coo"),
    (torch.zeros(1).expand(3), {}, "share one place in memory"),
    (torch.zeros(3), {"shape": (4,)}, r"out has the shape \(3,\), but the window has \(4,\)"),
    (torch.zeros(3), {"bits": 16}, "accepted are 32 and 64"),
    (torch.zeros(3), {"name": 1}, "name must be a string"),
    (torch.zeros(3), {"seed": -1}, "seed must be an integer"),
    (torch.zeros(3), {"distribution": "normal"}, "give a record of fanin.distributions"),
    (torch.zeros(3), {"window": (7,)}, "is outside of axis 0"),
]


@pytest.mark.parametrize(("tensor", "changes", "message"), BAD)
def test_bad_arguments_get_one_clear_sentence(tensor: Any, changes: dict[str, Any], message: str, way: str) -> None:
    named: dict[str, Any] = {"distribution": Normal(1.0), "seed": 0, "name": "w"} | changes
    with pytest.raises(FaninError, match=message):
        draws.fill_(tensor, **named)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", DTYPES)
def test_cuda_has_the_bits(dtype: str) -> None:
    for law in (Normal(0.02, 0.1), Uniform(1.0)):
        wanted = draw_distribution(law, (1000, 999), seed=5, name="w", dtype=dtype)
        drawn = draws.draw(law, (1000, 999), seed=5, name="w", dtype=getattr(torch, dtype), device="cuda")
        assert equal(drawn.cpu(), wanted)


class OnTheGpu:
    """What `_engine` looks at in a tensor of a GPU, of which there is none here."""

    device = torch.device("cuda")
    dtype = torch.float32


def _triton_modules() -> list[str]:
    return [n for n in sys.modules if n.split(".")[0] == "triton" or n == "fanin.draws.torch_triton"]


class TestABrokenTriton:
    """It is done without, with one warning."""

    MADE = recipe(Normal(1.0))

    @pytest.fixture(autouse=True)
    def fresh(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setattr(draws, "_BROKEN", [])
        draws._triton.cache_clear()
        yield
        draws._triton.cache_clear()
        for name in _triton_modules():  # the broken one's; monkeypatch puts the others back
            del sys.modules[name]

    @pytest.mark.parametrize("text", ["import nowhere_at_all", "raise RuntimeError('0 active drivers')", "x = y", ""])
    def test_at_its_import(self, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "triton").mkdir()
        (tmp_path / "triton" / "__init__.py").write_text(text)
        for name in _triton_modules():
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.warns(UserWarning, match="Triton does not work here"):
            assert draws._engine(self.MADE, OnTheGpu()) is None  # type: ignore[arg-type]
        assert draws._engine(self.MADE, OnTheGpu()) is None  # type: ignore[arg-type]

    def test_at_its_first_kernel(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def engine(*arguments: Any) -> None:
            raise RuntimeError("Failed to find C compiler\nand more")

        kernels = SimpleNamespace(engine=engine, can=lambda made, dtype: True)
        monkeypatch.setattr(draws, "_triton", functools.cache(lambda: kernels))
        monkeypatch.setattr(draws, "_as_numpy", lambda tensor: None)
        monkeypatch.setattr(draws, "_engine", functools.partial(self.asked, draws._engine))
        with pytest.warns(UserWarning, match=r"\(Failed to find C compiler\), so draws on the GPU are done by plain"):
            drawn = draws.draw(Normal(1.0), (5, 700), seed=1, name="w")
        assert equal(drawn, draw_distribution(Normal(1.0), (5, 700), seed=1, name="w"))
        assert draws._engine(self.MADE, torch.empty(3)) is None

    @staticmethod
    def asked(engine: Any, made: Any, out: torch.Tensor) -> Any:
        return engine(made, OnTheGpu())

    def test_memory_that_runs_out_is_no_fault_of_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def engine(*arguments: Any) -> None:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")

        monkeypatch.setattr(draws, "_triton", functools.cache(lambda: SimpleNamespace(engine=engine)))
        with pytest.raises(torch.cuda.OutOfMemoryError):
            draws._by_triton(self.MADE, (3,), Stream(0, "w"), (range(3),), torch.empty(3))  # type: ignore[arg-type]
        assert draws._BROKEN == []
