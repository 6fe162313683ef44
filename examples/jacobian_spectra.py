"""Singular values of the input-output Jacobian of deep nets: He's spread grows, isometries keep all of them at one.

    python examples/jacobian_spectra.py [--width 256] [--depths 2,8,32] [--out jacobian_spectra.svg]

Saxe et al. 2013, Pennington et al. 2017 and Balduzzi et al. 2017, measured on drawn nets by products with the Jacobian, beside the
predicted spread. Each line is a net: singular values in falling order.
"""

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from drawing import COLOURS, Panel, legend, save
from torch import Tensor

from fanin.theory import critical_or_gain, fixed_point, jacobian_spectrum
from fanin.theory.measured_torch import measure_jacobian

NETS = ("linear, normal", "ReLU, normal (He)", "ReLU, orthogonal", "ReLU, mirrored", "tanh, orthogonal, small signal")


def model(kind: str, width: int, depth: int, seed: int):
    """A function of (1, n) whose weights are drawn once, and the input that it is looked at."""
    rng = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    def isometry() -> Tensor:
        return torch.linalg.qr(noise(width, width))[0]

    x = noise(1, width)
    if kind == "ReLU, mirrored":
        layers = [isometry() for _ in range(depth + 1)]

        def mirrored(h: Tensor) -> Tensor:
            h = h @ layers[0].T
            h = torch.relu(torch.cat([h, -h], dim=1))
            for q in layers[1:-1]:
                u = (h[:, :width] - h[:, width:]) @ q.T
                h = torch.relu(torch.cat([u, -u], dim=1))
            return (h[:, :width] - h[:, width:]) @ layers[-1].T

        return mirrored, x
    gain = 1.0 if "ReLU" not in kind else math.sqrt(2)
    weights = [
        gain * (isometry() if "orthogonal" in kind else noise(width, width) / math.sqrt(width)) for _ in range(depth)
    ]
    function = torch.relu if "ReLU" in kind else torch.tanh if "tanh" in kind else (lambda h: h)

    def plain(h: Tensor) -> Tensor:
        for w in weights:
            h = function(h @ w.T)
        return h

    return plain, x * (0.05 if "tanh" in kind else 1.0)


def predicted(kind: str, depth: int) -> float:
    """Relative spread of the squared singular values."""
    if kind == "ReLU, mirrored":
        return jacobian_spectrum("relu", depth, 1.0, weights="mirrored").spread
    weights = "orthogonal" if "orthogonal" in kind else "normal"
    if "tanh" in kind:
        return jacobian_spectrum("tanh", depth, 1.0, 0.05**2, weights).spread
    name = "relu" if "ReLU" in kind else "linear"
    at = fixed_point(name, critical_or_gain(name))
    return jacobian_spectrum(name, depth, critical_or_gain(name), at.q, weights).spread


def main() -> None:
    """Draws the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--depths", default="2,8,32")
    parser.add_argument("--out", type=Path, default=Path("jacobian_spectra.svg"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    depths = [int(d) for d in options.depths.split(",")]
    parts = []
    print("| net | depth | mean s² | spread of s², measured | predicted | largest s |")
    print("|---|---|---|---|---|---|")
    for column, depth in enumerate(depths):
        panel = Panel(
            70 + 300 * column, 100, 240, 260, [0.0, 1.0], [1e-4, 20.0], f"{depth} layers", "share of directions",
            "singular value" if column == 0 else "", log_y=True,
        )  # fmt: skip
        for row, kind in enumerate(NETS):
            found = measure_jacobian(*model(kind, options.width, depth, seed=row), probes=1, steps=options.width)
            values = found.singular_values
            share = np.linspace(0, 1, len(values)).tolist()
            panel.line(share, np.maximum(values, 1e-12).tolist(), COLOURS[row], dashed="tanh" in kind)
            spread = math.sqrt(max(found.variance, 0.0)) / found.mean
            print(
                f"| {kind} | {depth} | {found.mean:.3f} | {spread:.3f} | {predicted(kind, depth):.3f} | {values[0]:.2f} |"
            )
        parts.append(panel.svg())
    parts.append(legend(70 + 300 * len(depths), 110, list(zip(NETS, COLOURS, strict=False))))
    save(
        options.out, 70 + 300 * len(depths) + 240, 420, "Singular values of ∂ output / ∂ input",
        f"{options.width} units. A flat line at 1 is dynamical isometry: every direction arrives at its size.", parts,
    )  # fmt: skip
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
