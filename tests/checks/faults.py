"""Models with one fault of a stated size, and the same models without it: what the checks are judged on.

`FAULTS` is the table that both the tests (does each check find the stated size in every redraw?) and
`benchmarks/check_power.py` (where does it go silent?) walk.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FEATURES, CLASSES, EXAMPLES = 64, 10, 32
Loss = Callable[[Tensor, Tensor], Tensor]
Case = tuple[nn.Module, Tensor, Tensor, Loss]


def inputs(seed: int, *shape: int) -> Tensor:
    """Standard normal inputs."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def classified(model: nn.Module, seed: int, x: Tensor | None = None) -> Case:
    """The model on inputs with ten classes."""
    x = inputs(seed, EXAMPLES, FEATURES) if x is None else x
    return model, x, torch.arange(len(x)) % CLASSES, F.cross_entropy


def chain(
    depth: int, width: int, activation: type[nn.Module] = nn.ReLU, gain: float | None = math.sqrt(2), norm: bool = False
) -> nn.Sequential:
    """Dense layers; Normal(gain / sqrt(fan_in)) and zero biases, or PyTorch's default where gain is None. The head has gain 1."""
    layers: list[nn.Module] = []
    n = FEATURES
    for _ in range(depth):
        layers += [nn.Linear(n, width), activation()]
        n = width
    layers += [nn.LayerNorm(n)] if norm else []
    model = nn.Sequential(*layers, nn.Linear(n, CLASSES))
    if gain is not None:
        for layer in linears(model):
            nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.in_features))
            nn.init.zeros_(layer.bias)
        head = linears(model)[-1]
        nn.init.normal_(head.weight, std=1 / math.sqrt(head.in_features))
    return model


def linears(model: nn.Module) -> list[nn.Linear]:
    """The dense layers, in order."""
    return [m for m in model.modules() if isinstance(m, nn.Linear)]


class Stream(nn.Module):
    """A residual net without norms: x + W₂ relu(W₁ x), He weights of gain² `power` on the branch's last weight."""

    def __init__(self, blocks: int, power: float, width: int = 128) -> None:
        super().__init__()
        self.stem = nn.Linear(FEATURES, width)
        self.up = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.down = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.head = nn.Linear(width, CLASSES)
        for layer in linears(self):
            nn.init.normal_(layer.weight, std=1 / math.sqrt(layer.in_features))
            nn.init.zeros_(layer.bias)
        for layer in self.down:
            nn.init.normal_(layer.weight, std=math.sqrt(2 * power / width))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for up, down in zip(self.up, self.down, strict=True):
            x = x + down(F.relu(up(x)))
        return self.head(x)


class Attention(nn.Module):
    """One attention layer by hand, whose logits have deviation `size`."""

    def __init__(self, size: float, width: int = 64) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.head = nn.Linear(width, CLASSES)
        for layer, gain in ((self.q, math.sqrt(size)), (self.k, math.sqrt(size)), (self.v, 1.0)):
            nn.init.normal_(layer.weight, std=gain / math.sqrt(width))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (f(x).unflatten(-1, (4, 16)).transpose(1, 2) for f in (self.q, self.k, self.v))
        return self.head(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2).mean(1))


class Recurrent(nn.Module):
    """A simple recurrent net over 40 steps whose recurrent weight has spectral radius `radius`."""

    def __init__(self, radius: float, hidden: int = 64) -> None:
        super().__init__()
        self.cell = nn.RNN(8, hidden, batch_first=True)
        nn.init.orthogonal_(self.cell.weight_hh_l0, gain=radius)
        self.head = nn.Linear(hidden, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cell(x)[0][:, -1])


class Forgotten(nn.Module):
    """A net with some layers that forward does not use."""

    def __init__(self, forgotten: int) -> None:
        super().__init__()
        self.net = chain(2, 64)
        self.spare = nn.ModuleList(nn.Linear(8, 8) for _ in range(forgotten))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


def _scaled_chain(depth: int, width: int, activation: type[nn.Module], unit: float) -> Callable[[float, int], Case]:
    return lambda size, seed: classified(chain(depth, width, activation, unit * size), seed)


def _default_chain(activation: type[nn.Module], norm: bool = False) -> Callable[[float, int], Case]:
    return lambda depth, seed: classified(chain(int(depth), 128, activation, None, norm), seed)


def _nan(count: float, seed: int) -> Case:
    model = chain(2, 64)
    with torch.no_grad():
        model[2].weight.view(-1)[: int(count)] = math.nan
    return classified(model, seed)


def _unwritten(count: float, seed: int) -> Case:
    model = chain(2, 64)
    with torch.no_grad():
        model[2].weight.view(-1)[: int(count)] = 3e32
    return classified(model, seed)


def _duplicated(count: float, seed: int, outgoing: bool = True) -> Case:
    model = chain(2, 64)
    with torch.no_grad():
        for i in range(1, int(count) + 1):
            model[0].weight[i] = model[0].weight[0]
            if outgoing:
                model[2].weight[:, i] = model[2].weight[:, 0]
    return classified(model, seed)


def _copied(copies: float, seed: int) -> Case:
    model = chain(6, 64)
    for i in range(2, 1 + int(copies)):
        model[2 * i].load_state_dict(model[2].state_dict())
    return classified(model, seed)


def _killed(share: float, seed: int) -> Case:
    model = chain(3, 64)
    with torch.no_grad():
        model[2].bias[: round(64 * share)] = -20.0
    return classified(model, seed)


def _dead_pair(zeros: float, seed: int) -> Case:
    model = Stream(3, 0.3)
    if zeros >= 1:
        nn.init.zeros_(model.down[1].weight)
    if zeros >= 2:
        nn.init.zeros_(model.up[1].weight)
    return classified(model, seed)


def _transposed(ratio: float, seed: int) -> Case:
    """PyTorch reads the fan of a transposed convolution from the wrong axis: from its outputs."""
    up = nn.ConvTranspose2d(64, round(64 * ratio), 3, padding=1)
    model = nn.Sequential(up, nn.ReLU(), nn.Flatten(), nn.Linear(up.out_channels * 16, CLASSES))
    return classified(model, seed, inputs(seed, 8, 64, 4, 4))


def _grouped(groups: float, seed: int) -> Case:
    """He's rule with the fan out that `torch.nn.init` reads from a grouped convolution's shape."""
    conv = nn.Conv2d(64, 64, 3, padding=1, groups=int(groups))
    nn.init.kaiming_normal_(conv.weight, mode="fan_out")
    return classified(
        nn.Sequential(conv, nn.ReLU(), nn.Flatten(), nn.Linear(1024, CLASSES)), seed, inputs(seed, 8, 64, 4, 4)
    )


def _loud_features(size: float, seed: int) -> Case:
    return classified(chain(3, 64), seed, size * inputs(seed, EXAMPLES, FEATURES))


def _head(size: float, seed: int) -> Case:
    model = chain(3, 64)
    with torch.no_grad():
        model[-1].weight.mul_(size)
    return classified(model, seed)


def _shifted_input(mean: float, seed: int) -> Case:
    model = chain(2, 64)
    return classified(model, seed, inputs(seed, EXAMPLES, FEATURES) + mean)


def _loud_input(size: float, seed: int) -> Case:
    return classified(chain(2, 64), seed, size * inputs(seed, EXAMPLES, FEATURES))


def _blocks(count: float, seed: int) -> Case:
    return classified(Stream(int(count), 1.0), seed)


def _attention(size: float, seed: int) -> Case:
    return classified(Attention(size), seed, inputs(seed, 8, 64, 64))


class Gated(nn.Module):
    """An LSTM and a head on its last state."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.LSTM(8, 32, batch_first=True), nn.Linear(32, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cell(x)[0][:, -1])


def _recurrent(radius: float, seed: int) -> Case:
    return classified(Recurrent(radius), seed, inputs(seed, 16, 40, 8))


def _forgetful(bias: float, seed: int) -> Case:
    """An LSTM as torch draws it, with this much on the forget gate's share of its two biases."""
    model = Gated()
    with torch.no_grad():
        model.cell.bias_ih_l0[32:64] += bias / 2
        model.cell.bias_hh_l0[32:64] += bias / 2
    return classified(model, seed, inputs(seed, 16, 16, 8))


@dataclass(frozen=True)
class Fault:
    """One kind of fault at growing sizes.

    Attributes:
        code: the check that has to find it.
        name: what the model is.
        size: what the number means.
        build: (size, seed) → model, batch, targets, loss; the global torch seed is set by the caller.
        healthy: sizes at which the check has to be silent in every redraw.
        ill: sizes at which it has to speak in every redraw.
        ladder: sizes between, for the table of power.
        info: whether the check says `info` here.
    """

    code: str
    name: str
    size: str
    build: Callable[[float, int], Case]
    healthy: tuple[float, ...]
    ill: tuple[float, ...]
    ladder: tuple[float, ...] = ()
    info: bool = False


HE, WIDE = math.sqrt(2), 128
FAULTS = (
    Fault("FI001", "MLP 64 × 2", "numbers that are NaN", _nan, (0,), (1,)),
    Fault("FI002", "MLP 64 × 2", "numbers of 3e32", _unwritten, (0,), (1,)),
    Fault("FI003", "MLP 64 × 2", "layers not used", lambda n, seed: classified(Forgotten(int(n)), seed), (0,), (1,)),
    Fault("FI101", "MLP 64 × 2", "units equal to another, in and out, of 64", _duplicated, (0,), (1,)),
    Fault("FI102", "MLP 64 × 6", "layers alike", _copied, (1,), (2,)),
    Fault(
        "FI201", "ReLU 128 × 20", "gain over He's", _scaled_chain(20, WIDE, nn.ReLU, HE), (1.0, 0.95), (0.67,),
        (0.9, 0.88, 0.86, 0.84, 0.82, 0.8, 0.78, 0.75, 0.7),
    ),
    Fault("FI201", "ReLU 128, torch's default", "depth", _default_chain(nn.ReLU), (1, 2, 3), (5, 20), (4,)),
    Fault("FI201", "tanh 128, torch's default", "depth", _default_chain(nn.Tanh), (1, 3), (8,), (4, 5, 6, 7)),
    Fault(
        "FI202", "ReLU 128 × 20", "gain over He's", _scaled_chain(20, WIDE, nn.ReLU, HE), (1.0, 1.05), (1.5,),
        (1.1, 1.15, 1.2, 1.25, 1.3, 1.35, 1.4),
    ),
    Fault("FI203", "ReLU 128, torch's default, then LayerNorm", "depth", _default_chain(nn.ReLU, True), (1, 3), (8,), (4, 5, 6, 7)),
    Fault("FI205", "MLP 64 × 3", "share of units killed by a bias", _killed, (0, 0.05), (0.3,), (0.1, 0.12, 0.15, 0.2, 0.25)),
    Fault(
        "FI206", "tanh 64 × 3", "gain", lambda g, seed: classified(chain(3, 64, nn.Tanh, g), seed), (1.0, 2.0), (6.0,),
        (3.0, 3.5, 4.0, 4.5, 5.0),
    ),
    Fault(
        "FI301", "ReLU 128 × 20", "gain over He's", _scaled_chain(20, WIDE, nn.ReLU, HE), (1.0, 0.95), (0.67,),
        (0.9, 0.86, 0.84, 0.82, 0.8, 0.78, 0.75, 0.7),
    ),
    Fault(
        "FI302", "ReLU 128 × 20", "gain over He's", _scaled_chain(20, WIDE, nn.ReLU, HE), (1.0, 1.05), (1.5,),
        (1.1, 1.15, 1.2, 1.25, 1.3, 1.35, 1.4),
    ),
    Fault("FI302", "tanh 128 × 20", "gain", _scaled_chain(20, WIDE, nn.Tanh, 1.0), (1.0, 1.5), (3.5,), (2.0, 2.5, 3.0)),
    Fault("FI303", "residual 128 × 3", "weights of a branch that are zero", _dead_pair, (0, 1), (2,)),
    Fault(
        "FI304", "He ReLU 128", "depth", lambda n, seed: classified(chain(int(n), 128), seed), (3, 10, 20), (35,), (24, 25, 26, 27, 28, 30)
    ),
    Fault("FI401", "transposed convolution, torch's default", "outputs over inputs", _transposed, (1.0,), (2.0,), (1.05, 1.1, 1.2), True),
    Fault("FI401", "grouped convolution, kaiming fan_out", "groups", _grouped, (1,), (4,), (2, 8), True),
    Fault(
        "FI402", "ReLU 128 × 20", "gain over He's", _scaled_chain(20, WIDE, nn.ReLU, HE), (1.0, 0.95, 1.05), (0.67, 1.5),
        (0.9, 0.88, 0.86, 0.84, 0.82, 0.8, 1.1, 1.15, 1.2),
    ),
    Fault("FI402", "ReLU 128, torch's default", "depth", _default_chain(nn.ReLU), (1, 2, 3), (6, 20), (4, 5)),
    Fault("FI501", "MLP 64 × 3", "size of the features", _loud_features, (0.1, 1.0, 2.0), (12.0,), (3.0, 4.0, 5.0, 6.0, 8.0)),
    Fault("FI502", "MLP 64 × 3", "gain of the head", _head, (0.0, 1.0, 2.0), (12.0,), (3.0, 4.0, 5.0, 6.0, 8.0)),
    Fault("FI503", "MLP 64 × 2", "deviation of the input", _loud_input, (0.1, 1.0, 10.0), (30.0,), (15.0, 20.0, 25.0)),
    Fault("FI503", "MLP 64 × 2", "mean of the input, in deviations", _shifted_input, (0.0, 10.0), (30.0,), (15.0, 20.0, 25.0)),
    Fault("FI601", "residual 128 without norm", "He blocks", _blocks, (1, 4, 6), (16,), (8, 9, 10, 11, 12, 14)),
    Fault("FI602", "attention, 64 keys", "deviation of the logits", _attention, (0.1, 1.0, 2.0), (8.0,), (3.0, 4.0, 5.0, 6.0, 7.0)),
    Fault("FI603", "RNN 64, 40 steps", "spectral radius", _recurrent, (1.0, 0.95), (0.8,), (0.93, 0.92, 0.9, 0.85), info=True),
    Fault("FI603", "LSTM 32, 16 steps", "forget bias", _forgetful, (5.0, 2.0), (0.0, 1.0), (1.8, 1.6, 1.4, 1.2), info=True),
)  # fmt: skip
