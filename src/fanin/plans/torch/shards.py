"""Which part of a weight this process holds: plain tensors, `DTensor` of every placement, and the flat shards of FSDP1."""

from typing import Any

import torch
from torch import Tensor, nn

from fanin.errors import FaninValueError
from fanin.plans.parts import Part, Split, extents, flat_parts, owned, parts_of

# id of a parameter → shape of its weight, blocks of it held here, first process of its group
FlatShards = dict[int, tuple[tuple[int, ...], list[Part], int]]


def is_dtensor(tensor: Tensor) -> bool:
    """Whether a tensor is a `DTensor` (asked by name: importing it takes a second, and most models have none)."""
    return type(tensor).__name__ == "DTensor" and hasattr(tensor, "placements")


def local_of(tensor: Any) -> Tensor:
    """The tensor in this process's memory."""
    return tensor._local_tensor if is_dtensor(tensor) else tensor.detach()


def shard_problem(tensor: Any) -> str | None:
    """Why the shard of a `DTensor` cannot be drawn, as the end of a sentence; None where it can."""
    splits = _splits(tensor)
    if isinstance(splits, str):
        return splits
    if splits is None:
        return None
    shape, local = extents(owned(tuple(tensor.shape), splits)), tuple(local_of(tensor).shape)
    if shape != local:
        return (
            f"has a shard of shape {local} here, but a weight of shape {tuple(tensor.shape)} placed as "
            f"{_words(tensor)} has {shape}: the mesh does not match the model"
        )
    return None


def tensor_parts(tensor: Any) -> list[Part]:
    """The blocks of the weight that this process holds; none where it is outside of the weight's mesh."""
    splits = _splits(tensor) if is_dtensor(tensor) else []
    assert not isinstance(splits, str)
    return [] if splits is None else parts_of(owned(tuple(tensor.shape), splits))


def first_replica(tensor: Any) -> bool:
    """Whether this process is the one that speaks for its part among those that hold the same."""
    if not is_dtensor(tensor):
        return True
    coordinate = tensor.device_mesh.get_coordinate()
    return coordinate is not None and all(
        c == 0 for c, p in zip(coordinate, tensor.placements, strict=True) if p.is_replicate()
    )


def first_rank(tensor: Any) -> int:
    """The lowest process of a `DTensor`'s mesh."""
    return int(tensor.device_mesh.mesh.min())


def _splits(tensor: Any) -> list[Split] | str | None:
    """How a `DTensor` is split; None outside of its mesh; in words what is not known how to draw."""
    mesh = tensor.device_mesh
    coordinate = mesh.get_coordinate()
    if coordinate is None:
        return None
    splits = []
    for axis, (placement, index) in enumerate(zip(tensor.placements, coordinate, strict=True)):
        kind = type(placement).__name__
        if placement.is_replicate():
            continue
        if kind not in ("Shard", "_StridedShard"):
            return f"is placed as {_words(tensor)}; weights that are sharded or replicated are drawn"
        dim = placement.dim % max(1, tensor.ndim)
        splits.append(Split(dim, mesh.size(axis), index, int(getattr(placement, "split_factor", 1))))
    return splits


def _words(tensor: Any) -> str:
    return f"{tuple(tensor.placements)} on a mesh of shape {tuple(tensor.device_mesh.shape)}"


def reshard(model: nn.Module) -> None:
    """Put FSDP2 modules back to their shards: what is written into gathered weights would be lost."""
    for module in model.modules():
        if any(kind.__name__ == "FSDPModule" for kind in type(module).__mro__):
            module.reshard()  # type: ignore[operator]


def flat_shards(model: nn.Module) -> FlatShards:
    """For models under FullyShardedDataParallel: for each parameter, by its id, what of its weight is held here.

    A parameter of FSDP1 is, between passes, a flat piece of its weight (with `use_orig_params=True`).
    """
    found: FlatShards = {}
    for module in model.modules():
        handle = getattr(module, "_handle", None)
        if handle is None or type(handle).__name__ != "FlatParamHandle":
            continue
        flat = handle.flat_param
        parameters = getattr(flat, "_params", None)
        if parameters is None or not handle.uses_sharded_strategy:
            continue
        if flat.size() != flat._sharded_size:
            if handle._training_state.name == "SUMMON_FULL_PARAMS":  # whole, and written back by torch
                continue
            raise FaninValueError(
                "the model is in FullyShardedDataParallel and its weights are gathered at this moment, so what is written to "
                "them would be lost; finish the step with a backward pass, or use FSDP.summon_full_params(model)"
            )
        for parameter, shape, info in zip(parameters, flat._shapes, flat._shard_param_infos, strict=True):
            parts = []
            if info.in_shard:
                parts = flat_parts(tuple(shape), info.intra_param_start_idx, info.intra_param_end_idx + 1)
            group = min(torch.distributed.get_process_group_ranks(handle.process_group))
            found[id(parameter)] = (tuple(shape), parts, group)
    return found


def written(tensor: Tensor) -> None:
    """Tell autograd that a tensor's memory was written to."""
    torch.autograd.graph.increment_version(tensor)
