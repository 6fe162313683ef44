"""Are orthogonal matrices drawn evenly from all of O(n)? fanin's, torch's, SciPy's and plain QR's under the same tests.

    python benchmarks/quality_haar.py                100,000 matrices of 8 x 8, 10,000 of 64 x 64
    python benchmarks/quality_haar.py --share .1     a tenth of them

Every row is a z-score (or a p-value) under the Haar measure:
- an entry in the first and in the last corner, and the product of the matrix with two fixed unit vectors: n·q² is that of
  a Beta(1/2, (n-1)/2) variable (Kolmogorov-Smirnov), and the sign is even;
- tr Qʲ, the Fourier coefficients of the phases of the eigenvalues: mean 0 or 1, variance j (Diaconis & Shahshahani 1994);
- the determinant: each sign half of the time;
- products of four entries in two rows and columns: their means under the measure (Collins & Śniady 2006).
"QR" is `numpy.linalg.qr` of Gaussians as it comes, without the signs that Mezzadri (2007) puts right.
"""

import argparse
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from quality import show

Array = NDArray[np.float64]
Draw = Callable[[int, int], Array]  # (side, count) → shape (count, side, side)
SIZES = ((8, 100_000), (64, 10_000))  # (side, matrices)


def fanin_draw(side: int, count: int) -> Array:
    from fanin.distributions import Orthogonal
    from fanin.draws import draw_distribution
    from fanin.slots import Axes

    shape = (count, side, side)
    law = Orthogonal(Axes.parse("soi", shape))
    return draw_distribution(law, shape, seed=1, name="blocks.0.weight").astype(np.float64)


def torch_draw(side: int, count: int) -> Array:
    import torch

    torch.manual_seed(1)
    out = torch.empty(count, side, side)
    for one in out:
        torch.nn.init.orthogonal_(one)
    return out.double().numpy()


def scipy_draw(side: int, count: int) -> Array:
    from scipy import stats

    return stats.ortho_group.rvs(side, size=count, random_state=np.random.default_rng(1))


def qr_draw(side: int, count: int) -> Array:
    return np.linalg.qr(np.random.default_rng(1).standard_normal((count, side, side)))[0]


DRAWS: dict[str, Draw] = {"fanin": fanin_draw, "torch": torch_draw, "scipy": scipy_draw, "QR": qr_draw}


def tests(q: Array) -> dict[str, float]:
    """All statistics of matrices of shape (count, n, n)."""
    from scipy import stats

    count, n, _ = q.shape
    found: dict[str, float] = {}
    u, v = (w / np.linalg.norm(w) for w in np.random.default_rng(2).standard_normal((2, n)))
    entries = {"first entry": q[:, 0, 0], "last entry": q[:, -1, -1], "uᵀQv": (q @ v) @ u}
    for label, x in entries.items():
        found[f"{label} p"] = float(stats.kstest(x * x, stats.beta(0.5, (n - 1) / 2).cdf).pvalue)
        found[f"{label}, sign"] = float(np.sign(x).sum() / math.sqrt(count))
    power = np.broadcast_to(np.eye(n), q.shape)
    for j in (1, 2, 3, 4):
        power = power @ q
        trace = np.trace(power, axis1=1, axis2=2)
        centred = trace - (j % 2 == 0)
        found[f"tr Q{'¹²³⁴'[j - 1]}, mean"] = float(centred.mean() / math.sqrt(j / count))
        found[f"tr Q{'¹²³⁴'[j - 1]}, variance"] = z(centred**2, j)
    found["determinant, sign"] = float(np.sign(np.linalg.slogdet(q)[0]).sum() / math.sqrt(count))
    a, b, c, d = q[:, 0, 0], q[:, 0, -1], q[:, -1, 0], q[:, -1, -1]
    scale = (n - 1) * n * (n + 2)
    found["q₁₁² qₙₙ²"] = z((a * d) ** 2, (n + 1) / scale)
    found["q₁₁² q₁ₙ²"] = z((a * b) ** 2, 1 / (n * (n + 2)))
    found["q₁₁ q₁ₙ qₙ₁ qₙₙ"] = z(a * b * c * d, -1 / scale)
    neighbours = float((q[:-1, 0, 0] * q[1:, 0, 0]).sum() * n / math.sqrt(count - 1))
    found["entry of the next matrix"] = neighbours
    return found


def z(x: Array, expected: float) -> float:
    """How many of its own standard errors the mean is off."""
    return float((x.mean() - expected) / (x.std() / math.sqrt(len(x))))


def haar(names: list[str], share: float = 1.0) -> int:
    """Print a table for each size; returns how many entries of others than QR stand out."""
    odd = 0
    for side, matrices in SIZES:
        count = int(matrices * share)
        columns = {name: tests(DRAWS[name](side, count)) for name in names}
        right = {name: column for name, column in columns.items() if name != "QR"}
        odd += show(f"{count:,} orthogonal matrices of {side} x {side} (z, or p)", right)
        if "QR" in columns:
            show(f"{count:,} of QR without its signs put right", {"QR": columns["QR"]})
    return odd


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="of the matrices")
    parser.add_argument("--only", default=",".join(DRAWS))
    given = parser.parse_args()
    odd = haar(given.only.split(","), given.share)
    print(f"\n{odd} entries stand out (|z| > 4 or p < 1e-4)")


if __name__ == "__main__":
    main()
