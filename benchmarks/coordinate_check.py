"""The coordinate check: standard parametrization against muP, widths 64 to 1024, an MLP and a transformer, Adam and SGD.

    python benchmarks/coordinate_check.py

Prints the tables under "Coordinate check" in RESULTS.md. Takes about a minute on two cores.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import fanin
from fanin.lab import CoordinateCheck, coordinate_check
from fanin.plans import mup_rules
from fanin.traces.torch import trace

WIDTHS = (64, 128, 256, 512, 1024)
BASE = 64
STEPS = 5


def mlp(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(32, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
        nn.Linear(width, 10),
    )  # fmt: skip


class Transformer(nn.Module):
    """Two pre-norm blocks of heads of 16, whose number grows with the width."""

    def __init__(self, width: int, blocks: int = 2, tokens: int = 32) -> None:
        super().__init__()
        self.heads = width // 16
        self.embed = nn.Embedding(tokens, width)
        self.qkv = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(blocks))
        self.out = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.up = nn.ModuleList(nn.Linear(width, 4 * width) for _ in range(blocks))
        self.down = nn.ModuleList(nn.Linear(4 * width, width) for _ in range(blocks))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * blocks + 1))
        self.head = nn.Linear(width, tokens)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids)
        for k in range(len(self.qkv)):
            q, w, v = (
                t.unflatten(-1, (self.heads, -1)).transpose(1, 2)
                for t in self.qkv[k](self.norms[2 * k](x)).chunk(3, -1)
            )
            x = x + self.out[k](F.scaled_dot_product_attention(q, w, v, is_causal=True).transpose(1, 2).flatten(2))
            x = x + self.down[k](F.gelu(self.up[k](self.norms[2 * k + 1](x))))
        return self.head(self.norms[-1](x)).flatten(0, 1)


HEAD = {nn.Sequential: "6.weight", Transformer: "head.weight"}  # starts at zero in both parametrizations


def numbers() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 32, generator=generator)
    return x, (x @ torch.randn(32, 10, generator=generator)).argmax(-1)


def tokens() -> tuple[Tensor, Tensor]:
    ids = torch.randint(0, 32, (8, 17), generator=torch.Generator().manual_seed(0))
    return ids[:, :-1], ids[:, 1:].flatten()


def measured(
    factory, data, optimizer: str, lr: float, parametrization: str, widths=WIDTHS, seeds: int = 2
) -> CoordinateCheck:
    """The check for one model; `parametrization` is "mup" or "standard"."""
    base = trace(factory(BASE), data[0])

    def plan_of(model: nn.Module, x: Tensor) -> fanin.plans.Plan:
        if parametrization == "standard":
            return fanin.plan(model, x, rules={"*": "standard(gain=1.4)", HEAD[type(model)]: "zeros"})
        watched = trace(model, x)
        return fanin.plans.plan_from_rules(watched, mup_rules(watched, base, optimizer, gain=1.4, zero_output=True))

    return coordinate_check(factory, widths, plan_of, data, steps=STEPS, lr=lr, optimizer=optimizer, seeds=seeds)


def main() -> None:
    torch.set_num_threads(1)
    for name, factory, data, optimizer, lr in (
        ("MLP, Adam", mlp, numbers(), "adam", 3e-3),
        ("MLP, SGD", mlp, numbers(), "sgd", 0.03),
        ("transformer, Adam", Transformer, tokens(), "adam", 3e-3),
    ):
        for parametrization in ("standard", "mup"):
            check = measured(factory, data, optimizer, lr, parametrization)
            print(
                f"### {name}, {parametrization}\n```\n{check}\n```\nfurthest from flat: {check.steepest:+.2f}\n",
                flush=True,
            )


if __name__ == "__main__":
    main()
