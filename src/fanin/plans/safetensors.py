"""The safetensors format: a header of JSON, then the numbers of each tensor. Written and read without the package.

Format: 8 bytes, the header's length n (little-endian); n bytes of JSON, name → {dtype, shape, data_offsets}; the data.
A checkpoint of several files has an index beside them, `model.safetensors.index.json`, as transformers writes it.
"""

import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fanin.errors import FaninValueError

SUFFIX = ".safetensors"
INDEX = "model.safetensors.index.json"
LONGEST = 100_000_000  # bytes of a header: the format's own limit
# name of a type → (its code in the format, bytes a number)
TYPES = {
    "float64": ("F64", 8), "float32": ("F32", 4), "float16": ("F16", 2), "bfloat16": ("BF16", 2),
    "float8_e4m3fn": ("F8_E4M3", 1), "float8_e5m2": ("F8_E5M2", 1),
    "int64": ("I64", 8), "int32": ("I32", 4), "int16": ("I16", 2), "int8": ("I8", 1),
    "uint64": ("U64", 8), "uint32": ("U32", 4), "uint16": ("U16", 2), "uint8": ("U8", 1), "bool": ("BOOL", 1),
    "complex64": ("C64", 8),
}  # fmt: skip
NAMES = {code: name for name, (code, _) in TYPES.items()}


@dataclass(frozen=True)
class Stored:
    """One tensor in a file: what it is, and where its bytes lie."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    offset: int

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """How many bytes it has."""
        return self.size * TYPES[self.dtype][1]


def layout(tensors: Iterable[tuple[str, str, tuple[int, ...]]], file: Path) -> tuple[bytes, list[Stored]]:
    """The header of a file of these (name, dtype, shape), and where each tensor lies; wide types first, to be aligned."""
    ordered = sorted(tensors, key=lambda t: -TYPES[t[1]][1])
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, dtype, shape in ordered:
        code, width = TYPES[dtype]
        size = math.prod(shape) * width
        entries[name] = {"dtype": code, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    header = len(text).to_bytes(8, "little") + text
    stored = [
        Stored(name, dtype, shape, file, len(header) + entries[name]["data_offsets"][0])
        for name, dtype, shape in ordered
    ]
    return header, stored


def index_text(files: dict[str, list[Stored]]) -> str:
    """The index of a checkpoint of several files: file name → its tensors."""
    total = sum(t.bytes for tensors in files.values() for t in tensors)
    names = {t.name: file for file, tensors in files.items() for t in tensors}
    return json.dumps({"metadata": {"total_size": total}, "weight_map": names}, indent=2, ensure_ascii=False) + "\n"


def read_header(file: Path) -> list[Stored]:
    """Every tensor in a file, in the order of its bytes.

    Raises:
        FaninValueError: the file cannot be read, is cut short, or is no such file.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            if size < 8 or length > min(size - 8, LONGEST):
                raise FaninValueError(f"{file} is damaged or cut short: it is no whole safetensors file")
            text = opened.read(length)
    except OSError as error:
        raise FaninValueError(f"{file} cannot be read: {error.strerror}") from None
    try:
        entries = json.loads(text)
        found = [_stored(name, facts, file, 8 + length) for name, facts in entries.items() if name != "__metadata__"]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise FaninValueError(f"{file} is damaged: its header is not that of a safetensors file ({error})") from None
    found.sort(key=lambda t: t.offset)
    end = 8 + length
    for tensor in found:
        if tensor.offset != end:
            raise FaninValueError(f"{file} is damaged: its tensors do not lie one behind the other ({tensor.name})")
        end += tensor.bytes
    if end != size:
        raise FaninValueError(f"{file} is damaged or cut short: it has {size} bytes, but its header speaks of {end}")
    return found


def _stored(name: str, facts: dict[str, Any], file: Path, start: int) -> Stored:
    code, (low, high) = facts["dtype"], facts["data_offsets"]
    if code not in NAMES:
        raise ValueError(f"{name} has the type {code!r}, which is not known here")
    tensor = Stored(name, NAMES[code], tuple(int(n) for n in facts["shape"]), file, start + int(low))
    if any(n < 0 for n in tensor.shape) or tensor.bytes != high - low:
        raise ValueError(f"{name} of shape {tensor.shape} has {high - low} bytes")
    return tensor


def checkpoint_files(path: str | os.PathLike[str]) -> list[Path]:
    """The safetensors files of a checkpoint: the file itself, those of an index, or those of a folder.

    Raises:
        FaninValueError: there is no such checkpoint, or files that its index names are missing.
    """
    path = Path(path)
    if path.is_dir():
        path = next((path / n for n in (INDEX, f"model{SUFFIX}") if (path / n).is_file()), path)
    if path.is_dir():
        files = sorted(path.glob(f"*{SUFFIX}"))
        if not files:
            raise FaninValueError(f"the folder {path} holds no {SUFFIX} file")
        return files
    if path.name.endswith(".json"):
        try:
            names = sorted(set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()))
            files = [path.parent / Path(name).name for name in names]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise FaninValueError(f"{path} is not the index of a checkpoint: {error}") from None
        missing = [file.name for file in files if not file.is_file()]
        if missing:
            raise FaninValueError(f"{path} names files that are missing: {', '.join(missing)}")
        return files
    if not path.is_file():
        raise FaninValueError(f"the file {path} does not exist")
    return [path]
