"""A weight keeps its name whatever the model is wrapped in."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from fanin.names import WRAPPERS, canonical, canonical_names, unwrapped_names


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


PLAIN = [name for name, _ in net().named_parameters()]


def names_of(model: nn.Module) -> list[str]:
    return list(canonical_names(name for name, _ in model.named_parameters()).values())


@pytest.mark.parametrize("wrapper", sorted(WRAPPERS))
@pytest.mark.parametrize("name", ["{}.layer.weight", "layer.{}.weight", "{}.layer.{}.weight"])
def test_components_that_only_wrappers_make_go_wherever_they_stand(wrapper: str, name: str) -> None:
    bare = name.replace("{}.", "")
    assert canonical(name.replace("{}", wrapper)) == bare


def test_compiled() -> None:
    assert names_of(torch.compile(net())) == PLAIN  # type: ignore[arg-type]


def test_compiled_inside() -> None:
    model = net()
    model[2] = torch.compile(model[2])  # type: ignore[assignment]
    assert names_of(model) == PLAIN


@pytest.mark.parametrize(
    "wrap", [nn.DataParallel, lambda m: torch.compile(nn.DataParallel(m)), lambda m: nn.DataParallel(torch.compile(m))]
)
def test_data_parallel_also_with_compiled_outside_or_inside(wrap: object) -> None:
    assert names_of(wrap(net())) == PLAIN  # type: ignore[operator]


def test_averaged_model() -> None:
    assert names_of(torch.optim.swa_utils.AveragedModel(net())) == PLAIN


def test_averaged_model_with_its_counter() -> None:
    """A checkpoint holds the wrapper's own buffer, too, which no prefix stands before."""
    for wrapped in (
        torch.optim.swa_utils.AveragedModel(net()),
        nn.DataParallel(torch.optim.swa_utils.AveragedModel(net())),
    ):
        state = wrapped.state_dict()
        assert sorted(canonical_names(state).values()) == sorted(["n_averaged", *PLAIN])
        assert sorted(canonical(n, among=list(state)) for n in state) == sorted(["n_averaged", *PLAIN])


def test_checkpoint_wrapper() -> None:
    wrap = pytest.importorskip("torch.distributed.algorithms._checkpoint.checkpoint_wrapper").checkpoint_wrapper
    model = net()
    model[0] = wrap(model[0])
    assert any("_checkpoint_wrapped_module" in name for name, _ in model.named_parameters())
    assert names_of(model) == PLAIN


def test_a_users_own_submodule_called_module_stays() -> None:
    model = nn.ModuleDict({"module": nn.Linear(2, 2), "head": nn.Linear(2, 2)})
    assert names_of(model) == [name for name, _ in model.named_parameters()]
    assert names_of(nn.DataParallel(model)) == [name for name, _ in model.named_parameters()]


def test_module_in_the_middle_stays() -> None:
    assert canonical("encoder.module.weight") == "encoder.module.weight"
    assert canonical("encoder.module.weight", among=["encoder.module.weight"]) == "encoder.module.weight"


@pytest.mark.parametrize(
    ("norm", "count"),
    [(parametrizations.weight_norm, 2), (parametrizations.spectral_norm, 1), (parametrizations.orthogonal, 1)],
)
def test_parametrized_weights_go_by_the_weights_name(norm: object, count: int) -> None:
    layer = norm(nn.Linear(3, 3))  # type: ignore[operator]
    assert names_of(nn.Sequential(layer)).count("0.weight") == count


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_hooked_norms_go_by_the_weights_name() -> None:
    model = nn.Sequential(nn.utils.weight_norm(nn.Linear(3, 3)), nn.utils.spectral_norm(nn.Linear(3, 3)))
    assert set(names_of(model)) == {"0.weight", "0.bias", "1.weight", "1.bias"}


def test_a_pair_of_a_users_own_parameters_stays_apart() -> None:
    """RWKV has x_v and x_g: they are no weight norm."""
    names = ["att.x_v", "att.x_g", "att.weight_v"]
    assert list(canonical_names(names).values()) == names


def test_parameters_of_a_parametrization_keep_their_names() -> None:
    name = "conv.parametrizations.weight.0.scale"
    assert canonical(name) == name


def test_one_name_and_many_agree() -> None:
    names = [
        "module._orig_mod.a.weight",
        "module._orig_mod.b.parametrizations.weight.original0",
        "module._orig_mod.b.bias",
    ]
    assert (
        [canonical(n, among=names) for n in names]
        == list(canonical_names(names).values())
        == ["a.weight", "b.weight", "b.bias"]
    )


def test_canonical_names_are_fixed_points() -> None:
    names = ["module._orig_mod.a.weight", "module.b.weight"]
    once = list(canonical_names(names).values())
    assert list(canonical_names(once).values()) == once


def test_unwrapped_names_keep_parametrizations() -> None:
    name = "module.conv.parametrizations.weight.original1"
    assert unwrapped_names([name])[name] == "conv.parametrizations.weight.original1"


def test_no_names() -> None:
    assert canonical_names([]) == {}


@pytest.fixture
def group(tmp_path: Path) -> Iterator[None]:
    """A process group of one process, which the distributed wrappers want."""
    dist = pytest.importorskip("torch.distributed")
    if not dist.is_available() or sys.platform != "linux":
        pytest.skip("needs torch.distributed with gloo")
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def ddp(model: nn.Module) -> nn.Module:
    return nn.parallel.DistributedDataParallel(model)


def fsdp1(model: nn.Module) -> nn.Module:
    from torch.distributed.fsdp import FullyShardedDataParallel
    from torch.distributed.fsdp.wrap import ModuleWrapPolicy

    policy = ModuleWrapPolicy({nn.Linear})
    return FullyShardedDataParallel(model, use_orig_params=True, auto_wrap_policy=policy, device_id=torch.device("cpu"))


def fsdp2(model: nn.Module) -> nn.Module:
    from torch.distributed.fsdp import fully_shard

    fully_shard(model[2])  # type: ignore[index]
    return fully_shard(model)  # type: ignore[return-value]


def checkpointed(model: nn.Module) -> nn.Module:
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import apply_activation_checkpointing

    apply_activation_checkpointing(model, check_fn=lambda m: isinstance(m, nn.Linear))
    return model


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "wrap",
    [
        ddp,
        fsdp1,
        fsdp2,
        checkpointed,
        lambda m: ddp(checkpointed(m)),
        lambda m: torch.compile(ddp(m)),
        lambda m: ddp(torch.compile(m)),  # type: ignore[arg-type]
        lambda m: fsdp1(checkpointed(m)),
        lambda m: torch.compile(fsdp2(m)),
        lambda m: torch.compile(fsdp1(m)),
        lambda m: torch.optim.swa_utils.AveragedModel(ddp(m)),
    ],
    ids=[
        "DDP", "FSDP1", "FSDP2", "checkpointed", "DDP of checkpointed", "compiled DDP", "DDP of compiled", "FSDP1 of checkpointed",
        "compiled FSDP2", "compiled FSDP1", "averaged DDP",
    ],
)  # fmt: skip
def test_the_real_wrappers(group: None, wrap: Callable[[nn.Module], nn.Module]) -> None:
    assert names_of(wrap(net())) == PLAIN


@pytest.mark.filterwarnings("ignore")
def test_a_plan_finds_its_weights_behind_every_wrapper(group: None) -> None:
    """The numbers in the end: what is under the names, not only the names."""
    import fanin

    bare = net()
    plan = fanin.plan(bare, torch.randn(5, 3), rules={"*": fanin.rules.he_normal()}, seed=2)
    expected = fanin.fingerprint(plan.apply(bare))
    for wrap in (ddp, fsdp1, fsdp2, checkpointed, lambda m: torch.compile(ddp(m))):
        model = wrap(net())
        plan.apply(model)
        assert fanin.fingerprint(model) == expected


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("wrap", [ddp, fsdp2], ids=["DDP", "FSDP2"])
@pytest.mark.parametrize("norm", [parametrizations.weight_norm, parametrizations.spectral_norm, nn.utils.weight_norm])
def test_weights_behind_a_norm_in_a_wrapper(group: None, wrap: Callable[[nn.Module], nn.Module], norm: Any) -> None:
    model = net()
    model[0] = norm(model[0])
    names = set(names_of(wrap(model)))
    assert names == set(PLAIN)
