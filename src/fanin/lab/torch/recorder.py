"""What runs leave behind while they train: losses, curve points in append-only files, and signals through depth."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from fanin.lab import metrics
from fanin.lab.store.curves import lines_of
from fanin.lab.study.records import RunConfig
from fanin.lab.study.rows import CurvePoint, LayerSignal, Signals
from fanin.lab.tasks import Task
from fanin.lab.torch.tensors import Tensors
from fanin.lab.training import evaluation_steps

TRACED = 500  # losses that are kept step by step
WRITE_EVERY = 1.0  # seconds between two writes of curve points, for those who watch
TINY = 1e-30  # a loss of zero can only rise without end
BLOCK = 512  # steps whose losses are worked into figures at once


class Trainee(Protocol):
    """One model, or a stack of them; see `single.Single` and `stacked.Stack`."""

    members: int
    stacked: bool
    alive: Callable[[], Any]  # called now and then while it evaluates

    def remember_start(self) -> None: ...
    def step(self, x: Tensor, y: Tensor, factor: float) -> list[float]: ...
    def evaluate(self, x: Tensor, y: Tensor) -> tuple[np.ndarray, Tensor]: ...
    def grad_norms(self) -> np.ndarray: ...
    def moved(self) -> np.ndarray: ...
    def signals(self, x: Tensor) -> list[tuple[LayerSignal, ...]]: ...
    def state(self) -> dict[str, Any]: ...
    def restore(self, state: dict[str, Any]) -> None: ...


class Recorder:
    """The records of all members of a job, member by member in the order of `configs`.

    Args:
        configs: of the runs.
        files: one append-only file a run, or None to write none.
        task: kind of task.
        steps: of a whole run.
        trace: whether the first member's losses are kept step by step, thinned, in `traced`.
        score: metric of the curve; "" for the task's own.

    Attributes:
        over: whether every member has diverged.
    """

    def __init__(
        self,
        configs: Sequence[RunConfig],
        files: Sequence[Path] | None,
        task: Task,
        steps: int,
        trace: bool = False,
        score: str = "",
    ) -> None:
        self.configs, self.files, self.planned = configs, files, steps
        self.task: Task = task
        self.score = score or metrics.SCORE[task]
        n = len(configs)
        self.watch = configs[0].training.watch
        self.limit = configs[0].training.loss_limit
        self.alive, self.over = np.ones(n, dtype=bool), False
        self.steps = np.zeros(n, dtype=np.int64)
        self.first = np.full(n, np.nan)
        self.last = np.full(n, np.nan)
        self.least = np.full(n, np.inf)
        self.spike = np.ones(n)
        self.total = np.zeros(n)
        self.looked = 0  # the step of the last look
        self.recent: list[Sequence[float]] = []  # not folded yet
        self.summed = 0  # of these, how many are in `total`
        self.step = 0
        self.seconds = 0.0
        self.stride = math.ceil(steps / TRACED) if trace else 0
        self.traced: list[tuple[int, float]] = []  # (step, loss)
        self.points: list[list[CurvePoint]] = [[] for _ in configs]
        self.signals: list[list[Signals]] = [[] for _ in configs]
        half = min(
            evaluation_steps(steps, configs[0].training.evaluations), key=lambda step: (abs(2 * step - steps), step)
        )
        self.looks = frozenset({0, half, steps}) if self.watch else frozenset()  # at which signals are recorded
        self.written = 0
        self.wrote = time.monotonic()

    def add(self, losses: Sequence[float]) -> None:
        """The losses of the next step, before its update."""
        self.step += 1
        self.recent.append(losses)
        if self.limit is not None or len(self.recent) == BLOCK or not all(map(math.isfinite, losses)):
            self.fold()

    def fold(self) -> None:
        """Works the losses since the last time into the figures: for many steps at once, since each costs as much."""
        if not self.recent:
            return
        block, summed = np.asarray(self.recent, dtype=float), self.summed
        self.recent.clear()
        self.summed = 0
        n, members = block.shape
        if self.stride:
            self._trace(block[:, 0])
        if self.step == n:
            self.first = block[0]
        fine = np.isfinite(block)
        if self.limit is not None:
            fine &= np.nan_to_num(block, nan=np.inf) <= self.limit * self.first
        ended = ~fine.all(0) & self.alive
        good = np.where(ended, fine.argmin(0), n)  # steps before the one that ended it
        used = (np.arange(n)[:, None] < good) & self.alive
        self.total += np.where(used, block, 0.0)[summed:].sum(0)
        least = np.minimum.accumulate(np.vstack([self.least, np.where(used, block, np.inf)]), 0)
        rises = np.divide(block, np.maximum(least[1:], TINY), out=np.ones_like(block), where=used)
        self.spike = np.where(ended, np.inf, np.maximum(self.spike, rises.max(0)))
        self.least = least[-1]
        row = np.minimum(good, n - 1)
        self.last = np.where(self.alive, block[row, np.arange(members)], self.last)
        self.steps = np.where(self.alive, self.step - n + 1 + row, self.steps)
        self.alive &= ~ended
        self.over = not self.alive.any()

    def _trace(self, losses: np.ndarray) -> None:
        first = self.step - len(losses)
        for step, value in enumerate(losses.tolist(), start=first + 1):
            if (step - 1) % self.stride == 0 or step == self.planned or not math.isfinite(value):
                self.traced.append((step, value))

    def look(self, trainee: Trainee, data: Tensors) -> None:
        """A curve point of every member that is still alive, and signals where they are due."""
        if self.step >= self.planned or not self.alive.all():
            self.fold()
        elif self.recent:  # all are alive: a fold at every look would cost as much as a step of a small model
            self.total += np.asarray(self.recent[self.summed :], dtype=float).sum(0)
            self.summed = len(self.recent)
        losses, outputs = trainee.evaluate(data.held_x, data.held_y)
        targets = data.held_y.cpu().numpy()
        scores = self.scores(outputs, targets, losses)
        nothing = np.full(trainee.members, np.nan)
        norms = trainee.grad_norms() if self.watch and self.step else nothing
        moved = trainee.moved() if self.watch else nothing
        means = self.total / (self.step - self.looked) if self.step > self.looked else nothing
        steps = np.where(self.alive, self.step, self.steps).tolist()
        seconds = self.seconds / trainee.members
        figures = zip(steps, means.tolist(), scores, norms.tolist(), moved.tolist(), strict=True)
        for points, alive, (step, mean, scored, norm, way) in zip(self.points, self.alive, figures, strict=True):
            if alive or not points or points[-1].step < step:
                points.append(CurvePoint(step, seconds, mean, *scored, grad_norm=norm, moved=way))
        self.total[:] = 0.0
        self.looked = self.step
        if self.step in self.looks:
            self._signals(trainee, data)
        if self.step >= self.planned or self.over or time.monotonic() - self.wrote > WRITE_EVERY:
            self._write()

    def scores(self, outputs: Tensor, targets: np.ndarray, losses: np.ndarray) -> list[tuple[float, float]]:
        """Loss and score of each member; (inf, nan) where its outputs are not finite. Accuracy of all members at once."""
        if self.task == "classification" and self.score == "accuracy" and outputs.dim() == 3 and outputs.shape[-1] > 1:
            values = outputs.float().cpu().numpy()
            fine = np.isfinite(values).all((1, 2)) & np.isfinite(losses)
            right = (values.argmax(-1) == targets).mean(1)
            return [(float(losses[k]), float(right[k])) if fine[k] else (math.inf, math.nan) for k in range(len(fine))]
        found = (
            score_member(self.task, outputs[k], targets, float(losses[k]), score=self.score)
            for k in range(len(outputs))
        )
        return [(scored["loss"], scored[self.score]) if scored else (math.inf, math.nan) for scored in found]

    def _signals(self, trainee: Trainee, data: Tensors) -> None:
        for k, layers in enumerate(trainee.signals(data.held_x)):
            if self.alive[k]:
                self.signals[k].append(Signals(self.step, layers))

    def _write(self) -> None:
        """Appends the points that are not in the files yet."""
        if self.files is None:
            return
        self.wrote = time.monotonic()
        for file, points in zip(self.files, self.points, strict=True):
            new = points[self.written :]
            mode = "ab" if self.written else "wb"
            if new or mode == "wb":
                with open(file, mode) as stream:
                    stream.write(lines_of(new))
        self.written = max(len(points) for points in self.points)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        arrays = {name: torch.from_numpy(getattr(self, name).copy()) for name in _ARRAYS}
        return {
            **arrays,
            "step": self.step,
            "summed": self.summed,
            "looked": self.looked,
            "seconds": self.seconds,
            "recent": torch.tensor(
                self.recent, dtype=torch.float64
            ),  # as they are: folded now, sums would round otherwise
            "points": [[p.to_dict() for p in points] for points in self.points],
            "signals": [[s.to_dict() for s in signals] for signals in self.signals],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Puts what `state` gave back, and writes the files anew."""
        for name in _ARRAYS:
            setattr(self, name, state[name].numpy())
        self.over = not self.alive.any()
        self.step, self.looked, self.seconds = state["step"], state["looked"], state["seconds"]
        self.recent, self.summed = state["recent"].tolist(), state["summed"]
        self.points = [[CurvePoint.from_dict(p) for p in points] for points in state["points"]]
        self.signals = [[Signals.from_dict(s) for s in signals] for signals in state["signals"]]
        self._write()


_ARRAYS = ("alive", "steps", "first", "last", "least", "spike", "total")


def score_member(
    task: Task,
    outputs: Tensor,
    targets: np.ndarray,
    loss: float,
    names: Sequence[str] = (),
    extra: Mapping[str, Callable[..., Any]] | None = None,
    score: str = "",
) -> dict[str, float] | None:
    """Metrics of one member's outputs with its loss, None where they are not finite.

    Args:
        outputs: shape (examples, …).
        names: metrics beside the task's own.
        extra: metrics of the user's own: name → function of (outputs, targets).
        score: the metric that comes first; "" for the task's own.
    """
    if not math.isfinite(loss) or not bool(torch.isfinite(outputs).all()):
        return None
    values = outputs.float().cpu().numpy()
    # copies: one that changes what it is given must change neither the other metrics nor the data of the runs that follow
    own = {name: float(function(values.copy(), targets.copy())) for name, function in (extra or {}).items()}
    score = score or metrics.SCORE[task]
    found = metrics.score(task, values, targets, (score, *names))
    return {score: found[score], **found, **own, "loss": loss}
