"""Which depths can be trained: accuracy of tanh nets on digits over σ_w and depth, beside 6 ξ_c.

    python examples/trainable_depth.py [--width 64] [--steps 100] [--out trainable_depth.svg]

Schoenholz et al. 2017, figure 5, small: σ_b² = 0.05, plain SGD, no norm. All σ_w of one depth are trained side by side as one
batched product. The red line is six depth scales of the correlation, which theory knows before anything is drawn.
"""

import argparse
import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from drawing import COLOURS, Panel, save, shade
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional as F

from fanin.theory import fixed_point

SIGMA_B = math.sqrt(0.05)
DEPTHS = (4, 8, 16, 32, 64, 96)
WEIGHTS = (0.6, 0.9, 1.15, 1.4, 1.7, 2.0, 2.5, 3.0, 3.5)


def data() -> tuple[Tensor, Tensor]:
    """Digits, standardised as a whole to a second moment of 1 per pixel (1797, 64), and their classes."""
    images, labels = load_digits(return_X_y=True)
    images = images - images.mean(axis=0)
    return torch.tensor(images / math.sqrt(np.mean(images**2)), dtype=torch.float32), torch.tensor(labels)


def accuracies(depth: int, weights: Sequence[float], width: int, steps: int, rate: float, seed: int = 0) -> list[float]:
    """Training accuracy after `steps` of SGD for each σ_w."""
    x, y = data()
    rng = torch.Generator().manual_seed(seed)
    sigma = torch.tensor(weights)[:, None, None]
    sizes = [64, *[width] * depth, 10]
    w = [torch.randn(len(weights), a, b, generator=rng) * sigma / math.sqrt(a) for a, b in itertools.pairwise(sizes)]
    b = [torch.randn(len(weights), 1, n, generator=rng) * SIGMA_B for n in sizes[1:]]
    for p in (*w, *b):
        p.requires_grad_(True)

    def logits(batch: Tensor) -> Tensor:
        h = batch.expand(len(weights), -1, -1)
        for i, (weight, bias) in enumerate(zip(w, b, strict=True)):
            h = torch.baddbmm(bias, torch.tanh(h) if i else h, weight)
        return h

    for _ in range(steps):
        chosen = torch.randint(len(x), (64,), generator=rng)
        out = logits(x[chosen])
        loss = (
            F.cross_entropy(out.flatten(0, 1), y[chosen].repeat(len(weights)), reduction="sum") / 64
        )  # a sum over nets
        gradients = torch.autograd.grad(loss, (*w, *b))
        with torch.no_grad():
            for p, g in zip((*w, *b), gradients, strict=True):
                p -= rate * torch.nan_to_num(g)
    with torch.no_grad():
        return (logits(x[:600]).argmax(dim=2) == y[:600]).float().mean(dim=1).tolist()


def diagram(
    depths: Sequence[int], weights: Sequence[float], width: int, steps: int, rates: Sequence[float] = (0.003, 0.03)
) -> np.ndarray:
    """The best accuracy over the learning rates: (depths, weights)."""
    return np.array([np.max([accuracies(d, weights, width, steps, r) for r in rates], axis=0) for d in depths])


def reach(depths: Sequence[int], column: np.ndarray, half: float = 0.5) -> float:
    """The depth at which accuracy falls through `half`, between the depths tried; beyond the last: infinite."""
    previous_depth, previous = 1.0, 1.0
    for depth, value in zip(depths, column.tolist(), strict=True):
        if value < half:
            share = (previous - half) / max(previous - value, 1e-9)
            return math.exp(math.log(previous_depth) + share * (math.log(depth) - math.log(previous_depth)))
        previous_depth, previous = float(depth), value
    return math.inf


def main() -> None:
    """Draws the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--depths", default=",".join(map(str, DEPTHS)))
    parser.add_argument("--out", type=Path, default=Path("trainable_depth.svg"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    depths = [int(d) for d in options.depths.split(",")]
    found = diagram(depths, WEIGHTS, options.width, options.steps)
    edges = [1.5 * WEIGHTS[0] - 0.5 * WEIGHTS[1]]
    edges += [(a + b) / 2 for a, b in itertools.pairwise(WEIGHTS)]
    edges.append(1.5 * WEIGHTS[-1] - 0.5 * WEIGHTS[-2])
    panel = Panel(
        80, 90, 480, 320, [edges[0], edges[-1]], [depths[0] * 0.8, depths[-1] * 1.2],
        "training accuracy (white: chance, dark: all right)", "σ_w", "depth", log_y=True,
    )  # fmt: skip
    ends = [depths[0] * 0.8, *[math.sqrt(a * b) for a, b in itertools.pairwise(depths)], depths[-1] * 1.2]
    print("| σ_w | ξ_c | 6 ξ_c | depth where accuracy falls through one half |")
    print("|---|---|---|---|")
    fine = np.linspace(WEIGHTS[0], WEIGHTS[-1], 61)
    for j, sigma in enumerate(WEIGHTS):
        for i in range(len(depths)):
            panel.cell((edges[j], edges[j + 1]), (ends[i], ends[i + 1]), shade((found[i, j] - 0.1) / 0.9))
        scale = fixed_point("tanh", sigma, SIGMA_B).xi_c
        print(f"| {sigma:.2f} | {scale:.1f} | {6 * scale:.0f} | {reach(depths, found[:, j]):.0f} |")
    line = [6 * fixed_point("tanh", s, SIGMA_B).xi_c for s in fine.tolist()]
    panel.line(fine.tolist(), [min(v, 1e4) for v in line], "#ffffff", width=5)
    panel.line(fine.tolist(), [min(v, 1e4) for v in line], COLOURS[1], width=2.5)
    panel.note(2.0, depths[0] * 0.95, "red: 6 ξ_c", COLOURS[1])
    save(
        options.out, 620, 470, "Trainable depth of tanh nets on digits",
        f"σ_b² = 0.05, width {options.width}, {options.steps} steps of SGD at the better of two rates.", [panel.svg()],
    )  # fmt: skip
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
