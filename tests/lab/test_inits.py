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
