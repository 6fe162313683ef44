"""Matrix families by torch's products: NumPy's numbers to 1e-6, whatever the user allows torch to round."""

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tests.draws.matrix_laws import LAWS, name, windows

torch = pytest.importorskip("torch")

from fanin.distributions import Distribution, Mirrored, Normal, Orthogonal  # noqa: E402
from fanin.draws import compose, draw_distribution  # noqa: E402
from fanin.draws.bits import Stream  # noqa: E402
from fanin.draws.householder import orthonormal  # noqa: E402
from fanin.draws.torch import TORCH, draw, fill_  # noqa: E402
from fanin.draws.torch_orthogonal import TorchOps, _is_low, _switches, exact_products  # noqa: E402
from fanin.draws.windows import resolve  # noqa: E402
from fanin.errors import FaninTypeError  # noqa: E402
from fanin.slots import Axes, Pairing  # noqa: E402

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


def drawn(
    law: Distribution,
    shape: tuple[int, ...],
    dtype: Any = torch.float32,
    window: Any = None,
    device: str = "cpu",
) -> Any:
    """By torch's own products, which a tensor on the CPU does not need (there NumPy fills it)."""
    ranges, _ = resolve(window, shape)
    out = torch.zeros([len(r) for r in ranges], dtype=dtype, device=device)
    compose.fill(law, shape, Stream(1, "w"), ranges, out, 32, TORCH)
    return out.cpu()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", LAWS, ids=name)
def test_numpys_numbers(case: tuple[Distribution, tuple[int, ...]], device: str) -> None:
    law, shape = case
    for dtype, error in (("float32", 1e-6), ("float64", 1e-13)):
        whole = draw_distribution(law, shape, seed=1, name="w", dtype=dtype)
        for window in (None, *windows(shape, 6)):
            part = drawn(law, shape, getattr(torch, dtype), window, device).numpy()
            assert abs(part - (whole if window is None else whole[window])).max(initial=0) < error


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", LAWS, ids=name)
def test_lower_precision_is_float32_rounded(case: tuple[Distribution, tuple[int, ...]], device: str) -> None:
    single = drawn(*case, device=device)
    for dtype in (torch.float16, torch.bfloat16, torch.float8_e5m2):
        low = drawn(*case, dtype, device=device)
        assert torch.equal(low.float(), single.to(dtype).float())


@pytest.fixture
def _permission() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("permission", ["high", "medium"])
@pytest.mark.usefixtures("_permission")
def test_permission_to_round_is_not_taken(permission: str, device: str) -> None:
    law = Orthogonal(Axes.parse("oi", (300, 300)))
    exact = draw_distribution(law, (300, 300), seed=1, name="w")
    torch.set_float32_matmul_precision(permission)
    assert abs(drawn(law, (300, 300), device=device).numpy() - exact).max() < 1e-6
    assert torch.get_float32_matmul_precision() == permission
    x = torch.randn(300, 300, device=device)
    after = x @ x
    with exact_products():
        inside = x @ x
    assert torch.equal(x @ x, after)  # the user's choice holds again
    assert (inside.double() - x.double() @ x.double()).abs().max() < 1e-4


@pytest.mark.usefixtures("_permission")
def test_a_thread_that_ends_does_not_let_another_round() -> None:
    torch.set_float32_matmul_precision("medium")
    entered, left = threading.Event(), threading.Event()

    def first() -> None:
        with exact_products():
            entered.set()
            left.wait(30)

    thread = threading.Thread(target=first)
    thread.start()
    assert entered.wait(30)
    with exact_products():
        left.set()
        thread.join()
        assert not any(_is_low(getattr(holder, name)) for holder, name in _switches())
    assert any(_is_low(getattr(holder, name)) for holder, name in _switches())
    assert torch.get_float32_matmul_precision() == "medium"


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shape", [(70, 70), (30, 100), (1, 1)])
def test_complex_matrices_are_unitary(shape: tuple[int, int], device: str) -> None:
    def fill(law: Distribution, whole: tuple[int, ...], stream: Stream, ranges: tuple[range, ...], out: Any) -> None:
        compose.fill(law, whole, stream, ranges, out, 32, TORCH)

    ops = TorchOps(torch.complex64, torch.device(device), fill)
    q = orthonormal(ops, Stream(0, "w"), range(3), shape, np.arange(shape[0]), np.arange(shape[1])).cpu()
    short = q if shape[0] <= shape[1] else q.mT
    assert (short @ short.mH - torch.eye(min(shape))).abs().max() < 1.5e-6


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("way", ["numpy", *DEVICES])
def test_complex_weights_have_numpys_numbers(way: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if way == "cpu":  # by torch's products
        monkeypatch.setattr("fanin.draws.torch._as_numpy", lambda tensor: None)
    kind, device = getattr(torch, dtype), "cpu" if way == "numpy" else way
    half = Axes.parse("oi", (30, 40))
    for law in (Orthogonal(half, 2.0), Mirrored(Orthogonal(half), Axes.parse("oi", (61, 40)), Pairing(61))):
        whole = draw_distribution(law, law.axes.shape, seed=1, name="w", dtype=dtype)
        for window in (None, (slice(3, 29, 2), slice(5, 40))):
            part = draw(law, law.axes.shape, seed=1, name="w", window=window, dtype=kind, device=device).cpu().numpy()
            assert part.dtype == dtype
            assert abs(part - (whole if window is None else whole[window])).max() < 1e-6
        view = torch.zeros(law.axes.shape, dtype=kind, device=device).conj()
        fill_(view, law, seed=1, name="w")
        assert abs(view.resolve_conj().cpu().numpy() - whole).max() < 1e-6
    with pytest.raises(FaninTypeError, match=f"dtype='{dtype}' cannot be used for Normal; complex are orthogonal"):
        draw(Normal(1.0), (3,), seed=1, name="w", dtype=kind, device=device)
