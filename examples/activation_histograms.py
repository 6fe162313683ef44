"""Histograms of activations through depth, one row a rule: what every course draws, from real nets.

    python examples/activation_histograms.py [--width 512] [--depth 30] [--out activation_histograms.svg]

A ReLU net on Gaussian inputs under PyTorch's default, Xavier, He, orthogonal and mirrored weights, and a tanh net under Xavier.
The printed numbers are the root mean square and the share of exact zeros at each depth shown.
"""

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from drawing import COLOURS, Panel, save

from fanin.activations import Activation, Array

Draw = Callable[[np.random.Generator, int, int], Array]


def normal(gain: float) -> Draw:
    """N(0, gain² / n)."""
    return lambda rng, n, layer: rng.standard_normal((n, n)) * gain / math.sqrt(n)


def default(rng: np.random.Generator, n: int, layer: int) -> Array:
    """PyTorch's U(±1/√n)."""
    return rng.uniform(-1, 1, (n, n)) / math.sqrt(n)


def orthogonal(rng: np.random.Generator, n: int, layer: int) -> Array:
    """√2 times a random orthogonal matrix."""
    return math.sqrt(2) * np.linalg.qr(rng.standard_normal((n, n)))[0]


def mirrored(rng: np.random.Generator, n: int, layer: int) -> Array:
    """Rows (Q, -Q) first, then blocks [[Q, -Q], [-Q, Q]]: pairs hand on u (Balduzzi et al. 2017)."""
    q = np.linalg.qr(rng.standard_normal((n // 2, n // 2)))[0]
    if layer == 0:
        first = np.linalg.qr(rng.standard_normal((n, n // 2)))[0].T * math.sqrt(2)
        return np.concatenate([first, -first])
    return np.block([[q, -q], [-q, q]])


LEFT = 190  # pixels for the rules' names
RULES: tuple[tuple[str, str, Draw], ...] = (
    ("ReLU, PyTorch's default", "relu", default),
    ("ReLU, Xavier", "relu", normal(1.0)),
    ("ReLU, He", "relu", normal(math.sqrt(2))),
    ("ReLU, orthogonal · √2", "relu", orthogonal),
    ("ReLU, mirrored", "relu", mirrored),
    ("tanh, Xavier", "tanh", normal(1.0)),
)


def histories(width: int, depths: list[int], examples: int = 256) -> dict[str, list[Array]]:
    """Activations at each depth shown, by rule."""
    found: dict[str, list[Array]] = {}
    for name, activation, draw in RULES:
        rng, f = np.random.default_rng(0), Activation.named(activation)
        x = rng.standard_normal((width, examples))
        found[name] = []
        for layer in range(max(depths)):
            x = f(draw(rng, width, layer) @ x)
            if layer + 1 in depths:
                found[name].append(x.ravel())
    return found


def main() -> None:
    """Draws the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=512, help="units of a layer, even")
    parser.add_argument("--depth", type=int, default=30)
    parser.add_argument("--out", type=Path, default=Path("activation_histograms.svg"))
    options = parser.parse_args()
    depths = sorted({max(1, round(options.depth * s)) for s in (0.03, 0.1, 0.2, 0.5, 1.0)})
    found = histories(options.width, depths)
    parts, edges = [], np.linspace(-2.0, 2.0, 61)
    print("| rule | " + " | ".join(f"layer {d}: rms, zeros" for d in depths) + " |")
    print("|---" * (len(depths) + 1) + "|")
    for row, (name, layers) in enumerate(found.items()):
        cells = []
        parts.append(f'<text class="t" x="20" y="{124 + row * 106}">{name}</text>')
        for column, (depth, x) in enumerate(zip(depths, layers, strict=True)):
            share = np.histogram(x[x != 0], edges)[0] / len(x)
            top = max(float(share.max()), 1e-9)
            panel = Panel(LEFT + column * 172, 90 + row * 106, 150, 62, edges.tolist(), [0.0, 1.15 * top])
            panel.bars(edges.tolist(), share.tolist(), COLOURS[row])
            rms, zeros = math.sqrt(float(np.mean(x * x))), float(np.mean(x == 0))
            panel.note(-1.9, 0.95 * top, f"rms {rms:.2g}")
            panel.names = (f"layer {depth}" if row == 0 else "", "", "")
            parts.append(panel.svg(ticks=4, y_ticks=0))
            cells.append(f"{rms:.3g}, {zeros:.0%}")
        print(f"| {name} | " + " | ".join(cells) + " |")
    save(
        options.out,
        LEFT + 172 * len(depths),
        90 + 106 * len(found),
        "Activations through depth",
        f"{options.width} units, Gaussian inputs; heights in each panel's own scale, exact zeros left out.",
        parts,
    )
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
