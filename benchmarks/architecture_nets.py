"""The nets of `architectures.py`: small ones of every kind that is not a plain MLP, each written as people write them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "elu": nn.ELU,
}
PIXELS, SLOW = "digits_autoencoder", 0.03  # the mean of squared errors over 64 pixels has small gradients
EVEN = "digits:1344"  # 21 whole batches of 64: a last batch of 3 examples would spoil every batch norm


@dataclass(frozen=True)
class Net:
    """One net of the table.

    Attributes:
        kind: the group that it is printed in.
        make: gives a fresh model.
        nonlinearity: that the orthogonal baseline takes its gain for.
        data, epochs, lr: what it is trained on, how long, and at which learning rate of SGD.
    """

    kind: str
    make: Callable[[], nn.Module]
    nonlinearity: str = "relu"
    data: str = "digits"
    epochs: float = 15
    lr: float = 0.003


class Residual(nn.Module):
    """x + f(x), and then `after` (a norm, an activation)."""

    def __init__(self, branch: nn.Module, after: nn.Module | None = None):
        super().__init__()
        self.branch = branch
        self.after = after

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.branch(x)
        return x if self.after is None else self.after(x)


class Mean(nn.Module):
    """Global average pool, or the mean over tokens."""

    def __init__(self, *axes: int):
        super().__init__()
        self.axes = axes

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(self.axes)


def cnn(
    layers: list[int | str],
    head: list[int],
    act: str = "relu",
    norm: bool = False,
    size: int = 8,
    channels: int = 1,
) -> nn.Module:
    """Convolutions 3 × 3 (a number: channels; "/32": 32 channels, stride 2), "max", "avg"; "flat" or "gap"; linear layers."""
    f, parts = ACTIVATIONS[act], []
    for layer in layers:
        if layer == "max":
            parts.append(nn.MaxPool2d(2))
        elif layer == "avg":
            parts.append(nn.AvgPool2d(2))
        elif layer == "flat":
            parts.append(nn.Flatten())
            channels *= size * size
        elif layer == "gap":
            parts.append(Mean(2, 3))
        else:
            stride = 2 if isinstance(layer, str) else 1
            out = int(str(layer).lstrip("/"))
            parts += [nn.Conv2d(channels, out, 3, stride, 1), *([nn.BatchNorm2d(out)] if norm else []), f()]
            channels, size = out, size // stride
        if layer in ("max", "avg"):
            size //= 2
    for width in head:
        parts += [nn.Linear(channels, width), f()]
        channels = width
    return nn.Sequential(*parts, nn.Linear(channels, 10))


def mlp(width: int, depth: int, act: str = "relu", norm: str = "", dropout: float = 0.0) -> nn.Module:
    """An MLP with a norm before ("batch", "layer") or after ("batch after", "layer after") each activation."""
    kinds = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
    parts: list[nn.Module] = []
    for k in range(depth):
        parts.append(nn.Linear(width if k else 64, width))
        inner = [ACTIVATIONS[act]()]
        if norm:
            inner.insert(1 if norm.endswith("after") else 0, kinds[norm.split()[0]](width))
        parts += inner + ([nn.Dropout(dropout)] if dropout else [])
    return nn.Sequential(*parts, nn.Linear(width, 10))


def residual_mlp(width: int, blocks: int, act: str = "relu", form: str = "two") -> nn.Module:
    """Residual blocks: "one" and "two" layers without norm, "pre" and "post" layer norm, "batch" as in a ResNet."""
    f = ACTIVATIONS[act]

    def line() -> nn.Module:
        return nn.Linear(width, width)

    def block() -> nn.Module:
        if form == "one":
            return Residual(nn.Sequential(line(), f()))
        if form == "two":
            return Residual(nn.Sequential(line(), f(), line()))
        if form == "outer":
            return Residual(nn.Sequential(line(), f(), line()), f())
        if form == "pre":
            return Residual(nn.Sequential(nn.LayerNorm(width), line(), f(), line()))
        if form == "post":
            return Residual(nn.Sequential(line(), f(), line()), nn.LayerNorm(width))
        return Residual(nn.Sequential(line(), nn.BatchNorm1d(width), f(), line(), nn.BatchNorm1d(width)), f())

    stem = {"batch": [nn.BatchNorm1d(width), f()], "outer": [f()]}.get(form, [])
    last = [nn.LayerNorm(width)] if form == "pre" else []
    return nn.Sequential(nn.Linear(64, width), *stem, *[block() for _ in range(blocks)], *last, nn.Linear(width, 10))


class ResNet(nn.Module):
    """A small ResNet: two stages, the second with stride 2 and a projection on the skip."""

    def __init__(self, width: int = 8, blocks: int = 2, norm: bool = True):
        super().__init__()
        self.norm = norm
        self.stem = nn.Sequential(nn.Conv2d(1, width, 3, padding=1), *self._norm(width), nn.ReLU())
        self.blocks, self.skips = nn.ModuleList(), nn.ModuleList()
        channels = width
        for stage in range(2):
            for k in range(blocks):
                stride, out = (2, 2 * width) if stage and not k else (1, channels)
                branch = [nn.Conv2d(channels, out, 3, stride, 1), *self._norm(out), nn.ReLU()]
                self.blocks.append(nn.Sequential(*branch, nn.Conv2d(out, out, 3, padding=1), *self._norm(out)))
                same = stride == 1
                skip = nn.Identity() if same else nn.Sequential(nn.Conv2d(channels, out, 1, stride), *self._norm(out))
                self.skips.append(skip)
                channels = out
        self.head = nn.Linear(channels, 10)

    def _norm(self, channels: int) -> list[nn.Module]:
        return [nn.BatchNorm2d(channels)] if self.norm else []

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block, skip in zip(self.blocks, self.skips, strict=True):
            x = F.relu(block(x) + skip(x))
        return self.head(x.mean((2, 3)))


def autoencoder(widths: list[int], act: str = "relu") -> nn.Module:
    """Dense, from 64 pixels back to 64."""
    parts: list[nn.Module] = []
    for a, b in zip([64, *widths], [*widths, 64], strict=True):
        parts += [nn.Linear(a, b), ACTIVATIONS[act]()]
    return nn.Sequential(*parts[:-1])


def conv_autoencoder(width: int, act: str = "relu") -> nn.Module:
    """Two strided convolutions, and two transposed ones back."""
    f = ACTIVATIONS[act]
    down = [nn.Conv2d(1, width, 3, 2, 1), f(), nn.Conv2d(width, width, 3, 2, 1), f()]
    up = [nn.ConvTranspose2d(width, width, 4, 2, 1), f(), nn.ConvTranspose2d(width, 1, 4, 2, 1)]
    return nn.Sequential(*down, *up)


class Recurrent(nn.Module):
    """A recurrent layer over the rows of an image, and a head on its last state."""

    def __init__(self, layer: Callable[..., nn.Module], hidden: int = 48, inputs: int = 8, **options: object):
        super().__init__()
        self.inputs = inputs
        self.layer = layer(inputs, hidden, batch_first=True, **options)
        self.head = nn.Linear(hidden, 10)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.layer(x.reshape(len(x), -1, self.inputs))
        return self.head(states[:, -1])


class Cell(nn.Module):
    """A recurrent cell written by hand, with linear layers in a loop."""

    def __init__(self, hidden: int = 48, act: str = "tanh"):
        super().__init__()
        self.act = ACTIVATIONS[act]()
        self.inner = nn.Linear(8, hidden)
        self.state = nn.Linear(hidden, hidden)
        self.head = nn.Linear(hidden, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(len(x), self.state.in_features)
        for row in x.reshape(len(x), -1, 8).unbind(1):
            h = self.act(self.inner(row) + self.state(h))
        return self.head(h)


class Rows(nn.Module):
    """`nn.TransformerEncoder` over the rows of an image as tokens, with learned positions."""

    def __init__(self, width: int = 32, layers: int = 2, first: bool = True, act: str = "gelu"):
        super().__init__()
        self.stem = nn.Linear(8, width)
        self.positions = nn.Parameter(torch.randn(8, width) * 0.02)
        layer = nn.TransformerEncoderLayer(width, 4, 4 * width, 0.0, act, batch_first=True, norm_first=first)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width) if first else nn.Identity()
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.encoder(self.stem(x.reshape(len(x), 8, 8)) + self.positions)
        return self.head(self.norm(x).mean(1))


class Gated(nn.Module):
    """SwiGLU blocks: (silu(a) · b) through a third matrix, added to the stream or not."""

    def __init__(self, width: int = 48, blocks: int = 4, residual: bool = False):
        super().__init__()
        self.residual = residual
        self.stem = nn.Linear(64, width)
        self.a = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.b = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.c = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for a, b, c in zip(self.a, self.b, self.c, strict=True):
            y = c(F.silu(a(x)) * b(x))
            x = x + y if self.residual else y
        return self.head(x)


class TwoInputs(nn.Module):
    """The upper and the lower half of the pixels through nets of their own, joined by `cat`."""

    def __init__(self, width: int = 48, depth: int = 3, shared: bool = False):
        super().__init__()
        self.left, self.right = self._tower(width, depth), self._tower(width, depth)
        if shared:
            self.right = self.left  # Siamese
        self.top = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, 10))

    @staticmethod
    def _tower(width: int, depth: int) -> nn.Module:
        return nn.Sequential(*[p for k in range(depth) for p in (nn.Linear(width if k else 32, width), nn.ReLU())])

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, 1)
        return self.top(torch.cat([self.left(a), self.right(b)], 1))


class Dense(nn.Module):
    """Each layer sees all before it, joined by `cat` (DenseNet)."""

    def __init__(self, growth: int = 24, depth: int = 8):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(64 + k * growth, growth) for k in range(depth))
        self.head = nn.Linear(64 + depth * growth, 10)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, F.relu(layer(x))], 1)
        return self.head(x)


class UNet(nn.Module):
    """An autoencoder with a skip by `cat` from the encoder to the decoder."""

    def __init__(self, width: int = 12):
        super().__init__()
        self.one, self.two = nn.Conv2d(1, width, 3, padding=1), nn.Conv2d(width, 2 * width, 3, 2, 1)
        self.up = nn.ConvTranspose2d(2 * width, width, 4, 2, 1)
        self.three, self.out = nn.Conv2d(2 * width, width, 3, padding=1), nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        a = F.relu(self.one(x))
        b = F.relu(self.up(F.relu(self.two(a))))
        return self.out(F.relu(self.three(torch.cat([a, b], 1))).mean((2, 3)))


NETS: dict[str, Net] = {
    "lenet": Net("plain CNN", lambda: cnn([8, "max", 16, "max", "flat"], [64])),
    "lenet, 4 convs": Net("plain CNN", lambda: cnn([16, 16, "max", 32, 32, "max", "flat"], [64])),
    "lenet, tanh": Net("plain CNN", lambda: cnn([8, "avg", 16, "avg", "flat"], [64], "tanh"), "tanh"),
    "strided, gelu": Net("plain CNN", lambda: cnn([16, "/32", "/32", "flat"], [32], "gelu"), "gelu"),
    "6 convs, average pool": Net(
        "plain CNN", lambda: cnn([16, 16, "max", 32, 32, "max", 32, 32, "gap"], []), epochs=10
    ),
    "12 convs, average pool": Net("plain CNN", lambda: cnn([12] * 12 + ["gap"], []), epochs=10),
    "12 convs, silu, flat": Net("plain CNN", lambda: cnn(["/16", *[16] * 11, "flat"], [], "silu"), "silu", epochs=10),
    "20 convs, strided, flat": Net("plain CNN", lambda: cnn(["/16", *[16] * 19, "flat"], []), epochs=10),
    "64-32-8-32-64": Net("autoencoder", lambda: autoencoder([32, 8, 32]), data=PIXELS, lr=SLOW),
    "64-16-64": Net("autoencoder", lambda: autoencoder([16]), data=PIXELS, lr=SLOW),
    "64-32-8-32-64, tanh": Net("autoencoder", lambda: autoencoder([32, 8, 32], "tanh"), "tanh", PIXELS, lr=SLOW),
    "8 layers": Net("autoencoder", lambda: autoencoder([64, 48, 32, 16, 32, 48, 64]), data=PIXELS, lr=SLOW),
    "8 layers, gelu": Net(
        "autoencoder", lambda: autoencoder([64, 48, 32, 16, 32, 48, 64], "gelu"), "gelu", PIXELS, lr=SLOW
    ),
    "conv and transposed": Net("autoencoder", lambda: conv_autoencoder(16), data=PIXELS, lr=SLOW),
    "nn.RNN": Net("RNN", lambda: Recurrent(nn.RNN), "tanh"),
    "nn.RNN, relu": Net("RNN", lambda: Recurrent(nn.RNN, nonlinearity="relu")),
    "nn.RNN, 64 pixels": Net("RNN", lambda: Recurrent(nn.RNN, inputs=1), "tanh"),
    "nn.GRU": Net("RNN", lambda: Recurrent(nn.GRU), "tanh"),
    "nn.LSTM": Net("RNN", lambda: Recurrent(nn.LSTM), "tanh"),
    "nn.LSTM, 2 layers": Net("RNN", lambda: Recurrent(nn.LSTM, num_layers=2), "tanh"),
    "cell by hand": Net("RNN", Cell, "tanh"),
    "cell by hand, relu": Net("RNN", lambda: Cell(act="relu")),
    "mlp 3, batch norm": Net("norm", lambda: mlp(64, 3, norm="batch"), data=EVEN),
    "mlp 20, batch norm": Net("norm", lambda: mlp(64, 20, norm="batch"), data=EVEN),
    "mlp 5, batch norm after": Net("norm", lambda: mlp(64, 5, norm="batch after"), data=EVEN),
    "mlp 3, layer norm": Net("norm", lambda: mlp(64, 3, norm="layer")),
    "mlp 20, layer norm": Net("norm", lambda: mlp(64, 20, norm="layer")),
    "mlp 5, layer norm after, tanh": Net("norm", lambda: mlp(64, 5, "tanh", "layer after"), "tanh"),
    "lenet, batch norm": Net("norm", lambda: cnn([8, "max", 16, "max", "flat"], [32], norm=True), data=EVEN, epochs=8),
    "12 convs, batch norm": Net("norm", lambda: cnn([12] * 12 + ["gap"], [], norm=True), data=EVEN, epochs=8),
    "x + f(x), 8": Net("residual", lambda: residual_mlp(64, 8, form="one")),
    "x + f(x), 40": Net("residual", lambda: residual_mlp(64, 40, form="one")),
    "two layers, 4": Net("residual", lambda: residual_mlp(64, 4)),
    "two layers, 24, gelu": Net("residual", lambda: residual_mlp(64, 24, "gelu"), "gelu"),
    "relu(x + f(x)), 8": Net("residual", lambda: residual_mlp(64, 8, form="outer")),
    "pre-norm, 8, gelu": Net("residual", lambda: residual_mlp(48, 8, "gelu", "pre"), "gelu"),
    "post-norm, 8": Net("residual", lambda: residual_mlp(48, 8, form="post")),
    "batch norm, 6": Net("residual", lambda: residual_mlp(48, 6, form="batch"), data=EVEN),
    "ResNet, batch norm": Net("residual", ResNet, data=EVEN, epochs=8),
    "ResNet, no norm": Net("residual", lambda: ResNet(norm=False), epochs=8),
    "encoder, pre-norm": Net("transformer", Rows, "gelu", epochs=10),
    "encoder, post-norm, relu": Net("transformer", lambda: Rows(first=False, act="relu"), epochs=10),
    "dropout": Net("mixed", lambda: mlp(96, 6, "relu", dropout=0.2)),
    "gated": Net("mixed", Gated, "silu"),
    "gated, residual": Net("mixed", lambda: Gated(residual=True, blocks=8), "silu"),
    "two inputs": Net("mixed", TwoInputs),
    "Siamese": Net("mixed", lambda: TwoInputs(shared=True)),
    "dense": Net("mixed", Dense),
    "u-net": Net("mixed", UNet, epochs=10),
}
