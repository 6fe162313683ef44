"""Theory beside real nets: do measured curves stay in the predicted bands, and do the published results come out?

    python benchmarks/theory.py [--quick]

The bands: dense nets of 64 to 2048 units, 1 to 100 layers deep, ten activations under seven rules, forward and backward.
Before anything is drawn `fanin.theory.log_norm` and `log_gradient_norm` give mean ± 1.96 deviations of the log squared norms;
then every net is drawn twelve times (wide orthogonal ones less often), and a point counts where a draw lies within. Then the
classical results, measured beside what theory says, and a small diagram of trainable depth (drawn large by
`examples/trainable_depth.py`).
"""

import argparse
import importlib.util
import itertools
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import fanin
from fanin.activations import Activation, Array
from fanin.theory import (
    critical_point,
    fixed_point,
    jacobian_spectrum,
    log_gradient_norm,
    log_norm,
    moments,
    norm_layer,
    residual,
)
from fanin.theory.curves import Curve
from fanin.theory.measured_torch import measure_jacobian

ACTIVATIONS = ("relu", "gelu", "silu", "elu", "selu", "tanh", "sigmoid", "softplus", "hardtanh", "mish")
DEPTHS = (1, 2, 3, 5, 8, 12, 20, 30, 45, 65, 100)
WIDTHS = (64, 128, 256, 512, 1024, 2048)
DRAWS = 12  # of every width
ORTHOGONAL_DRAWS = {1024: 4, 2048: 2}  # where a QR of every layer takes long


@dataclass(frozen=True)
class Rule:
    """σ_w of an activation, and the law of the weights and biases."""

    name: str
    sigma_w: Callable[[str], float]
    weights: str = "normal"
    sigma_b: Callable[[int], float] = lambda n: 0.0
    uniform: bool = False


RULES = (
    Rule("He normal", lambda f: math.sqrt(2)),
    Rule("Xavier uniform", lambda f: 1.0, uniform=True),
    Rule("gain(f), normal", fanin.gain),
    Rule("gain(f), uniform", fanin.gain, uniform=True),
    Rule("gain(f), orthogonal", fanin.gain, "orthogonal"),
    Rule("PyTorch's default", lambda f: math.sqrt(1 / 3), "normal", lambda n: math.sqrt(1 / (3 * n)), uniform=True),
    Rule("gain(f), biases .3", fanin.gain, "normal", lambda n: 0.3),
)


def base(width: int, layer: int, seed: int, kind: str) -> Array:
    """A matrix of variance 1/width, the same for every net of this width, layer and draw."""
    rng = np.random.default_rng((width, layer, seed))
    if kind == "uniform":
        return rng.uniform(-math.sqrt(3 / width), math.sqrt(3 / width), (width, width))
    w = rng.standard_normal((width, width))
    if kind == "orthogonal":
        q, r = np.linalg.qr(w)
        return q * np.sign(np.diagonal(r))  # without the signs it is not Haar's law
    return w / math.sqrt(width)


def run(width: int, seed: int, kind: str, nets: list[tuple[str, Rule]], depth: int) -> tuple[Array, Array]:
    """Logs of |x_l|²/n and of |∂/∂x_l|² of each net, (nets, depth) each; the nets share matrices, not signals."""
    rng = np.random.default_rng((1, width, seed))
    curves = [Curve.of(f) for f, _ in nets]
    sigma = np.array([rule.sigma_w(f) for f, rule in nets])
    shift = np.array([rule.sigma_b(width) for _, rule in nets])
    x = rng.standard_normal((width, len(nets)))
    x *= math.sqrt(width) / np.linalg.norm(x, axis=0)
    forward, slopes = np.empty((len(nets), depth)), []
    for layer in range(depth):
        h = (base(width, layer, seed, kind) @ x) * sigma + shift * rng.standard_normal((width, len(nets)))
        x = np.stack([c.f(h[:, i]) for i, c in enumerate(curves)], axis=1)
        slopes.append(np.stack([c.df(h[:, i]) for i, c in enumerate(curves)], axis=1))  # type: ignore[misc]
        forward[:, layer] = np.log(np.maximum(np.mean(x * x, axis=0), 1e-290))
    g = rng.standard_normal((width, len(nets)))
    g /= np.linalg.norm(g, axis=0)
    backward = np.empty((len(nets), depth))
    for layer in reversed(range(depth)):
        backward[:, layer] = np.log(np.maximum(np.sum(g * g, axis=0), 1e-290))
        g = (base(width, layer, seed, kind).T @ (slopes[layer] * g)) * sigma
    return forward, backward


@dataclass(frozen=True)
class Point:
    """One point of one net's curve, and whether its draw lay within the band. Nets of one draw share matrices, hence fates."""

    activation: str
    rule: str
    side: str
    draw: tuple[int, str, int]  # width, kind of matrix, seed
    inside: bool


def points(width: int, kind: str, draws: int, depth: int) -> Iterator[Point]:
    """Every point of every net of one width whose matrices are of one kind."""
    rules = [r for r in RULES if kind == ("uniform" if r.uniform else r.weights)]
    nets = [(f, r) for r in rules for f in ACTIVATIONS]
    laws = []
    for f, r in nets:
        arguments = (f, [width] * depth, r.sigma_w(f), r.weights, r.sigma_b(width), 1.0)
        laws.append((log_norm(*arguments), log_gradient_norm(*arguments)))  # type: ignore[arg-type]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        drawn = pool.map(lambda seed: run(width, seed, kind, nets, depth), range(draws))
        for seed, measured in enumerate(drawn):
            for i, (f, r) in enumerate(nets):
                for side, law, found in zip(("forward", "backward"), laws[i], measured, strict=True):
                    low, high = law.band()
                    for d in DEPTHS:
                        at = d - 1 if side == "forward" else depth - d - 1
                        if 0 <= at < depth:
                            tiny = 1e-9 * (1 + abs(law.mean[at]))  # rounding, where nothing fluctuates
                            inside = bool(low[at] - tiny <= found[i, at] <= high[at] + tiny)
                            yield Point(f, r.name, side, (width, kind, seed), inside)


def share(found: list[Point]) -> str:
    """The share within the band ± its standard error, draws taken as the independent units."""
    if not found:
        return "–"
    by_draw: dict[tuple[int, str, int], list[bool]] = {}
    for p in found:
        by_draw.setdefault(p.draw, []).append(p.inside)
    mean = float(np.mean([p.inside for p in found]))
    off = [sum(i - mean for i in inside) for inside in by_draw.values()]
    return f"{mean:.4f} ± {math.sqrt(sum(o * o for o in off)) / len(found):.4f}"


def bands(widths: tuple[int, ...], draws: int, depth: int) -> None:
    """The table of shares within the band, by rule and by width."""
    found: list[Point] = []
    for width in widths:
        print(f"{width} units …", file=sys.stderr, flush=True)
        for kind in ("normal", "uniform", "orthogonal"):
            most = ORTHOGONAL_DRAWS.get(width, draws) if kind == "orthogonal" else draws
            found += points(width, kind, min(draws, most), depth)
    print("| rule | " + " | ".join(str(w) for w in widths) + " | all |")
    print("|---" * (len(widths) + 2) + "|")
    for name in [*(r.name for r in RULES), "all"]:
        rows = [p for p in found if name in (p.rule, "all")]
        cells = [share([p for p in rows if p.draw[0] == w]) for w in widths]
        print(f"| {name} | " + " | ".join([*cells, share(rows)]) + " |")
    print("\n" + ", ".join(f"{f} {share([p for p in found if p.activation == f])}" for f in ACTIVATIONS))
    for side in ("forward", "backward"):
        part = [p for p in found if p.side == side]
        print(f"\n{side}: {share(part)} of {len(part)} points within the 95 % band")
    print(f"\nall: {share(found)} of {len(found)} points (target ≥ .95)")


def drawn_norms(f: str, width: int, depth: int, sigma_w: float, draws: int, kind: str = "normal") -> Array:
    """log |x_L|²/n over draws, from a signal of norm 1."""
    activation, found = Activation.named(f), []
    for seed in range(draws):
        rng = np.random.default_rng((7, seed))
        x = rng.standard_normal(width)
        x *= math.sqrt(width) / np.linalg.norm(x)
        for _ in range(depth):
            w = rng.standard_normal((width, width))
            x = activation((np.linalg.qr(w)[0] if kind == "orthogonal" else w / math.sqrt(width)) @ x * sigma_w)
        found.append(math.log(float(np.mean(x * x))))
    return np.array(found)


def published(draws: int) -> None:
    """The classical results: what the paper says, what theory gives, what nets give."""
    rows: list[tuple[str, str, str, str]] = []
    for name, says in (("tanh", "1"), ("erf", "√π/2 = .8862")):
        edges = ", ".join(f"{critical_point(name, b):.4f}" for b in (0.0, 0.1, 0.3))
        rows.append(
            (f"{name}: edge of chaos at σ_b = 0, .1, .3 (Poole 2016)", f"{says} at 0", edges, _edge_measured(name))
        )
    law, found = log_norm("relu", [64] * 20), drawn_norms("relu", 64, 20, math.sqrt(2), draws)
    error = found.var() * math.sqrt(2 / draws)
    name = "ReLU, 20 × 64, He: variance of log |x|² (Hanin & Rolnick 2018)"
    rows.append((name, "5 · 20/64 = 1.56", f"{law.variance[-1]:.3f}", f"{found.var():.3f} ± {error:.3f}"))
    law = log_norm("linear", [64] * 100, weights="orthogonal")
    found = drawn_norms("linear", 64, 100, 1.0, 8, "orthogonal")
    name = "linear, 100 × 64, orthogonal: the same (Saxe 2013)"
    rows.append((name, "0 at any depth", f"{law.variance[-1]:.1e}", f"{found.var():.1e}"))
    for rule, gain in (("He", math.sqrt(2)), ("Xavier", 1.0)):
        law, found = log_norm("relu", [512] * 30, gain), drawn_norms("relu", 512, 30, gain, 8)
        middle, spread, drawn = (v / math.log(2) for v in (law.mean[-1], math.sqrt(law.variance[-1]), found.mean()))
        name = f"ReLU, 30 × 512, {rule}: log₂ |x|²/n (He 2015)"
        rows.append((name, "0" if gain > 1 else "-30", f"{middle:.2f} ± {spread:.2f}", f"{drawn:.2f} (mean of 8)"))
    selu, found = moments("selu"), drawn_norms("selu", 512, 50, 1.0, 8)
    name = "SELU: mean and second moment at the fixed point (Klambauer 2017)"
    after = f"second moment after 50 × 512: {np.exp(found).mean():.3f}"
    rows.append((name, "0, 1", f"{selu.f:.0e}, {selu.f2:.10f}", after))
    for depth in (10, 40):
        he = jacobian_spectrum("relu", depth, math.sqrt(2)).spread
        mirror = jacobian_spectrum("relu", depth, 1.0, weights="mirrored").spread
        a, b = _jacobians(depth)
        name = f"ReLU × {depth}, 128 units: spread of s², He / mirrored (Balduzzi 2017)"
        rows.append((name, "grows / 0", f"{he:.2f} / {mirror:.2f}", f"{a:.2f} / {b:.1e}"))
    rezero = residual("linear", 10_000, 1.0, branch=0.0).gradient[0]
    name = "ReZero, 10,000 linear layers: |∂y/∂x|² (Bachlechner 2020)"
    rows.append((name, "1", f"{rezero:.1f}", _rezero(200 if draws < 100 else 10_000)))
    rate = math.sqrt(norm_layer("relu", "batch").gradient)
    name = "batch norm, ReLU: gradient's growth a layer (Yang 2019)"
    rows.append((name, "1.21", f"{rate:.4f}", "tests/theory/test_norm_maps.py"))
    print("\n| result | published | theory | measured |\n|---|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


def _edge_measured(name: str) -> str:
    """Growth of a small difference per layer at the predicted edge with σ_b = .3, in a net of 2000 units."""
    sigma_b, n, f = 0.3, 2000, Activation.named(name)
    sigma_w = critical_point(name, sigma_b)
    rng = np.random.default_rng(0)
    x = rng.standard_normal(n) * math.sqrt(fixed_point(name, sigma_w, sigma_b).q)
    y = x + 1e-6 * rng.standard_normal(n)
    logs = []
    for _ in range(20):
        w, b = rng.standard_normal((n, n)) * sigma_w / math.sqrt(n), sigma_b * rng.standard_normal(n)
        x, y = w @ f(x) + b, w @ f(y) + b
        logs.append(math.log(float(np.sum((x - y) ** 2))))
    return f"χ₁ at .3: {math.exp((logs[-1] - logs[0]) / 19):.3f} a layer"


def _jacobians(depth: int, width: int = 128) -> tuple[float, float]:
    """Relative spread of the squared singular values of a ReLU net under fanin's He rule and of one under its mirrored rule."""

    def chain(hidden: int, rule: Any) -> float:
        sizes = [width, *[hidden] * (depth - 1), width]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Linear(before, after, bias=False), nn.ReLU()]
        net = nn.Sequential(*layers[:-1]).double()
        x = torch.randn(1, width, generator=torch.Generator().manual_seed(depth), dtype=torch.float64)
        fanin.plan(net, x, rules={"*": rule}).apply(net, seed=depth)
        found = measure_jacobian(net, x, probes=1, steps=width)
        return math.sqrt(max(found.variance, 0.0)) / found.mean

    return chain(width, fanin.rules.he_normal()), chain(2 * width, fanin.rules.mirrored())


class ReZero(nn.Module):
    """x ← x + α W x, `depth` times, between a linear layer in and one out."""

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(64, width), nn.Linear(width, 10)
        self.branches = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(depth))
        self.scales = nn.ParameterList(nn.Parameter(torch.ones(())) for _ in range(depth))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Class scores of rows of 64 numbers."""
        x = self.first(x)
        for branch, scale in zip(self.branches, self.scales, strict=True):
            x = x + scale * branch(x)
        return self.head(x)


def _rezero(depth: int, width: int = 16, steps: int = 20) -> str:
    """|∂y/∂x|² of the stream of a real net under fanin's rule, and how far a few steps of training bring it on digits."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(pixels / 16 - 0.3, dtype=torch.float32), torch.tensor(labels)
    torch.manual_seed(0)
    net = ReZero(depth, width)
    fanin.plan(net, x[:32], rules="rezero").apply(net, seed=0)

    def stream(h: torch.Tensor) -> torch.Tensor:
        for branch, scale in zip(net.branches, net.scales, strict=True):
            h = h + scale * branch(h)
        return h

    gradient = measure_jacobian(stream, torch.randn(1, width), probes=4, steps=0).mean
    optimizer, losses = torch.optim.Adam(net.parameters(), 3e-3), []
    for step in range(steps):
        rows = slice(64 * step, 64 * step + 64)
        loss = nn.functional.cross_entropy(net(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    moved = sum(float(s.detach().abs() > 0) for s in net.scales)
    return f"{gradient:.4f}; loss {losses[0]:.2f} → {losses[-1]:.2f} in {steps} steps, {moved:.0f} scales moved"


def trainable(quick: bool) -> None:
    """Accuracy over σ_w and depth beside 6 ξ_c."""
    path = Path(__file__).resolve().parent.parent / "examples" / "trainable_depth.py"
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location("trainable_depth", path)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    depths = (4, 8) if quick else example.DEPTHS
    found = example.diagram(depths, example.WEIGHTS, 64, 20 if quick else 100)
    print("\n| σ_w | ξ_c | 6 ξ_c | " + " | ".join(f"depth {d}" for d in depths) + " |")
    print("|---" * (len(depths) + 3) + "|")
    for j, sigma in enumerate(example.WEIGHTS):
        scale = fixed_point("tanh", sigma, example.SIGMA_B).xi_c
        print(f"| {sigma:.2f} | {scale:.1f} | {6 * scale:.0f} | " + " | ".join(f"{a:.2f}" for a in found[:, j]) + " |")


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    start = time.perf_counter()
    bands((64, 128) if options.quick else WIDTHS, 2 if options.quick else DRAWS, 20 if options.quick else 100)
    published(20 if options.quick else 400)
    trainable(options.quick)
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
