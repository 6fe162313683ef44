"""Fingerprints of whatever holds tensors: models, state dicts, checkpoints, plans."""

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fanin.errors import FaninTypeError, FaninValueError
from fanin.fingerprints import files
from fanin.fingerprints.hashing import Sums, add, as_bits, compiled, digest, digest_of_all, window_sums
from fanin.fingerprints.records import Fingerprint, Held, Join
from fanin.names import plain_names
from fanin.plans.parts import Part, cut
from fanin.plans.records import Plan
from fanin.plans.stream import plan_items
from fanin.plans.work import Piece, Progress, run, thread_count

PIECE = 1 << 20  # numbers that are read and hashed in one go
WORTH_IT = 1 << 25  # numbers: NumPy hashes as many in the time that it takes to load numba
TORCH_FILES = (".pt", ".pth", ".bin", ".ckpt")
Together = Callable[[list[list[int]], Join], list[list[int]]]  # words for each tensor, and how they are joined


def fingerprint(what: Any, *, threads: int | None = None, progress: Progress = None) -> Fingerprint:
    """The hash of every tensor and of the whole: equal across frameworks, shards, hosts and the order of tensors.

    Args:
        what: a `torch.nn.Module` (parameters and persistent buffers; of a sharded one every process hashes what it holds,
            and a few words are summed), a Flax NNX or Keras model (parameters and statistics), a mapping from names to
            tensors or arrays (nested ones are joined by dots), a plan (the weights that it gives), or a path: a
            safetensors file, folder or index, a .npz or .pt file, or a saved plan.
        threads: how many threads; OMP_NUM_THREADS, or all cores, where nothing is said.
        progress: as for `Plan.apply`.

    Raises:
        FaninTypeError, FaninValueError: it is none of these, or cannot be read.

    Example:
        >>> import numpy as np
        >>> a = fingerprint({"w": np.zeros(3, dtype=np.float32)})
        >>> a == fingerprint({"w": np.zeros(3, dtype=np.float32)}), a == fingerprint({"w": -np.zeros(3, dtype=np.float32)})
        (True, False)
    """
    count = thread_count(threads)
    held, together = held_by(what)
    names = [h.name for h in held]
    twice = {n for n in names if names.count(n) > 1} if len(set(names)) != len(names) else set()
    if twice:
        raise FaninValueError(f"two tensors go by the name {sorted(twice)[0]} once wrappers' names are taken off")
    sums = _sums(held, count, progress)
    words = together([[a & 0xFFFFFFFF, a >> 32, b & 0xFFFFFFFF, b >> 32] for a, b in sums], "once")
    tensors = {
        h.name: digest(h.dtype, h.shape, add((w[0] + (w[1] << 32), w[2] + (w[3] << 32)), (0, 0)))
        for h, w in zip(held, words, strict=True)
    }
    return Fingerprint(digest_of_all(tensors), tensors)


def held_by(what: Any) -> tuple[list[Held], Together]:
    """The tensors of something, and what joins words for each of them over processes."""

    def alone(words: list[list[int]], how: Join) -> list[list[int]]:
        return words

    if isinstance(what, Plan):
        return plan_tensors(what), alone
    if isinstance(what, str | os.PathLike):
        return _of_path(Path(what)), alone
    if is_keras(what):  # on PyTorch such a model is a module, too, but its names there change from process to process
        from fanin.fingerprints.keras import model_tensors

        return model_tensors(what), alone
    if isinstance(what, getattr(sys.modules.get("flax.nnx"), "Module", ())):
        from fanin.fingerprints.flax import model_tensors

        return model_tensors(what), alone
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(what, torch.nn.Module):
        from fanin.fingerprints.torch import model_tensors, together

        held = model_tensors(what)
        return held, lambda words, how: together(what.parameters(), held, words, how)
    if isinstance(what, Mapping):
        if torch is not None and any(isinstance(v, torch.Tensor) for v in what.values()):
            from fanin.fingerprints.torch import state_tensors, together

            held = state_tensors(what)
            return held, lambda words, how: together(what.values(), held, words, how)
        return _arrays(what), alone
    raise FaninTypeError(
        f"{type(what).__name__} has no fingerprint; give a model, a mapping from names to arrays, a plan, or a path"
    )


def is_keras(what: Any) -> bool:
    """Whether it is a model or a layer of Keras's."""
    return isinstance(what, getattr(sys.modules.get("keras"), "Layer", ()))


def _of_path(path: Path) -> list[Held]:
    if not path.exists():
        raise FaninValueError(f"{path} does not exist")
    if path.suffix in TORCH_FILES:
        from fanin.fingerprints.torch import file_tensors

        return file_tensors(path)
    if path.suffix == ".npz":
        return files.npz(path)
    if files.is_safetensors(path):
        return files.safetensors(path)
    if path.suffix == ".json":
        return plan_tensors(Plan.load(path))
    known = ", ".join((".safetensors", ".npz", ".json (a plan)", *TORCH_FILES))
    raise FaninValueError(
        f"{path} is no checkpoint that is known here; accepted are {known}, or a folder of safetensors"
    )


def plan_tensors(plan: Plan) -> list[Held]:
    """The weights that a plan gives, in the types that it knows."""
    items = plan_items(plan, None)
    return [Held(i.name, i.dtype, i.shape, files.whole(i.shape), _Draws(i.source), uncut=i.source.whole) for i in items]


class _Draws:
    """Draws blocks of one weight."""

    def __init__(self, source: Any) -> None:
        self.source = source

    def __call__(self, part: Part) -> Any:
        return as_bits(self.source.values(part.window))


def _arrays(what: Mapping[str, Any], prefix: str = "") -> list[Held]:
    held = []
    for name, value in what.items():
        if isinstance(value, Mapping):
            held += _arrays(value, f"{prefix}{name}.")
            continue
        if isinstance(value, getattr(sys.modules.get("jax"), "Array", ())):
            from fanin.fingerprints.jax import array_held, is_numbers

            if is_numbers(value):
                held.append(array_held(f"{prefix}{name}", value))
                continue
        try:
            array = np.asarray(value)
        except Exception as error:
            raise FaninTypeError(f"{prefix}{name} is no array: {error}") from None
        if array.dtype.hasobject:
            raise FaninTypeError(f"{prefix}{name} is a {type(value).__name__}, but must be an array of numbers")
        held.append(Held(f"{prefix}{name}", array.dtype.name, array.shape, files.whole(array.shape), _Array(array)))
    if not prefix:
        names = plain_names([h.name for h in held])
        held = [replace(h, name=names[h.name]) for h in held]
    return held


class _Array:
    """Blocks of an array in memory."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __call__(self, part: Part) -> Any:
        return as_bits(self.array[part.window])


def _sums(held: list[Held], threads: int, progress: Progress) -> list[Sums]:
    sums: list[Sums] = [(0, 0)] * len(held)
    lock = threading.Lock()
    held = [h if h.first else replace(h, parts=()) for h in held]
    total = sum(part.size for h in held for part in h.parts)
    kernel = compiled() if total >= WORTH_IT else None

    def one(k: int, part: Part) -> None:
        found = window_sums(held[k].bits(part), held[k].shape, part.window, kernel)
        with lock:
            sums[k] = add(sums[k], found)

    run(pieces(held, one), total, threads, progress, "hashing")
    return sums


def pieces(held: list[Held], work: Callable[[int, Part], None], whole: list[bool] | None = None) -> Iterator[Piece]:
    """Work on every block, in pieces unless a piece costs as much as the whole."""
    for k, h in enumerate(held):
        uncut = h.uncut or (whole is not None and whole[k])
        for part in h.parts:
            for piece in [part] if uncut else cut(part, PIECE):
                yield piece.size, lambda k=k, piece=piece: work(k, piece)
