"""Plain chains: the promise of a linear isometric net at the start, for any way of writing and shaping it."""

from collections.abc import Callable
from typing import TypeVar

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import fanin
from fanin.auto import choose
from fanin.auto.chains import CHOOSING_TRACE, KERNEL_TRACE
from fanin.distributions import Centred, Constant, Mirrored, Orthogonal
from fanin.traces.torch import trace

from .nets import Functional, cnn, mlp, residual, rms

Net = TypeVar("Net", bound=nn.Module)
X = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
Y = torch.randint(0, 10, (64,), generator=torch.Generator().manual_seed(1))


def plan_weight(net: nn.Sequential, k: int) -> Tensor:
    """The weight of layer k."""
    layer = net[k]
    assert isinstance(layer, nn.Linear)
    return layer.weight.detach()


def planned(model: Net, x: Tensor = X) -> Net:
    """The model with the weights that `choose` gives it."""
    choose(trace(model, x, Y, F.cross_entropy)).apply(model)
    return model


@pytest.mark.parametrize(
    "f",
    [
        F.relu,
        F.gelu,
        F.silu,
        F.hardswish,
        F.softplus,
        lambda z: z * torch.sigmoid(1.3 * z),
        lambda z: F.leaky_relu(z, 0.2),
    ],
)
@pytest.mark.parametrize("widths", [[64] + [64] * 12 + [10], [64, 97, 97, 97, 97, 10], [64, 200, 150, 100, 48, 10]])
def test_a_mirrored_net_is_a_linear_map_at_the_start(f: Callable[[Tensor], Tensor], widths: list[int]) -> None:
    net = planned(Functional(widths, f))
    with torch.no_grad():
        zero = net(torch.zeros(1, 64))
        together = net(X[:8] + X[8:16]) - zero
        apart = (net(X[:8]) - zero) + (net(X[8:16]) - zero)
    assert rms(together - apart) < 1e-3 * rms(together)


@pytest.mark.parametrize("act", [nn.ReLU, nn.GELU, nn.ELU, nn.Tanh, nn.Sigmoid, nn.Softplus, nn.SELU, nn.Mish])
@pytest.mark.parametrize("depth", [3, 30])
def test_signal_and_gradient_keep_their_size_through_depth(act: Callable[[], nn.Module], depth: int) -> None:
    net = planned(mlp([64] + [64] * depth + [10], act))
    inputs, sizes = X, []
    linears = [m for m in net if isinstance(m, nn.Linear)]
    signals: list[Tensor] = []
    for layer in net:
        inputs = layer(inputs)
        if isinstance(layer, nn.Linear):
            inputs.retain_grad()
            signals.append(inputs)
            sizes.append(float(inputs.detach().std(0).square().mean().sqrt()))  # across examples
    signals[-1].square().sum().backward()
    hidden = signals[1:-1]  # the first is smaller where the chain hands on less than it is given
    assert max(sizes[1:-1]) / min(sizes[1:-1]) < 1.6
    gradients = [rms(s.grad) for s in hidden if s.grad is not None]
    assert max(gradients) / min(gradients) < 2.0
    assert len(linears) == depth + 1


@pytest.mark.parametrize("act", [nn.ReLU, nn.GELU, nn.Tanh, nn.Sigmoid])
@pytest.mark.parametrize("depth", [1, 10, 60])
def test_the_loss_starts_near_the_prior_and_gradients_reach_every_layer(
    act: Callable[[], nn.Module], depth: int
) -> None:
    net = planned(mlp([64] + [48] * depth + [10], act))
    loss = F.cross_entropy(net(X), Y)
    loss.backward()
    assert 2.2 < float(loss.detach()) < 3.3
    norms = [float(m.weight.grad.norm()) for m in net if isinstance(m, nn.Linear) and m.weight.grad is not None]
    assert min(norms) > 1e-3


def test_how_the_net_is_written_does_not_change_its_plan() -> None:
    widths = [64, 96, 96, 96, 10]
    modules = choose(trace(mlp(widths, nn.GELU), X, Y, F.cross_entropy))
    by_hand = choose(trace(Functional(widths, lambda z: 0.5 * z * (1 + torch.erf(z / 2**0.5))), X, Y, F.cross_entropy))
    for k, name in enumerate(["0.weight", "2.weight", "4.weight", "6.weight"]):
        a, b = modules.entries[name].distribution, by_hand.entries[f"matrices.{k}"].distribution
        assert isinstance(a, Mirrored)
        assert isinstance(b, Mirrored)
        assert isinstance(a.base, Orthogonal)
        assert isinstance(b.base, Orthogonal)
        assert a.base.gain == pytest.approx(b.base.gain, rel=1e-3)
        assert (a.out, a.in_) == (b.out, b.in_)


def kernel_parts(net: Functional) -> Tensor:
    """What each weight adds to the trace of the tangent kernel of one output, mean over examples and outputs."""
    weights = list(net.matrices)
    outputs = net(X[:16]).flatten()
    found = [torch.autograd.grad(output, weights, retain_graph=True) for output in outputs]
    return torch.stack([torch.stack([g.square().sum() for g in one]) for one in found]).mean(0)


@pytest.mark.parametrize("f", [F.relu, F.gelu, F.softplus, F.selu])
@pytest.mark.parametrize("hidden", [[32, 64, 96, 128, 192], [128, 64] * 6, [97] * 12, [96, 80, 64, 48, 32]])
def test_where_directions_are_lost_half_of_the_kernel_is_the_first_layer_s(
    f: Callable[[Tensor], Tensor], hidden: list[int]
) -> None:
    parts = kernel_parts(planned(Functional([64, *hidden, 10], f)))
    assert 0.4 < float(parts[0] / parts.sum()) < 0.65
    assert float(parts.sum()) < 1.3 * CHOOSING_TRACE


@pytest.mark.parametrize("f", [F.relu, F.gelu, torch.tanh, F.selu])
@pytest.mark.parametrize("hidden", [[128] * 40, [150, 200] * 12, [128, 192, 256]])
def test_a_deep_net_s_kernel_is_as_large_as_that_of_a_few_layers(
    f: Callable[[Tensor], Tensor], hidden: list[int]
) -> None:
    net = planned(Functional([64, *hidden, 10], f))
    trace_of_kernel = float(kernel_parts(net).sum())
    assert trace_of_kernel < 1.25 * KERNEL_TRACE
    assert trace_of_kernel > 0.7 * KERNEL_TRACE or rms(net(X)) > 0.7  # the head is as large as that allows


def test_odd_activations_keep_all_their_units() -> None:
    plan = choose(trace(mlp([64, 64, 64, 10], nn.Tanh), X))
    assert all(isinstance(plan.entries[n].distribution, Orthogonal) for n in ("0.weight", "2.weight", "4.weight"))


def test_sigmoid_layers_do_not_see_the_constant() -> None:
    plan = choose(trace(mlp([64, 64, 64, 10], nn.Sigmoid), X))
    assert isinstance(plan.entries["2.weight"].distribution, Centred)
    net = mlp([64, 64, 64, 10], nn.Sigmoid)
    plan.apply(net)
    assert rms(plan_weight(net, 2).sum(1)) < 1e-5


def test_a_bottleneck_is_not_halved() -> None:
    plan = choose(trace(mlp([64, 32, 8, 32, 64]), X))
    code = plan.entries["2.weight"].distribution
    assert isinstance(code, Mirrored)
    assert code.out is None
    assert code.in_ is not None


def test_the_input_s_size_is_taken_off() -> None:
    net = planned(mlp([64, 64, 64, 10]), 100 * X)
    assert rms(net[0](100 * X)) == pytest.approx(1.0, rel=0.1)


def test_dropout_is_paid_for_in_train_mode() -> None:
    torch.manual_seed(0)
    net = planned(mlp([64] + [128] * 20 + [10], nn.ReLU, dropout=0.2))
    signal = X
    for layer in list(net)[:-1]:
        signal = layer(signal)
    assert 0.4 < rms(signal) / 0.5**0.5 < 1.6  # half of each pair is zero


def test_pairs_survive_convolutions_pools_and_a_flatten() -> None:
    x = X.reshape(64, 1, 8, 8)
    net = planned(cnn(), x)
    with torch.no_grad():
        flat = net[:6](x)
        dense = net[6](flat)
    assert torch.allclose(dense[:, :16], -dense[:, 16:], atol=1e-5)


def test_mirrored_pairs_go_through_batch_norm() -> None:
    x = X.reshape(64, 1, 8, 8)
    net = planned(cnn(norm=True), x)
    with torch.no_grad():
        normed = net[:2](x)
    assert torch.allclose(normed[:, :4], -normed[:, 4:], atol=1e-4)


@pytest.mark.parametrize("norm", [False, True])
def test_branches_together_double_the_stream(norm: bool) -> None:
    net = planned(residual(48, 12, norm))
    with torch.no_grad():
        start = net[0](X)
        end = net[:-1](X)
    ratio = rms(end) / rms(start)
    assert 1.0 < ratio < (2.2 if not norm else 4.0)


class Written(nn.Module):
    """The same layers as x @ w + b."""

    def __init__(self, layers: list[nn.Linear]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = nn.functional.selu(x @ layer.weight.T + layer.bias)
        return x


@pytest.mark.parametrize("functional", [False, True])
def test_pairs_with_a_bias_start_as_planned_and_healthy(functional: bool) -> None:
    """A deep SELU chain is given biases; theory follows its pairs, so the check has nothing to say of them."""
    torch.manual_seed(0)
    layers = [nn.Linear(64, 128)] + [nn.Linear(128, 128) for _ in range(79)]
    model: nn.Module = Written(layers) if functional else nn.Sequential(*(m for f in layers for m in (f, nn.SELU())))
    model = nn.Sequential(model, nn.Linear(128, 10))
    batch, targets = torch.randn(64, 64), torch.arange(64) % 10
    plan = fanin.plan(model, batch, targets, nn.functional.cross_entropy)
    biases = {
        e.distribution.value for n, e in plan.entries.items() if "bias" in n and isinstance(e.distribution, Constant)
    }
    assert min(biases) < 0
    plan.apply(model)
    assert fanin.check(model, batch, targets, nn.functional.cross_entropy).ok
