"""Tensors of torch models, sharded or not, and of `.pt` files."""

import pickle
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fanin.errors import FaninTypeError, FaninValueError
from fanin.fingerprints.files import whole
from fanin.fingerprints.hashing import UNSIGNED, Bits
from fanin.fingerprints.records import Held, Join
from fanin.names import plain_names, unwrapped_names
from fanin.plans.parts import Part
from fanin.plans.torch.memory import as_array
from fanin.plans.torch.shards import (
    FlatShards,
    first_rank,
    first_replica,
    flat_shards,
    is_dtensor,
    local_of,
    reshard,
    shard_problem,
    tensor_parts,
)


def model_tensors(model: nn.Module) -> list[Held]:
    """Parameters and persistent buffers: what a checkpoint of the model holds. Tied ones go by their first name."""
    reshard(model)
    flat = flat_shards(model)
    named = dict[str, Tensor](model.named_parameters())
    for path, module in model.named_modules():
        for name, buffer in module._buffers.items():
            if buffer is not None and name not in module._non_persistent_buffers_set:
                named[f"{path}.{name}".lstrip(".")] = buffer
    return _held(named, flat)


def state_tensors(state: Mapping[str, Any]) -> list[Held]:
    """The tensors of a state dict; of those that share their memory (ties) the first name counts."""
    seen: set[tuple[Any, ...]] = set()
    named: dict[str, Tensor] = {}
    for name, tensor in _flat(state):
        if not is_dtensor(tensor) and tensor.layout == torch.strided and tensor.numel():
            place = (tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
            if place in seen and not tensor.is_meta:
                continue
            seen.add(place)
        named[name] = tensor
    return _held(named, {})


def file_tensors(path: Path) -> list[Held]:
    """The tensors of a `.pt` file, which is read with `weights_only` (no code is run)."""
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, ValueError):
        loaded = _unmapped(path)
    except Exception as error:  # a file that is no pickle, or cut off, raises anything
        raise _unreadable(path, error) from None
    if isinstance(loaded, Mapping):
        for key in ("state_dict", "model", "model_state_dict"):  # a checkpoint of a training run
            if isinstance(loaded.get(key), Mapping) and not any(isinstance(v, Tensor) for v in loaded.values()):
                loaded = loaded[key]
                break
    if not isinstance(loaded, Mapping) or not any(True for _ in _flat(loaded)):
        raise FaninValueError(f"{path} holds a {type(loaded).__name__}, but must hold tensors by name (a state dict)")
    return state_tensors(loaded)


def _unmapped(path: Path) -> Any:
    """Files of before torch 1.6 cannot be mapped into memory."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: BaseException) -> FaninValueError:
    words = str(error).strip().splitlines() or [type(error).__name__]
    if isinstance(error, pickle.UnpicklingError) and "Weights only" in words[0]:
        words = ["it holds other objects, which would run code; give a file of model.state_dict()"]
    return FaninValueError(f"{path} cannot be read as a file of tensors (weights_only): {words[0]}")


def _flat(state: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Tensor]]:
    for name, value in state.items():
        if isinstance(value, Tensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, np.ndarray):
            yield f"{prefix}{name}", _tensor(f"{prefix}{name}", value)
        elif isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")


def _tensor(name: str, array: np.ndarray[Any, Any]) -> Tensor:
    """An array of NumPy's among tensors."""
    try:
        return torch.from_numpy(array.astype(array.dtype.newbyteorder("=")))
    except TypeError:
        raise FaninTypeError(f"{name} is an array of {array.dtype}, which torch does not have; give tensors") from None


def _held(named: dict[str, Tensor], flat: FlatShards) -> list[Held]:
    names = plain_names(list(unwrapped_names(named).values()))
    bare = unwrapped_names(named)
    held = []
    for raw, tensor in named.items():
        name = names[bare[raw]]
        if tensor.is_meta:
            raise FaninValueError(f"{name} is on the meta device and has no values")
        if is_dtensor(tensor):
            problem = shard_problem(tensor)
            if problem is not None:
                raise FaninValueError(f"{name} {problem}")
        shape, parts, first, group = tuple(tensor.shape), list(whole(tuple(tensor.shape))), True, 0
        if id(tensor) in flat:
            shape, parts, group = flat[id(tensor)]
        elif is_dtensor(tensor):
            parts, first, group = tensor_parts(tensor), first_replica(tensor), first_rank(tensor)
        dtype = str(tensor.dtype).removeprefix("torch.")
        shared = id(tensor) in flat or is_dtensor(tensor)
        reader = _Reader(local_of(tensor), name)
        held.append(Held(name, dtype, shape, tuple(parts), reader, shared, first, group))
    return held


def whole_tensor(name: str, tensor: Tensor) -> Held:
    """One tensor that is not sharded."""
    shape = tuple(tensor.shape)
    return Held(name, str(tensor.dtype).removeprefix("torch."), shape, whole(shape), _Reader(tensor, name))


class _Reader:
    """Reads blocks of one tensor."""

    def __init__(self, local: Tensor, name: str) -> None:
        self.local, self.name = local, name

    def __call__(self, part: Part) -> Bits:
        if self.local.layout != torch.strided or self.local.is_quantized:
            kind = "quantized" if self.local.is_quantized else str(self.local.layout)
            raise FaninValueError(f"{self.name} is {kind} and cannot be hashed; give a dense tensor")
        block = self.local[part.local]
        if len(part.local) != len(part.window):
            block = block.view([s.stop - s.start for s in part.window])
        width = block.element_size()
        block = block.resolve_neg().resolve_conj().contiguous().cpu()
        bits = as_array(block)
        if width in UNSIGNED:
            return bits.view(UNSIGNED[width]).reshape(block.shape)
        return bits.view(np.uint64).reshape(*block.shape, width // 8)


def together(tensors: Iterable[Any], held: list[Held], words: list[list[int]], how: Join) -> list[list[int]]:
    """Words for each tensor, joined over the processes that a sharded model, or its state dict, lies on.

    Small reductions of a few words each: whether all processes hold the same tensors, which group of processes speaks for
    each, and the words. Where processes do not hold the same (stages of a pipeline), all of it is exchanged instead.

    Args:
        tensors: of the model.
        held: the same, as they are hashed.
        words: as many for each tensor, integers whose sum stays below 2^63.
        how: they are joined.
    """
    if not any(h.shared for h in held):
        return words
    import torch.distributed as dist

    meshes = (p.device_mesh.device_type for p in tensors if is_dtensor(p))
    device, count = next(meshes, "cpu"), dist.get_world_size()
    mine = zlib.crc32("\n".join(f"{h.name} {h.shape} {h.dtype} {h.shared}" for h in held).encode()) & 0x7FFFFFFF
    facts = [mine, mine * mine % 0x7FFFFFFF]

    def reduced(table: list[Any], operation: Any) -> list[Any]:
        tensor = torch.tensor(table, dtype=torch.int64, device=device)
        dist.all_reduce(tensor, operation)
        return tensor.tolist()

    if reduced(facts, dist.ReduceOp.SUM) == [fact * count for fact in facts]:
        speaking = reduced([h.group for h in held], dist.ReduceOp.MIN)
        own = [
            w if how != "once" or (h.first and h.group == g) else [0] * len(w)
            for h, w, g in zip(held, words, speaking, strict=True)
        ]
        joined = reduced(own, dist.ReduceOp.MAX if how == "largest" else dist.ReduceOp.SUM)
    else:
        everyone: list[Any] = [None] * count
        dist.all_gather_object(
            everyone, {h.name: (h.group, h.first, w) for h, w in zip(held, words, strict=True) if h.shared}
        )
        joined = []
        for h, own in zip(held, words, strict=True):
            found = [e[h.name] for e in everyone if h.name in e]
            speaking = min((group for group, _, _ in found), default=0)
            rows = [w for group, first, w in found if how != "once" or (first and group == speaking)]
            joined.append([max(c) if how == "largest" else sum(c) for c in zip(*rows, strict=True)] if found else own)
    return [j if h.shared else w for h, w, j in zip(held, words, joined, strict=True)]
