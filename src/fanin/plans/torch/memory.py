"""The memory of tensors: whether it may be written to, and its bytes."""

import bisect
import ctypes
import re
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

MAPS = Path("/proc/self/maps")
LOCKED = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) .-", re.MULTILINE)  # spans without the right to write


def is_fake(tensor: Tensor) -> bool:
    """Whether a tensor only stands for one, without memory (asked by name: importing its kind takes long)."""
    return any(kind.__name__ == "FakeTensor" for kind in type(tensor).__mro__)


def read_only(tensors: list[Tensor]) -> list[bool]:
    """For each tensor on the CPU whether its memory is read-only (a write would end the process); False if not known.

    What torch has allocated can be written to; only memory that it was given (a mapped file, an array) is looked up, since the
    list of a process's memory takes milliseconds to read.
    """
    given = [_given(tensor) for tensor in tensors]
    if not any(given):
        return [False] * len(tensors)
    try:
        maps = MAPS.read_bytes()
    except OSError:  # not Linux
        return [False] * len(tensors)
    spans = [(int(low, 16), int(high, 16)) for low, high in LOCKED.findall(maps)]  # they come in order
    starts = [low for low, _ in spans]

    def locked(tensor: Tensor) -> bool:
        address = tensor.data_ptr()
        k = bisect.bisect_right(starts, address) - 1
        return k >= 0 and address < spans[k][1]

    return [of_others and locked(tensor) for tensor, of_others in zip(tensors, given, strict=True)]


def _given(tensor: Tensor) -> bool:
    """Whether a tensor on the CPU lies in memory that torch did not allocate (it cannot resize it then)."""
    return tensor.device.type == "cpu" and tensor.numel() > 0 and not tensor.untyped_storage().resizable()


def overlapping(tensors: list[tuple[str, Tensor]]) -> list[tuple[str, str]]:
    """Names of tensors that have a place in memory in common, each with the first that it shares with.

    Views of one memory that lie between each other (columns of a packed weight) share none.
    """
    spans = sorted(
        (*_span(tensor), k) for k, (_, tensor) in enumerate(tensors) if tensor.numel() and not tensor.is_meta
    )
    found: list[tuple[str, str]] = []
    open_: list[tuple[int, int]] = []  # where each that reaches so far ends
    for start, stop, k in spans:
        open_ = [(end, other) for end, other in open_ if end > start]
        for _, other in open_:
            if _meet(tensors[k][1], tensors[other][1]):
                found.append((tensors[k][0], tensors[other][0]))
                break
        open_.append((stop, k))
    return found


def _span(tensor: Tensor) -> tuple[int, int]:
    """First byte, and the one after the last; torch's steps are never below 0."""
    last = sum(step * (n - 1) for step, n in zip(tensor.stride(), tensor.shape, strict=True))
    return tensor.data_ptr(), tensor.data_ptr() + (last + 1) * tensor.element_size()


def _meet(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors whose spans meet have a byte in common; asked of NumPy, which reads none of them."""
    if a.is_contiguous() and b.is_contiguous():
        return True
    return bool(np.shares_memory(_described(a), _described(b)))


class _Memory:
    """An array of NumPy's over an address, of elements without a meaning."""

    def __init__(self, tensor: Tensor) -> None:
        size = tensor.element_size()
        self.__array_interface__ = {
            "version": 3,
            "typestr": f"|V{size}",
            "data": (tensor.data_ptr(), True),
            "shape": tuple(tensor.shape),
            "strides": tuple(step * size for step in tensor.stride()),
        }


def _described(tensor: Tensor) -> np.ndarray[Any, Any]:
    return np.asarray(_Memory(tensor))


def as_array(tensor: Tensor) -> np.ndarray[Any, Any]:
    """The memory of a contiguous tensor on the CPU as bytes, without `Tensor.numpy()`, which forbids to resize it for ever."""
    size = tensor.numel() * tensor.element_size()
    if not size:
        return np.empty(0, np.uint8)
    memory: Any = (ctypes.c_char * size).from_address(tensor.data_ptr())
    memory.tensor = tensor  # kept alive for as long as the array is
    return np.frombuffer(memory, np.uint8)
