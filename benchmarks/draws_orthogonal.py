"""Orthogonal weights: fanin's draws beside `torch.nn.init.orthogonal_`, in one run, on the same threads.

    python benchmarks/draws_orthogonal.py --threads 1

Both sides fill an array that is there already. Sides take turns, `--repeats` times; the best time of each counts, because
other work on the machine only adds; processor time is what to read on a busy machine. PyTorch has no call for many
matrices at once: it is given one after the other.
"""

import argparse
import os
import time


def main() -> None:
    """Print a table of times and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(arguments.threads))
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.threads])
    print(f"threads: {arguments.threads}; best of {arguments.repeats}, in milliseconds")
    print(f"{'':>14}  {'torch':>9}  {'fanin':>9}  {'ratio':>6}  {'ratio of processor time':>24}")
    for many, n in ((1, 4096), (1, 2048), (1, 1024), (64, 512), (64, 128), (256, 64)):
        (theirs, their_work), (ours, our_work) = measure(
            many, n, arguments.threads, arguments.repeats * (1 if n > 1024 else 4)
        )
        print(
            f"{f'{many} x {n}^2':>14}  {theirs:9.1f}  {ours:9.1f}  {theirs / ours:6.2f}  {their_work / our_work:24.2f}",
            flush=True,
        )


def measure(many: int, n: int, threads: int, repeats: int) -> list[tuple[float, float]]:
    """Best milliseconds, by the clock and of all processors, of torch and of fanin."""
    import numpy as np
    import torch

    from fanin.distributions import Orthogonal
    from fanin.draws import draw_distribution
    from fanin.draws.backends import prepare
    from fanin.slots import Axes

    torch.set_num_threads(threads)
    prepare(threads)
    shape = (many, n, n)
    law = Orthogonal(Axes.parse("soi", shape))
    theirs, ours = torch.empty(shape), np.empty(shape, dtype=np.float32)

    def one_by_one() -> None:
        for matrix in theirs:
            torch.nn.init.orthogonal_(matrix)

    def at_once() -> None:
        draw_distribution(law, shape, seed=0, name="w", out=ours)

    best = [(float("inf"), float("inf"))] * 2
    for _ in range(repeats):
        for k, side in enumerate((one_by_one, at_once)):
            start, work = time.perf_counter(), time.process_time()
            side()
            clock, work = time.perf_counter() - start, time.process_time() - work
            best[k] = min(best[k][0], 1e3 * clock), min(best[k][1], 1e3 * work)
    error = float(abs(ours[-1].T @ ours[-1] - np.eye(n)).max())
    assert error < 2e-6, f"not orthogonal: {error}"
    return best


if __name__ == "__main__":
    main()
