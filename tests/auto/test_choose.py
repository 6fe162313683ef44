"""The choice for whole models: every weight has an entry or a note, and each family gets what it needs."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fanin.auto import choose
from fanin.distributions import Constant, Mirrored, Normal, Orthogonal, Stack, ZeroRows
from fanin.errors import FaninTypeError, FaninValueError
from fanin.plans import Plan
from fanin.slots import Axes, ResidualPlace, Slot
from fanin.traces.records import Trace
from fanin.traces.torch import trace

from .nets import Recurrent, cnn, mlp, residual, rms

X = torch.randn(32, 64, generator=torch.Generator().manual_seed(0))
ROWS = X.reshape(32, 8, 8)
TOKENS = torch.randint(0, 50, (8, 12), generator=torch.Generator().manual_seed(0))
IMAGES = X.reshape(32, 1, 8, 8)


class Encoder(nn.Module):
    """Embedding, positions, two transformer layers, a head."""

    def __init__(self, tied: bool = False) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 32, padding_idx=0)
        layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(32)
        self.head = nn.Linear(32, 50, bias=False)
        if tied:
            self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.norm(self.layers(self.embed(tokens))))


MODELS = {
    "mlp": (lambda: mlp([64, 32, 32, 10]), X),
    "cnn": (cnn, IMAGES),
    "cnn with norms": (lambda: cnn(norm=True), IMAGES),
    "residual": (lambda: residual(32, 3), X),
    "residual with norms": (lambda: residual(32, 3, norm=True), X),
    "lstm": (lambda: Recurrent(nn.LSTM), ROWS),
    "gru": (lambda: Recurrent(nn.GRU), ROWS),
    "rnn": (lambda: Recurrent(nn.RNN), ROWS),
    "transformer": (Encoder, TOKENS),
}


@pytest.mark.parametrize("name", MODELS)
def test_every_weight_has_an_entry_with_a_reason_or_a_note(name: str) -> None:
    factory, batch = MODELS[name]
    model = factory()
    plan = choose(trace(model, batch))
    for weight, _ in model.named_parameters():
        assert weight in plan.entries or any(weight in note for note in plan.notes)
    assert all(entry.reason and "\n" not in entry.reason for entry in plan.entries.values())


@pytest.mark.parametrize("name", MODELS)
def test_the_plan_applies_gives_finite_outputs_and_survives_json(name: str) -> None:
    factory, batch = MODELS[name]
    model = factory()
    plan = choose(trace(model, batch), seed=3)
    assert Plan.from_dict(plan.to_dict()) == plan
    plan.apply(model)
    out = model(batch)
    assert torch.isfinite(out).all()
    assert 0.01 < rms(out) < 3.0


@pytest.mark.parametrize("name", MODELS)
def test_the_choice_does_not_depend_on_the_present_values(name: str) -> None:
    factory, batch = MODELS[name]
    plans = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        plans.append(choose(trace(factory(), batch)))
    assert plans[0].entries.keys() == plans[1].entries.keys()
    assert {n: e.distribution for n, e in plans[0].entries.items()} == {
        n: e.distribution for n, e in plans[1].entries.items()
    }


def test_lstm_gates_are_orthogonal_each_and_the_forget_gate_opens() -> None:
    model = Recurrent(nn.LSTM, hidden=24)
    plan = choose(trace(model, ROWS))
    forget = plan.entries["cell.bias_ih_l0"].distribution
    assert isinstance(forget, Stack)
    assert [p.value for p in forget.parts if isinstance(p, Constant)] == [0.0, 1.0, 0.0, 0.0]
    assert plan.entries["cell.bias_hh_l0"].distribution == Constant(0.0)
    plan.apply(model)
    hidden = dict(model.named_parameters())["cell.weight_hh_l0"].detach()
    for gate in hidden.split(24):
        assert torch.allclose(gate @ gate.T, torch.eye(24), atol=1e-5)


def test_what_feeds_a_state_is_shared_over_the_steps() -> None:
    """After T steps of independent inputs a linear state is as large as one input."""
    model = Recurrent(nn.RNN, hidden=24)
    x = torch.randn(512, 16, 8, generator=torch.Generator().manual_seed(0))
    choose(trace(model, x)).apply(model)
    weights = {n: p.detach() for n, p in model.named_parameters()}
    state = torch.zeros(512, 24)
    for t in range(16):
        state = x[:, t] @ weights["cell.weight_ih_l0"].T + state @ weights["cell.weight_hh_l0"].T
    assert rms(state) == pytest.approx(1.0, rel=0.1)


def test_a_cell_written_by_hand_gets_the_same() -> None:
    class ByHand(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.into, self.again, self.head = nn.Linear(8, 24), nn.Linear(24, 24, bias=False), nn.Linear(24, 10)

        def forward(self, x: Tensor) -> Tensor:
            h = x.new_zeros(len(x), 24)
            for t in range(x.shape[1]):
                h = torch.tanh(self.into(x[:, t]) + self.again(h))
            return self.head(h)

    plan = choose(trace(ByHand(), ROWS))
    fused = choose(trace(Recurrent(nn.RNN), ROWS))
    for mine, theirs in (("into.weight", "cell.weight_ih_l0"), ("again.weight", "cell.weight_hh_l0")):
        a, b = plan.entries[mine].distribution, fused.entries[theirs].distribution
        assert isinstance(a, Orthogonal)
        assert isinstance(b, Orthogonal)
        assert a.gain == pytest.approx(b.gain, rel=0.02)


def test_transformer_branches_are_scaled_by_depth_and_attention_by_its_parts() -> None:
    plan = choose(trace(Encoder(), TOKENS))
    fused = plan.entries["layers.layers.0.self_attn.in_proj_weight"].distribution
    assert isinstance(fused, Orthogonal)
    assert fused.axes.size("stack") == 3
    out = plan.entries["layers.layers.1.self_attn.out_proj.weight"].distribution
    assert isinstance(out, Orthogonal)
    assert out.gain == pytest.approx(0.5)
    assert isinstance(plan.entries["layers.layers.0.linear2.weight"].distribution, Mirrored)
    assert isinstance(plan.entries["embed.weight"].distribution, ZeroRows)


def test_positions_are_as_large_as_what_they_are_added_to() -> None:
    class Placed(Encoder):
        def __init__(self, tied: bool = False) -> None:
            super().__init__(tied)
            self.place = nn.Parameter(torch.randn(1, 12, 32) * 0.02)

        def forward(self, tokens: Tensor) -> Tensor:
            return self.head(self.norm(self.layers(self.embed(tokens) + self.place)))

    for tied in (False, True):
        model = Placed(tied)
        choose(trace(model, TOKENS)).apply(model)
        assert rms(model.place) == pytest.approx(rms(model.embed(TOKENS)), rel=0.15)


def test_branches_under_a_norm_on_the_stream_are_larger() -> None:
    class After(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.down, self.norm = nn.Linear(32, 32), nn.Linear(32, 32), nn.LayerNorm(32)

        def forward(self, x: Tensor) -> Tensor:
            return self.norm(x + self.down(F.relu(self.up(x))))

    plan = choose(trace(nn.Sequential(nn.Linear(64, 32), *[After() for _ in range(16)], nn.Linear(32, 10)), X))
    law = plan.entries["5.down.weight"].distribution
    assert isinstance(law, Mirrored)
    assert isinstance(law.base, Orthogonal)
    assert law.base.gain == pytest.approx(0.5)


def test_a_tied_embedding_gives_logits_of_unit_size() -> None:
    model = Encoder(tied=True)
    plan = choose(trace(model, TOKENS))
    assert isinstance(plan.entries["embed.weight"].distribution, ZeroRows)
    plan.apply(model)
    assert 0.5 < rms(model(TOKENS)) < 2.0


def test_batch_norm_branches_start_small_by_their_last_scale() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
            self.n, self.m = nn.BatchNorm2d(8), nn.BatchNorm2d(8)

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(x + self.m(self.b(F.relu(self.n(self.a(x))))))

    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), Block(), Block(), Block(), Block(), nn.Flatten(), nn.Linear(512, 10)
    )
    plan = choose(trace(model, IMAGES))
    assert plan.entries["1.m.weight"].distribution == Constant(0.5)
    assert plan.entries["1.n.weight"].distribution == Constant(1.0)


def test_gated_branches_without_norm_stay_bounded() -> None:
    class Gate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(32, 32), nn.Linear(32, 32), nn.Linear(32, 32)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.c(F.silu(self.a(x)) * self.b(x))

    model = nn.Sequential(nn.Linear(64, 32), *[Gate() for _ in range(16)], nn.Linear(32, 10))
    choose(trace(model, X)).apply(model)
    stem, stream = model[0](X), model[:-1](X)
    assert 0.8 < rms(stream) / rms(stem) < 2.5


@pytest.mark.parametrize("widths", [[64, 32, 8, 32, 64], [64, 32, 1]])
def test_outputs_that_are_quantities_start_small(widths: list[int]) -> None:
    model = mlp(widths)
    choose(trace(model, X)).apply(model)
    assert rms(model(X)) < 0.4


def test_biases_that_were_set_on_purpose_stay() -> None:
    model = nn.Sequential(nn.LayerNorm(64), nn.Linear(64, 10))
    with torch.no_grad():
        dict(model.named_parameters())["1.bias"].copy_(torch.linspace(-5, -2, 10))
    plan = choose(trace(model, X))
    assert "1.bias" not in plan.entries
    assert any("1.bias" in note and "on purpose" in note for note in plan.notes)


def test_kept_weights_stay_and_their_chain_is_not_left_broken() -> None:
    model = mlp([64, 32, 32, 32, 10])
    plan = choose(trace(model, X), keep="2.*")
    assert "2.weight" not in plan.entries
    assert "2.bias" not in plan.entries
    laws = [plan.entries[n].distribution for n in ("0.weight", "4.weight", "6.weight")]
    assert all(isinstance(law, Orthogonal | Normal) for law in laws)


def test_frozen_and_pretrained_weights_can_be_kept() -> None:
    model = nn.Sequential(nn.Linear(64, 64), nn.LayerNorm(64), nn.Linear(64, 64), nn.LayerNorm(64), nn.Linear(64, 10))
    weights = dict(model.named_parameters())
    weights["0.weight"].requires_grad_(False)
    with torch.no_grad():  # heavy tails, as training leaves them
        weights["2.weight"].copy_(weights["2.weight"] * torch.randn(64, 64).exp())
    watched = trace(model, X)
    assert "0.weight" not in choose(watched, keep="frozen").entries
    plan = choose(watched, keep="pretrained")
    assert {"0.weight", "2.weight", "2.bias"}.isdisjoint(plan.entries)
    assert "4.weight" in plan.entries


@pytest.mark.parametrize(("keep", "error"), [("nothing.*", FaninValueError), ((3,), FaninTypeError)])
def test_a_keep_that_means_nothing_is_refused(keep: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="keep="):
        choose(trace(mlp([64, 16, 10]), X), keep=keep)  # type: ignore[arg-type]


def test_slots_alone_decide() -> None:
    """No model: a trace made by hand, of weights that no module owns."""
    axes = Axes.parse("io", (64, 32))
    slots = (
        Slot("a", (64, 32), "float32", "weight", op="linear", axes=axes, residual=ResidualPlace(0, 9, last=True)),
        Slot("b", (32,), "float32", "norm_scale"),
        Slot("c", (5,), "float32", "opaque"),
        Slot("d", (5, 5), "float32", "weight", op="linear"),
    )
    plan = choose(Trace("torch", "none", 0, (), slots, {}, (), (), None, "none", True))
    law = plan.entries["a"].distribution
    assert isinstance(law, Orthogonal)
    assert law.gain == pytest.approx(1 / 3)
    assert plan.entries["b"].distribution == Constant(1.0)
    assert len(plan.notes) == 2
