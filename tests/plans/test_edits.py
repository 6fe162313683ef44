"""What a rule requires of the architecture: refused where it is missing, put in by the edit, and then it does what it promises."""

import copy
import io
import pickle

import pytest
import torch
from tests.plans.presets.nets import InPlace, ResNet, Transformer, ids, images
from torch import nn

import fanin
from fanin.errors import FaninValueError
from fanin.plans import Plan
from fanin.plans.context import attention_parts
from fanin.plans.torch.edits import edit
from fanin.theory import predict
from fanin.traces.torch import trace

MODELS = {
    "resnet": (ResNet, images),
    "pre-norm": (Transformer, ids),
    "post-norm": (lambda: Transformer(post=True), ids),
    "torch's own": (lambda: nn.Sequential(nn.TransformerEncoder(
        nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True), 2), nn.Linear(32, 10)),
        lambda: torch.randn(4, 6, 32, generator=torch.Generator().manual_seed(0))),
}  # fmt: skip


def made(name: str):
    torch.manual_seed(0)
    build, batch = MODELS[name]
    return build(), batch()


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in model.state_dict().items()}


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def branch_outputs(model, batch) -> list[torch.Tensor]:
    """What every edited module hands to its add."""
    kept = []
    handles = [m.register_forward_hook(lambda m, a, out: kept.append(out[0] if isinstance(out, tuple) else out))
               for m in model.modules() if "fanin_scale" in m._parameters]  # fmt: skip
    model(batch)
    for handle in handles:
        handle.remove()
    return kept


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("preset", ["rezero", "skipinit", "layerscale"])
def test_scaled_branches(name: str, preset: str) -> None:
    """Refused before; after the edit every branch is zero (or small) at the start, and its scale gets a gradient."""
    model, batch = made(name)
    plan = fanin.plan(model, batch, rules=preset)
    before = state(model)
    with pytest.raises(
        FaninValueError, match="residual branch that .* ends.*more alike.*nothing was changed|nothing was changed: "
    ):
        plan.apply(model)
    assert same(before, state(model))
    assert plan.apply(edit(model, plan, batch)) is model
    branches = branch_outputs(model, batch)
    assert len(branches) == max(s.residual.branches for s in plan.slots if s.residual is not None)
    start = 0.1 if preset == "layerscale" else 0.0
    if start == 0:
        assert all(not b.any() for b in branches)
    else:
        scales = [p for n, p in model.named_parameters() if n.endswith("fanin_scale")]
        assert all((s == start).all() and s.numel() == branches[0].shape[1 if name == "resnet" else -1] for s in scales)
    model(batch).square().mean().backward()
    for key, parameter in model.named_parameters():
        if key.endswith("fanin_scale"):
            assert parameter.grad is not None
            assert parameter.grad.abs().max() > 0, key


@pytest.mark.parametrize("name", MODELS)
def test_an_edited_model_is_a_model_like_others(name: str) -> None:
    """Weights keep their names; the state goes out and in; copies and pickles compute the same and are independent."""
    model, batch = made(name)
    names = set(model.state_dict())
    plan = fanin.plan(model, batch, rules="layerscale")
    plan.apply(edit(model, plan))
    model.eval()
    assert names <= set(model.state_dict())
    wanted = model(batch)
    twin, back = copy.deepcopy(model), pickle.loads(pickle.dumps(model))
    for other in (twin, back):
        torch.testing.assert_close(other(batch), wanted)
    with torch.no_grad():
        for key, p in twin.named_parameters():
            if key.endswith("fanin_scale"):
                p.zero_()
    torch.testing.assert_close(model(batch), wanted)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    fresh, _ = made(name)
    edit(fresh, plan).load_state_dict(torch.load(file, weights_only=True))
    torch.testing.assert_close(fresh.eval()(batch), wanted)


def test_a_second_edit_changes_nothing_and_a_new_trace_knows_the_scalars() -> None:
    model, batch = made("pre-norm")
    plan = fanin.plan(model, batch, rules="rezero")
    edit(edit(model, plan), plan)
    again = fanin.plan(model, batch, rules="rezero")
    assert len(again.architecture) == len(plan.architecture)
    assert all(need.met_by.endswith("fanin_scale") for need in again.architecture)
    again.apply(model)  # its scalars are weights of the plan now
    assert sum(name.endswith("fanin_scale") for name in again.entries) == len(plan.architecture)


def test_deepnorms_factor_multiplies_the_skip() -> None:
    """LN(α x + F(x)), computed here by hand, is what the edited layer computes."""
    model, batch = made("post-norm")
    plan = fanin.plan(model, batch, rules="deepnorm")
    with pytest.raises(FaninValueError, match="a factor of 1.565 on the skip path"):
        plan.apply(model)
    plan.apply(edit(model, plan, batch))
    layer, alpha = model.layers[0], 6**0.25
    x = torch.randn(2, 5, 32)
    plain = copy.deepcopy(layer)
    for module in plain.modules():
        module._forward_hooks.clear()
        module._forward_pre_hooks.clear()
    h = plain.norm1(alpha * x + plain.attend(x))
    wanted = plain.norm2(alpha * h + plain.down(nn.functional.gelu(plain.up(h))))
    torch.testing.assert_close(layer(x), wanted)


def test_admins_factors_are_trained_and_start_where_the_rule_says() -> None:
    model, batch = made("post-norm")
    plan = fanin.plan(model, batch, rules="admin(variance=0.5)")
    plan.apply(edit(model, plan))
    omegas = {k: p for k, p in model.named_parameters() if "fanin_skip" in k}
    assert [float(p[0] ** 2) for p in omegas.values()] == pytest.approx([1 + 0.5 * i for i in range(6)])
    model(batch).square().mean().backward()
    assert all(p.shape == (32,) and p.grad is not None and p.grad.any() for p in omegas.values())


def test_fixup_takes_norms_out_and_starts_as_the_identity() -> None:
    model, batch = made("resnet")
    plan = fanin.plan(model, batch, rules="fixup")
    with pytest.raises(FaninValueError, match="no norm at 'blocks.0.bn1' .and 5 more alike."):
        plan.apply(model)
    plan.apply(edit(model, plan, batch))
    assert not any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    h = torch.relu(torch.randn(2, 16, 8, 8))
    torch.testing.assert_close(model.blocks(h), h)
    nn.functional.cross_entropy(model(batch), torch.arange(4)).backward()
    assert model.head.weight.grad.abs().max() > 0
    biases = [k for k, p in model.named_parameters() if "fanin_bias" in k]
    assert len(biases) == 12  # two for each of six convolutions


def test_fixups_scalars_and_biases_train_at_a_tenth_of_the_rate() -> None:
    """As in the authors' training script, those that the edit puts in too."""
    model, batch = made("resnet")
    plan = fanin.plan(model, batch, rules="fixup")
    again = Plan.from_dict(plan.to_dict())
    plan.apply(edit(model, plan, batch))
    name_of = {id(p): name for name, p in model.named_parameters()}
    for one in (plan, again):
        rates = {name_of[id(p)]: group["lr"] for group in one.param_groups(model, lr=0.1) for p in group["params"]}
        slow = {name for name, rate in rates.items() if rate == pytest.approx(0.01)}
        assert len(rates) == len(name_of)
        assert slow == {n for n in rates if "bias" in n or n.endswith("fanin_scale")}
        assert all(rates[name] == 0.1 for name in rates.keys() - slow)


def test_t_fixup_and_subln() -> None:
    model, batch = made("pre-norm")
    plan = fanin.plan(model, batch, rules="t-fixup")
    plan.apply(edit(model, plan))
    assert not any(isinstance(m, nn.LayerNorm) for m in model.modules())
    model, batch = made("pre-norm")
    plan = fanin.plan(model, batch, rules="subln")
    plan.apply(edit(model, plan, batch))
    assert sum(k.endswith("fanin_norm.weight") for k in model.state_dict()) == 6
    seen = []
    model.layers[0].down.register_forward_pre_hook(lambda m, args: seen.append(args[0]))  # after the edit's own
    model(batch)
    assert float(seen[0].square().mean()) == pytest.approx(1, rel=0.01)


def test_factors_in_ops_leave_the_bias_alone() -> None:
    """The NTK parametrization starts as the standard one: W ~ N(0, 1) and 1/√n in the op."""
    model = nn.Sequential(nn.Linear(400, 300), nn.ReLU(), nn.Linear(300, 10))
    batch = torch.randn(64, 400)
    plan = fanin.plan(model, batch, rules="ntk")
    plan.apply(edit(model, plan, batch))
    assert float(model[0].weight.std()) == pytest.approx(1, rel=0.02)
    assert float(model[0](batch).square().mean()) == pytest.approx(1, rel=0.05)
    with torch.no_grad():
        model[0].bias.fill_(3.0)
    assert float(model[0](batch).mean()) == pytest.approx(3, abs=0.1)


def test_what_cannot_be_edited_is_said_before_anything_changes() -> None:
    model = nn.Sequential(nn.Linear(8, 8), InPlace(), nn.Linear(8, 2))
    batch = torch.randn(4, 8)
    plan = fanin.plan(model, batch, rules={"*": "rezero"})
    before = state(model)
    with pytest.raises(FaninValueError, match="change its code, or move it to a module"):
        edit(model, plan)
    assert same(before, state(model))
    plan.trust().apply(model)  # the user says that the model does it itself
    with pytest.raises(FaninValueError, match="requires no no_norm; it requires branch_scalar"):
        plan.trust("no_norm")


def test_a_model_with_scalars_of_its_own_needs_no_edit() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.down, self.alpha = nn.Linear(8, 8), nn.Linear(8, 8), nn.Parameter(torch.ones(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.alpha * self.down(torch.relu(self.up(x)))

    model = nn.Sequential(nn.Linear(8, 8), Own(), nn.Linear(8, 2))
    plan = fanin.plan(model, torch.randn(4, 8), rules="rezero")
    plan.apply(model)
    assert float(model[1].alpha) == 0


def test_the_requirements_are_saved_and_shown() -> None:
    model, batch = made("pre-norm")
    plan = fanin.plan(model, batch, rules="rezero")
    assert Plan.from_dict(plan.to_dict()) == plan
    assert (
        "needs: a trainable scalar on the residual branch that 'layers.0.attend.merge' ends (and 5 more alike)"
        in " ".join(str(plan).split())
    )


def test_attention_written_out_is_told_apart_by_what_it_feeds() -> None:
    model, batch = made("pre-norm")
    parts = attention_parts(trace(model, batch))
    assert {k.removeprefix("layers.0.attend."): v for k, v in parts.items() if "layers.0" in k} == {
        "to_a.weight": "query", "to_b.weight": "key", "to_c.weight": "value"
    }  # fmt: skip


@pytest.mark.parametrize("rule", ["dks", "tat", "dks(depth=12, nonlinearity='tanh')"])
def test_reshaped_activations_in_a_plain_net_with_biases(rule: str) -> None:
    """Biases ask for nothing, nor does the head; edited and drawn, every layer keeps the size of what it is shown."""
    torch.manual_seed(0)
    layers = [layer for _ in range(12) for layer in (nn.Linear(400, 400), nn.Tanh())]
    model, batch = nn.Sequential(*layers, nn.Linear(400, 400)), torch.randn(64, 400)
    plan = fanin.plan(model, batch, rules=rule)
    assert [(n.where, n.start) for n in plan.architecture] == [(f"{k}.weight", str(k + 1)) for k in range(0, 24, 2)]
    with pytest.raises(FaninValueError, match="a reshaped activation after '0.weight' .and 11 more alike."):
        plan.apply(model)
    plan.apply(edit(model, plan, batch), seed=1)
    assert not any(p.any() for name, p in model.named_parameters() if name.endswith("bias"))
    h = batch
    for layer in model:
        h = layer(h).detach()
        assert float(h.square().mean()) == pytest.approx(1, abs=0.1)


def test_an_edited_net_can_be_watched_and_predicted_again() -> None:
    """Its own edit hid a net from fanin: no chain, the activation without its factor, NaN behind the second layer."""
    torch.manual_seed(0)
    layers = [layer for _ in range(6) for layer in (nn.Linear(200, 200), nn.GELU())]
    model, batch = nn.Sequential(*layers, nn.Linear(200, 4)), torch.randn(64, 200)
    plan = fanin.plan(model, batch, rules="dks")
    seen = trace(plan.apply(edit(model, plan, batch)), batch)
    places = [slot.chain.place for slot in seen.slots if slot.role == "weight" and slot.chain is not None]
    assert places == ["first", *["inner"] * 5, "last"]
    inner = seen.slots[0].activation
    assert inner is not None and inner.second_moment() == pytest.approx(1, rel=1e-3)
    assert all(abs(p.log_second) < 0.05 for p in predict(seen, plan).curve if p.kind == "linear")


def test_a_residual_nets_norms_biases_and_branch_ends_need_no_activation() -> None:
    """With `nonlinearity` said, what a watched pass saw meet no activation (branch ends, attention, the head) still meets none."""
    model, batch = made("pre-norm")
    plan = fanin.plan(model, batch, rules={"layers.*": "tat(depth=6, nonlinearity='gelu')"})
    assert [n.where for n in plan.architecture] == [f"layers.{k}.up.weight" for k in range(3)]
