"""Orthogonal weights: fanin's draws beside `torch.nn.init.orthogonal_`, in one run, on the same threads.

    python benchmarks/draws_orthogonal.py --threads 1

Both sides fill an array that is there already. Sides take turns, `--repeats` times; the best time of each counts, because
other work on the machine only adds. PyTorch has no call for many matrices at once: it is given one after the other.
"""

import argparse
import os
import time
from collections.abc import Callable


def main() -> None:
    """Print a table of times and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(arguments.threads))
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.threads])
    print(f"threads: {arguments.threads}; best of {arguments.repeats}, in milliseconds")
    print(f"{'':>14}  {'torch':>9}  {'fanin':>9}  {'ratio':>6}  {'fanin on tensors':>16}  {'ratio':>6}")
    for many, n in ((1, 4096), (1, 2048), (1, 1024), (64, 512), (64, 128), (256, 64)):
        theirs, ours, tensors = measure(many, n, arguments.threads, arguments.repeats * (1 if n > 1024 else 4))
        print(
            f"{f'{many} x {n}^2':>14}  {theirs:9.1f}  {ours:9.1f}  {theirs / ours:6.2f}"
            f"  {tensors:16.1f}  {theirs / tensors:6.2f}",
            flush=True,
        )


def measure(many: int, n: int, threads: int, repeats: int) -> list[float]:
    """Best milliseconds of torch, of fanin in NumPy, and of fanin with torch's matrix products."""
    import numpy as np
    import torch

    from fanin.distributions import Orthogonal
    from fanin.draws import compose, draw_distribution
    from fanin.draws.bits import Stream
    from fanin.draws.torch import TORCH
    from fanin.slots import Axes

    torch.set_num_threads(threads)
    shape = (many, n, n)
    law = Orthogonal(Axes.parse("soi", shape))
    theirs, ours, tensors = torch.empty(shape), np.empty(shape, dtype=np.float32), torch.empty(shape)
    whole = tuple(range(k) for k in shape)

    def one_by_one() -> None:
        for matrix in theirs:
            torch.nn.init.orthogonal_(matrix)

    def sides() -> list[Callable[[], object]]:
        return [
            one_by_one,
            lambda: draw_distribution(law, shape, seed=0, name="w", out=ours),
            lambda: compose.fill(law, shape, Stream(0, "w"), whole, tensors, 32, TORCH),
        ]

    best = [float("inf")] * 3
    for _ in range(repeats):
        for k, side in enumerate(sides()):
            start = time.perf_counter()
            side()
            best[k] = min(best[k], 1e3 * (time.perf_counter() - start))
    error = max(float(abs(w[-1].T @ w[-1] - np.eye(n)).max()) for w in (ours, tensors.numpy()))
    assert error < 2e-6, f"not orthogonal: {error}"
    return best


if __name__ == "__main__":
    main()
