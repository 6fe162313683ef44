"""A plan put into many models: each gets what it would have got alone."""

from typing import Any

import numpy as np
import pytest
import torch
from tests.plans.models import mlp, same, traced, values
from torch import nn
from torch.nn.utils import parametrizations

from fanin import rules
from fanin.distributions import Bernoulli, Constant, Normal, Orthogonal, Signs, Sparse, TruncatedNormal, Uniform
from fanin.draws import backends
from fanin.draws.torch import fill_, fill_seeds_
from fanin.errors import FaninTypeError, FaninValueError
from fanin.plans import Entry, plan_from_rules
from fanin.plans.torch.many import apply_many
from fanin.rules.registry import parse
from fanin.slots import Axes

SEEDS = [3, 0, 2**64 - 1]
LAWS = [
    Normal(0.5), Normal(0.5, 2.0), Uniform(0.3), TruncatedNormal(1.0, 2.0), TruncatedNormal(1.0, 1e-6), Signs(0.2),
    Bernoulli(0.1, 3.0), Constant(0.7), Sparse(Normal(1.0), 2, 1), Orthogonal(Axes.parse("oi", (5, 40))),
]  # fmt: skip


@pytest.fixture(params=["numpy", "numba"])
def engine(request: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """What fills arrays."""
    if request.param == "numba":
        backends.prepare()
    else:
        monkeypatch.setattr(backends.State, "engine", None)
        monkeypatch.setattr(backends.State, "drawn", 0)
    return request.param


@pytest.mark.parametrize("law", LAWS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_a_weight_under_several_seeds_has_the_numbers_of_each(engine: str, law: Any, dtype: torch.dtype) -> None:
    together = [torch.zeros(5, 40, dtype=dtype, requires_grad=True) for _ in SEEDS]
    fill_seeds_(together, law, seeds=SEEDS, name="w")
    for tensor, seed in zip(together, SEEDS, strict=True):
        assert torch.equal(tensor, fill_(torch.empty(5, 40, dtype=dtype), law, seed=seed, name="w"))


def test_more_numbers_than_one_tile_has_and_arrays_that_do_not_lie_in_one_piece(engine: str) -> None:
    for tensors in ([torch.zeros(90, 100) for _ in SEEDS], [torch.zeros(100, 9).t() for _ in SEEDS]):
        fill_seeds_(tensors, Normal(1.0), seeds=SEEDS, name="w")
        for tensor, seed in zip(tensors, SEEDS, strict=True):
            assert torch.equal(tensor, fill_(torch.empty(tensor.shape), Normal(1.0), seed=seed, name="w"))


def test_many_calls_of_numpy_are_counted_towards_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends.State, "engine", None)
    monkeypatch.setattr(backends.State, "drawn", 0)
    fill_seeds_([torch.empty(10) for _ in SEEDS], Normal(1.0), seeds=SEEDS, name="w")
    assert backends.State.drawn == 30


@pytest.mark.parametrize("rule", ["he_normal", "orthogonal", "mirrored", "sparse(sparsity=0.5)", "xavier_uniform"])
def test_each_model_has_what_it_would_have_alone(engine: str, rule: str) -> None:
    plan = plan_from_rules(traced(mlp()), {"*": parse(rule)})
    models = [mlp() for _ in SEEDS]
    versions = [p._version for p in models[0].parameters()]
    apply_many(plan, models, SEEDS)
    for model, seed in zip(models, SEEDS, strict=True):
        assert same(values(model), values(plan.apply(mlp(), seed=seed)))
    assert all(p._version > before for p, before in zip(models[0].parameters(), versions, strict=True))


def test_a_multiplier_multiplies_all_of_them() -> None:
    plan = plan_from_rules(traced(mlp()), {"*": rules.orthogonal()})
    plan = plan.edit({"0.weight": Entry(plan.entries["0.weight"].distribution, multiplier=-2.0)})
    models = [mlp(), mlp()]
    apply_many(plan, models, [1, 2])
    assert same(values(models[1]), values(plan.apply(mlp(), seed=2)))


def test_models_of_other_kinds_go_one_by_one() -> None:
    def normed() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 4)), nn.Linear(4, 2))

    plan = plan_from_rules(traced(normed(), torch.zeros(2, 4)), {"*": Normal(0.5)})
    models = [normed(), normed()]
    apply_many(plan, models, [1, 2])
    assert same(values(models[1]), values(plan.apply(normed(), seed=2)))
    mixed = [mlp(), mlp().double()]
    plan = plan_from_rules(traced(mlp()), {"*": Normal(0.5)})
    apply_many(plan, mixed, [1, 2])
    assert same(values(mixed[1]), values(plan.apply(mlp().double(), seed=2)))
    apply_many(plan, [], [])


def test_where_the_plan_does_not_fit_one_of_them_none_is_changed() -> None:
    plan = plan_from_rules(traced(mlp()), {"*": Normal(0.5)})
    models = [mlp(), nn.Sequential(nn.Linear(3, 3))]
    before = [values(model) for model in models]
    with pytest.raises(FaninValueError, match="the plan does not fit the model, and nothing was changed"):
        apply_many(plan, models, [0, 1])
    assert all(same(old, values(model)) for old, model in zip(before, models, strict=True))


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5])
def test_a_seed_that_is_none_is_named(seed: Any) -> None:
    tensors = [torch.zeros(2, 2), torch.zeros(2, 2)]
    with pytest.raises((FaninValueError, FaninTypeError), match="seed="):
        fill_seeds_(tensors, Normal(1.0), seeds=[0, seed], name="w")
    assert not np.any([tensor.numpy() for tensor in tensors])
