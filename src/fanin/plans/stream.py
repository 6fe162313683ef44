"""A plan drawn straight into safetensors files: `Plan.stream`. No more than a few pieces are ever in memory: two million
numbers of an elementwise weight, at most sixteen million of a matrix (`strips`).

Files grow in a hidden folder beside their place, with a journal of the pieces that are there; when the last one is, they
are moved to their place, the index last. A stream that was stopped, kill -9 included, goes on where it was. What the
journal says holds as long as the machine has not started anew since (its pages may be lost then): after that, only what
was flushed to the disk counts.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fanin.distributions import Distribution
from fanin.draws import draw_distribution
from fanin.draws.dtypes import numpy_dtype
from fanin.draws.largest import largest
from fanin.draws.windows import starts
from fanin.errors import FaninError, FaninTypeError, FaninValueError
from fanin.names import PARAMETRIZED
from fanin.plans import laws
from fanin.plans.files import dumps
from fanin.plans.journal import Busy, Journal
from fanin.plans.parts import Part, Window, cut
from fanin.plans.records import Plan
from fanin.plans.safetensors import SUFFIX, TYPES, Stored
from fanin.plans.stream_files import Item, Source, Target
from fanin.plans.strips import strips
from fanin.plans.work import Piece, Progress, run, thread_count

PIECE = 1 << 21  # numbers that are drawn and written in one go
CUTTING = 2  # the way in which weights are cut: an unfinished stream goes on in the way in which it began
JOURNAL = "journal"  # beside the files that grow: what is known of them
CANNOT_RESERVE = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)


@dataclass(frozen=True)
class Drawn:
    """Numbers of a plan's entry."""

    law: Distribution
    factor: float
    shape: tuple[int, ...]
    dtype: str
    seed: int
    name: str

    @property
    def whole(self) -> bool:
        """Whether a window costs as much as the whole weight."""
        return not laws.elementwise(self.law)

    def values(self, window: Window) -> np.ndarray[Any, Any]:
        """The numbers of one window."""
        try:
            kind = numpy_dtype(self.dtype)
        except FaninTypeError:
            if self.dtype != "bfloat16":
                raise
            kind = np.dtype(np.float32)  # without ml_dtypes: rounded below
        exact = kind if self.factor == 1 or kind.itemsize > 2 else np.dtype(np.float32)  # rounded once
        values = draw_distribution(self.law, self.shape, seed=self.seed, name=self.name, window=window, dtype=exact)
        if self.factor != 1:
            values *= exact.type(self.factor)
            values = values.astype(kind, copy=False)
        return _bfloat16(values) if kind == np.float32 and self.dtype == "bfloat16" else values


def _bfloat16(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """float32 numbers rounded to the nearest bfloat16 (ties to even), as their bits; values are overwritten."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    bits += ((bits >> np.uint32(16)) & np.uint32(1)) + np.uint32(0x7FFF)
    return (bits >> np.uint32(16)).astype(np.uint16)


def stream(
    plan: Plan,
    path: str | os.PathLike[str],
    model: Any = None,
    *,
    seed: int | None = None,
    dtype: str | None = None,
    shard_size: int | str = "5GB",
    threads: int | None = None,
    progress: Progress = None,
) -> Path:
    """See `Plan.stream`."""
    if seed is not None:
        plan = replace(plan, seed=seed)
    if not isinstance(path, str | os.PathLike):
        raise FaninTypeError(f"path={path!r} cannot be used; give the name of a folder, or of a {SUFFIX} file")
    if not str(path) or "\0" in str(path):
        raise FaninValueError(f"path={path!r} cannot be used; give the name of a folder, or of a {SUFFIX} file")
    count = thread_count(threads)
    items = plan_items(plan, dtype)
    if model is not None:
        from fanin.plans.torch.contents import with_rest

        items = with_rest(plan, model, items, dtype)
    if not items:
        raise FaninValueError("the plan has no entries, so there is nothing to write")
    target = Target.of(Path(path), items, shard_size)
    identity = _identity(plan, target)
    try:
        return _streamed(target, identity, count, progress)
    except OSError as error:
        raise FaninValueError(f"{target.folder} cannot be written: {error.strerror}") from None


def plan_items(plan: Plan, dtype: str | None) -> list[Item]:
    """The tensors that a plan gives, in this type or their own; raises one error with all that cannot be drawn."""
    wrong = []
    items = []
    for name, entry in plan.entries.items():
        need = plan.requires.get(name)
        if need is None:
            wrong.append(f"{name}: the plan does not know its shape")
            continue
        if PARAMETRIZED in name.split("."):
            wrong.append(f"{name} is behind a parametrisation; apply the plan to a model and save that")
        kind = dtype or need.dtype
        if kind not in TYPES or "float" not in kind:
            given = f"dtype={dtype!r}" if dtype else f"{name}: its type {kind!r}"
            raise FaninValueError(f"{given} cannot be used; accepted are {', '.join(t for t in TYPES if 'float' in t)}")
        law, factor = laws.drawn(entry)
        bound = largest(law)
        if bound is not None and bound * abs(factor) > _LARGEST[kind]:
            wrong.append(f"{name} would get numbers that are too large for {kind}")
        refused = laws.refused(law, need.shape, name, kind, factor)
        wrong += [f"{name} could not be drawn: {refused}"] if refused else []
        items.append(Item(name, kind, need.shape, Drawn(law, factor, need.shape, kind, plan.seed, name)))
    if wrong:
        raise FaninValueError("the plan cannot be written, and nothing was:\n  " + "\n  ".join(wrong))
    return items


_LARGEST = {
    "float64": float(np.finfo(np.float64).max), "float32": float(np.finfo(np.float32).max), "float16": 65504.0,
    "bfloat16": 3.3895e38, "float8_e4m3fn": 448.0, "float8_e5m2": 57344.0,
}  # fmt: skip


def _identity(plan: Plan, target: Target) -> str:
    """Of all that decides the bytes: the values that a model brings, too, so that no file gets those of two models."""
    facts = [dumps(plan), f"cut {CUTTING}", *(f"{n} {header!r}" for n, header in target.headers.items())]
    whole = hashlib.blake2b("\n".join(facts).encode(), digest_size=16)
    for stored in target.files.values():
        for tensor in stored:
            source = target.items[tensor.name].source
            for part in () if isinstance(source, Drawn) else _parts(tensor, source):
                whole.update(np.ascontiguousarray(source.values(part.window)).reshape(-1).view(np.uint8).data)
    return whole.hexdigest()


def _streamed(target: Target, identity: str, threads: int, progress: Progress) -> Path:
    made = [folder for folder in (target.folder, *target.folder.parents) if not folder.exists()]
    clear = not (target.partial / JOURNAL).exists()
    if clear:
        _check_place(target)
        target.partial.mkdir(parents=True, exist_ok=True)
    try:
        with Journal(target.partial / JOURNAL, identity) as journal:
            clear = False  # files that came to its place meanwhile are no reason to lose what is written
            _check_free(target, journal.finished)
            clear = True
            if not journal.finished:
                _grown(target, journal, threads, progress)
            clear = False  # some files may have moved: the next try moves the others
            target.move()
    except Busy:  # what is there is another process's
        raise
    except (OSError, FaninError):  # a full disk, or numbers that cannot be drawn: nothing half-written stays
        if clear:
            _cleared(target, made)
        raise
    shutil.rmtree(target.partial)
    return target.folder


def _grown(target: Target, journal: Journal, threads: int, progress: Progress) -> None:
    """Draw what is not there yet, until every file is whole and on the disk."""
    _reserve(target, journal)
    total = sum(t.size for stored in target.files.values() for t in stored)
    opened: list[_File] = []
    try:
        run(_pieces(target, journal, opened), total, threads, progress, "writing")
    finally:
        for file in opened:
            file.close()
    for name in target.files:
        journal.flush(target.partial / name, name)
    target.write_index()
    journal.finish()


def _check_free(target: Target, finished: bool) -> None:
    """Raise where a file that is still to come has its place taken (of a finished stream some files have moved already)."""
    for name in target.names:
        if (target.folder / name).exists() and (not finished or (target.partial / name).exists()):
            raise FaninValueError(f"{target.folder} already holds {name}; remove it, or give another folder")


def _check_place(target: Target) -> None:
    _check_free(target, finished=False)
    if target.folder.exists() and not target.folder.is_dir():
        raise FaninValueError(f"path={str(target.folder)!r} is a file; give the name of a folder")
    standing = next(folder for folder in (target.folder, *target.folder.absolute().parents) if folder.exists())
    free = shutil.disk_usage(standing).free
    if free < target.bytes:
        raise FaninValueError(
            f"{target.folder} needs {target.bytes / 1e9:.1f} GB, but the disk has {free / 1e9:.1f} GB left; nothing was written"
        )


def _reserve(target: Target, journal: Journal) -> None:
    """Give every file its full size on the disk, so that the disk cannot be full later, and its header."""
    for name, header in target.headers.items():
        if journal.has(name, "header"):
            continue
        with (target.partial / name).open("wb") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, target.size(name))
            except (AttributeError, OSError) as error:  # not every system can; a full disk then shows later
                if getattr(error, "errno", errno.EINVAL) not in CANNOT_RESERVE:
                    raise
            file.truncate(target.size(name))
            file.write(header)
        journal.add(name, "header")


def _pieces(target: Target, journal: Journal, opened: "list[_File]") -> Iterator[Piece]:
    for name, stored in target.files.items():
        count = sum(1 for _ in _cut(target, stored))
        if count == 0:
            continue
        file = _File(target.partial / name, journal, count)
        opened.append(file)
        for key, tensor, part in _cut(target, stored):
            if journal.has(name, key):
                yield part.size, file.skip
            else:
                yield part.size, _Write(file, key, tensor, target.items[tensor.name].source, part.window)


def _cut(target: Target, stored: list[Stored]) -> Iterator[tuple[str, Stored, Part]]:
    """The pieces of a file, each with its key in the journal."""
    count = 0
    for tensor in stored:
        for piece in _parts(tensor, target.items[tensor.name].source):
            yield str(count), tensor, piece
            count += 1


def _parts(tensor: Stored, source: Source) -> Iterable[Part]:
    if tensor.size == 0:
        return ()
    everything = tuple(slice(0, n) for n in tensor.shape)
    whole = Part(everything, everything)
    if isinstance(source, Drawn) and source.whole:
        return strips(source.law, whole)
    return [whole] if source.whole else cut(whole, PIECE)


class _File:
    """An open file that is closed after its last piece."""

    def __init__(self, path: Path, journal: Journal, left: int) -> None:
        self.path, self.journal, self.left = path, journal, left
        self.descriptor = os.open(path, os.O_WRONLY)

    def skip(self) -> None:
        """One piece more is there."""
        with self.journal.lock:
            self.left -= 1
            last = self.left == 0
        if last:  # flushed while the next file is drawn
            self.close()
            self.journal.flush(self.path, self.path.name)

    def close(self) -> None:
        """Close it, where it is open."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class _Write:
    """Draws one piece and writes it to its place."""

    __slots__ = ("file", "key", "source", "tensor", "window")

    def __init__(self, file: _File, key: str, tensor: Stored, source: Source, window: Window) -> None:
        self.file, self.key, self.tensor, self.source, self.window = file, key, tensor, source, window

    def __call__(self) -> None:
        values = np.ascontiguousarray(self.source.values(self.window))
        ranges = tuple(range(s.start, s.stop) for s in self.window)
        shape = self.tensor.shape
        whole = next((a for a in reversed(range(len(shape))) if len(ranges[a]) < shape[a]), 0)  # all of what follows it
        firsts = starts(
            (*ranges[:whole], *(r[:1] for r in ranges[whole:])), shape
        )  # of each row that lies in one piece
        rows = values.reshape(len(firsts), -1).view(np.uint8)
        for first, row in zip(firsts.tolist(), rows, strict=True):
            self._put(row.data, self.tensor.offset + first * TYPES[self.tensor.dtype][1])
        self.file.journal.add(self.file.path.name, self.key)
        self.file.skip()

    def _put(self, data: memoryview, at: int) -> None:
        while data:
            count = os.pwrite(self.file.descriptor, data, at)
            data, at = data[count:], at + count


def _cleared(target: Target, made: list[Path]) -> None:
    """Take away what was written, and the folders that were made for it."""
    shutil.rmtree(target.partial, ignore_errors=True)
    for folder in made:
        try:
            folder.rmdir()
        except OSError:
            return
