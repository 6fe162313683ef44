"""Activations, chains and residual streams are found however the code is written."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fanin.traces.torch import trace


class Chain(nn.Module):
    """Three weights with a function between, dropout and reshapes thrown in."""

    def __init__(self, f, widths=(6, 9, 7, 4)):
        super().__init__()
        self.weights = nn.ParameterList(nn.Parameter(torch.randn(a, b)) for a, b in pairwise(widths))
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(b)) for b in widths[1:])
        self.f = f

    def forward(self, x):
        for i, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = x @ w + b
            if i < 2:
                x = F.dropout(self.f(x), 0.3).view(len(x), 1, -1).squeeze(1)
        return x


BY_HAND = {
    "relu": [
        F.relu,
        torch.relu,
        nn.ReLU(inplace=True),
        lambda x: x.clamp(min=0),
        lambda x: torch.maximum(x, torch.zeros(())),
        lambda x: torch.maximum(x, torch.zeros_like(x)),
        lambda x: torch.where(x > 0, x, torch.zeros(())),
        lambda x: x * (x > 0),
        lambda x: (x + x.abs()) / 2,
    ],
    "silu": [F.silu, lambda x: x * x.sigmoid(), lambda x: x / (1 + torch.exp(-x))],
    "gelu": [F.gelu, lambda x: x * 0.5 * (1 + torch.erf(x / 2**0.5))],
    "leaky_relu(0.2)": [
        nn.LeakyReLU(0.2),
        lambda x: torch.maximum(x, 0.2 * x),
        lambda x: torch.where(x > 0, x, 0.2 * x),
        nn.PReLU(init=0.2),
    ],
    "tanh": [torch.tanh, nn.Tanh(), lambda x: torch.as_tensor(x).tanh(), lambda x: 2 * torch.sigmoid(2 * x) - 1],
    "mish": [F.mish, lambda x: x * torch.tanh(F.softplus(x))],
    "relu6": [F.relu6, lambda x: x.clamp(0, 6)],
    "hardswish": [F.hardswish, lambda x: x * F.relu6(x + 3) / 6],
}


@pytest.mark.parametrize("name, f", [(n, f) for n, fs in BY_HAND.items() for f in fs])
def test_activation_and_chain(name, f):
    seen = trace(Chain(f), torch.randn(5, 6))
    weights = [s for s in seen.slots if s.role == "weight"]
    weights = [s for s in weights if s.axes is not None]
    assert [str(s.activation) for s in weights] == [name, name, "None"]
    assert [str(s.input_activation) for s in weights] == ["None", name, name]
    assert [s.chain.place for s in weights] == ["first", "inner", "last"]
    assert [s.chain.in_pairing and s.chain.in_pairing.units for s in weights] == [None, 9, 7]
    assert weights[-1].head and not weights[0].head
    assert [s.depth for s in weights] == [1, 2, 3]


def test_an_unknown_function_is_kept_as_a_table():
    slot = trace(Chain(lambda x: torch.sin(x) + 0.1 * x**2), torch.randn(5, 6)).slots[0]
    z = torch.linspace(-3, 3, 31, dtype=torch.float64)
    expected = torch.sin(z) + 0.1 * z**2
    assert torch.allclose(torch.tensor(slot.activation(z.numpy())), expected, atol=1e-4)


def test_a_fast_wave_keeps_its_size():
    """E sin²(30 z) = 1/2: a SIREN written by hand has the gain of its sine, not of a coarse table of it."""
    seen = trace(Chain(lambda x: torch.sin(30 * x)), torch.randn(5, 6))
    first = next(s for s in seen.slots if s.role == "weight")
    assert first.activation.gain == pytest.approx(2**0.5, rel=1e-3)


class Flat(nn.Module):
    """A convolution, a pool, a flatten of one kind or another, a dense head."""

    def __init__(self, flatten, features):
        super().__init__()
        self.conv, self.head, self.flatten = nn.Conv2d(1, 6, 3, padding=1), nn.Linear(features, 3), flatten

    def forward(self, x):
        return self.head(self.flatten(F.relu(F.max_pool2d(self.conv(x), 2))))


FLATTENS = {
    "flatten": (lambda x: x.flatten(1), 96, (1, 6, 16)),
    "view": (lambda x: x.view(len(x), -1), 96, (1, 6, 16)),
    "mean": (lambda x: x.mean((2, 3)), 6, (1, 6, 1)),
    "adaptive pool": (lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1), 6, (1, 6, 1)),
}


@pytest.mark.parametrize("case", FLATTENS)
def test_a_chain_passes_pools_and_flattens(case):
    flatten, features, pairing = FLATTENS[case]
    slots = {s.name: s for s in trace(Flat(flatten, features), torch.randn(5, 1, 8, 8)).slots}
    link = slots["head.weight"].chain
    assert link is not None and link.place == "last"
    assert (link.in_pairing.outer, link.in_pairing.units, link.in_pairing.inner) == pairing


class Net(nn.Module):
    def __init__(self, forward, **parts):
        super().__init__()
        self.parts = nn.ModuleDict(parts)
        self.run = forward

    def forward(self, x):
        return self.run(self.parts, x)


def test_norms_branches_and_shared_weights_break_chains():
    def normed(p, x):
        return p["b"](p["n"](F.relu(p["a"](x))))

    def branched(p, x):
        h = F.relu(p["a"](x))
        return p["b"](h) + p["c"](h)

    def shared(p, x):
        return p["a"](F.relu(p["a"](x)))

    line = lambda: nn.Linear(6, 6)  # noqa: E731
    for net in (
        Net(normed, a=line(), n=nn.LayerNorm(6), b=line()),
        Net(branched, a=line(), b=line(), c=line()),
        Net(shared, a=line()),
    ):
        assert all(s.chain is None for s in trace(net, torch.randn(4, 6)).slots)


def test_residual_branches_are_counted_along_the_stream():
    def run(p, x):
        x = p["stem"](x)
        for i in range(4):
            x = x + p[f"out{i}"](F.gelu(p[f"in{i}"](x)))
        return p["head"](x)

    parts = {f"{k}{i}": nn.Linear(8, 8) for i in range(4) for k in ("in", "out")}
    seen = trace(Net(run, stem=nn.Linear(5, 8), head=nn.Linear(8, 2), **parts), torch.randn(6, 5))
    assert len(seen.residuals) == 4
    for i in range(4):
        first, last = seen.slot(f"parts.in{i}.weight"), seen.slot(f"parts.out{i}.weight")
        assert (first.residual.branch, first.residual.branches, first.residual.last) == (i, 4, False)
        assert (last.residual.branch, last.residual.branches, last.residual.last) == (i, 4, True)
    assert seen.slot("parts.stem.weight").residual is None
    assert seen.slot("parts.head.weight").head


def test_a_projected_shortcut_is_the_skip():
    def run(p, x):
        x = F.relu(p["stem"](x))
        branch = p["n2"](p["c2"](F.relu(p["n1"](p["c1"](x)))))
        return F.relu(branch + p["short"](x)).mean((2, 3))

    conv = lambda: nn.Conv2d(4, 4, 3, padding=1)  # noqa: E731
    net = Net(
        run, stem=conv(), c1=conv(), c2=conv(), n1=nn.BatchNorm2d(4), n2=nn.BatchNorm2d(4), short=nn.Conv2d(4, 4, 1)
    )
    seen = trace(net, torch.randn(4, 4, 6, 6))
    (add,) = seen.residuals
    assert add.weights == ("parts.c1.weight", "parts.c2.weight")
    assert add.skip_weights == ("parts.short.weight",)
    place = seen.slot("parts.c2.weight").residual
    assert place.last and place.normed
    assert seen.slot("parts.c2.weight").norm_after


def test_rotated_halves_are_no_blocks_and_gates_are():
    def rotary(p, x):
        q = p["q"](x)
        left, right = q.chunk(2, -1)
        return q * 0.8 + torch.cat([-right, left], -1) * 0.6

    def gated(p, x):
        gate, up = p["in"](x).chunk(2, -1)
        return p["out"](F.silu(gate) * up)

    q = trace(Net(rotary, q=nn.Linear(6, 8)), torch.randn(4, 6)).slot("parts.q.weight")
    assert q.axes.spec == "oi" and q.axes.fan_out == 8
    seen = trace(Net(gated, **{"in": nn.Linear(6, 8), "out": nn.Linear(4, 3)}), torch.randn(4, 6))
    gates, out = seen.slot("parts.in.weight"), seen.slot("parts.out.weight")
    assert gates.axes.spec == "(s2o4)i" and gates.activation is None and gates.chain is None
    assert out.input_activation is None and out.chain is None


def test_a_chain_may_be_followed_through_norms():
    def run(p, x):
        x = F.max_pool2d(F.relu(p["n1"](p["c1"](x))), 2)
        return p["out"](F.relu(p["n2"](p["c2"](x))).flatten(1))

    parts = {"c1": nn.Conv2d(1, 6, 3), "n1": nn.BatchNorm2d(6), "c2": nn.Conv2d(6, 5, 3, padding=1)}
    net = Net(run, **parts, n2=nn.GroupNorm(1, 5), out=nn.Linear(45, 3))
    slots = [trace(net, torch.randn(4, 1, 8, 8)).slot(f"parts.{n}.weight") for n in ("c1", "c2", "out")]
    assert [s.chain for s in slots] == [None, None, None]
    assert [(s.normed_chain.position, s.normed_chain.length) for s in slots] == [(0, 3), (1, 3), (2, 3)]
    assert [str(s.normed_chain.before) for s in slots] == ["None", "relu", "relu"]
    assert slots[2].normed_chain.in_pairing.inner == 9 and slots[2].normed_chain.normed
    plain = trace(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)), torch.randn(3, 4))
    assert all(s.normed_chain is None for s in plain.slots)


def test_an_autoencoder_may_be_its_own_target():
    x = torch.randn(8, 6)
    net = nn.Sequential(nn.Linear(6, 3), nn.Tanh(), nn.Linear(3, 6))
    seen = trace(net, x, x, F.mse_loss)
    assert {s.role for s in seen.slots} == {"weight", "bias"}
    assert seen.loss.kind == "mse" and seen.loss.chance == pytest.approx(float(x.square().mean()), rel=1e-5)
