"""Plain deep nets on digits: fanin, told nothing but the model and a batch, against the best of five known ways to start.

    python benchmarks/plain_nets.py [--out FOLDER] [--only PART] [--seeds N] [--inits a,b]

Hidden layers of 128 units without norm (or the widths that a row names), SGD with learning rate .003 and momentum .9,
batches of 64, 15 epochs. The nets are written without `Linear` modules: parameters, `x @ w + b` and any function. Prints
a table of mean accuracies; `target` is what fanin must reach. Results are kept in the folder, a file for each net.
"""

import argparse
import functools
import itertools
import json
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import fanin
from architectures import OTHERS, Scores, margin, mean, table

Function = Callable[[Tensor], Tensor]


class Plain(nn.Module):
    """x @ w + b and a function, layer after layer."""

    def __init__(self, widths: Sequence[int], f: Function, dropout: float = 0.0) -> None:
        super().__init__()
        pairs = list(itertools.pairwise(widths))
        self.w = nn.ParameterList([nn.Parameter(torch.empty(i, o).uniform_(-(i**-0.5), i**-0.5)) for i, o in pairs])
        self.b = nn.ParameterList([nn.Parameter(torch.empty(o).uniform_(-(i**-0.5), i**-0.5)) for i, o in pairs])
        self.f, self.dropout = f, dropout

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, 10) of images (batch, 64)."""
        x = x.flatten(1)
        last = len(self.w) - 1
        for k, (w, b) in enumerate(zip(self.w, self.b, strict=True)):
            x = x @ w + b
            if k < last:
                x = self.f(x)
                if self.dropout:
                    x = F.dropout(x, self.dropout, self.training)
        return x


@dataclass(frozen=True)
class Row:
    """One net of the table: its hidden widths, its function, and the accuracy that fanin must reach."""

    hidden: tuple[int, ...]
    f: Function
    target: float = 0.95
    dropout: float = 0.0

    def make(self) -> nn.Module:
        """The net, with PyTorch's default law for a layer of its shape."""
        return Plain((64, *self.hidden, 10), self.f, self.dropout)


FUNCTIONS: dict[str, Function] = {
    "ReLU": F.relu,
    "leaky ReLU .01": F.leaky_relu,
    "leaky ReLU .2": functools.partial(F.leaky_relu, negative_slope=0.2),
    "ReLU6": F.relu6,
    "GELU": F.gelu,
    "SiLU": F.silu,
    "hardswish": F.hardswish,
    "softplus": F.softplus,
    "mish": F.mish,
    "ELU": F.elu,
    "SELU": F.selu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "x σ(1.3 x), by hand": lambda x: x * torch.sigmoid(1.3 * x),
    "GELU by hand": lambda x: 0.5 * x * (1 + torch.erf(x / 2**0.5)),
}
RULES = {  # what `nonlinearity=` is called
    "ReLU6": "relu6",
    "ReLU": "relu",
    "leaky": "leaky_relu",
    "GELU": "gelu",
    "SiLU": "silu",
    "hardswish": "hardswish",
    "softplus": "softplus",
    "mish": "mish",
    "ELU": "elu",
    "SELU": "selu",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "x σ": "silu",
}
LESS = {"sigmoid": 0.92}  # targets below .95
_widths = random.Random(0)
SHAPES: dict[str, tuple[int, ...]] = {
    "width 97": (97,) * 30,
    "256 … 32": (256, 200, 150, 120, 100, 80, 64, 48, 32),
    "32 … 256": (32, 48, 64, 80, 100, 120, 150, 200, 256),
    "128, 96 × 10": (128, 96) * 10,
    "20 random widths": tuple(_widths.randint(33, 200) for _ in range(20)),
}


def rows() -> dict[str, Row]:
    """Every net of the table, by name."""
    found = {f"{name} × 30": Row((128,) * 30, f, LESS.get(name, 0.95)) for name, f in FUNCTIONS.items()}
    found["ReLU × 30"] = Row((128,) * 30, F.relu, 0.96)
    for depth in (10, 60, 100):
        for name in ("ReLU", "GELU", "ELU", "SELU", "tanh", "softplus", "sigmoid"):
            found[f"{name} × {depth}"] = Row((128,) * depth, FUNCTIONS[name], LESS.get(name, 0.95))
    for shape, hidden in SHAPES.items():
        for name in ("ReLU", "GELU", "tanh"):
            found[f"{name}, {shape}"] = Row(hidden, FUNCTIONS[name])
    for p, depth in ((0.1, 10), (0.2, 10), (0.05, 30), (0.1, 30)):
        found[f"ReLU × {depth}, dropout {p:g}"] = Row((128,) * depth, F.relu, 0.95, p)
    return found


def main() -> int:
    """The exit status: 1 where fanin misses a target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/plain_nets"), help="folder for results")
    parser.add_argument("--only", action="append", default=[], help="part of a net's name; repeatable")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--inits", default=",".join((*OTHERS, "fanin")))
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    kept = []
    missed = []
    for name, row in rows().items():
        if options.only and not any(part in name for part in options.only):
            continue
        scores = run(name, row, options.seeds, options.inits.split(","), options.out)
        kept.append((f"≥ {row.target:g}", name, scores))
        reached = mean(scores.get("fanin", {}).values())
        missed += [name] if reached < row.target else []
        print(f"{name:28} fanin {reached:.3f}  margin {margin(scores)[0]:+.3f}", file=sys.stderr, flush=True)
    print(table(kept))
    print(f"\n{len(kept)} nets; fanin misses its target on {len(missed)}{': ' if missed else ''}{', '.join(missed)}.")
    return int(bool(missed))


def run(name: str, row: Row, seeds: int, inits: list[str], folder: Path) -> Scores:
    """The scores of one net: kept ones from the folder, and what is missing there, trained."""
    path = folder / f"{'-'.join(name.replace('…', 'to').replace(',', '').split())}.json"
    settings = {"hidden": list(row.hidden), "dropout": row.dropout}
    kept = json.loads(path.read_text()) if path.exists() else {}
    scores: Scores = kept["scores"] if kept.get("settings") == settings else {}
    for seed in range(seeds):
        missing = {init: _init(init, name) for init in inits if str(seed) not in scores.get(init, {})}
        if not missing:
            continue
        result = fanin.compare(
            row.make,
            missing,
            "digits",
            seeds=[seed],
            epochs=15,
            lr=0.003,
            optimizer="sgd",
            evaluations=1,
            validation=0,  # nothing is chosen by the curves
            progress=False,
        )
        for one in result.results:
            if not one.error:
                scores.setdefault(one.init, {})[str(seed)] = one.metrics[result.score]
        path.write_text(json.dumps({"net": name, "settings": settings, "scores": scores}, indent=1))
    return scores


def _init(init: str, name: str) -> str:
    """Orthogonal weights get the gain of the activation, as their users give it."""
    known = next((rule for f, rule in RULES.items() if name.startswith(f)), None)
    return f"orthogonal(nonlinearity='{known}')" if init == "orthogonal" and known else init


if __name__ == "__main__":
    sys.exit(main())
