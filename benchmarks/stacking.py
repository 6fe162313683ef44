"""Where a stack of runs pays: a step of so many models one after another over a step of their stack, side by side in one run.

    python benchmarks/stacking.py [--rounds 5] [--members 8,24,48]

One thread; digits in batches of 64; `sgd(momentum=0.9)`, two learning rates. "work" is what `fanin.lab.torch.stackable` looks
at (floating-point operations of a layer's forward pass over a batch, mean over layers, in millions), "weights" the parameters
of a model in thousands, "stacked" what it chooses. A ratio under 1 in a row that is stacked, or one over 1.2 in a row that is
not, says that its thresholds are wrong.
"""

import argparse
import time
from collections.abc import Callable

import torch

from fanin.lab.study.records import RunConfig, TrainingSettings
from fanin.lab.torch.construct import construct
from fanin.lab.torch.job import trainee_of
from fanin.lab.torch.recorder import Trainee
from fanin.lab.torch.stackable import members_of, weights_of, work_of
from fanin.lab.torch.start import Parts
from fanin.lab.torch.state import random_state, thread_count
from fanin.lab.torch.tensors import Orders, tensors
from fanin.lab.worker import parts_of

BATCH = 64
MLPS = (
    (2, 16), (2, 32), (2, 64), (2, 128), (2, 256), (2, 512), (5, 64), (10, 32), (10, 128), (20, 32), (20, 64), (20, 128),
    (50, 64),
)  # fmt: skip
MODELS = {
    **{f"{depth} × {width}": f"mlp(depth={depth}, width={width})" for depth, width in MLPS},
    "6 × 64, residual": "mlp(depth=6, width=64, residual=True)",
    "6 × 64, layer norm": "mlp(depth=6, width=64, norm='layer')",
    "LeNet-5": "lenet",
    "GRU 32": "gru(width=32)",
}


def best(turn: Callable[[], object], rounds: int, least: float = 0.1) -> float:
    """Seconds of one turn: the least of several rounds of at least a tenth of a second."""
    turn()
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < least:
        turn()
        count += 1
    found = (time.perf_counter() - start) / count
    for _ in range(rounds - 1):
        start = time.perf_counter()
        for _ in range(count):
            turn()
        found = min(found, (time.perf_counter() - start) / count)
    return found


def stepper(configs: list[RunConfig], parts: Parts) -> Callable[[], object]:
    """One training step, its batch taken from the data, of one model or of a stack."""
    models = [construct(parts.factory, config.seed) for config in configs]
    trainee: Trainee = trainee_of(configs, models, [{} for _ in configs], parts)
    data = tensors(parts.data, torch.device("cpu"))
    orders = Orders(len(data.train_x), BATCH, [config.seed for config in configs])

    def step() -> list[float]:
        x, y = orders.take(data.train_x, data.train_y, trainee.stacked)
        return trainee.step(x, y, 1.0)

    return step


def config(model: str, seed: int, stacked: bool) -> RunConfig:
    lr = (0.001, 0.003)[seed % 2]
    settings = TrainingSettings(steps=10)
    return RunConfig(model, "default", "digits", "sgd(momentum=0.9)", lr, BATCH, seed, settings, stacked)


def row(name: str, model: str, members: list[int], rounds: int) -> str:
    """One model's line of the table."""
    one = config(model, 0, False)
    parts = parts_of(one, {})
    skeleton = construct(parts.factory, 0)
    chosen = members_of(parts, one)
    alone = best(stepper([one], parts), rounds)
    ratios = []
    for count in members:
        some = sorted((config(model, seed, True) for seed in range(count)), key=lambda c: c.lr)
        try:
            ratios.append(f"{alone * count / best(stepper(some, parts), rounds):.2f}")
        except Exception as error:  # what `vmap` does not know
            ratios.append(type(error).__name__)
    work = work_of(skeleton, parts, BATCH) / 1e6
    return (
        f"| {name} | {weights_of(skeleton) / 1e3:.1f} | {work:.2f} | {1e6 * alone:.0f} | {' | '.join(ratios)} | "
        f"{'yes' if chosen else 'no'} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--members", default="8,24,48")
    parser.add_argument("--only", default="", help="models, by commas: 2x32,LeNet-5")
    asked = parser.parse_args()
    members = [int(n) for n in asked.members.split(",")]
    wanted = [name.replace("x", " × ") for name in asked.only.split(",") if name]
    print(
        f"one thread, torch {torch.__version__}; a step of one model in microseconds, and how many times as fast a stack is\n"
    )
    print(f"| model | weights, k | work, M | one, µs | {' | '.join(f'{n} members' for n in members)} | stacked |")
    print("|---|---|---|---|" + "---|" * (len(members) + 1))
    with thread_count(1), random_state(0), torch.enable_grad():
        for name, model in MODELS.items():
            if not wanted or name in wanted:
                print(row(name, model, members, asked.rounds), flush=True)


if __name__ == "__main__":
    main()
