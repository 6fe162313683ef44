"""Tensors in files of NumPy and of safetensors, read a piece at a time."""

import os
import zipfile
from pathlib import Path

import numpy as np

from fanin.errors import FaninValueError
from fanin.fingerprints.hashing import UNSIGNED, Bits, as_bits
from fanin.fingerprints.records import Held
from fanin.imports import summary
from fanin.names import plain_names
from fanin.plans.parts import Part
from fanin.plans.safetensors import TYPES, Stored, checkpoint_files, read_header


def whole(shape: tuple[int, ...]) -> tuple[Part, ...]:
    """The one block that is everything."""
    everything = tuple(slice(0, n) for n in shape)
    return (Part(everything, everything),)


def safetensors(path: Path) -> list[Held]:
    """The tensors of a safetensors file, or of a folder or index of several."""
    stored = [tensor for file in checkpoint_files(path) for tensor in read_header(file)]
    twice = sorted({t.name for t in stored if sum(t.name == u.name for u in stored) > 1}) if _repeats(stored) else []
    if twice:
        raise FaninValueError(f"{path} holds {twice[0]} twice")
    names = plain_names([t.name for t in stored])
    return [Held(names[t.name], t.dtype, t.shape, whole(t.shape), _Reader(t)) for t in stored]


def _repeats(stored: list[Stored]) -> bool:
    return len({t.name for t in stored}) != len(stored)


class _Reader:
    """Reads contiguous pieces of one stored tensor."""

    def __init__(self, tensor: Stored) -> None:
        self.tensor = tensor

    def __call__(self, part: Part) -> Bits:
        code, width = TYPES[self.tensor.dtype]
        kind = np.dtype(UNSIGNED[width])
        start = 0
        for s, n in zip(part.window, self.tensor.shape, strict=True):
            start = start * n + s.start
        bits = np.empty([s.stop - s.start for s in part.window], dtype=kind)
        with self.tensor.file.open("rb", buffering=0) as file:
            file.seek(self.tensor.offset + start * width)
            view = memoryview(bits.reshape(-1).view(np.uint8))  # pyright: ignore[reportArgumentType]
            while view:
                count = file.readinto(view)
                if not count:
                    raise FaninValueError(f"{self.tensor.file} is cut short at {self.tensor.name} ({code})")
                view = view[count:]
        return bits


def npz(path: Path) -> list[Held]:
    """The arrays of a .npz file (those of objects are refused: they would run code)."""
    try:
        with np.load(path, allow_pickle=False) as file:
            names = plain_names(list(file.files))
            shapes = {n: (file[n].shape, file[n].dtype.name) for n in file.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise FaninValueError(f"{path} cannot be read as .npz: {summary(error)}") from None

    def reader(name: str) -> "_Member":
        return _Member(path, name)

    return [Held(names[n], dtype, shape, whole(shape), reader(n), uncut=True) for n, (shape, dtype) in shapes.items()]


class _Member:
    """Reads one array of a .npz file, which has to be unpacked whole."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name

    def __call__(self, part: Part) -> Bits:
        with np.load(self.path, allow_pickle=False) as file:
            return as_bits(file[self.name][part.window])


def is_safetensors(path: Path) -> bool:
    """Whether a path names a safetensors file, or a folder or index of them."""
    return path.suffix == ".safetensors" or path.name.endswith(".safetensors.index.json") or os.path.isdir(path)
