"""A plan as a module's own initialization: module by module, from meta, beside what others have marked as done."""

import functools
import os
import warnings

import pytest
import torch
from tests.plans.models import Block
from torch import nn

import fanin
import fanin.torch as face
from fanin.errors import FaninTypeError, FaninValueError


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8, padding_idx=2)
        self.body = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.utils.parametrizations.weight_norm(nn.Linear(16, 8)))
        self.norm = nn.BatchNorm1d(8)
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids):
        return self.head(self.norm(self.body(self.embed(ids))))


def plan_for(model):
    return fanin.plan(model, torch.arange(11), rules={"*": "he_normal(nonlinearity='relu')"}, seed=5)


@pytest.fixture
def plan():
    torch.manual_seed(0)
    return plan_for(Net())


@pytest.fixture
def wanted(plan):
    return dict(plan.apply(Net()).state_dict())


def same(model, wanted):
    return {name: bool(torch.equal(value, wanted[name])) for name, value in model.state_dict().items()}


class TestInitWeights:
    def test_module_by_module_gives_the_numbers_of_apply(self, plan, wanted):
        model = Net()
        assert model.apply(functools.partial(face.init_weights, plan=plan, root=model)) is model
        assert all(same(model, wanted).values())
        assert not model.embed.weight[2].any(), "the padding row is zero"

    def test_one_module_leaves_the_others_alone(self, plan, wanted):
        model = Net()
        before = {k: v.clone() for k, v in model.state_dict().items()}
        face.init_weights(model.body[0], plan, root=model)
        after = model.state_dict()
        changed = {k for k in after if not torch.equal(after[k], before[k])}
        assert changed == {"body.0.weight", "body.0.bias"}
        assert torch.equal(model.body[0].weight, wanted["body.0.weight"])

    def test_after_to_empty_and_from_meta(self, plan, wanted):
        with torch.device("meta"):
            model, other = Net(), Net()
            other.head.weight = other.embed.weight
        model.to_empty(device="cpu")
        model.head.weight = model.embed.weight  # `to_empty` unties
        model.norm.reset_running_stats()
        face.init_weights(model, plan)
        assert all(same(model, wanted).values())
        face.init_weights(other, plan, device="cpu")
        assert all(same(other, wanted).values())

    def test_each_module_of_a_meta_model_gets_memory_as_fsdp_asks_for_it(self, plan, wanted):
        with torch.device("meta"):
            model = Net()
            model.head.weight = model.embed.weight
        for module in model.modules():
            face.init_weights(module, plan, root=model, device="cpu")
        assert not any(t.is_meta for t in (*model.parameters(), *model.buffers()))
        assert torch.equal(model.body[0].weight, wanted["body.0.weight"])
        assert torch.equal(model.norm.running_var, torch.ones(8))

    @pytest.mark.parametrize("one_by_one", [False, True])
    def test_statistics_that_were_in_memory_start_again(self, plan, wanted, one_by_one):
        model = Net()
        model.norm.running_mean.fill_(torch.nan)
        model.norm.running_var.fill_(-1.9e38)
        if one_by_one:
            model.apply(functools.partial(face.init_weights, plan=plan, root=model))
        else:
            face.init_weights(model, plan)
        assert all(same(model, wanted).values())
        model.norm.running_var.fill_(-1.0)
        face.init_(model, "he_normal", seed=0)
        assert (model.norm.running_var == 1).all()

    def test_statistics_that_were_loaded_stay(self, plan):
        model = Net()
        model.norm.running_var.fill_(3.0)
        model.norm.weight._is_hf_initialized = True
        face.init_weights(model, plan)
        assert (model.norm.running_var == 3).all(), "the norm's own weights were loaded"
        del model.norm.weight._is_hf_initialized
        model.norm.running_var._is_hf_initialized = True
        face.init_weights(model, plan)
        assert (model.norm.running_var == 3).all(), "they were themselves"
        del model.norm.running_var._is_hf_initialized
        kept = plan.edit({"norm.weight": None})
        face.init_weights(model, kept)
        assert (model.norm.running_var == 3).all(), "the plan leaves the norm alone"

    def test_what_is_left_without_a_value_is_warned_of_where_it_shows(self, plan):
        model = Net()
        model.own = nn.Parameter(torch.full((3,), torch.nan))
        model.register_buffer("freq", torch.full((3,), torch.nan), persistent=False)
        model.plain = nn.BatchNorm1d(3, affine=False)
        model.plain.running_var.fill_(-1.0)
        with pytest.warns(UserWarning, match=r"does not draw own, freq, plain\.running_var, .*to_empty"):
            face.init_weights(model, plan)
        model.own.data.zero_()
        model.freq = torch.full((3,), -torch.inf)  # a mask may hold it
        model.plain.running_var.fill_(1.0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            face.init_weights(model, plan)

    def test_after_to_empty_ties_are_asked_for(self, plan):
        with torch.device("meta"):
            model = Net()
        model.to_empty(device="cpu")
        with pytest.raises(FaninValueError, match=r"two weights here.*to_empty\(\) unties weights: tie them again"):
            face.init_weights(model, plan)

    def test_without_root_one_module_is_not_the_model(self, plan):
        model = Net()
        with pytest.raises(FaninValueError, match=r"module=Embedding has no such weight .* takes root=model"):
            model.apply(functools.partial(face.init_weights, plan=plan))

    @pytest.mark.parametrize("guard", ["_is_hf_initialized", "_no_reinit"])
    def test_what_is_marked_as_done_keeps_its_values(self, plan, wanted, guard):
        model = Net()
        setattr(model.body[0].weight, guard, True)
        before = model.body[0].weight.clone()
        face.init_weights(model, plan)
        assert torch.equal(model.body[0].weight, before)
        assert [k for k, ok in same(model, wanted).items() if not ok] == ["body.0.weight"]

    def test_weights_made_under_skip_init(self, plan, wanted):
        model = Net()
        model.body[0] = nn.utils.skip_init(nn.Linear, 8, 16, device="cpu")
        face.init_weights(model, plan)
        assert all(same(model, wanted).values())

    def test_a_model_of_transformers_does_not_draw_again(self):
        transformers = pytest.importorskip("transformers")
        config = transformers.GPT2Config(n_layer=2, n_embd=32, n_head=2, vocab_size=40, n_positions=16)
        model = transformers.GPT2LMHeadModel(config)
        made = fanin.plan(model, torch.arange(8)[None], rules={"*": "he_normal(nonlinearity='gelu')"})
        face.init_weights(model, made)
        drawn = {k: v.clone() for k, v in model.state_dict().items()}
        for module in model.modules():
            module._is_hf_initialized = False
        model.init_weights()
        assert all(torch.equal(v, drawn[k]) for k, v in model.state_dict().items())

    def test_bad_input_changes_nothing(self, plan):
        model, other = Net(), nn.Linear(3, 3)
        before = {k: v.clone() for k, v in model.state_dict().items()}
        with pytest.raises(FaninTypeError, match="plan=str"):
            face.init_weights(model, "he_normal")
        with pytest.raises(FaninTypeError, match="module=int"):
            face.init_weights(3, plan)
        with pytest.raises(FaninValueError, match="not in root"):
            face.init_weights(other, plan, root=model)
        with pytest.raises(FaninValueError, match="no such weight"):
            face.init_weights(other, plan)
        assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


class TestSharded:
    """One process is enough to see that a DTensor is filled by its global place; `test_ranks` has several."""

    @pytest.fixture
    def mesh(self, tmp_path):
        from torch.distributed.device_mesh import init_device_mesh

        if torch.distributed.is_initialized():
            pytest.skip("a process group is open already")
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
        yield init_device_mesh("cpu", (1,))
        torch.distributed.destroy_process_group()

    def test_a_sharded_tensor_gets_the_numbers_of_the_whole(self, mesh):
        from torch.distributed.tensor import Shard, distribute_tensor

        tensor = distribute_tensor(torch.zeros(6, 4), mesh, [Shard(0)])
        whole = face.he_normal_(torch.empty(6, 4), seed=3, name="w")
        assert face.he_normal_(tensor, seed=3, name="w") is tensor
        assert torch.equal(tensor.full_tensor(), whole)

    def test_without_a_seed_processes_would_not_agree(self, mesh):
        from torch.distributed.tensor import Shard, distribute_tensor

        with pytest.raises(FaninValueError, match="give seed="):
            face.he_normal_(distribute_tensor(torch.zeros(6, 4), mesh, [Shard(0)]))

    @pytest.mark.filterwarnings("ignore")
    def test_as_the_function_that_fsdp_takes(self, mesh):
        from torch.distributed.fsdp import FullyShardedDataParallel

        net, made = plain()
        with torch.device("meta"):
            model, _ = plain()
        init = functools.partial(face.init_weights, plan=made, root=model, device="cpu")
        sharded = FullyShardedDataParallel(
            model, param_init_fn=init, device_id=torch.device("cpu"), use_orig_params=True
        )
        with FullyShardedDataParallel.summon_full_params(sharded):
            found = {k.replace("_fsdp_wrapped_module.", ""): v.clone() for k, v in sharded.state_dict().items()}
        assert all(torch.equal(v, found[k]) for k, v in made.apply(net).state_dict().items())

    def test_a_fully_sharded_model_after_to_empty(self, mesh):
        from torch.distributed.fsdp import fully_shard

        net, made = plain()
        with torch.device("meta"):
            model, _ = plain()
        fully_shard(model[0], mesh=mesh)
        fully_shard(model, mesh=mesh)
        model.to_empty(device="cpu")
        face.init_weights(model, made)
        found = {k: v.full_tensor() for k, v in model.state_dict().items()}
        assert all(torch.equal(v, found[k]) for k, v in made.apply(net).state_dict().items())


def plain():
    """A small net and a plan for it; on the meta device the net alone."""
    net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    if net[0].weight.is_meta:
        return net, None
    return net, fanin.plan(net, torch.randn(4, 8), rules={"*": "he_normal(nonlinearity='relu')"}, seed=3)


def test_what_the_plan_requires_is_asked_for_module_by_module_too():
    net = nn.Sequential(nn.Linear(8, 8), Block(), nn.Linear(8, 2))
    made = fanin.plan(net, torch.randn(4, 8), rules={"*": "rezero"})
    before = net[0].weight.clone()
    with pytest.raises(FaninValueError, match="trainable scalar"):
        face.init_weights(net[0], made, root=net)
    assert torch.equal(net[0].weight, before)
    face.edit(net, made)
    net.apply(functools.partial(face.init_weights, plan=made, root=net))
    assert not net[1].down.fanin_scale.any()
