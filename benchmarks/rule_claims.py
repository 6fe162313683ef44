"""What papers and peers claim of some initializers, measured. Prints the numbers of docs/decisions/0012-rules-measured.md.

python benchmarks/rule_claims.py
"""

import math

import numpy as np
import torch

from fanin import draws, rules
from fanin.activations import Activation


def convolution_aware(size: int, inputs: int, eps: float, rng: np.random.Generator) -> float:
    """The largest |cos| between filters of one output as keras-contrib builds them: real spectra, transformed back, plus noise."""
    half = np.fft.rfft2(np.zeros((size, size))).shape
    n = math.prod(half)
    symmetric = rng.standard_normal((n, n))
    symmetric = symmetric + symmetric.T - np.diag(symmetric.diagonal())
    basis = np.linalg.svd(symmetric)[0].T[:inputs].reshape(-1, *half)
    filters = np.stack([np.fft.irfft2(b, (size, size)) + rng.normal(0, eps, (size, size)) for b in basis]).reshape(
        len(basis), -1
    )
    filters /= np.linalg.norm(filters, axis=1, keepdims=True)
    return float(np.abs(filters @ filters.T - np.eye(len(filters))).max())


def sine_variances(layers: int = 12, width: int = 1024) -> list[float]:
    """The variance of the sines' arguments in a SIREN, layer by layer."""
    x = np.random.default_rng(0).uniform(-1, 1, (400, 2))
    x = np.sin(30 * x @ draws.draw(rules.siren_first(), (width, 2), seed=0, name="first", dtype="float64").T)
    found = []
    for layer in range(layers):
        z = 30 * x @ draws.draw(rules.siren(), (width, width), seed=0, name=str(layer), dtype="float64").T
        found.append(float(z.var()))
        x = np.sin(z)
    return found


def settled(name: str, gain: float, layers: int = 50, width: int = 1000) -> float:
    """The deviation of the pre-activations of a deep net with this gain."""
    f, x = Activation.named(name), np.random.default_rng(0).standard_normal((200, width))
    for layer in range(layers):
        x = f(x) @ draws.draw(rules.lecun_normal(gain), (width, width), seed=0, name=str(layer), dtype="float64").T
    return float(x.std())


def fallen_back(rows: int, width: int) -> bool:
    """Whether transformers' test for a positive definite covariance, at its own epsilon, sends new tokens all to the mean."""
    old = torch.randn(rows, width, generator=torch.Generator().manual_seed(0)) * 0.02
    centred = old - old.mean(0)
    covariance = 1e-9 * (centred.T @ centred / rows)
    return not bool(torch.distributions.constraints.positive_definite.check(covariance).all())


def too_large(fan_in: int) -> float:
    """fan_in · variance of what `transformers.initialization.lecun_normal_` draws; 1 is LeCun's rule."""
    from transformers import initialization

    torch.manual_seed(0)
    return fan_in * float(
        initialization.lecun_normal_(torch.empty(4_000_000 // fan_in, fan_in)).double().square().mean()
    )


def main() -> None:
    rng = np.random.default_rng(0)
    for size, inputs in ((3, 6), (5, 15)):
        for eps in (0.0, 0.05):
            worst = [convolution_aware(size, inputs, eps, rng) for _ in range(200)]
            print(
                f"convolution-aware, keras-contrib, {size}x{size}, {inputs} inputs, noise {eps}: |cos| median {np.median(worst):.2f}"
            )
    deaf = [float((draws.draw(rules.sparse(0.9), (10, 10), seed=s, name="w") == 0).all(1).mean()) for s in range(1000)]
    print(
        f"sparse_ counted by columns, 10 x 10, 0.9 zeros: share of outputs that hear nothing {np.mean(deaf):.3f} (0.9^10 = {0.9**10:.3f})"
    )
    variances = sine_variances()
    print(
        f"SIREN: variance of the sines' arguments {variances[0]:.3f}, {variances[1]:.3f}, {variances[2]:.3f}, …, {variances[-1]:.3f}"
    )
    for name, theirs in (("tanh", 5 / 3), ("selu", 3 / 4), ("sigmoid", 1.0)):
        exact = Activation.named(name).gain
        print(
            f"{name}: gain {exact:.4f} settles at {settled(name, exact):.3f}, PyTorch's {theirs:.4f} at {settled(name, theirs):.3f}"
        )
    for rows, width in ((1000, 64), (50000, 64), (50, 64), (5000, 768)):
        print(f"new tokens, transformers, {rows} x {width}: all new rows equal: {fallen_back(rows, width)}")
    for fan_in in (16, 64, 1024):
        print(f"transformers' lecun_normal_, fan_in {fan_in}: E y² / E x² = {too_large(fan_in):.3f}")
    for out in (64, 65, 85, 100, 127):
        w = draws.draw(rules.zero_hadamard(), (out, 32), seed=0, name="w", dtype="float64")
        s = np.linalg.svd(w, compute_uv=False)
        print(
            f"ZerO, 32 -> {out}: singular values {s.min():.3f} to {s.max():.3f}, mean square kept {float((w**2).sum() / 32):.3f}"
        )


if __name__ == "__main__":
    main()
