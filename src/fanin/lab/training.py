"""How a run is trained, in any framework: settings, the order of the data, and when it is looked at."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fanin.errors import FaninTypeError, FaninValueError
from fanin.lab.study.optimizers import OPTIMIZERS
from fanin.lab.study.records import TrainingSettings

LOOK_AT = 1000  # held-out examples that the points of a curve are measured on; the last metrics are on all

Stream = Literal["order", "init", "training", "evaluation", "augment"]


@dataclass(frozen=True)
class Training:
    """What all runs of a comparison share.

    Attributes:
        optimizer: "sgd", "adam" or "adamw".
        lr, momentum, weight_decay: of the optimizer (momentum of "sgd" only).
        batch_size: examples in a step.
        steps: optimizer steps (285: 15 epochs of digits with a tenth held out).
        loss: a name, a function of (output, targets), or None for the task's own.
        target: score to reach, or None.
        evaluations: looks at held-out examples, besides the one before training.
        threads: of a run on the CPU. One by default: figures then do not depend on the number of cores, small models
            run no slower, and on a busy machine several times faster. More cores are for more runs at once.
    """

    optimizer: str = "sgd"
    lr: float = 0.003
    momentum: float = 0.9
    weight_decay: float = 0.0
    batch_size: int = 64
    steps: int = 285
    loss: Any = None
    target: float | None = None
    evaluations: int = 30
    threads: int = 1

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise FaninValueError(f"optimizer={self.optimizer!r} is unknown; accepted are {', '.join(OPTIMIZERS)}")
        _number("lr", self.lr, above=0)
        _number("momentum", self.momentum, least=0, below=1)
        _number("weight_decay", self.weight_decay, least=0)
        for name in ("batch_size", "steps", "evaluations", "threads"):
            whole_number(name, getattr(self, name))
        if self.target is not None:
            _number("target", self.target)


def _number(
    name: str, value: Any, *, above: float = -math.inf, least: float = -math.inf, below: float = math.inf
) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FaninTypeError(f"{name}={value!r} is a {type(value).__name__}, but must be a number")
    if not (above < value < below and value >= least):
        floor = f"above {above:g}" if above > -math.inf else f"at least {least:g}" if least > -math.inf else "finite"
        raise FaninValueError(
            f"{name}={value!r} must be {floor}" + (f" and below {below:g}" if below < math.inf else "")
        )


def whole_number(name: str, value: Any, least: int = 1) -> None:
    """Raises unless `value` is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise FaninTypeError(f"{name}={value!r} is a {type(value).__name__}, but must be a whole number")
    if value < least:
        raise FaninValueError(f"{name}={value} must be at least {least}")


def derived_seed(seed: int, stream: Stream) -> int:
    """A 63-bit seed for one use of random numbers, so that no two uses of a run's seed share a sequence."""
    return int.from_bytes(hashlib.blake2b(f"fanin lab {stream} {seed}".encode(), digest_size=8).digest()) >> 1


def steps_per_epoch(examples: int, batch_size: int) -> int:
    """Batches in one pass. A last batch of less than half the size is left out of that pass, and one of one example too:
    batch norm refuses one example, and with three its noise undoes what the others taught. As every pass has a new order,
    other examples are left out each time (of digits' 1,347 in batches of 64 three, so that an epoch has 21 steps).

    Example:
        >>> steps_per_epoch(1347, 64), steps_per_epoch(1347, 128), steps_per_epoch(40, 64)
        (21, 11, 1)
    """
    whole, rest = divmod(examples, batch_size)
    return whole + ((rest > 1 and 2 * rest >= batch_size) or whole == 0)


def steps_of(settings: TrainingSettings, examples: int, batch_size: int) -> int:
    """Optimizer steps of a whole run on a training part of this many examples.

    Example:
        >>> steps_of(TrainingSettings(epochs=2), 1347, 64), steps_of(TrainingSettings(steps=10), 1347, 64)
        (42, 10)
    """
    if settings.steps is not None:
        return settings.steps
    return max(1, round(settings.epochs * steps_per_epoch(examples, batch_size)))


def passes(examples: int, seed: int) -> Iterator[np.ndarray]:
    """Rows of pass after pass, without end; every pass in a new order that depends on the seed alone.

    A pass is cut into batches from its start. What is left over is a smaller batch, or none (see `steps_per_epoch`).
    """
    generator = np.random.Generator(np.random.Philox(seed))
    while True:
        yield generator.permutation(examples)


def evaluation_steps(steps: int, evaluations: int) -> frozenset[int]:
    """About `evaluations` steps, evenly spaced, the last step among them."""
    return frozenset(round(steps * k / evaluations) for k in range(1, evaluations + 1)) - {0} | {steps}


def held_out(examples: int, most: int = LOOK_AT) -> np.ndarray:
    """Rows of a part that it is measured on: all, or a fixed random sample of a large one."""
    if examples <= most:
        return np.arange(examples)
    return np.sort(np.random.Generator(np.random.Philox(0)).permutation(examples)[:most])
