"""Order, chaos and the edge between them for any activation: the depth scale ξ_c over (σ_w, σ_b).

    python examples/phase_diagram.py [--activation tanh] [--points 33] [--out phase_diagram.svg]

Poole et al. 2016 (figure 1) and Schoenholz et al. 2017 (figure 2), from Gaussian integrals alone. The white line is the edge of
chaos, χ₁ = 1; beside it stands how far a signal gets along one cut.
"""

import argparse
import math
from pathlib import Path

import numpy as np
from drawing import COLOURS, Panel, save, shade

from fanin.errors import FaninValueError
from fanin.theory import fixed_point, phase_boundary

DEEPEST = 100.0  # layers at which the shading ends


def scales(activation: str, weights: np.ndarray, biases: np.ndarray) -> np.ndarray:
    """ξ_c for each (σ_b, σ_w); NaN where there is none."""
    found = np.full((len(biases), len(weights)), math.nan)
    for i, b in enumerate(biases.tolist()):
        for j, w in enumerate(weights.tolist()):
            try:
                found[i, j] = fixed_point(activation, w, b).xi_c
            except FaninValueError:
                continue
    return found


def main() -> None:
    """Draws the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--activation", default="tanh")
    parser.add_argument("--points", type=int, default=33, help="of σ_w; a third of it of σ_b")
    parser.add_argument("--most", type=float, default=3.0, help="the largest σ_w")
    parser.add_argument("--out", type=Path, default=Path("phase_diagram.svg"))
    options = parser.parse_args()
    weights = np.linspace(0.5, options.most, options.points)
    biases = np.linspace(0.02, 0.6, max(3, options.points // 3))
    found = scales(options.activation, weights, biases)
    w, b = (weights[1] - weights[0]) / 2, (biases[1] - biases[0]) / 2
    panel = Panel(
        70, 90, 400, 300, [weights[0] - w, weights[-1] + w], [biases[0] - b, biases[-1] + b],
        f"{options.activation}: depth scale ξ_c (dark: {DEEPEST:g} layers and more)", "σ_w", "σ_b",
    )  # fmt: skip
    for i, y in enumerate(biases.tolist()):
        for j, x in enumerate(weights.tolist()):
            share = math.log10(max(found[i, j], 1.0)) / math.log10(DEEPEST) if math.isfinite(found[i, j]) else 1.0
            panel.cell((x - w, x + w), (y - b, y + b), shade(share))
    fine = np.linspace(biases[0] - b, biases[-1] + b, 25)
    edge = phase_boundary(options.activation, np.maximum(fine, 0.0).tolist())
    panel.line(edge, fine.tolist(), "#ffffff", width=4)
    panel.line(edge, fine.tolist(), COLOURS[1], width=2)
    panel.note(weights[0], float(biases[-1]), " ordered")
    panel.note(weights[-1], float(biases[0]), "chaotic ", anchor="end")
    cut = len(biases) // 4
    at = phase_boundary(options.activation, [float(biases[cut])])[0]
    near = (
        at * (1 + np.concatenate([-np.geomspace(0.1, 1e-3, 8), np.geomspace(1e-3, 0.1, 8)]))
        if math.isfinite(at)
        else []
    )
    along = np.unique(np.concatenate([weights, near]))
    curve = scales(options.activation, along, biases[cut : cut + 1])[0]
    beside = Panel(
        560,
        90,
        330,
        300,
        weights.tolist(),
        [1.0, 1000.0],
        f"ξ_c at σ_b = {biases[cut]:.2f}",
        "σ_w",
        "layers",
        log_y=True,
    )
    beside.line(along.tolist(), curve.tolist(), COLOURS[0])
    beside.dots(weights.tolist(), found[cut].tolist(), COLOURS[0])
    beside.line([at, at], [1.0, 1000.0], COLOURS[1], dashed=True)
    print("| σ_b | edge of chaos σ_w |")
    print("|---|---|")
    for bias, value in zip(fine.tolist(), edge, strict=True):
        print(f"| {max(bias, 0.0):.3f} | {value:.4f} |")
    save(
        options.out, 920, 450, f"Order and chaos of a deep {options.activation} net",
        "Signals forget their differences within ξ_c layers on the left, scramble them on the right, and keep them on the edge.",
        [panel.svg(), beside.svg()],
    )  # fmt: skip
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
