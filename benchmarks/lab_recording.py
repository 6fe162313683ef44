"""What recording costs: the same runs by the lab's engine with all that a study records, and without, in short turns.

    OMP_NUM_THREADS=1 python benchmarks/lab_recording.py [--pairs 40] [--only 2x32,LeNet-5]

A pair is the jobs of a small study (one run where the model is not stacked) trained twice, with the recording first in
every other pair; both draw the same weights and see the same batches. Recorded are curves on disk, gradient norms, movement
from initialization, signals through depth, dead units and effective rank; left is what the plain loop does too (training,
accuracy and loss on the held-out part at the same steps). Processor time of this process; a pair takes seconds, so that
what other tenants of the machine do meets both halves. All files lie in one folder and stay until the end, as a study's do: an ext4
without a journal passes over the places of files that were deleted in the last five minutes, one by one, and a new file took up to
half a millisecond where each turn deleted its own. Printed: the median of the pairs' ratios with its 95 % interval (by
order statistics), and the ratio of the two shortest turns.
"""

import argparse
import itertools
import statistics
import tempfile
import time

import torch
from scipy.stats import binom

from fanin.lab.jobs import Job
from fanin.lab.study import RunConfig
from fanin.lab.torch.job import run_job
from fanin.lab.torch.start import Parts
from fanin.lab.worker import grouping, parts_of
from lab import MODELS, PLANS, RATES, stacked

SEEDS = 12


def configs(spec: str, epochs: int, watch: bool) -> list[RunConfig]:
    """The grid of lab.py with so many seeds, in jobs as a study's; one run where the model is trained alone."""
    grid = [(spec, plan, lr, seed, epochs) for seed in range(SEEDS) for plan in PLANS for lr in RATES]
    runs = stacked(grid, watch=watch)
    return runs if runs[0].stacked else runs[:1]


def seconds(spec: str, epochs: int, watch: bool, parts: Parts, folder: str) -> float:
    """Processor time of the jobs, in a worker that knows data and plan already; what they write is left in `folder`."""
    known = {f"{next(_number)}": config for config in configs(spec, epochs, watch)}
    start = time.process_time()
    for keys in grouping(known)(known):
        run_job(Job(0, keys, tuple(known[key] for key in keys), 0, folder if watch else ""), parts, lambda share: None)
    return time.process_time() - start


_number = itertools.count()  # no two runs have one file


def interval(ratios: list[float]) -> tuple[float, float]:
    """At least 95 % for the median."""
    ordered, n = sorted(ratios), len(ratios)
    k = max(0, int(binom.ppf(0.025, n, 0.5)) - 1)
    return ordered[k], ordered[n - 1 - k]


def compare(name: str, spec: str, pairs: int, epochs: int, folder: str) -> str:
    """A model's line of the table."""
    parts = parts_of(configs(spec, 1, True)[0], {})
    for watch in (True, False):
        seconds(spec, 1, watch, parts, folder)
    turns: dict[bool, list[float]] = {True: [], False: []}
    for pair in range(pairs):
        for watch in (True, False) if pair % 2 else (False, True):
            turns[watch].append(seconds(spec, epochs, watch, parts, folder))
    ratios = [a / b for a, b in zip(turns[True], turns[False], strict=True)]
    low, high = interval(ratios)
    median, best = statistics.median(ratios), min(turns[True]) / min(turns[False])
    found = " | ".join(f"{100 * (ratio - 1):+.1f} %" for ratio in (median, low, high, best))
    return f"| {name} | {len(configs(spec, 1, True))} | {min(turns[False]):.2f} | {found} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    wanted = [name.replace("x", " × ") for name in asked.only.split(",") if name]
    torch.set_num_threads(1)
    print("| model | runs | seconds | recording, median of pairs | from | to | of the shortest turns |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, spec in MODELS.items():
            if not wanted or name in wanted:
                print(compare(name, spec, asked.pairs, asked.epochs, folder), flush=True)


if __name__ == "__main__":
    main()
