"""A model on the meta device given memory and drawn: `Plan.materialize`."""

import warnings
from typing import Any

import torch
from torch import nn

from fanin.errors import FaninTypeError, FaninValueError
from fanin.plans.records import Plan
from fanin.plans.torch import buffers
from fanin.plans.torch.apply import apply, checked, prepared
from fanin.plans.torch.architecture import check_architecture
from fanin.plans.torch.shards import is_dtensor
from fanin.plans.torch.targets import find_targets
from fanin.plans.work import Progress

SHOWN = 5


def materialize(
    plan: Plan,
    model: Any,
    mesh: Any = None,
    device: Any = None,
    *,
    seed: int | None = None,
    restore: buffers.Restore | None = None,
    threads: int | None = None,
    progress: Progress = None,
) -> nn.Module:
    """See `Plan.materialize`."""
    plan = prepared(plan, model, seed)
    check_architecture(plan.architecture, model)
    place = _device(device, mesh)
    if mesh is not None:
        _check_mesh(model, mesh)
    targets = find_targets(model)
    chosen = checked(plan, targets, meta=True)
    covered = {id(t) for _, _, target in chosen for t in target.tensors}
    bare = [n for n, p in model.named_parameters() if p.is_meta and id(p) not in covered]
    if bare:
        raise FaninValueError(
            f"the plan has no entry for {_some(bare)}, which would be left without values; nothing was changed"
        )
    values, left = buffers.restored(model, restore)
    if left:
        raise FaninValueError(
            f"{_some(left)} would be left without values: constructors computed them on the meta device, and no function "
            "of the modules computes them again; build these modules off the meta device (what has values keeps them), or "
            "give restore=, a function that is called with each such module; nothing was changed"
        )
    if not values and not any(p.is_meta for p in model.parameters()):
        _warn_of_chance(buffers.unlike_computed(model, restore))
    if mesh is not None and not any(is_dtensor(p) for p in model.parameters()):
        from torch.distributed.fsdp import fully_shard

        fully_shard(model, mesh=mesh)
    _allocate(model, place)
    buffers.put(values, place)
    return apply(plan, model, threads=threads, progress=progress)


def _warn_of_chance(names: list[str]) -> None:
    if names:
        warnings.warn(
            f"the model has memory already, and {_some(names)} do not hold what their modules compute: after to_empty() that is "
            "whatever was in memory; call materialize in place of to_empty(), while the model is on the meta device",
            stacklevel=4,
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _device(device: Any, mesh: Any) -> torch.device:
    kind = getattr(mesh, "device_type", "cpu")
    try:
        place = torch.device(kind if device is None else device)
    except (RuntimeError, TypeError):
        raise FaninTypeError(f"device={device!r} cannot be used; give the name of a device, such as 'cpu'") from None
    if place.type == "meta":
        raise FaninValueError("device='meta' cannot be used; give the device that the weights shall be on")
    if mesh is not None and place.type != kind:
        raise FaninValueError(f"device={device!r} is not of the mesh's kind, which is {kind!r}")
    return place


def _check_mesh(model: nn.Module, mesh: Any) -> None:
    if not hasattr(mesh, "get_coordinate") or not hasattr(mesh, "mesh"):
        raise FaninTypeError(f"mesh={mesh!r} cannot be used; give a torch.distributed.DeviceMesh, or None")
    if mesh.get_coordinate() is None:
        raise FaninValueError("mesh does not hold this process; call materialize on the processes of the mesh")
    ranks = set(mesh.mesh.flatten().tolist())
    sharded = [(n, p) for n, p in model.named_parameters() if is_dtensor(p)]
    for name, parameter in sharded:
        others: Any = parameter.device_mesh  # type: ignore[attr-defined]
        if not set(others.mesh.flatten().tolist()) <= ranks or others.device_type != mesh.device_type:
            raise FaninValueError(
                f"mesh={tuple(mesh.shape)} of {mesh.device_type!r} does not match the model: {name} is sharded over "
                f"{tuple(others.shape)} of {others.device_type!r} (ranks {others.mesh.flatten().tolist()})"
            )
    if not sharded and mesh.ndim not in (1, 2):
        raise FaninValueError(
            f"mesh={tuple(mesh.shape)} has {mesh.ndim} axes; an unsharded model is spread over one (fully sharded) or two "
            "(replicas of shards); shard the model yourself for others"
        )


def _allocate(model: nn.Module, device: torch.device) -> None:
    """Memory for every parameter on the meta device, without values; parameters stay tied, and the same objects where torch allows."""
    places: dict[int, list[tuple[nn.Module, str]]] = {}
    meta: dict[int, nn.Parameter] = {}
    fsdp = any(kind.__name__ == "FSDPModule" for m in model.modules() for kind in type(m).__mro__)
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None and parameter.is_meta and not (fsdp and is_dtensor(parameter)):
                places.setdefault(id(parameter), []).append((module, name))
                meta[id(parameter)] = parameter
    with torch.no_grad():
        for key, owners in places.items():
            old = meta.pop(key)
            new = nn.Parameter(torch.empty_like(old, device=device), old.requires_grad)
            vars(new).update(vars(old))  # pyright: ignore[reportAttributeAccessIssue]
            try:
                torch.utils.swap_tensors(old, new)
            except RuntimeError:  # something else holds on to the old one: an object of its own then
                for module, name in owners:
                    module._parameters[name] = new
        if fsdp:  # its modules keep references of their own, which they mend in `_apply`
            model._apply(lambda t: torch.empty_like(t, device=device) if t.is_meta and is_dtensor(t) else t)
