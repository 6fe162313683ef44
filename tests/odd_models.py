"""Models as people write them: a table of builders, each name → (model, batch, targets, loss)."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Case = tuple[nn.Module, Any, Any, Callable[..., Tensor] | None]


def classes(n: int = 32, k: int = 10) -> Tensor:
    return torch.arange(n) % k


def matrix(*shape: int) -> nn.Parameter:
    """A weight by hand, (…, in, out), with the gain of He."""
    return nn.Parameter(torch.randn(*shape) * math.sqrt(2 / shape[-2]))


class Functional(nn.Module):
    """No layers, weights in a ParameterList, (in, out), and one activation by hand."""

    def __init__(self) -> None:
        super().__init__()
        widths = [20, 48, 48, 10]
        self.weights = nn.ParameterList([matrix(a, b) for a, b in itertools.pairwise(widths)])
        self.biases = nn.ParameterList([nn.Parameter(torch.zeros(b)) for b in widths[1:]])

    def forward(self, x: Tensor) -> Tensor:
        for i, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = x @ w + b
            if i < 2:
                x = torch.maximum(x, torch.zeros_like(x))
        return x


class Looped(nn.Module):
    """A ModuleDict that is looped over, with the activations in a dictionary of functions."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleDict({f"part-{i}": nn.Linear(20 if i == 0 else 32, 32) for i in range(4)})
        self.acts = {name: F.silu if i % 2 else F.relu for i, name in enumerate(self.parts)}
        self.out = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        for name, part in self.parts.items():
            x = self.acts[name](part(x))
        return self.out(x)


class Closures(nn.Module):
    """The forward is made of closures over registered layers."""

    def __init__(self) -> None:
        super().__init__()
        steps = []
        for i in range(3):
            layer = nn.Linear(20, 20)
            self.register_module(f"layer{i}", layer)
            steps.append(lambda x, layer=layer: x + torch.tanh(layer(x)))
        self.steps = steps
        self.head = nn.Linear(20, 10)

    def forward(self, x: Tensor) -> Tensor:
        for step in self.steps:
            x = step(x)
        return self.head(x)


class Many(nn.Module):
    """Two inputs by name, and a dictionary of outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.table = nn.Sequential(nn.Linear(5, 16), nn.ReLU())
        self.label, self.score = nn.Linear(24, 10), nn.Linear(24, 1)

    def forward(self, image: Tensor, *, table: Tensor) -> dict[str, Any]:
        h = torch.cat([self.image(image), self.table(table)], dim=1)
        return {"label": self.label(h), "more": {"score": self.score(h).squeeze(1)}, "step": 3, "text": "ok"}


class Hyper(nn.Module):
    """The weight of the main layer is made in forward by another net."""

    def __init__(self) -> None:
        super().__init__()
        self.code = nn.Parameter(torch.randn(4, 6))
        self.maker = nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 20 * 4))
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        w = self.maker(self.code).view(16, 20)
        return self.head(F.relu(F.linear(x, w)))


class Siamese(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tower = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 32))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return F.cosine_similarity(self.tower(a), self.tower(b))


class UNet(nn.Module):
    """Skips by concatenation."""

    def __init__(self) -> None:
        super().__init__()

        def block(a: int, b: int) -> nn.Module:
            return nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU())

        self.down1, self.down2, self.middle = block(3, 8), block(8, 16), block(16, 32)
        self.up2, self.up1 = nn.ConvTranspose2d(32, 16, 2, 2), nn.ConvTranspose2d(16, 8, 2, 2)
        self.join2, self.join1, self.out = block(32, 16), block(16, 8), nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        a = self.down1(x)
        b = self.down2(F.max_pool2d(a, 2))
        c = self.middle(F.max_pool2d(b, 2))
        c = self.join2(torch.cat([self.up2(c), b], 1))
        return self.out(self.join1(torch.cat([self.up1(c), a], 1)))


def generator() -> nn.Module:
    """DCGAN's generator, with its own N(0, 0.02) weights."""
    model = nn.Sequential(
        nn.ConvTranspose2d(16, 32, 4, 1, 0, bias=False), nn.BatchNorm2d(32), nn.ReLU(True),
        nn.ConvTranspose2d(32, 16, 4, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(True),
        nn.ConvTranspose2d(16, 3, 4, 2, 1, bias=False), nn.Tanh(),
    )  # fmt: skip
    for module in model:
        if isinstance(module, nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0, 0.02)
    return model


class Attended(nn.Module):
    """A bidirectional LSTM with additive attention over its steps."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 16, padding_idx=0)
        self.lstm = nn.LSTM(16, 12, bidirectional=True, batch_first=True)
        self.score, self.query = nn.Linear(24, 8), nn.Parameter(torch.randn(8) / 3)
        self.head = nn.Linear(24, 10)

    def forward(self, tokens: Tensor) -> Tensor:
        h, _ = self.lstm(self.embed(tokens))
        weights = torch.softmax(torch.tanh(self.score(h)) @ self.query, dim=1)
        return self.head((weights.unsqueeze(-1) * h).sum(1))


class Experts(nn.Module):
    """A mixture of experts by hand: stacked weights, top-2 of a router, einsum."""

    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(20, 4, bias=False)
        self.up, self.down = matrix(4, 20, 32), matrix(4, 32, 20)
        self.head = nn.Linear(20, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits = self.router(x)
        values, chosen = logits.topk(2, dim=-1)
        gates = torch.zeros_like(logits).scatter(-1, chosen, values.softmax(-1))
        h = torch.einsum("bi,eio->beo", x, self.up)
        h = torch.einsum("beo,eoi->bei", F.gelu(h), self.down)
        return self.head(x + (gates.unsqueeze(-1) * h).sum(1))


class SparseExperts(nn.Module):
    """Each expert runs on the rows that chose it, and the batch may leave one without any."""

    def __init__(self) -> None:
        super().__init__()
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 20)) for _ in range(3))
        self.head = nn.Linear(20, 10)

    def forward(self, x: Tensor) -> Tensor:
        chosen = (x[:, 0] > 0).long()
        out = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            rows = torch.where(chosen == i)[0]
            out = out.index_add(0, rows, expert(x[rows]))
        return self.head(x + out)


class Block(nn.Module):
    def __init__(self, d: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.proj = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.up, self.down = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

    def forward(self, x: Tensor) -> Tensor:
        n, t, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        a = ((q @ k.transpose(-2, -1)) / math.sqrt(d // self.heads)).softmax(-1)
        x = x + self.proj((a @ v).transpose(1, 2).reshape(n, t, d))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class ViT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 32, 4, 4)
        self.cls = nn.Parameter(torch.zeros(1, 1, 32))
        self.pos = nn.Parameter(torch.randn(1, 17, 32) * 0.02)
        self.blocks = nn.ModuleList([Block(32, 4) for _ in range(3)])
        self.norm, self.head = nn.LayerNorm(32), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], 1) + self.pos
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class Mixer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Linear(48, 32)
        self.blocks = nn.ModuleList(
            nn.ModuleList([
                nn.LayerNorm(32), nn.Sequential(nn.Linear(16, 24), nn.GELU(), nn.Linear(24, 16)),
                nn.LayerNorm(32), nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32)),
            ])
            for _ in range(2)
        )  # fmt: skip
        self.norm, self.head = nn.LayerNorm(32), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2))
        for norm1, tokens, norm2, channels in self.blocks:
            x = x + tokens(norm1(x).transpose(1, 2)).transpose(1, 2)
            x = x + channels(norm2(x))
        return self.head(self.norm(x).mean(1))


class Flow(nn.Module):
    """Affine couplings (RealNVP) with an actnorm; gives the negative log-likelihood as `.loss` would."""

    def __init__(self) -> None:
        super().__init__()
        self.nets = nn.ModuleList(
            nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 8)) for _ in range(3)
        )
        for net in self.nets:
            nn.init.zeros_(net[-1].weight), nn.init.zeros_(net[-1].bias)
        self.log_scale, self.shift = nn.Parameter(torch.zeros(8)), nn.Parameter(torch.zeros(8))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = x * self.log_scale.exp() + self.shift
        total = self.log_scale.sum()
        for net in self.nets:
            a, b = x.chunk(2, dim=1)
            s, t = net(a).chunk(2, dim=1)
            s = torch.tanh(s)
            x = torch.cat([b * s.exp() + t, a], dim=1)
            total = total + s.sum(1)
        return x, total


def flow_loss(out: tuple[Tensor, Tensor]) -> Tensor:
    return (out[0].square().sum(1) / 2 - out[1]).mean()


class Policy(nn.Module):
    """A Gaussian policy with a value head, as reinforcement learning writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(12, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh())
        self.mean, self.value = nn.Linear(64, 3), nn.Linear(64, 1)
        self.log_std = nn.Parameter(torch.full((3,), -0.5))
        nn.init.orthogonal_(self.mean.weight, 0.01)

    def forward(self, x: Tensor) -> tuple[torch.distributions.Normal, Tensor]:
        h = self.body(x)
        return torch.distributions.Normal(self.mean(h), self.log_std.exp()), self.value(h)


def policy_loss(out: tuple[torch.distributions.Normal, Tensor]) -> Tensor:
    action = torch.linspace(-1, 1, 3).expand_as(out[0].mean)
    return -out[0].log_prob(action).mean() + (out[1] - 1).square().mean()


class Bag(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bag, self.fc = nn.EmbeddingBag(100, 16, mode="mean"), nn.Linear(16, 10)

    def forward(self, text: Tensor, offsets: Tensor) -> Tensor:
        return self.fc(self.bag(text, offsets))


class Speech(nn.Module):
    """A dilated, gated 1-D convolution net with skips, WaveNet's kind."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, 16, 9, stride=4)
        self.filters = nn.ModuleList(nn.Conv1d(16, 32, 3, dilation=2**i, padding=2**i) for i in range(4))
        self.outs = nn.ModuleList(nn.Conv1d(16, 16, 1) for _ in range(4))
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        total = torch.zeros_like(x)
        for conv, out in zip(self.filters, self.outs, strict=True):
            a, b = conv(x).chunk(2, 1)
            h = out(torch.tanh(a) * torch.sigmoid(b))
            x, total = x + h, total + h
        return self.head(F.relu(total).mean(-1))


class Graph(nn.Module):
    """A graph convolution, its adjacency a batch input."""

    def __init__(self) -> None:
        super().__init__()
        self.w1, self.w2 = matrix(6, 32), matrix(32, 32)
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        x = F.relu(adjacency @ (x @ self.w1))
        x = F.relu(adjacency @ x @ self.w2)
        return self.head(x.mean(1))


class LoRA(nn.Module):
    def __init__(self, base: nn.Linear, rank: int = 4) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.a = nn.Parameter(torch.empty(rank, base.in_features))
        self.b = nn.Parameter(torch.zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + 2.0 * (x @ self.a.T @ self.b.T)


class TiedAutoencoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w1, self.w2 = nn.Parameter(torch.randn(32, 20) / 4), nn.Parameter(torch.randn(8, 32) / 5)
        self.b = nn.ParameterDict({"b1": nn.Parameter(torch.zeros(32)), "b2": nn.Parameter(torch.zeros(32))})

    def forward(self, x: Tensor) -> Tensor:
        h = F.linear(torch.tanh(F.linear(x, self.w1, self.b["b1"])), self.w2)
        return torch.tanh(h @ self.w2 + self.b["b2"]) @ self.w1


class Quantised(nn.Module):
    """Weights of one bit in the forward pass, straight-through in the backward one."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(20, 32, bias=False), nn.Linear(32, 32, bias=False)])
        self.norms = nn.ModuleList([nn.BatchNorm1d(32), nn.BatchNorm1d(32)])
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        for layer, norm in zip(self.layers, self.norms, strict=True):
            w = layer.weight
            hard = w.sign() * w.abs().mean()
            x = F.relu(norm(F.linear(x, w + (hard - w).detach())))
        return self.head(x)


class Frozen(nn.Module):
    """A frozen backbone run without gradients, and a new head."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
        self.backbone.requires_grad_(False)
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            h = self.backbone(x)
        return self.head(h)


class Shared(nn.Module):
    """One cell used again and again, with the steps counted by the input (a weight-shared deep net)."""

    def __init__(self) -> None:
        super().__init__()
        self.inject, self.cell, self.head = nn.Linear(20, 32), nn.Linear(32, 32), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        u = self.inject(x)
        h = torch.zeros_like(u)
        for _ in range(6):
            h = torch.tanh(self.cell(h) + u)
        return self.head(h)


class Branching(nn.Module):
    """Control flow on values: which branch runs depends on the data; the other is not used."""

    def __init__(self) -> None:
        super().__init__()
        self.warm, self.cold, self.head = nn.Linear(20, 16), nn.Linear(20, 16), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = self.warm(x) if float(x.square().mean()) > 0 else self.cold(x)
        return self.head(F.elu(h))


class Checkerboard(nn.Module):
    """Writes into a buffer by index, in place, as sequence models by hand do."""

    def __init__(self) -> None:
        super().__init__()
        self.even, self.odd, self.head = nn.Linear(20, 16), nn.Linear(20, 16), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(len(x), 16)
        h[::2] = self.even(x[::2])
        h[1::2] = self.odd(x[1::2])
        return self.head(h.relu_())


class Complex(nn.Module):
    """A spectral layer with a complex weight (Fourier neural operator)."""

    def __init__(self) -> None:
        super().__init__()
        self.lift, self.spectral = nn.Linear(1, 16), nn.Parameter(torch.randn(16, 16, 8, dtype=torch.cfloat) / 16)
        self.skip, self.out = nn.Conv1d(16, 16, 1), nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.lift(x.unsqueeze(-1)).transpose(1, 2)
        f = torch.fft.rfft(h)
        low = torch.einsum("bik,iok->bok", f[..., :8], self.spectral)
        h = torch.fft.irfft(F.pad(low, (0, f.shape[-1] - 8)), n=h.shape[-1]) + self.skip(h)
        return self.out(F.gelu(h).transpose(1, 2)).squeeze(-1)


class Conditioned(nn.Module):
    """FiLM: a second net scales and shifts the first one's features."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.ModuleList([nn.Linear(20, 32), nn.Linear(32, 32)])
        self.film = nn.Linear(5, 2 * 2 * 32)
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        parts = self.film(c).chunk(4, dim=-1)
        for i, layer in enumerate(self.net):
            x = F.silu(layer(x) * (1 + parts[2 * i]) + parts[2 * i + 1])
        return self.head(x)


def deep(width: int = 32, depth: int = 12) -> nn.Module:
    layers: list[nn.Module] = [nn.Linear(20, width), nn.ReLU()]
    for _ in range(depth):
        layers += [nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def lora() -> nn.Module:
    model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    for i in (0, 2):
        model[i] = LoRA(model[i])
    return model


def x(n: int = 32, d: int = 20, **options: Any) -> Tensor:
    return torch.randn(n, d, **options)


def image(n: int = 16, size: int = 16) -> Tensor:
    return torch.randn(n, 3, size, size)


def offsets() -> tuple[Tensor, Tensor]:
    return torch.randint(0, 100, (128,)), torch.arange(0, 128, 4)


def ring() -> Tensor:
    a = torch.eye(12) + torch.roll(torch.eye(12), 1, 0) + torch.roll(torch.eye(12), -1, 0)
    return (a / 3).expand(32, 12, 12)


CE = F.cross_entropy
BUILDERS: dict[str, Callable[[], Case]] = {
    "functional": lambda: (Functional(), x(), classes(), CE),
    "module dict in a loop": lambda: (Looped(), x(), classes(), CE),
    "closures": lambda: (Closures(), x(), classes(), CE),
    "several inputs and outputs": lambda: (
        Many(), {"image": image(), "table": x(16, 5)}, classes(16), lambda o, t: CE(o["label"], t)
    ),
    "outputs in a dictionary, no loss": lambda: (Many(), {"image": image(), "table": x(16, 5)}, None, None),
    "hypernetwork": lambda: (Hyper(), x(), classes(), CE),
    "siamese": lambda: (Siamese(), (x(), x()), torch.ones(32), F.mse_loss),
    "u-net": lambda: (UNet(), image(8), torch.randint(0, 2, (8, 16, 16)), CE),
    "gan generator": lambda: (generator(), torch.randn(16, 16, 1, 1), None, None),
    "bi-lstm with attention": lambda: (Attended(), torch.randint(1, 50, (32, 9)), classes(), CE),
    "experts by hand": lambda: (Experts(), x(), classes(), CE),
    "an expert without rows": lambda: (SparseExperts(), x(), classes(), CE),
    "adaptive softmax": lambda: (nn.AdaptiveLogSoftmaxWithLoss(20, 30, [8, 15]), (x(), classes(32, 30)), None, None),
    "vit by hand": lambda: (ViT(), image(), classes(16), CE),
    "mixer": lambda: (Mixer(), image(), classes(16), CE),
    "flow": lambda: (Flow(), x(32, 8), None, flow_loss),
    "policy": lambda: (Policy(), x(32, 12), None, policy_loss),
    "embedding bag": lambda: (Bag(), offsets(), classes(), CE),
    "speech": lambda: (Speech(), torch.randn(8, 1, 256), classes(8), CE),
    "graph": lambda: (Graph(), (torch.randn(32, 12, 6), ring()), classes(), CE),
    "lora": lambda: (lora(), x(), classes(), CE),
    "tied autoencoder": lambda: (TiedAutoencoder(), x(), None, None),
    "one-bit weights": lambda: (Quantised(), x(), classes(), CE),
    "frozen backbone": lambda: (Frozen(), x(), classes(), CE),
    "shared cell": lambda: (Shared(), x(), classes(), CE),
    "a branch by value": lambda: (Branching(), x(), classes(), CE),
    "written in place": lambda: (Checkerboard(), x(), classes(), CE),
    "complex weights": lambda: (Complex(), x(8, 32), x(8, 32), F.mse_loss),
    "conditioned": lambda: (Conditioned(), (x(), x(32, 5)), classes(), CE),
    "bfloat16": lambda: (deep().bfloat16(), x(dtype=torch.bfloat16), classes(), CE),
    "float16": lambda: (deep().half(), x(dtype=torch.float16), classes(), CE),
    "float64": lambda: (deep().double(), x(dtype=torch.float64), classes(), CE),
    "one example": lambda: (deep(), x(1), classes(1), CE),
    "one example, norms": lambda: (UNet(), image(1), torch.randint(0, 2, (1, 16, 16)), CE),
}  # fmt: skip
