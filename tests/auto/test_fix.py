"""`fix` and `plan` on real models: mended, measured, whole or nothing."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fanin.auto import fix, plan
from fanin.auto import fix_torch as module
from fanin.auto.rollback import harm
from fanin.plans import Plan
from fanin.traces.torch import trace

from .nets import Functional, Recurrent, cnn, mlp, rms

X = torch.randn(128, 64, generator=torch.Generator().manual_seed(0))
Y = torch.randint(0, 10, (128,), generator=torch.Generator().manual_seed(1))


def state(model: nn.Module) -> dict[str, Tensor]:
    return copy.deepcopy(model.state_dict())


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.equal(a[k], b[k]) for k in a)


@pytest.fixture
def deep() -> nn.Sequential:
    torch.manual_seed(0)
    return mlp([64] + [64] * 30 + [10])


def test_the_default_deep_net_is_mended(deep: nn.Sequential) -> None:
    fixed = fix(deep, X, Y, F.cross_entropy)
    assert not fixed.before.ok
    assert fixed.after.ok
    assert fixed.ok
    assert {"FI201", "FI301"} <= {f.code for f in fixed.mended}
    assert fixed.undone == ()
    assert fixed.model is deep


def test_a_net_without_linear_modules_is_mended_too() -> None:
    torch.manual_seed(0)
    net = Functional([64] + [48] * 40 + [10], lambda z: z * torch.sigmoid(z))
    fixed = fix(net, X, Y, F.cross_entropy)
    assert not fixed.before.ok
    assert fixed.after.ok


def test_the_plan_of_a_fix_gives_the_same_weights_again(deep: nn.Sequential) -> None:
    other = copy.deepcopy(deep)
    fixed = fix(deep, X, Y, F.cross_entropy, seed=5)
    Plan.from_dict(fixed.plan.to_dict()).apply(other)
    assert same(state(deep), state(other))


def test_a_sound_model_keeps_its_weights() -> None:
    torch.manual_seed(0)
    net = mlp([64, 64, 10])
    before = state(net)
    fixed = fix(net, X, Y, F.cross_entropy)
    assert fixed.before.findings == ()
    assert same(before, state(net))
    assert not fixed.plan.entries


def test_what_is_kept_is_not_touched(deep: nn.Sequential) -> None:
    before = state(deep)
    fix(deep, X, Y, F.cross_entropy, keep=["0.*", "60.*"])
    after = state(deep)
    assert all(torch.equal(before[k], after[k]) for k in ("0.weight", "0.bias", "60.weight", "60.bias"))
    assert not torch.equal(before["30.weight"], after["30.weight"])


def test_after_an_exception_the_weights_are_as_before(deep: nn.Sequential, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    real = module.run_checks

    def failing(*args: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise RuntimeError("in the middle")
        return real(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "run_checks", failing)
    before = state(deep)
    with pytest.raises(RuntimeError, match="in the middle"):
        fix(deep, X, Y, F.cross_entropy)
    assert same(before, state(deep))


def test_a_plan_that_makes_things_worse_is_taken_back(deep: nn.Sequential, monkeypatch: pytest.MonkeyPatch) -> None:
    from fanin.auto.choose import choose as real
    from fanin.distributions import Constant

    def bad(*args: object, **options: object) -> Plan:
        good = real(*args, **options)  # type: ignore[arg-type]
        return good.edit({n: Constant(float("1e3")) for n in good.entries})

    net = mlp([64] + [64] * 6 + [10])
    with torch.no_grad():
        net[0].weight.mul_(3)  # type: ignore[operator, union-attr]
    monkeypatch.setattr(module, "choose", bad)
    before = state(deep)
    fixed = fix(deep, X, Y, F.cross_entropy)
    assert harm(fixed.after) <= harm(fixed.before)
    if not fixed.plan.entries:
        assert same(before, state(deep))
        assert {reason for _, reason in fixed.undone}


def test_planning_leaves_the_model_alone(deep: nn.Sequential) -> None:
    before = state(deep)
    chosen = plan(deep, X, Y, F.cross_entropy)
    assert same(before, state(deep))
    assert chosen.entries


def test_a_trial_sets_right_what_theory_cannot_know() -> None:
    """After a mean over positions of noise the features are small; the plan's outputs are not."""

    class Averaged(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()
            )
            self.head = nn.Linear(16, 10)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.body(x).mean((2, 3)))

    net, x = Averaged(), X.reshape(-1, 1, 8, 8)
    plan(net, x, Y, F.cross_entropy).apply(net)
    spread = float(net(x).detach().std(0).mean())
    assert 0.2 < spread < 0.45


@pytest.mark.parametrize("norm", [False, True])
def test_a_loader_gives_its_first_batch(norm: bool) -> None:
    loader = [(X.reshape(-1, 1, 8, 8)[:32], Y[:32])] * 2

    class Loader:
        def __iter__(self) -> object:
            return iter(loader)

    net = cnn(norm)
    plan(net, Loader(), loss=F.cross_entropy).apply(net)
    assert 0.2 < rms(net(loader[0][0])) < 3


def test_the_meta_device_is_planned_by_theory_alone() -> None:
    with torch.device("meta"):
        net = mlp([64, 64, 64, 10])
        x = torch.empty(8, 64)
    assert len(plan(net, x).entries) == 6


def test_the_trace_of_a_mended_net_shows_a_level_signal(deep: nn.Sequential) -> None:
    fix(deep, X, Y, F.cross_entropy)
    watched = trace(deep, X, Y, F.cross_entropy)
    sizes = [op.signal.spread for op in watched.ops if op.kind == "linear" and op.signal is not None]
    assert max(sizes[1:]) / min(sizes[1:]) < 1.5  # the first layer may start smaller, to turn faster


class Idle(nn.Module):
    """A sound net with a part that nothing uses: a finding that no weights can mend."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.idle = mlp([64, 64, 10]), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


def test_where_nothing_gets_better_the_users_weights_come_back() -> None:
    torch.manual_seed(0)
    net = Idle()
    before = state(net)
    fixed = fix(net, X, Y, F.cross_entropy)
    assert [f.code for f in fixed.before.findings] == [f.code for f in fixed.after.findings]
    assert fixed.before.findings != ()
    assert same(before, state(net))
    assert not fixed.plan.entries
    assert fixed.undone


def test_a_finding_that_is_only_milder_keeps_the_new_weights() -> None:
    """A forget bias of one doubles an LSTM's memory, which is still shorter than the sequence."""
    torch.manual_seed(0)
    net = Recurrent(nn.LSTM)
    x = torch.randn(32, 40, 8, generator=torch.Generator().manual_seed(2))
    fixed = fix(net, x, Y[:32], F.cross_entropy)
    memory = [[f.measured["memory"] for f in r.findings if f.code == "FI603"] for r in (fixed.before, fixed.after)]
    assert memory[1][0] > 2 * memory[0][0]
    assert fixed.plan.entries


def test_a_loss_that_comes_down_keeps_the_new_weights() -> None:
    """The findings are the same (the input is not normalised), but the loss started at twice chance."""
    torch.manual_seed(0)
    net = mlp([64, 64, 64, 10])
    fixed = fix(net, 40 * X, Y, F.cross_entropy)
    assert [f.code for f in fixed.before.findings] == [f.code for f in fixed.after.findings] == ["FI503"]
    before, after = (r.trace.loss for r in (fixed.before, fixed.after))
    assert before is not None and after is not None
    assert before.value > 1.5 * before.chance > 1.4 * after.value
    assert fixed.plan.entries


@pytest.mark.parametrize("depth", [1, 12])
@pytest.mark.parametrize("shift", [100.0, 2500.0])
def test_a_mean_that_dwarfs_the_input_is_the_inputs_fault_alone(shift: float, depth: int) -> None:
    """No weights can tell examples apart better than the input does: nothing but FI503 is left, and the loss is at chance."""
    torch.manual_seed(0)
    fixed = fix(mlp([64] * (depth + 1) + [10]), X + shift, Y, F.cross_entropy)
    assert [f.code for f in fixed.left] == ["FI503"]
    loss = fixed.after.trace.loss
    assert loss is not None and loss.value < 1.2 * loss.chance
