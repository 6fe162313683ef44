"""The bands of `fanin.theory.log_norm` and `log_gradient_norm` at their ends: how many of very many nets lie below and above.

    python benchmarks/theory_tails.py [--draws 4000] [--width 64]

`benchmarks/theory.py` draws matrices, a dozen nets a width. Here only Gaussian weights, without matrices, exactly: given a
layer's input x, W x is Gaussian; and given u = W x, the weights are u xᵀ / |x|² plus independent noise, which carries gradients back.
So nets are cheap and independent, and shares are known to some ten-thousandths: 100 layers, ten activations under five rules.
"""

import argparse
import math
from dataclasses import dataclass

import numpy as np

from fanin.activations import Array
from fanin.theory import log_gradient_norm, log_norm
from fanin.theory.curves import Curve
from theory import ACTIVATIONS, DEPTHS, RULES

DEPTH = 100
CHUNK = 400  # nets at once


def simulate(f: str, n: int, sigma_w: float, sigma_b: float, draws: int, seed: int) -> tuple[Array, Array]:
    """Logs of |x_l|²/n and of |∂/∂x_l|² of each net, (draws, DEPTH) each."""
    curve, rng = Curve.of(f), np.random.default_rng(seed)
    forward, backward = np.empty((draws, DEPTH)), np.empty((draws, DEPTH))
    for start in range(0, draws, CHUNK):
        rows = slice(start, min(start + CHUNK, draws))
        shape = (rows.stop - start, n)
        x = rng.standard_normal(shape)
        x *= math.sqrt(n) / np.linalg.norm(x, axis=1, keepdims=True)
        kept = []
        for layer in range(DEPTH):
            u = rng.standard_normal(shape) * np.sqrt(np.mean(x * x, axis=1, keepdims=True)) * sigma_w
            h = u + sigma_b * rng.standard_normal(shape) if sigma_b else u
            kept.append((x, u, curve.df(h)))  # type: ignore[misc]
            x = curve.f(h)
            forward[rows, layer] = np.log(np.maximum(np.mean(x * x, axis=1), 1e-290))
        g = rng.standard_normal(shape)
        g /= np.linalg.norm(g, axis=1, keepdims=True)
        for layer in reversed(range(DEPTH)):
            backward[rows, layer] = np.log(np.maximum(np.sum(g * g, axis=1), 1e-290))
            x, u, slope = kept[layer]
            v = slope * g
            noise = rng.standard_normal(shape) * np.linalg.norm(v, axis=1, keepdims=True) * sigma_w / math.sqrt(n)
            along = np.sum(u * v, axis=1, keepdims=True) - np.sum(x * noise, axis=1, keepdims=True)
            g = noise + x * along / np.maximum(np.sum(x * x, axis=1, keepdims=True), 1e-290)
    return forward, backward


@dataclass(frozen=True)
class Row:
    """One depth of one kind of net.

    Attributes:
        activation, side: which.
        walked: whether the band is of walks.
        below, above: shares of draws beyond the band.
        variance: measured over predicted.
    """

    activation: str
    side: str
    walked: bool
    below: float
    above: float
    variance: float


def measured(n: int, draws: int) -> list[Row]:
    """All nets."""
    rows = []
    for rule in RULES:
        if rule.weights != "normal" or rule.name == "gain(f), uniform":
            continue
        for f in ACTIVATIONS:
            sigma_w, sigma_b = rule.sigma_w(f), rule.sigma_b(n)
            arguments = (f, [n] * DEPTH, sigma_w, "normal", sigma_b, 1.0)
            found = simulate(f, n, sigma_w, sigma_b, draws, sum(map(ord, f + rule.name)))
            laws = log_norm(*arguments), log_gradient_norm(*arguments)  # type: ignore[arg-type]
            for side, law, logs in zip(("forward", "backward"), laws, found, strict=True):
                low, high = law.band()
                spread = law.fluctuation or law.variance
                for d in DEPTHS:
                    at = d - 1 if side == "forward" else DEPTH - d - 1
                    if at >= 0:
                        x = logs[:, at]
                        below, above = float(np.mean(x < low[at])), float(np.mean(x > high[at]))
                        rows.append(Row(f, side, bool(law.quantiles), below, above, float(x.var() / spread[at])))
    return rows


def show(label: str, rows: list[Row]) -> None:
    """One line of the table."""
    if rows:
        below, above, variance = (float(np.mean([getattr(r, k) for r in rows])) for k in ("below", "above", "variance"))
        print(f"| {label} | {len(rows)} | {1 - below - above:.4f} | {below:.4f} | {above:.4f} | {variance:.3f} |")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=4000)
    parser.add_argument("--width", type=int, default=64)
    options = parser.parse_args()
    rows = measured(options.width, options.draws)
    print(
        "| nets | curves' points | within | below | above | variance, measured / predicted |\n|---|---|---|---|---|---|"
    )
    for side in ("forward", "backward"):
        part = [r for r in rows if r.side == side]
        show(side, part)
        for walked in (False, True):
            show(f"{side}, {'walked' if walked else 'by cumulants'}", [r for r in part if r.walked == walked])
        for f in ACTIVATIONS:
            show(f"{side}, {f}", [r for r in part if r.activation == f])
    show("all", rows)


if __name__ == "__main__":
    main()
