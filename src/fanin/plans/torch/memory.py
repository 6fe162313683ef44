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


def as_array(tensor: Tensor) -> np.ndarray[Any, Any]:
    """The memory of a contiguous tensor on the CPU as bytes, without `Tensor.numpy()`, which forbids to resize it for ever."""
    size = tensor.numel() * tensor.element_size()
    if not size:
        return np.empty(0, np.uint8)
    memory: Any = (ctypes.c_char * size).from_address(tensor.data_ptr())
    memory.tensor = tensor  # kept alive for as long as the array is
    return np.frombuffer(memory, np.uint8)
