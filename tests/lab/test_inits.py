"""Inits by name, and what they do to a model."""

from pathlib import Path

import pytest
import torch
from tests.lab import models

from fanin import rules
from fanin.errors import FaninTypeError, FaninValueError
from fanin.lab.inits import parse_init, parse_inits, split_names
from fanin.lab.inits_torch import initialise
from fanin.lab.losses_torch import cross_entropy
from fanin.plans import Entry, Need, Plan


def test_a_list_of_names_is_split_outside_brackets() -> None:
    assert split_names("default, he_normal(mode='fan_out', a=0.1),fanin") == [
        "default", "he_normal(mode='fan_out', a=0.1)", "fanin",
    ]  # fmt: skip


def test_names_rules_functions_and_mappings() -> None:
    parsed = parse_inits(["default", "he_normal", rules.orthogonal(gain=2), rules.xavier_uniform, models.he])
    assert [(i.name, i.kind) for i in parsed] == [
        ("default", "default"), ("he_normal", "rule"), ("orthogonal(gain=2.0)", "rule"), ("xavier_uniform", "rule"), ("he", "function"),
    ]  # fmt: skip
    assert parse_inits({"mine": "he_normal", "other": models.he})[0].name == "mine"
    assert [i.name for i in parse_inits("default,lsuv")] == ["default", "lsuv"]


def test_a_plan_file_is_named_by_its_stem(tmp_path: Path) -> None:
    from fanin.distributions import Constant

    plan = Plan({"2.bias": Entry(Constant(3.0), "test")}, requires={"2.bias": Need((10,))})
    plan.save(tmp_path / "best.json")
    init = parse_init(str(tmp_path / "best.json"))
    assert (init.name, init.kind) == ("best", "plan")
    model = models.small()
    x, y = torch.randn(8, 64), torch.arange(8)
    initialise(model, init, x, y, cross_entropy, 0)
    assert (model[2].bias == 3).all()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("he_norml", "did you mean 'he_normal'"),
        ("fannin", "did you mean 'fanin'"),
        ("he_normal(mode=", "does not parse"),
        ("missing.json", "missing.json"),
    ],
)
def test_a_bad_name_is_said(name: str, message: str) -> None:
    with pytest.raises(FaninValueError, match=message):
        parse_init(name)


def test_what_is_no_init_is_said() -> None:
    with pytest.raises(FaninTypeError, match="inits holds a int"):
        parse_inits([3])


@pytest.mark.parametrize("name", ["he_normal", "xavier_uniform", "orthogonal", "fanin", "lsuv"])
def test_every_kind_of_init_replaces_weights_by_the_seed(name: str) -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed if name == "lsuv" else 0)  # all others draw by the seed they are given
        model = models.small(32)
        with torch.no_grad():
            for p in model.parameters():
                p.fill_(7.0)
        initialise(model, parse_init(name), x, y, cross_entropy, seed)
        assert not (model[0].weight == 7).any()
        assert not model[0].bias.any()
        return model[0].weight.detach().clone()

    x, y = torch.randn(64, 64), torch.randint(0, 10, (64,))
    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


def test_a_rule_has_the_variance_that_it_promises() -> None:
    model = models.deep(2, 512)
    initialise(model, parse_init("he_normal"), torch.randn(64, 64), torch.randint(0, 10, (64,)), cross_entropy, 0)
    assert float(model[2].weight.detach().std()) == pytest.approx((2 / 512) ** 0.5, rel=0.02)


def test_lsuv_says_what_it_could_not_do_and_goes_on_as_its_authors_do() -> None:
    model = models.small()
    given = initialise(model, parse_init("lsuv"), torch.zeros(8, 64), torch.arange(8), cross_entropy, 0)
    assert given.note == "could not bring the output of 0.weight, 2.weight to unit variance"


def test_batch_norm_is_as_fresh_after_lsuv_as_before() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(64, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 10))
    initialise(model, parse_init("lsuv"), torch.randn(16, 64), torch.zeros(16).long(), cross_entropy, 0)
    assert not model[1].running_mean.any()
    assert int(model[1].num_batches_tracked) == 0


def test_a_preset_is_an_init_and_a_rule_of_the_same_name_has_brackets() -> None:
    preset, rule = parse_inits("gpt2(std=0.5),deepnorm()")
    assert (preset.kind, preset.name) == ("preset", "gpt2(std=0.5)")
    assert preset.value.parameters == {"std": 0.5}
    assert rule.kind == "rule"
    assert parse_inits("default,deepnorm")[1].kind == "preset"


def recurrent() -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor]:
    from fanin.lab.models import Facts
    from fanin.lab.models.recurrent_torch import lstm

    torch.manual_seed(0)
    return lstm(Facts((6, 2), "sequence", 3), width=8), torch.randn(16, 6, 2), torch.randint(0, 3, (16,))


def test_a_sum_draws_anew_what_its_rule_is_for_and_nothing_else() -> None:
    model, x, y = recurrent()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    initialise(model, parse_init("default+forget_bias(value=2)"), x, y, cross_entropy, 0)
    bias = model.layers.bias_ih_l0.detach() + model.layers.bias_hh_l0.detach()
    assert bias.reshape(4, 8)[1].tolist() == [2.0] * 8
    assert not bias.reshape(4, 8)[[0, 2, 3]].any()
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters() if "layers.bias" not in name)


def test_parts_of_a_sum_are_carried_out_in_order() -> None:
    model, x, y = recurrent()
    initialise(model, parse_init("xavier_uniform+chrono(t_max=50)+zeros@head"), x, y, cross_entropy, 3)
    steps = 1 + model.layers.bias_ih_l0.detach().reshape(4, 8)[1].exp()
    assert bool((steps >= 2).all())
    assert bool((steps <= 50).all())
    assert not model.head.weight.any()
    alone, _, _ = recurrent()
    initialise(alone, parse_init("xavier_uniform"), x, y, cross_entropy, 3)
    assert torch.equal(model.layers.weight_hh_l0, alone.layers.weight_hh_l0)


def residual(norm: str | None) -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor]:
    from fanin.lab.models import Facts
    from fanin.lab.models.resnet_torch import resnet

    torch.manual_seed(0)
    model = resnet(Facts((3, 8, 8), "image", 3), 8, norm=norm, width=4)
    return model, torch.randn(8, 3, 8, 8), torch.randint(0, 3, (8,))


def test_scales_of_the_last_norms_alone_are_zero() -> None:
    model, x, y = residual("batch")
    initialise(model, parse_init("he_normal+zero_gamma"), x, y, cross_entropy, 0)
    zero = [
        name
        for name, p in model.named_parameters()
        if p.dim() == 1 and "norm" in name and "weight" in name and not p.any()
    ]
    assert zero == [f"stage{k}_0.branch.norm2.weight" for k in (1, 2, 3)]


def test_scalars_are_put_on_branches_and_the_weights_are_left() -> None:
    model, x, y = residual(None)
    before = model.stage1_0.branch.conv2.weight.detach().clone()
    given = initialise(model, parse_init("default+rezero"), x, y, cross_entropy, 0)
    assert model.stage1_0.branch.conv2.fanin_scale.item() == 0
    assert torch.equal(model.stage1_0.branch.conv2.weight, before)
    assert given.note.startswith("the model was edited as the init requires: a trainable scalar")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("default+he_normal", "he_normal is for whole models"),
        ("default+forget_bais", "did you mean 'forget_bias'"),
        ("defalt+forget_bias", "did you mean 'default'"),
        ("default+zeros@haed", "'haed' is unknown; did you mean 'head'"),
        ("default+chrono", "t_max"),
    ],
)
def test_a_bad_sum_is_said(text: str, message: str) -> None:
    with pytest.raises(FaninValueError, match=message):
        parse_init(text)


@pytest.mark.parametrize(
    "text", ["default+forget_bias", "default+zero_gamma", "default+ones@nothing*", "default+rezero"]
)
def test_a_sum_for_weights_that_there_are_not_is_said(text: str) -> None:
    model = models.small()
    before = model[0].weight.detach().clone()
    with pytest.raises(FaninValueError, match="but the model has no"):
        initialise(model, parse_init(text), torch.randn(8, 64), torch.arange(8), cross_entropy, 0)
    assert torch.equal(model[0].weight, before)


def test_a_plus_in_the_name_of_a_plan_file_is_no_sum(tmp_path: Path) -> None:
    from fanin.distributions import Constant

    Plan({"2.bias": Entry(Constant(3.0), "test")}, requires={"2.bias": Need((10,))}).save(tmp_path / "a+b.json")
    assert parse_init(str(tmp_path / "a+b.json")).kind == "plan"
