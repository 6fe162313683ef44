"""Stacks: each member gets what it would get alone, whoever its neighbours are."""

import pytest
import torch
from tests.lab.engine.nets import BINDINGS, chain, config, row, rows
from torch import nn

from fanin.lab.estimate import Kind
from fanin.lab.torch.stack_forward import stacked_cross_entropy, stacked_forward
from fanin.lab.torch.stackable import stackable
from fanin.lab.worker import grouping, parts_of, with_stacking

GRID = [(plan, lr, seed) for seed in (0, 1) for plan in ("default", "he_normal") for lr in (0.01, 0.1)]


@pytest.mark.parametrize("model", ["chain", "skip"])
@pytest.mark.parametrize("optimizer", ["sgd(momentum=0.9)", "adamw(weight_decay=0.1, eps=0.001)"])
def test_a_member_gets_what_it_would_get_alone(model: str, optimizer: str) -> None:
    # A large eps: without it Adam divides rounding noise by itself, and two orders of sums soon differ in everything.
    some = [config(model, p, lr=lr, seed=s, optimizer=optimizer, stacked=True, clip=1.0) for p, lr, s in GRID]
    together = rows(some)
    for found, one in zip(together, some, strict=True):
        alone = row(config(model, one.plan, lr=one.lr, seed=one.seed, optimizer=optimizer, clip=1.0))
        assert found.metrics["loss"] == pytest.approx(alone.metrics["loss"], rel=1e-3)
        assert found.held["loss"] == pytest.approx(alone.held["loss"], rel=1e-3)
        assert found.summary["moved"] == pytest.approx(alone.summary["moved"], rel=1e-3)
        assert found.summary["grad_norm"] == pytest.approx(alone.summary["grad_norm"], rel=1e-2)
        assert found.signals[-1].layers[0].rms == pytest.approx(alone.signals[-1].layers[0].rms, rel=1e-3)


def test_neighbours_do_not_matter() -> None:
    some = [config(plan=p, lr=lr, seed=s, stacked=True) for p, lr, s in GRID]
    whole = rows(some)
    for part in ([0], [5, 2], [1, 4, 7]):
        for found, place in zip(rows([some[i] for i in part]), part, strict=True):
            assert found.metrics["loss"] == pytest.approx(whole[place].metrics["loss"], rel=1e-5)


def test_a_member_that_diverges_leaves_the_others_alone() -> None:
    some = [config(stacked=True), config(plan="exploding", stacked=True), config(seed=1, stacked=True)]
    first, lost, last = rows(some)
    assert lost.diverged
    assert lost.steps < 20
    assert not first.diverged
    assert first.steps == last.steps == 20
    assert first.metrics["loss"] == pytest.approx(row(some[0]).metrics["loss"], rel=1e-4)


def test_the_plain_chain_is_what_vmap_gives() -> None:
    models = [chain() for _ in range(3)]
    forward = stacked_forward(models[0])
    assert forward is not None
    weights = {n: torch.stack([dict(m.named_parameters())[n] for m in models]) for n, _ in models[0].named_parameters()}
    x = torch.randn(3, 5, 64)
    out = forward(weights, {}, x)
    for k, model in enumerate(models):
        assert torch.allclose(out[k], model(x[k]), atol=1e-6)
    assert stacked_forward(BINDINGS["skip"]()) is None
    hooked = chain()
    hooked[0].register_forward_hook(lambda *a: None)
    assert stacked_forward(hooked) is None
    assert stacked_forward(nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))) is None


def test_gradients_of_the_stacks_own_operations() -> None:
    y = torch.tensor([[0, 2, 1], [1, 1, 0]])
    logits = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda o: stacked_cross_entropy(o, y), logits)
    one = torch.stack([nn.functional.cross_entropy(logits[k], y[k]) for k in range(2)])
    assert torch.allclose(stacked_cross_entropy(logits, y), one)
    net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).double()
    forward = stacked_forward(net)
    assert forward is not None
    names = [n for n, _ in net.named_parameters()]
    weights = [torch.randn(2, *p.shape, dtype=torch.float64, requires_grad=True) for p in net.parameters()]
    x = torch.randn(2, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *w: forward(dict(zip(names, w, strict=True)), {}, x), (x, *weights))


def test_what_is_random_or_large_is_not_stacked() -> None:
    def wanted(model: str, **settings) -> bool:
        one = config(model, **settings)
        return stackable(parts_of(one, BINDINGS | {"wide": lambda: nn.Linear(64, 10_000)}), one)

    assert wanted("chain")
    assert wanted("skip")
    assert not wanted("dropping")
    one = config("wide")
    big = BINDINGS | {"wide": lambda: nn.Sequential(nn.Linear(64, 4000), nn.ReLU(), nn.Linear(4000, 10))}
    assert not stackable(parts_of(one, big), one)
    seeded = BINDINGS | {"seeded": lambda seed: chain()}
    assert not stackable(parts_of(config("seeded"), seeded), config("seeded"))


def test_the_choice_is_made_once_and_kept() -> None:
    kept: dict[Kind, bool] = {}
    found = with_stacking([config("chain"), config("dropping"), config("chain", seed=1)], kept, BINDINGS)
    assert [c.stacked for c in found] == [True, False, True]
    assert sorted(kept.values()) == [False, True]
    turned = {kind: not value for kind, value in kept.items()}
    assert [c.stacked for c in with_stacking([config("chain")], turned, BINDINGS)] == [False]


def test_stacks_are_cut_from_the_grid_not_from_what_is_left() -> None:
    grid = {f"s{i}": config(seed=i, stacked=True) for i in range(40)} | {f"x{i}": config(seed=i) for i in range(3)}
    group = grouping(grid)
    whole = group(grid)
    assert sorted(key for keys in whole for key in keys) == sorted(grid)
    assert all(len(keys) == 1 for keys in whole if keys[0].startswith("x"))
    left = {key: c for key, c in grid.items() if key not in whole[0]}
    assert group(left) == whole[1:]


def test_plans_that_edit_the_model_train_in_stacks_of_their_own() -> None:
    """ReZero puts scalars into the model: parameters without an axis, which a stack must take too."""
    net = "mlp(depth=4, width=12, residual=True)"
    some = [config(net, plan, seed=s, stacked=True) for plan in ("default", "rezero") for s in (0, 1)]
    found = rows(some)
    assert [(row.state, row.error) for row in found] == [("done", "")] * 4
    assert "edited" in found[2].note
    assert found[2].metrics["loss"] == pytest.approx(row(config(net, "rezero")).metrics["loss"], rel=1e-3)
