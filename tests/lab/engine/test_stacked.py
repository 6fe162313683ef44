"""Stacks: each member gets what it would get alone, whoever its neighbours are."""

import functools
import warnings
from dataclasses import replace

import pytest
import torch
from tests.lab.engine.nets import BINDINGS, chain, config, row, rows
from torch import nn

from fanin.lab import blas
from fanin.lab.estimate import Kind
from fanin.lab.losses_torch import cross_entropy
from fanin.lab.torch.chain import Chain, chain_layers, cross_entropy_and_gradient, laid_out, stacked_cross_entropy
from fanin.lab.torch.optimizers import ColumnSGD, Rule
from fanin.lab.torch.products import NUMPY, TORCH
from fanin.lab.torch.stackable import members_of
from fanin.lab.torch.stacked import Stack
from fanin.lab.worker import grouping, parts_of, with_stacking

GRID = [(plan, lr, seed) for seed in (0, 1) for plan in ("default", "he_normal") for lr in (0.01, 0.1)]


@pytest.mark.parametrize("model", ["chain", "skip"])
@pytest.mark.parametrize(
    ("optimizer", "clip"),
    [
        ("sgd(momentum=0.9)", None),
        ("sgd(momentum=0.9, nesterov=True)", None),
        ("sgd(momentum=0.9)", 1.0),
        ("sgd(momentum=0.9, weight_decay=0.01)", None),
        ("adamw(weight_decay=0.1, eps=0.001)", 1.0),
    ],
)
def test_a_member_gets_what_it_would_get_alone(model: str, optimizer: str, clip: float | None) -> None:
    # A large eps: without it Adam divides rounding noise by itself, and two orders of sums soon differ in everything.
    some = [config(model, p, lr=lr, seed=s, optimizer=optimizer, stacked=True, clip=clip) for p, lr, s in GRID]
    together = rows(some)
    for found, one in zip(together, some, strict=True):
        alone = row(config(model, one.plan, lr=one.lr, seed=one.seed, optimizer=optimizer, clip=clip))
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


def deep() -> nn.Module:
    """A chain with a layer inside another chain, one that is flattened, and activations of either kind."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(12, 6), nn.ReLU(), nn.Sequential(nn.Linear(6, 6, bias=False), nn.ELU(inplace=True)),
        nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4), nn.Sigmoid(), nn.Tanh(), nn.ReLU(), nn.Linear(4, 3),
    )  # fmt: skip


def at_every_place() -> nn.Module:
    """A chain of sequences: each place has outputs of its own; it begins with an activation."""
    return nn.Sequential(nn.GELU(), nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))


def line() -> nn.Module:
    """A chain of one layer, which is the first and the last."""
    return nn.Sequential(nn.Linear(12, 3))


@pytest.mark.parametrize("by_numpy", [False, True])
@pytest.mark.parametrize(("make", "shape"), [(deep, (3, 4)), (at_every_place, (3, 4)), (deep, (12,)), (line, (12,))])
def test_the_plain_chain_is_what_autograd_gives(
    make, shape: tuple[int, ...], by_numpy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blas, "by_numpy", lambda: by_numpy)
    models = [make().double() for _ in range(3)]
    layers = chain_layers(models[0])
    assert layers is not None
    names = [n for n, _ in models[0].named_parameters()]
    weights = laid_out(layers, {n: torch.stack([m.get_parameter(n).detach() for m in models]) for n in names})
    chain = Chain(layers, weights, names)
    assert chain.products is (NUMPY if by_numpy else TORCH)
    for size in (5, 2, 5):  # the last batch of a pass is smaller; buffers are used again
        x = torch.randn(3, size, *shape, dtype=torch.float64)
        before = x.clone()
        out = chain.forward(x)
        y = torch.randint(3, (3, *models[0](x[0]).shape[:-1]))
        losses = chain.step(x, y, cross_entropy_and_gradient)
        assert torch.equal(x, before)
        for k, model in enumerate(models):
            given = model(x[k].clone())
            assert torch.allclose(out[k], given)
            loss = nn.functional.cross_entropy(given.flatten(0, -2), y[k].flatten())
            assert torch.allclose(losses[k], loss)
            wanted = torch.autograd.grad(loss, list(model.parameters()))
            for found, own in zip(chain.gradients, wanted, strict=True):
                assert torch.allclose(found[k], own)
    one = torch.randn(1, 4, *shape, dtype=torch.float64)
    assert torch.allclose(chain.forward(one)[1], models[1](one[0].clone()))


@pytest.mark.parametrize("by_numpy", [False, True])
@pytest.mark.parametrize(("make", "shape"), [(deep, (3, 4)), (at_every_place, (3, 4)), (line, (12,))])
def test_members_use_fewer_inputs_in_turns(
    make, shape: tuple[int, ...], by_numpy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Members of one seed see one batch, which is there once."""
    monkeypatch.setattr(blas, "by_numpy", lambda: by_numpy)
    models = [make().double() for _ in range(6)]
    layers, names = chain_layers(models[0]) or [], [n for n, _ in models[0].named_parameters()]
    stacked = {n: torch.stack([m.get_parameter(n).detach() for m in models]) for n in names}
    shared, apart = (Chain(layers, laid_out(layers, {n: w.clone() for n, w in stacked.items()}), names) for _ in "ab")
    x = torch.randn(2, 5, *shape, dtype=torch.float64)
    of_each = x.repeat(3, *[1] * (x.dim() - 1))
    assert torch.allclose(shared.forward(x), apart.forward(of_each))
    y = torch.randint(3, (6, *models[0](x[0]).shape[:-1]))
    losses = shared.step(x, y, cross_entropy_and_gradient)
    assert torch.allclose(losses, apart.step(of_each, y, cross_entropy_and_gradient))
    for one, other in zip(shared.gradients, apart.gradients, strict=True):
        assert torch.allclose(one, other)
    for one, other in zip(shared.outputs(x[:1]), apart.outputs(of_each[:1].repeat(6, *[1] * x[0].dim())), strict=True):
        assert len(one) == 6
        assert torch.allclose(one, other)


def test_signals_of_a_chain_are_those_of_its_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are worked out without `vmap` and hooks, and once for members that start from one model. (One of its activations acts
    in place.)"""
    models = [deep() for _ in range(3)]
    stack = Stack([models[0], models[1], models[0], models[2]], cross_entropy, Rule("sgd"), [0.1] * 4, [{}] * 4, None)
    x, y = torch.randn(40, 3, 4), torch.randint(0, 3, (4, 8))
    for _ in range(2):  # before a step, and after one
        found = stack.signals(x)
        with monkeypatch.context() as patch:
            patch.setattr(Stack, "_watched_chain", lambda *_: None)
            patch.setattr(stack, "begun", True)
            wanted = stack.signals(x)
        assert [[(s.name, s.kind) for s in own] for own in found] == [[(s.name, s.kind) for s in own] for own in wanted]
        for own, other in zip(found, wanted, strict=True):
            for a, b in zip(own, other, strict=True):
                assert (a.rms, a.dead) == pytest.approx((b.rms, b.dead), rel=1e-5)
                assert a.rank == b.rank is None or a.rank == pytest.approx(b.rank, rel=1e-5)
        assert (found[0] == found[2]) is not stack.begun
        stack.step(torch.randn(4, 8, 3, 4), y, 1.0)


def test_signals_of_a_module_that_runs_twice() -> None:
    act = nn.ReLU()
    stack = Stack(
        [nn.Sequential(nn.Linear(4, 3), act, nn.Linear(3, 2), act)], cross_entropy, Rule("sgd"), [0.1], [{}], None
    )
    signals = stack.signals(torch.randn(8, 4))[0]
    assert [(signal.name, signal.rank is None) for signal in signals] == [("0", True), ("1", False), ("2", False)]


@pytest.mark.parametrize("by_numpy", [False, True])
def test_infinite_numbers_are_multiplied_without_a_warning(by_numpy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that has diverged stays in its stack."""
    monkeypatch.setattr(blas, "by_numpy", lambda: by_numpy)
    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    layers, names = chain_layers(net) or [], [n for n, _ in net.named_parameters()]
    stacked = {n: torch.stack([p.detach(), torch.full_like(p.detach(), 3e38)]) for n, p in net.named_parameters()}
    chain = Chain(layers, laid_out(layers, stacked), names)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = chain.forward(torch.randn(1, 5, 4)).clone()
        losses = chain.step(torch.randn(2, 5, 4), torch.zeros(2, 5, dtype=torch.long), cross_entropy_and_gradient)
    assert torch.isfinite(out[0]).all()
    assert torch.isfinite(losses[0])
    assert not torch.isfinite(losses[1])


def test_only_the_gradients_that_are_wanted_are_worked_out() -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    weights = {n: p.detach()[None].clone() for n, p in net.named_parameters()}
    chain = Chain(chain_layers(net) or [], weights, ["2.bias"])
    chain.step(torch.randn(1, 5, 4), torch.zeros(1, 5, dtype=torch.long), cross_entropy_and_gradient)
    assert [tuple(g.shape) for g in chain.gradients] == [(1, 2)]
    assert chain.gradients[0].abs().sum() > 0


def test_weights_that_lie_otherwise_are_updated_as_they_are() -> None:
    """Of a model that is no plain chain, nothing is transposed."""

    def net() -> nn.Module:
        made = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))
        return made.to(memory_format=torch.channels_last)

    models, x, y = [net() for _ in range(3)], torch.randn(3, 5, 2, 4, 4), torch.randint(0, 3, (3, 5))
    stack = Stack(models, cross_entropy, Rule("sgd"), [0.1, 0.1, 0.2], [{}] * 3, None)
    stack.remember_start()
    stack.step(x, y, 1.0)
    for k, (model, rate) in enumerate(zip(models, (0.1, 0.1, 0.2), strict=True)):
        nn.functional.cross_entropy(model(x[k]), y[k]).backward()
        for own, stacked in zip(model.parameters(), stack.parameters, strict=True):
            assert torch.allclose(own - rate * own.grad, stacked[k], atol=1e-6)
    assert (stack.moved() > 0).all()


def test_what_is_no_plain_chain() -> None:
    hooked, patched, shared = chain(), chain(), nn.Linear(3, 3)
    hooked[0].register_forward_hook(lambda *a: None)
    patched[0].forward = lambda x: x[:, :12]
    dropping = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))
    odd = (BINDINGS["skip"](), hooked, patched, dropping, nn.Sequential(shared, shared))
    assert [chain_layers(model) for model in odd] == [None] * 5


def test_gradients_of_the_stacks_own_loss() -> None:
    y = torch.tensor([[0, 2, 1], [1, 1, 0]])
    logits = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda o: stacked_cross_entropy(o, y), logits)
    one = torch.stack([nn.functional.cross_entropy(logits[k], y[k]) for k in range(2)])
    assert torch.allclose(stacked_cross_entropy(logits, y), one)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_of_a_stack_is_torch_s(momentum: float, decay: float, nesterov: bool) -> None:
    if nesterov and not momentum:
        return  # torch refuses it
    rates = (0.1, 0.003, 0.1)
    stack = torch.randn(3, 4, 2)
    own = [nn.Parameter(p.clone()) for p in stack]
    optimizers = [
        torch.optim.SGD([p], r, momentum, weight_decay=decay, nesterov=nesterov)
        for p, r in zip(own, rates, strict=True)
    ]
    columns = ColumnSGD(Rule("sgd", momentum, nesterov, weight_decay=decay), [stack], [rates])
    for factor in (1.0, 0.5, 0.25):
        gradient = torch.randn(3, 4, 2)
        columns.step([gradient], factor)
        for p, g, optimizer, rate in zip(own, gradient, optimizers, rates, strict=True):
            p.grad, optimizer.param_groups[0]["lr"] = g, rate * factor
            optimizer.step()
    assert torch.allclose(stack, torch.stack([p.detach() for p in own]), atol=1e-6)


def test_what_is_random_or_large_is_not_stacked() -> None:
    def wanted(model: str, **settings) -> int:
        one = config(model, **settings)
        return members_of(parts_of(one, BINDINGS | {"wide": lambda: nn.Linear(64, 10_000)}), one)

    assert wanted("chain")
    assert wanted("skip")
    assert not wanted("dropping")
    one = config("wide")
    big = BINDINGS | {"wide": lambda: nn.Sequential(nn.Linear(64, 4000), nn.ReLU(), nn.Linear(4000, 10))}
    assert not members_of(parts_of(one, big), one)
    seeded = BINDINGS | {"seeded": lambda seed: chain()}
    assert not members_of(parts_of(config("seeded"), seeded), config("seeded"))


def test_the_choice_is_made_once_and_kept() -> None:
    kept: dict[Kind, int] = {}
    found = with_stacking([config("chain"), config("dropping"), config("chain", seed=1)], kept, BINDINGS)
    assert [c.stacked for c in found] == [True, False, True]
    assert [c.together for c in found] == [96, 0, 96]
    assert sorted(kept.values()) == [0, 96]
    turned = {kind: 0 if value else 96 for kind, value in kept.items()}
    assert [c.stacked for c in with_stacking([config("chain")], turned, BINDINGS)] == [False]


def test_larger_models_make_smaller_stacks() -> None:
    """Their weights, gradients and momentum are to stay in the cache."""

    def net(width: int) -> nn.Module:
        return nn.Sequential(
            nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)
        )

    known = BINDINGS | {f"net{width}": functools.partial(net, width) for width in (16, 128, 260)}
    found = [members_of(parts_of(config(name), known), config(name)) for name in ("net16", "net128", "net260")]
    assert found == [96, 540_000 // (64 * 128 + 128 * 128 + 10 * 128 + 2 * 128 + 10), 8]
    grid = {f"s{i}": replace(config(seed=i, stacked=True), together=20) for i in range(70)}
    assert [len(keys) for keys in grouping(grid)(grid)] == [18, 17, 17, 18]


@pytest.mark.parametrize(
    ("plans", "rates", "seeds", "most", "sizes"),
    [
        (2, 2, 10, 96, [20, 20]),  # two workers
        (2, 2, 10, 16, [12, 16, 12]),
        (2, 5, 5, 8, [7, 7, 7, 8, 7, 7, 7]),  # more runs of a seed than a stack may have
        (2, 12, 1, 96, [12, 12]),
        (1, 3, 2, 96, [6]),
    ],
)
def test_runs_of_one_seed_train_together(plans: int, rates: int, seeds: int, most: int, sizes: list[int]) -> None:
    """They share its batches, and those of one plan its start."""
    grid = {
        f"{p}{r}{s}": replace(config(plan=("default", "he_normal")[p], lr=0.01 * (r + 1), seed=s, stacked=True), together=most)
        for p in range(plans) for r in range(rates) for s in range(seeds)
    }  # fmt: skip
    jobs = grouping(grid)(grid)
    assert sorted(len(keys) for keys in jobs) == sorted(sizes)
    assert sorted(key for keys in jobs for key in keys) == sorted(grid)
    if plans * rates <= most and seeds > 1:
        assert sum(len({grid[key].seed for key in keys}) for keys in jobs) == seeds


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
