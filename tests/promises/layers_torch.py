"""Real layers in torch, one for each way of consuming a weight, traced by fanin: what promises are measured on."""

import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from tests.promises.measure import Layer
from torch import Tensor, nn

from fanin.activations import Activation
from fanin.distributions import Distribution
from fanin.draws.torch import fill_
from fanin.plans import Entry, Plan
from fanin.slots import Slot
from fanin.traces.torch import trace

Look = Callable[[Tensor], Tensor]
ORIGINAL = "parametrizations.weight.original1"  # the direction behind a weight norm


def whole(y: Tensor) -> Tensor:
    return y


def inside(margin: int) -> Look:
    """Cuts the border that padding reaches, to an even number of positions, so that all phases of a stride count alike."""

    def cut(y: Tensor) -> Tensor:
        for axis in range(2, y.ndim):
            y = y.narrow(axis, margin, (y.shape[axis] - 2 * margin) // 2 * 2)
        return y

    return cut


class Apply(nn.Module):
    """A bare parameter and a function (x, weight) → y."""

    def __init__(self, shape: tuple[int, ...], apply: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.weight, self.apply_ = nn.Parameter(torch.zeros(*shape)), apply

    def forward(self, x: Tensor) -> Tensor:
        return self.apply_(x, self.weight)


class HfConv1D(nn.Module):
    """GPT-2's layer: the weight is stored (in, out) and consumed by addmm."""

    def __init__(self, out: int, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(width, out)), nn.Parameter(torch.zeros(out))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x.reshape(-1, x.size(-1)), self.weight).view(*x.shape[:-1], -1)


class Fused(nn.Module):
    """One projection whose output is cut into q, k and v."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(192, 3 * 192, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(self.project(x).chunk(3, -1), -1)


class ResidualMlp(nn.Module):
    """Six branches of two layers between an input layer and a head, without norm, each branch with a scalar."""

    def __init__(self, width: int = 192, blocks: int = 6) -> None:
        super().__init__()
        self.stem = nn.Linear(width, width)
        self.up = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.down = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.alpha = nn.ParameterList(nn.Parameter(torch.ones(())) for _ in range(blocks))
        self.scale = nn.ParameterList(nn.Parameter(torch.ones(width)) for _ in range(blocks))
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for up, down, alpha, scale in zip(self.up, self.down, self.alpha, self.scale, strict=True):
            x = x + alpha * (scale * down(torch.relu(up(x))))
        return self.head(x)


class ResidualCnn(nn.Module):
    """Four branches of two convolutions with batch norm."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.first = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(4))
        self.second = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(4))
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(8))
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        for k, (first, second) in enumerate(zip(self.first, self.second, strict=True)):
            x = torch.relu(x + self.norms[2 * k + 1](second(torch.relu(self.norms[2 * k](first(x))))))
        return self.head(x.mean((2, 3)))


class Transformer(nn.Module):
    """Three pre-norm blocks with a fused projection, positions, and a head of its own."""

    def __init__(self, width: int = 96, blocks: int = 3, tokens: int = 50, length: int = 8) -> None:
        super().__init__()
        self.embed, self.position = nn.Embedding(tokens, width), nn.Parameter(torch.zeros(length, width))
        self.qkv = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(blocks))
        self.out = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.up = nn.ModuleList(nn.Linear(width, 4 * width) for _ in range(blocks))
        self.down = nn.ModuleList(nn.Linear(4 * width, width) for _ in range(blocks))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * blocks + 1))
        self.head = nn.Linear(width, tokens, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids) + self.position
        for k in range(len(self.qkv)):
            q, w, v = (t.unflatten(-1, (4, -1)).transpose(1, 2) for t in self.qkv[k](self.norms[2 * k](x)).chunk(3, -1))
            mixed = F.scaled_dot_product_attention(q, w, v, is_causal=True).transpose(1, 2).flatten(2)
            x = x + self.out[k](mixed)
            x = x + self.down[k](F.gelu(self.up[k](self.norms[2 * k + 1](x))))
        return self.head(self.norms[-1](x))


class Attend(nn.Module):
    """torch's own attention, whose projections are one fused weight."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(96, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x, need_weights=False)[0]


class Experts(nn.Module):
    """A router over four experts, all of which see every token."""

    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(96, 4, bias=False)
        self.experts = nn.Parameter(torch.zeros(4, 96, 128))

    def forward(self, x: Tensor) -> Tensor:
        share = self.router(x).softmax(-1)
        return torch.einsum("be,beo->bo", share, torch.einsum("bi,eio->beo", x, self.experts))


def chain(*widths: int) -> nn.Module:
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(widths):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def convolutions() -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(16, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(64, 10, 3, padding=1))


@dataclass(frozen=True)
class Case:
    """One op kind.

    Attributes:
        build: the model that is traced and drawn.
        batch: shape of its Gaussian input, or a function that makes it.
        weight: which slot.
        run: (model, x) → y of the layer alone; None: the model itself; "none": the weight has no pass of its own.
        x: shape of the layer's input, where it is not the batch.
        look: the interior of outputs.
        look_in: the interior of inputs.
        blocks: how many stacked blocks send a gradient back to one input.
    """

    build: Callable[[], nn.Module]
    batch: tuple[int, ...] | Callable[[], Tensor]
    weight: str
    run: Callable[[nn.Module, Tensor], Tensor] | str | None = None
    x: tuple[int, ...] | None = None
    look: Look = whole
    look_in: Look = whole
    blocks: int = 1


def ids() -> Tensor:
    return torch.randint(0, 50, (6, 8), generator=torch.Generator().manual_seed(0))


def _sub(path: str) -> Callable[[nn.Module, Tensor], Tensor]:
    return lambda model, x: model.get_submodule(path)(x)


def _experts(x: Tensor, w: Tensor) -> Tensor:
    return torch.bmm(x, w)


CASES: dict[str, Case] = {
    "linear": Case(lambda: nn.Linear(256, 384), (128, 256), "weight"),
    "x @ W": Case(lambda: Apply((256, 384), lambda x, w: x @ w), (128, 256), "weight"),
    "transformers Conv1D": Case(lambda: HfConv1D(384, 256), (4, 32, 256), "weight"),
    "einsum with heads": Case(
        lambda: Apply((256, 8, 48), lambda x, w: torch.einsum("bti,ihd->bhtd", x, w)), (8, 16, 256), "weight"
    ),
    "einsum out of heads": Case(
        lambda: Apply((8, 32, 384), lambda x, w: torch.einsum("bhd,hdo->bo", x, w)), (128, 8, 32), "weight"
    ),
    "stacked experts": Case(lambda: Apply((4, 192, 256), _experts), (4, 64, 192), "weight"),
    "fused q, k, v": Case(Fused, (64, 192), "project.weight", blocks=3),
    "bilinear": Case(lambda: nn.Bilinear(12, 16, 64, bias=False), (128, 12), "weight", "none"),
    "conv1d": Case(
        lambda: nn.Conv1d(64, 128, 5, padding=2), (16, 64, 36), "weight", look=inside(2), look_in=inside(4)
    ),
    "conv1d over a signal": Case(lambda: nn.Conv1d(1, 17, 24), (8, 1, 60), "weight", look_in=inside(24)),
    "conv2d": Case(
        lambda: nn.Conv2d(64, 96, 3, padding=1), (8, 64, 12, 12), "weight", look=inside(1), look_in=inside(2)
    ),
    "conv2d strided": Case(
        lambda: nn.Conv2d(64, 96, 3, stride=2, padding=1), (8, 64, 22, 22), "weight", look=inside(1), look_in=inside(4)
    ),
    "conv2d dilated": Case(
        lambda: nn.Conv2d(64, 96, 3, dilation=2, padding=2), (8, 64, 14, 14), "weight", look=inside(2), look_in=inside(4)
    ),
    "conv3d": Case(
        lambda: nn.Conv3d(24, 48, 3, padding=1), (4, 24, 8, 8, 8), "weight", look=inside(1), look_in=inside(2)
    ),
    "grouped conv": Case(
        lambda: nn.Conv2d(96, 128, 3, padding=1, groups=4), (8, 96, 12, 12), "weight", look=inside(1), look_in=inside(2)
    ),
    "depthwise conv": Case(
        lambda: nn.Conv2d(768, 768, 3, padding=1, groups=768), (4, 768, 10, 10), "weight", look=inside(1),
        look_in=inside(2),
    ),
    "transposed conv": Case(
        lambda: nn.ConvTranspose2d(64, 96, 3, padding=1), (8, 64, 12, 12), "weight", look=inside(2), look_in=inside(1)
    ),
    "transposed conv, k4 s2": Case(
        lambda: nn.ConvTranspose2d(64, 96, 4, stride=2, padding=1), (8, 64, 10, 10), "weight", look=inside(4),
        look_in=inside(2),
    ),
    "transposed conv, k3 s2": Case(
        lambda: nn.ConvTranspose2d(64, 96, 3, stride=2, padding=1), (8, 64, 10, 10), "weight", look=inside(4),
        look_in=inside(2),
    ),
    "transposed grouped conv": Case(
        lambda: nn.ConvTranspose1d(128, 128, 4, stride=2, groups=4), (16, 128, 24), "weight", look=inside(5),
        look_in=inside(2),
    ),
    "weight norm": Case(lambda: nn.utils.parametrizations.weight_norm(nn.Linear(256, 384)), (128, 256), ORIGINAL),
    "embedding": Case(lambda: nn.Embedding(50, 96), ids, "weight", "none"),
    "position": Case(Transformer, ids, "position", "none"),
    "token embedding": Case(Transformer, ids, "embed.weight", "none"),
    "q, k, v of a transformer": Case(Transformer, ids, "qkv.1.weight", _sub("qkv.1"), (128, 96), blocks=3),
    "q, k, v of MultiheadAttention": Case(Attend, (8, 6, 96), "attention.in_proj_weight", "none"),
    "attention output": Case(Transformer, ids, "out.1.weight", _sub("out.1"), (256, 96)),
    "feed-forward in": Case(Transformer, ids, "up.1.weight", _sub("up.1"), (128, 96)),
    "feed-forward out": Case(Transformer, ids, "down.1.weight", _sub("down.1"), (256, 384)),
    "head": Case(Transformer, ids, "head.weight", _sub("head"), (256, 96)),
    "branch in": Case(ResidualMlp, (16, 192), "up.2.weight", _sub("up.2"), (128, 192)),
    "branch out": Case(ResidualMlp, (16, 192), "down.2.weight", _sub("down.2"), (128, 192)),
    "branch out, conv": Case(
        ResidualCnn, (4, 32, 8, 8), "second.1.weight", _sub("second.1"), (8, 32, 14, 14), inside(1), inside(2)
    ),
    "branch scalar": Case(ResidualMlp, (16, 192), "alpha.2", "none"),
    "branch vector": Case(ResidualMlp, (16, 192), "scale.2", "none"),
    "last norm of a branch": Case(ResidualCnn, (4, 32, 8, 8), "norms.3.weight", "none"),
    "norm scale": Case(Transformer, ids, "norms.0.weight", "none"),
    "bias": Case(lambda: chain(64, 256, 64), (8, 64), "0.bias", "none"),
    "head bias": Case(lambda: chain(64, 256, 64), (8, 64), "2.bias", "none"),
    "chain, first": Case(lambda: chain(128, 192, 192, 96), (8, 128), "0.weight", _sub("0"), (128, 128)),
    "chain, inner": Case(lambda: chain(128, 192, 192, 96), (8, 128), "2.weight", _sub("2"), (128, 192)),
    "chain, last": Case(lambda: chain(128, 192, 192, 96), (8, 128), "4.weight", _sub("4"), (128, 192)),
    "chain of convs, inner": Case(
        convolutions, (2, 16, 10, 10), "2.weight", _sub("2"), (8, 64, 12, 12), inside(1), inside(2)
    ),
    "LSTM, input": Case(lambda: nn.LSTM(48, 64), (5, 8, 48), "weight_ih_l0", "none"),
    "LSTM, state": Case(lambda: nn.LSTM(48, 64), (5, 8, 48), "weight_hh_l0", "none"),
    "LSTM, bias": Case(lambda: nn.LSTM(48, 64), (5, 8, 48), "bias_ih_l0", "none"),
    "LSTM, other bias": Case(lambda: nn.LSTM(48, 64), (5, 8, 48), "bias_hh_l0", "none"),
    "GRU, state": Case(lambda: nn.GRU(48, 64), (5, 8, 48), "weight_hh_l0", "none"),
    "GRU, bias": Case(lambda: nn.GRU(48, 64), (5, 8, 48), "bias_ih_l0", "none"),
    "RNN, state": Case(lambda: nn.RNN(48, 64, nonlinearity="relu"), (5, 8, 48), "weight_hh_l0", "none"),
    "router": Case(Experts, (32, 96), "router.weight", _sub("router"), (256, 96)),
    "experts": Case(Experts, (32, 96), "experts", "none"),
}  # fmt: skip


def layers(names: tuple[str, ...] | None = None) -> Iterator[Layer]:
    """Every case as a layer to measure on; `names` to take some only."""
    for name, case in CASES.items():
        if names is None or name in names:
            yield layer(name, case)


@functools.cache
def _slots(name: str) -> tuple[Slot, ...]:
    case = CASES[name]
    torch.manual_seed(0)
    model = case.build()
    batch = case.batch() if callable(case.batch) else torch.randn(*case.batch)
    return trace(model, (batch, torch.randn(128, 16)) if name == "bilinear" else batch).slots


def layer(name: str, case: Case) -> Layer:
    """One case as a layer; its model is built once and drawn again for every redraw. Biases are zero."""
    slots = _slots(name)
    torch.manual_seed(0)
    model = case.build()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if key.rpartition(".")[2].startswith("bias"):
                parameter.zero_()
    slot = next(s for s in slots if case.weight in (s.name, *s.names))

    def draw(law: Distribution, seed: int) -> None:
        if case.weight == ORIGINAL:
            Plan.of(slots, {slot.name: Entry(law)}, seed=seed).apply(model)
        else:  # the same numbers as the plan's, without its checks in every redraw
            fill_(parameter(), law, seed=seed, name=slot.name)

    def parameter() -> Tensor:
        owner, _, last = ("weight" if case.weight == ORIGINAL else case.weight).rpartition(".")
        return getattr(model.get_submodule(owner), last)

    def weight() -> np.ndarray:
        return parameter().detach().double().numpy()

    if case.run == "none":
        return Layer(name, slot, draw, None, None, weight, parameter)
    run = case.run if callable(case.run) else (lambda model, x: model(x))
    shape = case.x or case.batch
    assert isinstance(shape, tuple)

    def forward(seed: int, f: Activation | None) -> float:
        x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
        x = x if f is None else torch.from_numpy(f(x.double().numpy())).float()
        with torch.no_grad():
            return float(case.look(run(model, x)).double().square().mean())

    def backward(seed: int) -> float:
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(*shape, generator=generator, requires_grad=True)
        y = run(model, x)
        (gradient,) = torch.autograd.grad(y, x, torch.randn(y.shape, generator=generator))
        return float(case.look_in(gradient).double().square().mean()) / case.blocks

    return Layer(name, slot, draw, forward, backward, weight, parameter)
