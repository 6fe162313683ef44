"""Matrix families in PyTorch, on any device: `householder.Ops` of torch's own matrix products."""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from fanin.distributions import Distribution, Normal
from fanin.draws import torch_ops
from fanin.draws.bits import Stream
from fanin.draws.windows import Ranges

REAL = {torch.complex64: torch.float32, torch.complex128: torch.float64}


class TorchOps:
    """Tensors of one device (see `householder.Ops`).

    Args:
        dtype: to compute in, float32, float64, complex64 or complex128.
        device: of the tensors.
        fill: (distribution, shape, stream, ranges, out), for independent numbers.
    """

    def __init__(self, dtype: torch.dtype, device: torch.device, fill: Callable[..., Any]) -> None:
        self.dtype = dtype
        self.device = device
        self.batch = 1 << 18 if device.type == "cpu" else 1 << 26
        self._fill = fill

    def zeros(self, shape: tuple[int, ...]) -> Tensor:
        return torch.zeros(shape, dtype=self.dtype, device=self.device)

    def gaussians(self, stream: Stream, start: int, stop: int) -> Tensor:
        each = 2 if self.dtype.is_complex else 1
        out = torch.empty((stop - start) * each, dtype=REAL.get(self.dtype, self.dtype), device=self.device)
        self._fill(Normal(1.0), (stop * each,), stream, (range(start * each, stop * each),), out)
        return torch.view_as_complex(out.view(-1, 2)) if each == 2 else out

    def draw(self, law: Distribution, shape: tuple[int, ...], stream: Stream, ranges: Ranges) -> Tensor:
        out = torch.empty([len(r) for r in ranges], dtype=self.dtype, device=self.device)
        self._fill(law, shape, stream, ranges, out)
        return out

    def reflectors(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = x.triu()
        lead = x.diagonal(dim1=1, dim2=2).clone()
        size = lead.abs()
        length = torch.linalg.vector_norm(x, dim=2)
        phase = torch.where(size > 0, lead / size, torch.ones_like(lead))
        total = size + length
        x *= (phase.conj() / total)[:, :, None]
        x.diagonal(dim1=1, dim2=2).fill_(1.0)
        with exact_products():
            s = -(x.conj() @ x.mT)
        s.diagonal(dim1=1, dim2=2).copy_(-length / total)
        return x, s, -phase

    def times(self, a: Tensor, b: Tensor) -> Tensor:
        with exact_products():
            return a @ b

    def solve(self, s: Tensor, y: Tensor, *, transposed: bool = False) -> Tensor:
        with exact_products():
            return torch.linalg.solve_triangular(s.mT if transposed else s, y, upper=not transposed)

    def concatenate(self, parts: list[Tensor], axis: int) -> Tensor:
        return torch.cat(parts, dim=axis)

    def set(self, c: Tensor, place: tuple[Any, ...], values: Any) -> Tensor:
        c[self._index(place)] = values
        return c

    def product(self, c: Tensor, place: tuple[Any, ...], a: Tensor, b: Tensor) -> Tensor:
        c[place] = self.times(a, b)
        return c

    def add_product(self, c: Tensor, place: tuple[Any, ...], a: Tensor, b: Tensor) -> Tensor:
        part = c[place]
        with exact_products():
            if len(part) == 1:
                part[0].addmm_(a[0], b[0])
            else:
                part.baddbmm_(a, b)
        return c

    def permute(self, x: Tensor, order: tuple[int, ...]) -> Tensor:
        return x.permute(order)

    def flip(self, x: Tensor, axes: tuple[int, ...]) -> Tensor:
        return x.flip(axes)

    def put(self, out: Tensor, index: tuple[Any, ...], values: Tensor) -> Tensor:
        if values.dtype != out.dtype:
            values = torch_ops.cast(values.to(torch.float32 if out.element_size() < 4 else out.dtype), out.dtype)
        if out.element_size() == 1:  # float8 has hardly an operation of its own
            out.view(torch.int8)[self._index(index)] = values.view(torch.int8)
        else:
            out[self._index(index)] = values
        return out

    def writes(self, out: Tensor) -> bool:
        return out.dtype == self.dtype

    def matrices(self, out: Tensor, axis: int, count: int, order: list[int], shape: tuple[int, int]) -> Tensor | None:
        apart = out.unflatten(axis, (count, out.shape[axis] // count)).movedim(axis, 0)
        try:
            return apart.permute(0, *(1 + a for a in order)).view(count, *shape)
        except RuntimeError:  # the axes do not lie so that they could be seen as rows and columns
            return None

    def _index(self, place: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(torch.from_numpy(at).to(self.device) if isinstance(at, np.ndarray) else at for at in place)


@contextlib.contextmanager
def exact_products() -> Iterator[None]:
    """Products of float32 in float32, where the user has allowed TF32 or bfloat16 for speed (errors of 1e-3).

    The permission is the whole process's: the first thread to come takes it, and the last to go gives it back.
    """
    with _LOCK:
        if not _State.inside:
            _State.lowered = [(h, n, getattr(h, n)) for h, n in _switches() if _is_low(getattr(h, n))]
            for holder, name, _ in _State.lowered:
                setattr(holder, name, False if name == "allow_tf32" else "ieee")
        _State.inside += 1
    try:
        yield
    finally:
        with _LOCK:
            _State.inside -= 1
            if not _State.inside:
                for holder, name, value in _State.lowered:
                    setattr(holder, name, value)


_LOCK = threading.Lock()


class _State:
    inside = 0  # threads, and products within products
    lowered: ClassVar[list[tuple[Any, str, Any]]] = []  # what the user had allowed


@functools.cache
def _switches() -> list[tuple[Any, str]]:
    """Where this version of PyTorch keeps the permission."""
    cuda, cpu = torch.backends.cuda.matmul, getattr(torch.backends.mkldnn, "matmul", None)
    if hasattr(cuda, "fp32_precision") and hasattr(cpu, "fp32_precision"):
        return [(cuda, "fp32_precision"), (cpu, "fp32_precision")]
    return [(cuda, "allow_tf32")]


def _is_low(value: str | bool) -> bool:
    if value == "none":  # as all of torch's backends are told
        value = getattr(torch.backends, "fp32_precision", "none")
    return value in (True, "tf32", "bf16")
