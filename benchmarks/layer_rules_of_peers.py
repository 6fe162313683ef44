"""What public code makes of the rules for gates, attention and state-space layers, against the formulas of the papers.

Run: python benchmarks/layer_rules_of_peers.py        (NumPy alone; the peers' steps are written out as their code takes them)
"""

import math

import numpy as np

from fanin import rules
from fanin.draws import draw
from fanin.rules.state_space import legs_matrix


def chrono(units: int = 100_000, longest: float = 100.0) -> None:
    """A port that fills every parameter with "bias" in its name: an LSTM of torch has two, which add up."""
    rng = np.random.default_rng(0)
    both = np.log(rng.uniform(1, longest - 1, units)) + np.log(rng.uniform(1, longest - 1, units))
    ours = draw(rules.chrono(longest), (4 * units,), seed=0, name="bias_ih_l0", dtype="float64")[units : 2 * units]
    for name, bias in (("both biases", both), ("fanin", ours)):
        steps = 1 + np.exp(bias)
        print(
            f"chrono, longest {longest:g}: {name:12s} mean memory {steps.mean():7.1f} steps, longest {steps.max():7.0f}"
        )


def mimetic(width: int = 192, draws: int = 10) -> None:
    """W_out W_v of ports that store V and Proj of X V Proj untransposed, and of the rule."""
    found = {"untransposed": [], "fanin": []}
    for seed in range(draws):
        out, value = (
            draw(rules.mimetic(3, part), (width, width), seed=seed, name=f"attn.{part}.weight", dtype="float64")
            for part in ("out", "v")
        )
        # the port stores L = U sqrt(S) as the values' weight and R = sqrt(S) V as the output's, so that tokens meet R L
        found["untransposed"].append(value @ out)
        found["fanin"].append(out @ value)
    for name, products in found.items():
        diagonal = np.array([np.diag(p) for p in products])
        print(f"mimetic, diagonal of W_out W_v: {name:12s} {diagonal.mean():.3f} +- {diagonal.std():.3f}")


def clipped(states: int = 64) -> None:
    """S4 cuts imaginary parts of V* B at 2: how many, with the phases that LAPACK happens to return."""
    low_rank = np.sqrt(np.arange(states) + 0.5)
    skew = legs_matrix(states) + np.outer(low_rank, low_rank) + 0.5 * np.eye(states)
    _, vectors = np.linalg.eigh(-1j * skew)
    own = vectors[:, : states // 2].conj().T @ np.sqrt(2 * np.arange(states) + 1.0)
    cut = own.real + 1j * np.clip(own.imag, -2, 2)
    share = np.linalg.norm(cut - own) / np.linalg.norm(own)
    print(
        f"S4's B, N = {states}: {int((np.abs(own.imag) > 2).sum())} of {states // 2} cut, {share:.3f} of its norm lost"
    )
    print("  with P real and positive: 0 cut")


def fused() -> None:
    """Xavier's bound for queries of width d, read from the fused weight (timm's mode "jax", torch's attention) and per projection."""
    width = 768
    whole, each = math.sqrt(6 / (width + 3 * width)), math.sqrt(6 / (2 * width))
    print(
        f"fused q, k, v of {width}: bound {whole:.4f}, per projection {each:.4f}; scores {(whole / each) ** 2:.2f} of the size"
    )


if __name__ == "__main__":
    chrono()
    mimetic()
    clipped()
    fused()
