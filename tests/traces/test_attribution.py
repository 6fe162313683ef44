"""Every parameter is attributed to the op that consumes it, and its axes mean what the op makes of them."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import fanin
from fanin.traces.records import forget_bias
from fanin.traces.torch import trace


class Apply(nn.Module):
    """A module that holds one weight and applies a function to it and the input."""

    def __init__(self, shape, apply):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(shape))
        self.apply_ = apply

    def forward(self, x):
        return self.apply_(x, self.weight)


CASES = {
    "linear": ((7, 5), (3, 5), lambda x, w: F.linear(x, w), "oi", 5, 7),
    "x @ W": ((5, 7), (3, 5), lambda x, w: x @ w, "io", 5, 7),
    "W @ x": ((7, 5), (5, 3), lambda x, w: w @ x, "oi", 5, 7),
    "x @ W.T": ((7, 5), (3, 5), lambda x, w: x @ w.T, "oi", 5, 7),
    "addmm": ((5, 7), (3, 5), lambda x, w: torch.addmm(torch.zeros(7), x, w), "io", 5, 7),
    "einsum oi": ((7, 5), (3, 5), lambda x, w: torch.einsum("bi,oi->bo", x, w), "oi", 5, 7),
    "einsum io": ((5, 7), (3, 5), lambda x, w: torch.einsum("io,bi->bo", w, x), "io", 5, 7),
    "einsum heads": ((5, 2, 3), (4, 6, 5), lambda x, w: torch.einsum("bti,ihd->bthd", x, w), "ioo", 5, 6),
    "einsum experts": ((4, 5, 7), (4, 3, 5), lambda x, w: torch.einsum("ebi,eio->ebo", x, w), "sio", 5, 7),
    "tensordot": ((5, 7), (3, 5), lambda x, w: torch.tensordot(x, w, dims=1), "io", 5, 7),
    "bmm": ((4, 5, 7), (4, 3, 5), lambda x, w: torch.bmm(x, w), "sio", 5, 7),
    "baddbmm": ((4, 5, 7), (4, 3, 5), lambda x, w: torch.baddbmm(torch.zeros(4, 3, 7), x, w), "sio", 5, 7),
    "expert picked": ((4, 7, 5), (3, 5), lambda x, w: F.linear(x, w[2]), "soi", 5, 7),
    "expert picked by tensor": ((4, 7, 5), (3, 5), lambda x, w: F.linear(x, w[torch.tensor(2)]), "soi", 5, 7),
    "conv1d": ((7, 5, 3), (2, 5, 9), F.conv1d, "oik", 15, 21),
    "conv2d": ((7, 5, 3, 3), (2, 5, 9, 9), F.conv2d, "oikk", 45, 63),
    "conv3d": ((7, 5, 3, 3, 3), (2, 5, 5, 5, 5), F.conv3d, "oikkk", 135, 189),
    "strided": ((7, 5, 4, 4), (2, 5, 8, 8), lambda x, w: F.conv2d(x, w, stride=2), "oikk", 80, 28),
    "grouped": ((8, 2, 3, 3), (2, 4, 9, 9), lambda x, w: F.conv2d(x, w, groups=2), "(s2o4)ikk", 18, 36),
    "depthwise": ((8, 1, 3, 3), (2, 8, 9, 9), lambda x, w: F.conv2d(x, w, groups=8), "(s8o1)ikk", 9, 9),
    "transposed": ((5, 7, 4, 4), (2, 5, 6, 6), lambda x, w: F.conv_transpose2d(x, w, stride=2), "iokk", 20, 112),
    "transposed grouped": ((4, 3, 4), (2, 4, 6), lambda x, w: F.conv_transpose1d(x, w, groups=2), "(s2i2)ok", 8, 12),
    "patches": ((12, 3, 4, 4), (2, 3, 8, 8), lambda x, w: F.conv2d(x, w, stride=4), "oikk", 48, 12),
    "kernel as matrix": ((7, 3, 2, 2), (4, 12), lambda x, w: F.linear(x, w.flatten(1)), "oiii", 12, 7),
    "viewed heads": ((2, 3, 5), (4, 5), lambda x, w: F.linear(x, w.view(6, 5)), "ooi", 5, 6),
    "half": ((7, 5), (3, 5), lambda x, w: F.linear(x.double(), w.double()), "oi", 5, 7),
    "scaled": ((7, 5), (3, 5), lambda x, w: F.linear(x, w * 0.5), "oi", 5, 7),
    "chunks of W": ((21, 5), (3, 5), lambda x, w: sum(F.linear(x, p) for p in w.chunk(3)), "(s3o7)i", 5, 7),
    "chunks of the output": ((21, 5), (3, 5), lambda x, w: _gated(*F.linear(x, w).chunk(3, -1)), "(s3o7)i", 5, 7),
    "unbound output": (
        (24, 5),
        (3, 4, 5),
        lambda x, w: _gated(*F.linear(x, w).reshape(3, 4, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)),
        "(s3o8)i",
        5,
        8,
    ),
    "embedding": ((9, 5), None, lambda x, w: F.embedding(x, w), "vo", 1, 5),
    "indexed table": ((9, 5), None, lambda x, w: w[x], "vo", 1, 5),
}  # fmt: skip


def _gated(a, b, c):
    return a * torch.sigmoid(b) + c


@pytest.mark.parametrize("case", CASES)
def test_axes_come_from_the_op(case):
    shape, input_shape, apply, spec, fan_in, fan_out = CASES[case]
    x = torch.randint(0, 9, (4, 3)) if input_shape is None else torch.randn(*input_shape)
    slot = trace(Apply(shape, apply), x).slots[0]
    assert slot.axes is not None
    assert slot.axes.spec == spec
    assert (slot.axes.fan_in, slot.axes.fan_out) == (fan_in, fan_out)


def test_roles_of_a_transformer_layer():
    layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
    slots = {s.name: s for s in trace(layer, torch.randn(4, 6, 32)).slots}
    assert slots["self_attn.in_proj_weight"].axes.spec == "(s3o32)i"
    assert slots["self_attn.in_proj_weight"].parts == "qkv"
    assert slots["self_attn.out_proj.weight"].residual.last
    assert not slots["self_attn.in_proj_weight"].residual.last
    assert str(slots["linear1.weight"].activation) == "relu"
    assert str(slots["linear2.weight"].input_activation) == "relu"
    assert {s.role for n, s in slots.items() if n.startswith("norm")} == {"norm_scale", "norm_shift"}
    assert slots["linear1.bias"].weight == "linear1.weight"


@pytest.mark.parametrize("kind, gates", [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_recurrent_weights_have_gates(kind, gates, bidirectional):
    net = kind(5, 7, num_layers=2, bidirectional=bidirectional, batch_first=True)
    for slot in trace(net, torch.randn(3, 4, 5)).slots:
        assert slot.hidden == 7
        if "weight" in slot.name:
            assert slot.role == ("recurrent" if "_hh_" in slot.name else "weight")
            assert slot.axes.size("out") == 7 and slot.axes.size("stack") == gates
        else:
            assert slot.role == "bias"


def test_projected_lstm_and_cells():
    roles = {s.name: s.role for s in trace(nn.LSTM(5, 7, proj_size=3), torch.randn(4, 2, 5)).slots}
    assert roles["weight_hr_l0"] == "weight" and roles["weight_hh_l0"] == "recurrent"
    roles = {s.name: s.role for s in trace(nn.GRUCell(5, 7), torch.randn(4, 5)).slots}
    assert roles == {"weight_ih": "weight", "weight_hh": "recurrent", "bias_ih": "bias", "bias_hh": "bias"}


@pytest.mark.parametrize("bias", [True, False])
def test_the_forget_gate_of_every_lstm_layer_is_read(bias):
    net = nn.LSTM(5, 7, num_layers=2, bidirectional=True, bias=bias)
    with torch.no_grad():
        for k, (name, p) in enumerate(net.named_parameters()):
            if "bias" in name:
                p.zero_()
                p[7:14] = k
    op = next(o for o in trace(net, torch.randn(4, 2, 5)).ops if o.kind == "recurrent")
    order = [name for name, _ in net.named_parameters()]
    for tail in ("l0", "l0_reverse", "l1", "l1_reverse"):
        wanted = sum(order.index(f"bias_{half}_{tail}") for half in ("ih", "hh")) if bias else 0.0
        assert op.facts[forget_bias(f"weight_hh_{tail}")] == pytest.approx(wanted)


class HandCell(nn.Module):
    def __init__(self):
        super().__init__()
        self.read, self.state, self.head = nn.Linear(5, 7), nn.Linear(7, 7, bias=False), nn.Linear(7, 2)

    def forward(self, x):
        h = x.new_zeros(len(x), 7)
        for t in range(x.shape[1]):
            h = torch.tanh(self.read(x[:, t]) + self.state(h))
        return self.head(h)


def test_a_cell_written_by_hand():
    seen = trace(HandCell(), torch.randn(4, 6, 5))
    slots = {s.name: s for s in seen.slots}
    assert slots["state.weight"].role == "recurrent"
    assert slots["read.weight"].role == "weight"
    assert str(slots["read.weight"].activation) == str(slots["state.weight"].activation) == "tanh"
    assert slots["head.weight"].head
    assert seen.residuals == ()


class Reversed(nn.Module):
    """One weight read forth and back: a tied autoencoder, `rounds` times."""

    def __init__(self, rounds):
        super().__init__()
        self.rounds, self.weight = rounds, nn.Parameter(torch.randn(6, 6))

    def forward(self, x):
        for _ in range(self.rounds):
            x = torch.relu(x @ self.weight.t()) @ self.weight
        return x


class Stacked(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 6, 6))

    def forward(self, x):
        for k in range(3):
            x = torch.tanh(x @ self.weight[k])
        return x


def test_only_a_state_that_comes_back_to_the_same_op_is_recurrence():
    x = torch.randn(4, 6)
    roles = [trace(net, x).slots[0].role for net in (Reversed(1), Stacked(), Reversed(2))]
    assert roles == ["weight", "weight", "recurrent"]


def test_a_stack_of_layers_in_one_parameter_is_read_off_one_of_its_inner_layers():
    slot = trace(Stacked(), torch.randn(4, 6)).slots[0]
    assert str(slot.input_activation) == str(slot.activation) == "tanh"
    assert not slot.head


class Odds(nn.Module):
    """Ties, unused weights, positions, tokens, scalars, a padding row, norms written by hand."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 8, padding_idx=0)
        self.position = nn.Parameter(torch.randn(1, 6, 8))
        self.token = nn.Parameter(torch.zeros(1, 1, 8))
        self.scale = nn.Parameter(torch.ones(8))
        self.alpha = nn.Parameter(torch.zeros(()))
        self.branch = nn.Linear(8, 8)
        self.unused = nn.Linear(3, 3)
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids):
        x = self.embed(ids) + self.position
        x = torch.cat([self.token.expand(len(ids), -1, -1), x], 1)
        x = x + self.alpha * self.branch(x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.scale)
        return self.head(x)


def test_ties_positions_scalars_and_unused():
    seen = trace(Odds(), torch.randint(0, 11, (4, 6)))
    slots = {s.name: s for s in seen.slots}
    tied = slots["embed.weight"]
    assert set(tied.names) == {"embed.weight", "head.weight"} and tied.role == "embedding" and tied.head
    assert tied.padding_index == 0
    assert slots["position"].role == slots["token"].role == "position"
    assert slots["scale"].role == "norm_scale"
    assert slots["alpha"].role == "scale"
    assert slots["unused.weight"].role == slots["unused.bias"].role == "unused"
    assert seen.weights["unused.weight"].reached is False
    assert slots["branch.weight"].norm_before
    assert slots["branch.weight"].residual.last and slots["branch.weight"].residual.branches == 1
    assert seen.slot("head.weight") is tied


class Numbers(nn.Module):
    """Single numbers: a bias behind an activation as in Fixup, and CLIP's temperature, whose logarithm is learned."""

    def __init__(self):
        super().__init__()
        self.into, self.out = nn.Linear(6, 8), nn.Linear(8, 8)
        self.bias, self.temperature = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.tensor(2.66))

    def forward(self, x):
        x = self.out(torch.relu(self.into(x)) + self.bias)
        x = x / x.norm(dim=-1, keepdim=True)
        return self.temperature.exp() * x @ x.T


def test_a_single_number_is_no_position_and_no_norms_scale():
    slots = {s.name: s for s in trace(Numbers(), torch.randn(4, 6)).slots}
    assert slots["bias"].role == "bias"
    assert slots["temperature"].role == "scale"


WRAPS = {
    "weight norm": lambda m: nn.utils.parametrizations.weight_norm(m),
    "old weight norm": lambda m: torch.nn.utils.weight_norm(m),
    "spectral norm": lambda m: nn.utils.parametrizations.spectral_norm(m),
    "orthogonal": lambda m: nn.utils.parametrizations.orthogonal(m),
}


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.filterwarnings("ignore")
def test_parametrised_weights_are_attributed(wrap):
    model = nn.Sequential(WRAPS[wrap](nn.Linear(6, 6)), nn.ReLU(), nn.Linear(6, 2))
    seen = trace(model, torch.randn(4, 6))
    assert all(s.role in ("weight", "bias", "scale") for s in seen.slots)
    assert any(s.role == "weight" and s.shape == (6, 6) for s in seen.slots)


class Scripted(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = torch.jit.script(nn.Linear(4, 4))
        self.outer = nn.Linear(4, 2)

    def forward(self, x):
        return self.outer(self.inner(x))


@pytest.mark.filterwarnings("ignore")
def test_scripted_code_is_opaque_and_says_so():
    seen = trace(Scripted(), torch.randn(3, 4))
    roles = {s.name: s.role for s in seen.slots}
    assert roles["inner.weight"] == "opaque" and roles["outer.weight"] == "weight"
    assert any("cannot be seen" in note for note in seen.notes)


def test_compiled_and_data_parallel_models():
    plain = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    expected = [s.name for s in trace(plain, torch.randn(3, 4)).slots]
    for model in (torch.compile(plain), nn.DataParallel(plain)):
        seen = trace(model, torch.randn(3, 4))
        assert [s.name for s in seen.slots] == expected
        assert {s.role for s in seen.slots} == {"weight", "bias"}
        assert seen.notes


class Dropped(nn.Module):
    """Leaves out its second layer in training, at random (LayerDrop); this seed always does."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.never = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        x = self.a(x)
        return x if self.training and torch.rand(()) < 1.0 else self.b(x)


def test_layers_dropped_in_training_are_not_unused():
    seen = trace(Dropped(), torch.randn(3, 4))
    roles = {s.name: s.role for s in seen.slots}
    assert roles["b.weight"] == "weight" and roles["never.weight"] == "unused"
    assert any("evaluation mode only" in note for note in seen.notes)


@pytest.mark.filterwarnings("ignore")
def test_a_wholly_scripted_model_is_opaque():
    model = torch.jit.script(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)))
    seen = trace(model, torch.randn(5, 4))
    assert {s.role for s in seen.slots} == {"opaque"}
    assert all(seen.weights[s.name].reached for s in seen.slots)


def _rms(x):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)


def _heads(x):
    return x.unflatten(-1, (4, 8)).transpose(1, 2)


BEHIND_NORMS = {
    "CLIP's temperature": ((), lambda h, p: p.exp() * F.normalize(h, dim=-1), "scale"),
    "divided by it": ((), lambda h, p: F.normalize(h, dim=-1) / p, "scale"),
    "ScaleNorm": ((1,), lambda h, p: p * F.normalize(h, dim=-1), "scale"),
    "a scalar behind RMS norm": ((), lambda h, p: p * _rms(h), "scale"),
    "a scalar behind layer norm": ((), lambda h, p: F.layer_norm(h, (32,)) * p, "scale"),
    "a number a head": ((4, 1, 1), lambda h, p: p * F.normalize(_heads(h), dim=-1), "scale"),
    "a scalar added": ((), lambda h, p: F.normalize(h, dim=-1) + p, "bias"),
    "a number a unit": ((32,), lambda h, p: p * _rms(h), "norm_scale"),
    "a number a unit of a head": ((4, 1, 8), lambda h, p: p * F.normalize(_heads(h), dim=-1), "norm_scale"),
    "layer norm's own, apart": ((32,), lambda h, p: F.layer_norm(h, (32,)) * p, "norm_scale"),
    "shift": ((32,), lambda h, p: F.normalize(h, dim=-1) + p, "norm_shift"),
}


@pytest.mark.parametrize("name", BEHIND_NORMS)
def test_only_a_number_for_each_unit_is_a_norms_scale(name):
    shape, apply, role = BEHIND_NORMS[name]
    model = nn.Sequential(nn.Linear(16, 32), Apply(shape, apply))
    assert trace(model, torch.randn(3, 5, 16)).slot("1.weight").role == role


def test_g_of_a_weight_norm_by_hand_is_no_norms_scale():
    class Normed(nn.Module):
        def __init__(self):
            super().__init__()
            self.g, self.v = nn.Parameter(torch.full((7, 1), 2.0)), nn.Parameter(torch.randn(7, 5))

        def forward(self, x):
            return F.linear(x, self.g * F.normalize(self.v, dim=1))

    slots = trace(Normed(), torch.randn(3, 5))
    assert (slots.slot("g").role, slots.slot("v").role) == ("scale", "weight")


def test_a_norm_by_hand_over_channels_of_an_image_has_a_scale():
    """ConvNeXt's: mean and variance over axis 1 of what no layer made, the scale with two axes more."""

    def apply(x, w):
        centred = x - x.mean(1, keepdim=True)
        return w[:, None, None] * (centred / (centred.square().mean(1, keepdim=True) + 1e-6).sqrt())

    model = nn.Sequential(Apply((3,), apply), nn.Conv2d(3, 4, 3))
    assert trace(model, torch.randn(2, 3, 8, 8)).slot("0.weight").role == "norm_scale"


class Towers(nn.Module):
    """CLIP's ending: the products of two normed towers times exp of a number."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.logit_scale = nn.Linear(16, 32), nn.Linear(16, 32), nn.Parameter(torch.tensor(2.66))

    def forward(self, x, y):
        return self.logit_scale.exp() * F.normalize(self.a(x), dim=-1) @ F.normalize(self.b(y), dim=-1).T


@pytest.mark.parametrize("given", [None, "he", "pytorch", {"*": "he_normal"}], ids=str)
def test_no_plan_draws_a_temperature(given):
    batch = (torch.randn(4, 16), torch.randn(4, 16))
    model = Towers()
    plan = fanin.plan(model, batch, rules=given)
    assert "logit_scale" not in plan.entries
    assert plan.apply(model).logit_scale.item() == pytest.approx(2.66)
    assert given is None or "logit_scale" in " ".join(plan.notes)
