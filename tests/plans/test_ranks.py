"""2, 4 and 8 processes: every weight of a sharded model is the one that a single process draws, whatever the placement."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.plans import ranks
from torch import nn

import fanin
from fanin.errors import FaninValueError
from fanin.plans import Plan
from fanin.plans.laws import elementwise
from fanin.plans.torch.shards import flat_shards, local_of

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="gloo over a file: Linux")]
MATRICES = 1e-6  # how far orthogonal families may be apart
MEETS = {
    2: 1,
    4: 2,
    8: 3,
}  # every rule meets all layouts of two processes, a half of those of four, a third of those of eight


def layouts(world: int) -> Iterator[tuple[str, Callable[[], nn.Module]]]:
    """Ways to spread `Net` over this many processes."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import Replicate, Shard, distribute_tensor
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    line = init_device_mesh("cpu", (world,))
    styles = {"up": ColwiseParallel(), "mid": RowwiseParallel(), "head": ColwiseParallel(), "embed": RowwiseParallel()}

    def fully(mesh: Any) -> nn.Module:
        model = ranks.Net()
        fully_shard(model.mid, mesh=mesh)
        return fully_shard(model, mesh=mesh)  # type: ignore[return-value]

    def placed(mesh: Any, placements: list[Any]) -> nn.Module:
        model = ranks.Net()
        for module in model.modules():
            for name, parameter in list(module.named_parameters(recurse=False)):
                if parameter.ndim > 1:
                    spread = distribute_tensor(parameter.detach(), mesh, placements)
                    setattr(module, name, nn.Parameter(spread))
        return model

    yield "FSDP2", lambda: fully(line)
    yield "tensor parallel", lambda: parallelize_module(ranks.Net(), line, styles)
    yield "columns", lambda: placed(line, [Shard(1)])
    yield "replicas", lambda: placed(line, [Replicate()])
    if world >= 4:
        grid = init_device_mesh("cpu", (2, world // 2), mesh_dim_names=("a", "b"))
        yield "HSDP", lambda: fully(grid)
        yield "tensor x data", lambda: fully_shard(parallelize_module(ranks.Net(), grid["b"], styles), mesh=grid["a"])  # type: ignore[return-value]
        for one in (Shard(0), Shard(1), Replicate()):
            for two in (Shard(0), Shard(1)):
                yield f"nested {one} {two}", lambda one=one, two=two: placed(grid, [one, two])


def same_everywhere(rank: int, world: int, folder: Path) -> None:
    from torch.distributed.tensor.debug import CommDebugMode

    plans = ranks.plans()
    assert all(plan.entries for plan in plans.values()), "a rule that no weight of Net can be drawn by: give Net one"
    whole = {rule: dict(plan.apply(ranks.Net()).named_parameters()) for rule, plan in plans.items()}
    for turn, (layout, build) in enumerate(layouts(world)):
        model = build()
        for number, (rule, plan) in enumerate(plans.items()):
            if (turn + number) % MEETS[world]:
                continue
            with CommDebugMode() as talk:
                plan.apply(model)
            assert talk.get_total_counts() == 0, f"{layout}: {rule} communicated"
            for name, entry in plan.entries.items():
                where = f"{layout}, {rule}, {name}, process {rank}"
                found, wanted = (
                    local_of(model.get_parameter(name)),
                    shard_of(model.get_parameter(name), whole[rule][name]),
                )
                assert found.shape == wanted.shape, where
                if elementwise(entry.distribution):
                    assert torch.equal(found, wanted), where
                elif found.numel():
                    scale = max(1.0, float(whole[rule][name].detach().abs().max()))
                    assert float((found - wanted).abs().max()) <= MATRICES * scale, where
        fingerprints_agree(rank, model, plans["he_normal"], layout)
    fsdp1(plans["he_normal"])
    stages(rank, plans["he_normal"])
    torchs_own_differ(rank, world)
    wrong_meshes(rank, world)
    from_meta(rank, world, plans["he_normal"])


def shard_of(parameter: Any, whole: torch.Tensor) -> torch.Tensor:
    """What torch itself gives this process of the whole weight."""
    from torch.distributed.tensor import distribute_tensor

    if not hasattr(parameter, "placements"):
        return whole.detach()
    placed = distribute_tensor(whole.detach(), parameter.device_mesh, parameter.placements, src_data_rank=None)
    return placed.to_local()


def fingerprints_agree(rank: int, model: nn.Module, plan: Plan, layout: str) -> None:
    """Equal to that of one process; `verify` sees one number that another process has changed."""
    for reference in (ranks.Net(), model):
        ranks.plans()["constant"].apply(reference)
        plan.apply(reference)
    alone = ranks.Net()
    ranks.plans()["constant"].apply(alone)
    plan.apply(alone)
    assert fanin.fingerprint(model) == fanin.fingerprint(alone), layout
    if not flat_shards(model):  # FSDP1 gathers what its state dict holds
        held, whole = fanin.fingerprint(model.state_dict()).tensors, fanin.fingerprint(alone).tensors
        assert {name: held[name] for name in whole} == whole, layout
    assert fanin.verify(model, plan).same, layout
    name, world = "mid.weight", torch.distributed.get_world_size()
    parameter: Any = model.get_parameter(name)
    local = local_of(parameter)
    copies = parameter.device_mesh.size() < world or any(p.is_replicate() for p in parameter.placements)
    if local.numel() and (copies or rank == world - 1):
        local.view(-1)[-1] += 1
    found = fanin.verify(model, plan)
    assert [w.name for w in found.different] == [name], f"{layout}: {found}"
    assert found.different[0].count >= 1
    assert fanin.fingerprint(model).differences(fanin.fingerprint(alone)) == (name,), layout


def fsdp1(plan: Plan) -> None:
    """The older FullyShardedDataParallel, whose shards are flat pieces."""
    from torch.distributed.fsdp import FullyShardedDataParallel
    from torch.distributed.fsdp.wrap import ModuleWrapPolicy

    whole = plan.apply(ranks.Net())
    policy = ModuleWrapPolicy({nn.Linear})
    model = FullyShardedDataParallel(
        ranks.Net(), use_orig_params=True, auto_wrap_policy=policy, device_id=torch.device("cpu")
    )
    plan.apply(model)
    assert fanin.verify(model, plan).same
    with FullyShardedDataParallel.summon_full_params(model):
        gathered = {n.replace("_fsdp_wrapped_module.", ""): p.detach().clone() for n, p in model.named_parameters()}
    assert all(torch.equal(gathered[name], whole.get_parameter(name)) for name in plan.entries)
    hashes = fanin.fingerprint(model).tensors
    assert {n: hashes[n] for n in plan.entries} == {n: fanin.fingerprint(whole).tensors[n] for n in plan.entries}


def stages(rank: int, plan: Plan) -> None:
    """Processes that hold other layers (stages of a pipeline), each sharded: every one learns the hashes of its own."""
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.tensor import Replicate, Shard, distribute_tensor

    world = torch.distributed.get_world_size()
    halves = [DeviceMesh("cpu", list(range(world // 2))), DeviceMesh("cpu", list(range(world // 2, world)))]
    stage, whole = int(rank >= world // 2), plan.apply(ranks.Net())
    model = nn.Module()
    for name, place in (("up", 0), ("mid", 1), ("down", None)):
        if place in (stage, None):
            layer = nn.Linear(1, 1, bias=False)
            weight = torch.empty_like(whole.get_parameter(f"{name}.weight"))
            placement = Shard(0) if name != "down" else Replicate()
            layer.weight = nn.Parameter(distribute_tensor(weight, halves[stage], [placement], src_data_rank=None))
            model.add_module(name, layer)
    own = plan.edit({name: None for name in plan.entries if name not in dict(model.named_parameters())})
    own.apply(model)
    expected = fanin.fingerprint(whole).tensors
    assert fanin.fingerprint(model).tensors == {n: expected[n] for n in own.entries}
    assert fanin.verify(model, own).same


def torchs_own_differ(rank: int, world: int) -> None:
    """Beside it: torch's own initialisation of a sharded weight, with the same seed, is another one."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor

    mesh = init_device_mesh("cpu", (world,))
    sharded = nn.Parameter(distribute_tensor(torch.zeros(16, 16), mesh, [Shard(0)]))
    torch.manual_seed(0)
    nn.init.normal_(sharded)
    torch.manual_seed(0)
    whole = nn.init.normal_(torch.zeros(16, 16))
    if rank:
        assert not torch.equal(local_of(sharded), shard_of(sharded, whole))


def wrong_meshes(rank: int, world: int) -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import DTensor, Partial, Shard

    mesh = init_device_mesh("cpu", (world,))
    plan = Plan.from_dict({**ranks.plans()["zeros"].to_dict()})
    plan = plan.edit({name: None for name in plan.entries if name != "mid.weight"})
    for placement, words in ((Shard(0), "the mesh does not match the model"), (Partial(), "is placed as")):
        model = ranks.Net()
        local = torch.randn(3, 16)
        spread = DTensor.from_local(local, mesh, [placement], run_check=False, shape=(16, 16), stride=(16, 1))
        model.mid.weight = nn.Parameter(spread)
        with pytest.raises(FaninValueError, match=words):
            plan.apply(model)
        assert local.any()
    from torch.distributed.fsdp import fully_shard

    model = ranks.Net()
    nn.utils.parametrizations.weight_norm(model.mid)
    with pytest.raises(FaninValueError, match=r"mid\.weight is sharded \(DTensor\) behind a parametrisation"):
        plan.apply(fully_shard(model, mesh=mesh))


def from_meta(rank: int, world: int, plan: Plan) -> None:
    """A model on the meta device, sharded there or by `materialize`, has the numbers of one process."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    zeros = ranks.plans()["zeros"]
    plan = Plan({**zeros.entries, **plan.entries}, plan.seed, {**zeros.requires, **plan.requires})
    whole = plan.apply(ranks.Net())
    mesh = init_device_mesh("cpu", (world,))
    for given in (None, mesh):
        with torch.device("meta"):
            model = ranks.Net()
        if given is None:
            fully_shard(model.mid, mesh=mesh)
            fully_shard(model, mesh=mesh)
        assert plan.materialize(model, mesh=given) is model
        assert fanin.fingerprint(model) == fanin.fingerprint(whole)
        held = sum(local_of(p).numel() for p in model.parameters())
        assert held < sum(p.numel() for p in whole.parameters())
        output = model(torch.randint(0, 13, (2, 5), generator=torch.Generator().manual_seed(0)))
        assert torch.allclose(
            output, whole(torch.randint(0, 13, (2, 5), generator=torch.Generator().manual_seed(0))), atol=1e-5
        )
        plan.apply(model, seed=5)  # its root's weights are gathered after a pass; they go back to shards first
        assert fanin.fingerprint(model) == fanin.fingerprint(plan.apply(ranks.Net(), seed=5))
        model(torch.zeros(2, 5, dtype=torch.long))
        assert fanin.fingerprint(model) == fanin.fingerprint(plan.apply(ranks.Net(), seed=5))
    if world >= 4:
        half = init_device_mesh("cpu", (2, world // 2), mesh_dim_names=("a", "b"))["b"]
        with torch.device("meta"):
            model = fully_shard(ranks.Net(), mesh=mesh)
        with pytest.raises(FaninValueError, match="does not match the model"):
            plan.materialize(model, mesh=half)
        assert all(p.is_meta for p in model.parameters())


@pytest.mark.parametrize("world", [2, 4, 8])
def test_as_one_process(world: int, tmp_path: Path) -> None:
    ranks.start(world, tmp_path, same_everywhere)
