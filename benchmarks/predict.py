"""`fanin.theory.predict` for plans that the traced weights were not drawn from, against 20 draws: prints a table.

Each net is traced once with its framework's own weights. The prediction is made from that trace, stripped of everything
measured behind its inputs, for another plan. Then the plan is drawn again and again, each time watched on the same batch
with every element measured, and the log of the mean second moment (and variance) behind each op compared.

    python benchmarks/predict.py [net ...] [--draws 20] [--small] [--worst 5]

Nets of the transformers library (`hf-t5`, `hf-vit`, …: `predict_transformers.py`) run where they are named.
"""

import argparse
import gc
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import fanin
import predict_transformers
from fanin import rules
from fanin.theory import predict
from fanin.traces.torch import signals
from fanin.traces.torch import trace as watch

EVERYTHING = 1 << 40


@dataclass(frozen=True)
class Case:
    """A net on a batch, and the rules of the plan."""

    name: str
    model: nn.Module
    batch: Any
    rules: dict[Any, Any]
    loss: Callable[..., Any] | None = None
    targets: Any = None


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 convolutions, each with batch norm; ReLU after the add (He et al. 2016)."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        out = 4 * width
        self.a, self.na = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.b, self.nb = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.c, self.nc = nn.Conv2d(width, out, 1, bias=False), nn.BatchNorm2d(out)
        self.skip = None
        if stride != 1 or inputs != out:
            self.skip = nn.Sequential(nn.Conv2d(inputs, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.na(self.a(x)))
        y = self.nc(self.c(F.relu(self.nb(self.b(y)))))
        return F.relu(y + (x if self.skip is None else self.skip(x)))


def resnet(blocks: tuple[int, ...] = (3, 4, 23, 3), width: int = 32) -> nn.Module:
    """ResNet-101 at a smaller width, for images of 64 × 64."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
    ]  # fmt: skip
    inputs = width
    for stage, count in enumerate(blocks):
        for place in range(count):
            layers.append(Bottleneck(inputs, width << stage, 2 if stage and not place else 1))
            inputs = 4 * (width << stage)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10))


class Block(nn.Module):
    """Pre-norm attention, written by hand, and a GELU feed-forward part."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.n1, self.n2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q, self.k, self.v, self.o = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, t, d = x.shape
        y = self.n1(x)
        q, k, v = (f(y).view(n, t, self.heads, d // self.heads).transpose(1, 2) for f in (self.q, self.k, self.v))
        logits = q @ k.transpose(-1, -2) / math.sqrt(d // self.heads)
        hidden = torch.triu(torch.ones(t, t, dtype=torch.bool), 1)
        a = torch.softmax(logits.masked_fill(hidden, -math.inf), -1)
        x = x + self.o((a @ v).transpose(1, 2).reshape(n, t, d))
        return x + self.down(F.gelu(self.up(self.n2(x))))


class Transformer(nn.Module):
    """A small language model."""

    def __init__(self, layers: int, width: int, heads: int, tokens: int, length: int) -> None:
        super().__init__()
        self.token, self.place = nn.Embedding(tokens, width), nn.Embedding(length, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, tokens, bias=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.token(ids) + self.place(torch.arange(ids.shape[1]))
        return self.head(self.norm(self.blocks(x)))


class Recurrent(nn.Module):
    """A recurrent layer and a head on its last step."""

    def __init__(self, kind: type[nn.Module], inputs: int, width: int, **options: Any) -> None:
        super().__init__()
        self.cell = kind(inputs, width, batch_first=True, **options)
        self.head = nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.cell(x)[0][:, -1])


def mlp(depth: int, width: int, activation: type[nn.Module], features: int = 256) -> nn.Module:
    """A plain chain."""
    layers: list[nn.Module] = []
    for place in range(depth):
        layers += [nn.Linear(features if place == 0 else width, width), activation()]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def gpt2(layers: int, width: int) -> nn.Module:
    """GPT-2 of the transformers library."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        n_layer=layers, n_embd=width, n_head=4, vocab_size=512, n_positions=32, bos_token_id=0, eos_token_id=0
    )
    return GPT2LMHeadModel(config)


def cases(small: bool) -> dict[str, Callable[[], Case]]:
    """The nets by name; `small` for tests."""
    g = torch.Generator().manual_seed(0)
    images = torch.randn(4 if small else 8, 3, 64, 64, generator=g)
    ids = torch.randint(0, 512, (4, 32), generator=g)
    sequence = torch.randn(16, 20 if small else 100, 64, generator=g)
    rows = torch.randn(64, 256, generator=g)
    labels = torch.arange(64) % 10
    he, normal = rules.he_normal(), rules.normal(0.02)
    layers = 4 if small else 48
    width = 256 if small else 1024
    blocks = (1, 2, 3, 1) if small else (3, 4, 23, 3)

    def recurrent(kind: type[nn.Module], **options: Any) -> Case:
        own = {"*.weight_ih*": rules.lecun_normal(), "*.weight_hh*": rules.orthogonal(), "*.bias*": rules.zeros()}
        return Case("", Recurrent(kind, 64, 128 if small else 256, **options), sequence, own)

    def plain(depth: int, f: type[nn.Module], rule: Any) -> Case:
        return Case("", mlp(depth, width, f), rows, {"*": rule}, nn.functional.cross_entropy, labels)

    return {
        "resnet": lambda: Case("", resnet(blocks, 16 if small else 32), images, {nn.Conv2d: he}),
        "transformer": lambda: Case("", Transformer(layers, 128, 4, 512, 32), ids, {"*": normal, nn.LayerNorm: rules.ones()}),
        "gpt2": lambda: Case("", gpt2(layers, 96), ids, {"*": rules.normal(0.1), "*ln_*.weight": rules.ones()}),
        "lstm": lambda: recurrent(nn.LSTM),
        "gru": lambda: recurrent(nn.GRU),
        "rnn": lambda: recurrent(nn.RNN),
        "relu": lambda: plain(10 if small else 30, nn.ReLU, he),
        "gelu": lambda: plain(10 if small else 30, nn.GELU, he),
        "tanh": lambda: plain(20 if small else 100, nn.Tanh, rules.orthogonal()),
        "mirrored": lambda: plain(20 if small else 100, nn.GELU, rules.mirrored()),
    }  # fmt: skip


def hugging_face(name: str) -> Case:
    """A net of the transformers library; N(0, .1²) for everything but the norms."""
    model, batch = predict_transformers.made(name)
    return Case(
        name, model, batch, {"*": rules.normal(0.1)} | dict.fromkeys(predict_transformers.norms_of(model), rules.ones())
    )


@dataclass(frozen=True)
class Result:
    """Predicted and measured logs by op."""

    rows: list[tuple[int, str, float, float, float, float]]  # op, what, predicted and measured ln q, ln variance
    gradients: list[tuple[int, float, float]]
    first: float  # seconds, of the first prediction
    again: float  # and of another, which finds its integrals in the tables
    layers: int
    unknown: int

    def errors(self, variance: bool = False) -> list[float]:
        """|ln predicted − ln measured| of each op."""
        a = 4 if variance else 2
        return [abs(r[a] - r[a + 1]) for r in self.rows if math.isfinite(r[a]) and math.isfinite(r[a + 1])]


def compare(case: Case, draws: int) -> Result:
    """The prediction of one net's plan against the mean of its draws."""
    first = watch(case.model, case.batch, case.targets, case.loss)
    plan = fanin.plan(case.model, case.batch, rules=case.rules)
    times = []
    gc.collect()  # what tracing left: Python would clear it away in the middle of the first prediction
    for _ in range(6):
        start = time.process_time()  # of this process alone, whatever else the machine does
        curve = predict(first, plan).curve
        times.append(time.process_time() - start)
    saved = signals.EXAMPLES, signals.POSITIONS, signals.UNITS
    signals.EXAMPLES = signals.POSITIONS = signals.UNITS = EVERYTHING
    second: dict[int, list[float]] = {}
    spread: dict[int, list[float]] = {}
    back: dict[int, list[float]] = {}
    try:
        for seed in range(draws):
            plan.apply(case.model, seed=seed)
            for op in watch(case.model, case.batch, case.targets, case.loss, seed=seed).ops:
                if op.signal is not None:
                    second.setdefault(op.index, []).append(op.signal.rms**2)
                    spread.setdefault(op.index, []).append(op.signal.std**2)
                    back.setdefault(op.index, []).append(op.signal.grad_rms**2)
    finally:
        signals.EXAMPLES, signals.POSITIONS, signals.UNITS = saved
    rows, unknown, gradients = [], 0, []
    for point in curve:
        if point.index not in second or point.kind == "loss":
            continue
        measured = _log(second[point.index]), _log(spread[point.index])
        unknown += math.isnan(point.log_second)
        what = f"{point.kind} {point.name} {first.ops[point.index].module}"
        rows.append((point.index, what, point.log_second, measured[0], point.log_variance, measured[1]))
        gradients.append((point.index, point.log_gradient, _log(back[point.index])))
    return Result(rows, gradients, times[0], min(times), first.depth, unknown)


def _log(values: list[float]) -> float:
    mean = float(np.mean(values))
    return math.log(mean) if mean > 0 else math.nan


def quantile(values: list[float], share: float) -> float:
    """Of a list that may be empty."""
    return float(np.quantile(values, share)) if values else math.nan


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nets", nargs="*")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--worst", type=int, default=3)
    parser.add_argument("--gradients", action="store_true", help="list every op's gradient, predicted and measured")
    options = parser.parse_args()
    known = cases(options.small)
    print(
        "| net | depth | ops | unknown | median | 90 % | median of variance | gradient: median | 90 % | predict, ms: first | again |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    notes = []
    for name in options.nets or known:
        torch.manual_seed(1)
        r = compare(known[name]() if name in known else hugging_face(name), options.draws)
        e, v = r.errors(), r.errors(variance=True)
        g = [abs(a - b) for _, a, b in r.gradients if math.isfinite(a) and math.isfinite(b)]
        print(
            f"| {name} | {r.layers} | {len(r.rows)} | {r.unknown} | {statistics.median(e):.4f} | {quantile(e, 0.9):.4f} "
            f"| {statistics.median(v):.4f} | {quantile(g, 0.5):.4f} ({len(g)}) | {quantile(g, 0.9):.3f} "
            f"| {1e3 * r.first:.0f} | {1e3 * r.again:.0f} |",
            flush=True,
        )
        worst = sorted(r.rows, key=lambda row: -abs(row[2] - row[3]) if math.isfinite(row[2]) else 0.0)
        for row in worst[: options.worst]:
            notes.append(f"{name}: op {row[0]} {row[1]}: predicted {row[2]:.3f}, measured {row[3]:.3f}")
        if options.gradients:
            what = {row[0]: row[1] for row in r.rows}
            notes += [f"{name} gradient: op {i} {what[i]}: {a:.3f} {b:.3f}" for i, a, b in r.gradients]
    print("\nWorst ops (natural log of the second moment):\n")
    print("\n".join(f"- {line}" for line in notes))


if __name__ == "__main__":
    main()
