"""What a stream writes: tensors, the files that they go to, and the folder in which these grow."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fanin.errors import FaninValueError
from fanin.files import write_atomically
from fanin.plans.parts import Window
from fanin.plans.safetensors import INDEX, SUFFIX, TYPES, Stored, index_text, layout

PARTIAL = ".fanin-stream"  # the folder in which files grow
UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


class Source(Protocol):
    """What gives the numbers of one tensor."""

    @property
    def whole(self) -> bool:
        """Whether a window costs as much as the whole tensor."""
        ...

    def values(self, window: Window) -> np.ndarray[Any, Any]:
        """The numbers of one window, contiguous, in the type that they are written in."""
        ...


@dataclass(frozen=True)
class Item:
    """One tensor of the checkpoint."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    source: Source


@dataclass
class Target:
    """Where everything goes: the folder, and for each file its header and tensors."""

    folder: Path
    files: dict[str, list[Stored]]
    headers: dict[str, bytes]
    index: bool
    items: dict[str, Item] = field(repr=False, default_factory=dict)

    @classmethod
    def of(cls, path: Path, items: list[Item], shard_size: int | str) -> "Target":
        """The files of these items: one where they fit in, else numbered ones and an index."""
        limit = _bytes(shard_size)
        single = path.suffix == SUFFIX
        groups: list[list[Item]] = [[]]
        size = 0
        for item in items:
            own = int(np.prod(item.shape, dtype=object)) * TYPES[item.dtype][1]
            if groups[-1] and size + own > limit and not single:
                groups.append([])
                size = 0
            groups[-1].append(item)
            size += own
        folder = path.parent if single else path
        if len(groups) == 1:
            names = [path.name if single else f"model{SUFFIX}"]
        else:
            names = [f"model-{k:05d}-of-{len(groups):05d}{SUFFIX}" for k in range(1, len(groups) + 1)]
        laid = {
            n: layout([(i.name, i.dtype, i.shape) for i in g], folder / n) for n, g in zip(names, groups, strict=True)
        }
        return cls(
            folder,
            {n: stored for n, (_, stored) in laid.items()},
            {n: header for n, (header, _) in laid.items()},
            len(groups) > 1,
            {i.name: i for i in items},
        )

    @property
    def partial(self) -> Path:
        """The folder in which the files grow."""
        only = "" if self.index or f"model{SUFFIX}" in self.files else "-" + next(iter(self.files))
        return self.folder / (PARTIAL + only)

    @property
    def names(self) -> tuple[str, ...]:
        """The files in the order in which they are moved: the index last."""
        return (*self.files, *([INDEX] if self.index else []))

    @property
    def bytes(self) -> int:
        """How much is written."""
        return sum(self.size(name) for name in self.files)

    def size(self, name: str) -> int:
        """Bytes of one file."""
        return len(self.headers[name]) + sum(t.bytes for t in self.files[name])

    def write_index(self) -> None:
        """Write the index, where there is one, beside the files that grow."""
        if self.index:
            write_atomically(self.partial / INDEX, index_text(self.files))

    def move(self) -> None:
        """Move every file to its place, the index last: who reads the index finds them all. May be called again."""
        for name in self.names:
            if (self.partial / name).exists():
                os.replace(self.partial / name, self.folder / name)


def _bytes(size: int | str) -> int:
    found = re.fullmatch(r"(\d+)\s*([KMGT]?B)?", str(size).strip(), re.IGNORECASE)
    if isinstance(size, bool) or not found or int(found[1]) == 0:
        raise FaninValueError(f"shard_size={size!r} cannot be used; give a number of bytes, or a text such as '5GB'")
    unit = (found[2] or "").upper()
    return int(found[1]) * UNITS["" if unit == "B" else unit]
