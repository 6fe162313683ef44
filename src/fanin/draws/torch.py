"""Draws into torch tensors, in place, on any device and in any floating dtype: `fill_`, and `draw` for a new tensor.

On the CPU NumPy's backends write into the tensor's own memory. On a GPU a Triton kernel does (`draws.torch_triton`), or, without
Triton and on other devices, plain integer operations (`draws.torch_ops`). The bits are the same.
"""

import functools
import importlib
import importlib.util
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fanin.distributions import Constant, Distribution
from fanin.draws import backends, compose, memory, precheck, torch_ops
from fanin.draws.bits import Stream, check_seed
from fanin.draws.dtypes import COMPLEX, DTYPES, NATIVE, law_dtype, numpy_dtype
from fanin.draws.numpy import draw_distribution
from fanin.draws.recipe import Recipe
from fanin.draws.torch_orthogonal import TorchOps
from fanin.draws.windows import Ranges, check_shape, resolve
from fanin.errors import FaninTypeError, FaninValueError

KINDS = {getattr(torch, name): name for name in DTYPES + COMPLEX}
BITS = {2: torch.int16, 1: torch.int8}  # how NumPy is shown a number format that it does not know, by its size


def take_key(generator: torch.Generator | None = None) -> int:
    """One number from 0 to 2**64 - 1 out of a generator (torch's default one, if None)."""
    check_generator(generator)
    device = generator.device if generator is not None else "cpu"
    drawn = torch.empty((), dtype=torch.int64, device=device).random_(-(2**63), None, generator=generator)
    return int(drawn) % 2**64


def check_generator(generator: Any) -> None:
    """Raise where it is neither a generator of torch's nor None."""
    if generator is not None and not isinstance(generator, torch.Generator):
        raise FaninTypeError(f"generator={generator!r} cannot be used; give a torch.Generator, or None")


def draw(
    distribution: Distribution,
    shape: tuple[int, ...],
    *,
    seed: int,
    name: str,
    window: Any = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    bits: int = 32,
) -> Tensor:
    """A new tensor with the numbers of one weight; the arguments are those of `fanin.draws.draw_distribution`.

    Example:
        >>> from fanin.distributions import Normal
        >>> draw(Normal(1.0), (2, 3), seed=0, name="w", window=(slice(1, 2),), dtype=torch.bfloat16).shape
        torch.Size([1, 3])
    """
    ranges, picked = resolve(window, check_shape(shape))
    sizes = [len(r) for axis, r in enumerate(ranges) if axis not in picked]
    if not isinstance(dtype, torch.dtype):
        raise FaninTypeError(f"dtype={dtype!r} cannot be used; give a torch.dtype, such as torch.float32")
    memory.check_size(sizes, dtype.itemsize)
    out = torch.empty(sizes, dtype=dtype, device=device)
    return fill_(out, distribution, shape, seed=seed, name=name, window=window, bits=bits)


def fill_(
    tensor: Tensor,
    distribution: Distribution,
    shape: tuple[int, ...] | None = None,
    *,
    seed: int,
    name: str,
    window: Any = None,
    bits: int = 32,
) -> Tensor:
    """Fill a tensor in place with the numbers of one weight, or of a window of it; no random state is touched.

    Args:
        tensor: what to fill, of the window's shape: float64, float32, float16, bfloat16 or float8 (complex64 or complex128
            with an orthogonal weight), on any device, with any strides. A leaf that requires a gradient is filled as if
            under `no_grad`.
        distribution: what to draw, a record of `fanin.distributions`.
        shape: the global shape of the weight; the tensor's own if None.
        seed: an integer from 0 to 2**64 - 1.
        name: the weight's name.
        window: the part of the weight that the tensor holds (see `fanin.draws.draw`); all of it if None.
        bits: random bits a number, 32 or 64.

    Returns:
        The tensor.

    Raises:
        FaninTypeError: no tensor, or one of a dtype that cannot hold a weight.
        FaninValueError: the tensor has no memory of its own to write to, or not the window's shape.

    Example:
        >>> from fanin.distributions import Uniform
        >>> w, half = torch.empty(4, 6), torch.empty(2, 6)
        >>> _ = fill_(w, Uniform(1.0), seed=0, name="w")
        >>> bool((fill_(half, Uniform(1.0), (4, 6), seed=0, name="w", window=(slice(2, 4),)) == w[2:]).all())
        True
    """
    check_tensor(tensor)
    target = tensor.detach() if tensor.requires_grad else tensor
    whole = tuple(target.shape) if shape is None else shape
    array = _as_numpy(target)
    if array is not None:
        draw_distribution(distribution, whole, seed=seed, name=name, window=window, bits=bits, out=array)
        _mark_written(tensor)
        return tensor
    asked = compose.Request.of(distribution, whole, seed, name, window, bits)
    if tuple(target.shape) != asked.wanted:
        raise FaninValueError(f"out has the shape {tuple(target.shape)}, but the window has {asked.wanted}")
    if target.is_complex():
        law_dtype(KINDS[target.dtype], distribution)
    precheck.check(distribution, asked.shape, asked.stream, target, bits, TORCH)
    for axis in asked.picked:
        target = target.unsqueeze(axis)
    with torch.no_grad():
        compose.fill(distribution, asked.shape, asked.stream, asked.ranges, target, bits, TORCH)
    _mark_written(tensor)
    return tensor


def fill_seeds_(tensors: Sequence[Tensor], distribution: Distribution, *, seeds: Sequence[int], name: str) -> None:
    """Fill tensors of one shape (one at least) with the numbers of one weight, each under its own seed, as `fill_` does one by one.

    Small ones are drawn together, where NumPy draws: its calls cost more than their numbers.

    Example:
        >>> from fanin.distributions import Normal
        >>> many = torch.empty(3, 4, 6)
        >>> fill_seeds_(list(many), Normal(1.0), seeds=[5, 6, 7], name="w")
        >>> bool((fill_(torch.empty(4, 6), Normal(1.0), seed=6, name="w") == many[1]).all())
        True
    """
    if isinstance(distribution, Constant):  # the same under every seed
        first, *others = tensors
        fill_(first, distribution, seed=seeds[0], name=name)
        for tensor in others:
            tensor.detach().copy_(first.detach())
        return
    arrays = [_as_numpy(t.detach()) for t in tensors]
    if not backends.fill_seeds(distribution, [check_seed(seed) for seed in seeds], name, arrays):
        for tensor, seed in zip(tensors, seeds, strict=True):
            fill_(tensor, distribution, seed=seed, name=name)
        return
    for tensor in tensors:
        _mark_written(tensor)


def check_tensor(tensor: Any) -> None:
    """Raise where a draw cannot write to it: no tensor, another dtype, or no memory of its own."""
    if not isinstance(tensor, Tensor):
        raise FaninTypeError(f"tensor={type(tensor).__name__} cannot be used; give a torch.Tensor")
    if type(tensor).__name__ == "DTensor":
        raise FaninTypeError(
            "the tensor is a DTensor; give its local part, with shape= and window= of the whole weight"
        )
    if tensor.dtype not in KINDS:
        raise FaninTypeError(f"the tensor has dtype {tensor.dtype}; accepted are {', '.join(DTYPES + COMPLEX)}")
    if tensor.is_meta or tensor.layout != torch.strided:
        kind = "is on the meta device" if tensor.is_meta else f"has layout {tensor.layout}"
        raise FaninValueError(
            f"the tensor {kind}, so there is no memory to write to; give an ordinary (strided) tensor"
        )
    if not tensor.is_contiguous() and memory.overlaps(tensor.shape, tensor.stride()):
        raise FaninValueError(
            "several elements of the tensor share one place in memory (it was expanded); give its clone"
        )


def _as_numpy(target: Tensor) -> np.ndarray[Any, Any] | None:
    """The tensor's own memory as a NumPy array of its dtype; None where NumPy cannot have it."""
    if not target.is_cpu or target.is_conj():  # of a view that conjugates, NumPy cannot be told
        return None
    if KINDS[target.dtype] in NATIVE + COMPLEX:
        return target.numpy()
    dtype = _extended(target.dtype)
    return None if dtype is None else target.view(BITS[target.element_size()]).numpy().view(dtype)


@functools.cache
def _extended(dtype: torch.dtype) -> np.dtype[Any] | None:
    """NumPy's dtype of that name; None without ml_dtypes."""
    try:
        return numpy_dtype(KINDS[dtype])
    except FaninTypeError:
        return None


def _mark_written(tensor: Tensor) -> None:
    """Tell autograd that the tensor has changed, which it does not see when NumPy or Triton writes."""
    if not tensor.is_inference():
        torch.autograd.graph.increment_version(tensor)


class Torch:
    """Fills torch tensors (see `compose.Backend`)."""

    def fill(self, made: Recipe, shape: tuple[int, ...], stream: Stream, ranges: Ranges, out: Tensor) -> None:
        if out.numel() == 0:
            return
        torch_ops.fill(made, shape, stream, ranges, out, _engine(made, out))

    def ops(self, out: Tensor) -> TorchOps:
        def fill(law: Distribution, shape: tuple[int, ...], stream: Stream, ranges: Ranges, out: Tensor) -> None:
            compose.fill(law, shape, stream, ranges, out, 32, self)

        kind = out.dtype if out.is_complex() else torch.float64 if self.double(out) else torch.float32
        return TorchOps(kind, out.device, fill)

    def orders(self, shape: tuple[int, ...], axis: int, stream: Stream, ranges: Ranges, out: Tensor) -> Tensor:
        return torch_ops.orders(shape, axis, stream, ranges, out.device)

    def put(self, out: Tensor, values: Any) -> None:
        if isinstance(values, np.ndarray):
            values = torch.from_numpy(np.ascontiguousarray(values).reshape(values.shape))
        if not self.double(out):
            values = values.to(torch.float32)
        out.copy_(torch_ops.cast(values.to(out.device), out.dtype))

    def zero(self, out: Tensor, where: Any) -> None:
        numbers = out.view(torch.int8) if out.element_size() == 1 else out  # float8 has hardly an operation of its own
        numbers[where] = 0

    def double(self, out: Tensor) -> bool:
        return out.dtype == torch.float64

    def rounded(self, value: float, out: Tensor) -> float:
        exact = torch.tensor(value, dtype=torch.float64)
        return float(exact if self.double(out) else torch_ops.cast(exact.to(torch.float32), out.dtype))

    def name(self, out: Tensor) -> str:
        return KINDS[out.dtype]


TORCH = Torch()


def _engine(made: Recipe, out: Tensor) -> torch_ops.Engine | None:
    """The Triton kernel, for CUDA tensors where it can be had."""
    kernels = _triton() if out.device.type == "cuda" and not _BROKEN else None
    return _by_triton if kernels is not None and kernels.can(made, out.dtype) else None


_BROKEN: list[BaseException] = []  # what Triton raised, if it did: it is not asked again


@functools.cache
def _triton() -> Any:
    """The module of kernels; None without Triton, or with one that cannot be loaded."""
    if importlib.util.find_spec("triton") is None:
        return None
    try:
        return importlib.import_module("fanin.draws.torch_triton")
    except Exception as error:  # a broken package raises anything
        _give_up(error)
        return None


def _by_triton(made: Recipe, shape: tuple[int, ...], stream: Stream, ranges: Ranges, flat: Tensor) -> None:
    """The kernels; where they cannot be compiled or started, plain operations from now on."""
    try:
        _triton().engine(made, shape, stream, ranges, flat)
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:
        _give_up(error)
        torch_ops.plain(made, shape, stream, ranges, flat)


def _give_up(error: Exception) -> None:
    _BROKEN.append(error)
    what = (str(error).strip() or type(error).__name__).splitlines()[0]
    warnings.warn(
        f"Triton does not work here ({what}), so draws on the GPU are done by plain operations, with the same bits, slower",
        stacklevel=2,
    )
