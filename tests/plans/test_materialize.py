"""Models on the meta device: given memory and drawn, and nothing left to chance."""

import warnings
from typing import Any

import pytest
import torch
from torch import nn

import fanin
from fanin.errors import FaninTypeError, FaninValueError
from fanin.plans import Plan
from fanin.plans.torch.buffers import restored


class Rotary(nn.Module):
    """A buffer that the constructor computes, not saved with the model; `reset` as transformers, torchtune or nobody does it."""

    def __init__(self) -> None:
        super().__init__()
        self.base = 100.0
        self.register_buffer("freq", self.computed(), persistent=False)

    def computed(self) -> torch.Tensor:
        return self.base ** -torch.arange(0, 1, 0.25)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.freq.cos()


class ByReset(Rotary):
    def reset_parameters(self) -> None:
        self.freq.copy_(self.computed())


class ByAssignment(Rotary):
    def rope_init(self) -> None:
        self.register_buffer("freq", self.computed(), persistent=False)


class ByChance(Rotary):
    """Its function leaves another thing there each time."""

    def reset_parameters(self) -> None:
        self.freq.normal_()


class ByHalf(Rotary):
    def reset_parameters(self) -> None:
        self.freq[:2] = self.computed()[:2]


class Attribute(Rotary):
    """A plain attribute that holds a tensor: `to_empty` does not even see it."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = self.freq * 2

    def reset_parameters(self) -> None:
        self.freq.copy_(self.computed())
        self.kept = self.freq * 2


class Parent(nn.Module):
    """As models of transformers do it: the model initialises its modules."""

    def __init__(self, rotary: nn.Module) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.rotary = rotary

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, Rotary):
            module.freq.copy_(module.computed())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.rotary(self.fc(x))


def net(rotary: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 4), rotary, nn.Linear(4, 4), nn.BatchNorm1d(4))


def both(build: Any) -> tuple[nn.Module, nn.Module, Plan]:
    """The model on the meta device, a real one that is drawn, and the plan, which is made on the meta device."""
    with torch.device("meta"):
        meta = build()
    plan = fanin.plan(meta, torch.randn(5, 4), rules={"*": fanin.rules.he_normal()}, seed=4)
    return meta, plan.apply(build()), plan


@pytest.mark.parametrize("kind", [ByReset, ByAssignment, Attribute])
def test_the_model_is_the_one_that_is_built_and_drawn_in_memory(kind: Any) -> None:
    meta, real, plan = both(lambda: net(kind()))
    assert plan.materialize(meta) is meta
    x = torch.randn(7, 4)
    assert torch.equal(meta(x), real(x))
    assert torch.equal(meta[1].freq, real[1].freq)
    if kind is Attribute:
        assert torch.equal(meta[1].kept, real[1].kept)
    assert not any(t.is_meta for t in (*meta.parameters(), *meta.buffers()))
    assert set(meta.state_dict()) == set(real.state_dict())


def test_a_model_computes_the_buffers_of_its_modules() -> None:
    meta, real, plan = both(lambda: Parent(Rotary()))
    plan.materialize(meta)
    assert torch.equal(meta.rotary.freq, real.rotary.freq)
    assert torch.equal(meta.fc.weight, real.fc.weight)


@pytest.mark.parametrize("kind", [Rotary, ByChance, ByHalf])
def test_a_buffer_that_nothing_restores_is_an_error_and_nothing_is_changed(kind: Any) -> None:
    meta, _, plan = both(lambda: net(kind()))
    with pytest.raises(FaninValueError, match=rf"1\.freq \({kind.__name__}\) would be left without values"):
        plan.materialize(meta)
    assert all(t.is_meta for t in (*meta.parameters(), *meta.buffers()))


def test_a_function_that_restores_them() -> None:
    meta, real, plan = both(lambda: net(Rotary()))
    plan.materialize(meta, restore=lambda module: module.freq.copy_(module.computed()))
    assert torch.equal(meta[1].freq, real[1].freq)


def test_buffers_with_values_keep_them() -> None:
    with torch.device("meta"):
        meta = net(Rotary())
    meta[1] = Rotary()
    meta[1].freq.fill_(3.0)
    meta[2] = nn.Linear(4, 4)
    kept = meta[2].weight.detach().clone()
    plan = fanin.plan(
        net(Rotary()), torch.randn(5, 4), rules={"0.*": fanin.rules.he_normal(), "3.*": fanin.rules.ones()}
    )
    plan.materialize(meta)
    assert meta[1].freq.tolist() == [3.0] * 4
    assert torch.equal(meta[2].weight, kept), "and so do parameters that the plan leaves alone"


@pytest.mark.parametrize("build", [lambda: net(ByReset()), lambda: net(ByAssignment()), lambda: Parent(Rotary())])
def test_buffers_that_to_empty_left_to_chance_are_named(build: Any) -> None:
    """Nothing tells such memory from values, but that the modules compute others."""
    model, real, plan = both(build)
    model.to_empty(device="cpu")
    for buffer in model.buffers():
        buffer.fill_(7)
    with pytest.warns(UserWarning, match=r"freq.* do not hold what their modules compute: after to_empty"):
        plan.materialize(model)
    assert torch.equal(next(model.parameters()), next(real.parameters()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plan.materialize(build())


def test_parameters_without_an_entry_are_an_error() -> None:
    with torch.device("meta"):
        meta = net(ByReset())
    plan = fanin.plan(meta, torch.randn(5, 4), rules={"0.*": fanin.rules.he_normal()})
    with pytest.raises(FaninValueError, match=r"no entry for 2\.weight, 2\.bias, 3\.weight, 3\.bias"):
        plan.materialize(meta)
    assert all(p.is_meta for p in meta.parameters())


def test_ties_identity_and_flags_stay() -> None:
    with torch.device("meta"):
        meta = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        meta[1].weight = meta[0].weight
    meta[1].bias.requires_grad_(False)
    meta[0].weight.mark = "mine"
    plan = fanin.plan(meta, torch.randn(5, 4), rules={"*": fanin.rules.he_normal()})
    optimizer = torch.optim.SGD(meta.parameters(), lr=1.0)
    plan.materialize(meta)
    assert meta[0].weight is meta[1].weight
    assert not meta[1].bias.requires_grad
    assert meta[0].weight.mark == "mine"
    assert {id(p) for p in meta.parameters()} == {id(p) for g in optimizer.param_groups for p in g["params"]}


def test_restoring_touches_neither_weights_nor_random_state() -> None:
    class Greedy(ByReset):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def reset_parameters(self) -> None:
            super().reset_parameters()
            self.fc.reset_parameters()
            torch.rand(3)

    model = Greedy()
    model.freq = model.freq.to("meta")
    before, state = model.fc.weight.detach().clone(), torch.get_rng_state()
    values, left = restored(model)
    assert left == []
    assert torch.equal(values[0][1]["freq"], model.computed())
    assert torch.equal(model.fc.weight, before)
    assert torch.equal(torch.get_rng_state(), state)


def test_weights_behind_a_norm() -> None:
    meta, real, plan = both(lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))))
    plan.materialize(meta)
    assert torch.allclose(meta[0].weight, real[0].weight, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"device": "meta"}, "device='meta'"), ({"device": "nonsense"}, "device='nonsense'"), ({"mesh": 3}, "mesh=3")],
)
def test_arguments_that_do_not_go(options: Any, words: str) -> None:
    meta, _, plan = both(lambda: net(ByReset()))
    with pytest.raises((FaninValueError, FaninTypeError), match=words):
        plan.materialize(meta, **options)
    assert all(p.is_meta for p in meta.parameters())


@pytest.mark.filterwarnings("ignore")
def test_a_model_of_transformers() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        hidden_size=32, num_hidden_layers=2, intermediate_size=48, num_attention_heads=4, num_key_value_heads=2,
        vocab_size=50, tie_word_embeddings=True,
    )  # fmt: skip
    with torch.device("meta"):
        meta = transformers.LlamaForCausalLM(config)
    batch = {"input_ids": torch.randint(0, 50, (2, 9))}
    plan = fanin.plan(meta, batch, rules={"*": fanin.rules.normal(0.02)})
    real = plan.apply(transformers.LlamaForCausalLM(config)).eval()
    plan.materialize(meta).eval()
    assert torch.equal(meta(**batch).logits, real(**batch).logits)
    assert meta.lm_head.weight is meta.model.embed_tokens.weight


def test_the_automatic_choice_on_meta_says_that_it_measured_nothing() -> None:
    with torch.device("meta"):
        meta = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    targets = torch.randint(0, 3, (5,))
    plan = fanin.plan(meta, torch.randn(5, 4), targets, nn.functional.cross_entropy)
    assert len(plan) == 4
    assert any("meta device" in note for note in plan.notes)
    plan.materialize(meta)
    assert fanin.verify(meta, plan).same
