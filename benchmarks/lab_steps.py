"""One training step of one model: the plain loop's beside the lab's ways, and what the optimizer's part of it is, in turns.

    OMP_NUM_THREADS=1 python benchmarks/lab_steps.py [--turns 12]

Microseconds of the processor, the best of the turns: this machine's clock drifts, so only columns of one row compare.
"""

import argparse
import time
from collections.abc import Callable

import torch
from torch import nn

from fanin.lab.data import load
from fanin.lab.losses_torch import cross_entropy
from fanin.lab.models import factory
from fanin.lab.torch.optimizers import ColumnSGD, Updates, read_optimizer
from fanin.lab.torch.single import Single
from fanin.lab.torch.stacked import Stack, goes_by_hand
from lab import MODELS, in_form

CALLS, BATCH, LR = 50, 64, 1e-3
RULE = read_optimizer("sgd(momentum=0.9)")


def best(turns: int, ways: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Microseconds a call of each way, measured in turns."""
    found = dict.fromkeys(ways, float("inf"))
    for _ in range(turns):
        for name, way in ways.items():
            start = time.process_time()
            for _ in range(CALLS):
                way()
            found[name] = min(found[name], (time.process_time() - start) / CALLS * 1e6)
    return found


def steps(spec: str) -> dict[str, Callable[[], object]]:
    """A step of the plain loop, of the lab by autograd, and of the lab by hand where it takes that."""
    data = in_form(load("digits").with_validation(0.1), spec)
    x, y = torch.tensor(data.train_inputs[:BATCH]), torch.tensor(data.train_targets[:BATCH])
    make = factory(spec, data)
    model, alone = make(), Single(make(), cross_entropy, RULE, LR, {}, None, 0)
    optimizer = torch.optim.SGD(model.parameters(), LR, momentum=0.9)

    def loop() -> None:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        loss.item()

    ways: dict[str, Callable[[], object]] = {"loop": loop, "autograd": lambda: alone.step(x, y, 1.0)}
    if goes_by_hand(model, cross_entropy):
        stack = Stack([make()], cross_entropy, RULE, [LR], [{}], None)
        ways["by hand"] = lambda: stack.step(x[None], y[None], 1.0)
    return ways


def updates(spec: str) -> dict[str, Callable[[], object]]:
    """An update of SGD with momentum: torch's optimizer, the lab's, the kernel alone, and a stack's column of rates."""
    data = in_form(load("digits").with_validation(0.1), spec)
    parameters = list(factory(spec, data)().parameters())
    gradients = [torch.randn_like(p) for p in parameters]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    optimizer = torch.optim.SGD(parameters, LR, momentum=0.9)
    plain, buffers = [p.detach() for p in parameters], [torch.zeros_like(p) for p in parameters]
    own = Updates(RULE, plain, [[LR]] * len(plain))
    stacked, stacked_gradients = [p[None] for p in plain], [g[None] for g in gradients]
    column = ColumnSGD(RULE, stacked, [[LR]] * len(plain))

    def kernel() -> None:
        torch._fused_sgd_(
            plain, gradients, buffers, weight_decay=0.0, momentum=0.9, lr=LR, dampening=0.0, nesterov=False,
            maximize=False, is_first_step=False,
        )  # fmt: skip

    return {
        "torch.optim": optimizer.step,
        "lab": lambda: own.step(gradients, 1.0),
        "kernel": kernel,
        "column": lambda: column.step(stacked_gradients, 1.0),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=12)
    turns = parser.parse_args().turns
    torch.set_num_threads(1)
    print("| model | step: loop | autograd | by hand | update: torch.optim | the lab's | its kernel | a column |")
    print("|---|---|---|---|---|---|---|---|")
    for name, spec in MODELS.items():
        step, update = best(turns, steps(spec)), best(turns, updates(spec))
        cells = [f"{step[way]:,.0f}" if way in step else "–" for way in ("loop", "autograd", "by hand")]
        print(f"| {name} | " + " | ".join([*cells, *(f"{v:,.0f}" for v in update.values())]) + " |", flush=True)


if __name__ == "__main__":
    main()
