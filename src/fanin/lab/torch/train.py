"""The training loop: one model or a stack, from its start or from a checkpoint, to its last step."""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from fanin.lab.study.records import TrainingSettings
from fanin.lab.torch.checkpoints import Checkpoints
from fanin.lab.torch.recorder import Recorder, Trainee
from fanin.lab.torch.state import random_state, random_states, set_random_states
from fanin.lab.torch.tensors import Orders, Tensors
from fanin.lab.training import derived_seed, evaluation_steps

HEARTBEAT = 0.2  # seconds between two signs of life


class Heart:
    """Tells of the share of steps that is done, a few times a second at most.

    Args:
        report: hears the share.
    """

    def __init__(self, report: Callable[[float], None]) -> None:
        self.report, self.share, self.heard = report, 0.0, 0.0

    def beat(self) -> bool:
        """A sign of life, where the last is long enough ago."""
        now = time.perf_counter()
        if now - self.heard <= HEARTBEAT:
            return False
        self.heard = now
        self.report(self.share)
        return True


def rate_factor(settings: TrainingSettings, step: int, steps: int) -> float:
    """What the learning rate is multiplied by in step `step` (from 0) of `steps`."""
    rise = round(settings.warmup * steps)
    if step < rise:
        return (step + 1) / (rise + 1)
    share = (step - rise) / max(1, steps - rise)
    if settings.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * share))
    return 1 - share if settings.schedule == "linear" else 1.0


def train(
    trainee: Trainee,
    recorder: Recorder,
    data: Tensors,
    batch_size: int,
    seeds: tuple[int, ...],
    checkpoints: Checkpoints,
    report: Callable[[float], None],
) -> None:
    """Trains to the last step, or until every member has diverged; `report` hears the share of steps done.

    Random numbers while it trains (dropout) come from the first seed's own state: a stack has none.
    """
    settings, steps, heart = recorder.configs[0].training, recorder.planned, Heart(report)
    trainee.alive = heart.beat  # an evaluation may take longer than a worker is waited for
    at = evaluation_steps(steps, settings.evaluations)
    begun = checkpoints.load(trainee.state)
    with random_state(derived_seed(seeds[0], "training")), torch.enable_grad():
        if begun is None:
            trainee.remember_start()
            recorder.look(trainee, data)
        else:
            trainee.restore(begun["trainee"])
            recorder.restore(begun["recorder"])
            set_random_states(begun["random"])
        orders = Orders(len(data.train_x), batch_size, seeds, done=recorder.step)
        while recorder.step < steps and not recorder.over:
            start = time.perf_counter()
            x, y = orders.take(data.train_x, data.train_y, trainee.stacked)
            x = augmented(x, settings, seeds[0], recorder.step, data.image)
            recorder.add(trainee.step(x, y, rate_factor(settings, recorder.step, steps)))
            recorder.seconds += time.perf_counter() - start
            heart.share = recorder.step / steps
            if recorder.step in at or recorder.over:
                recorder.look(trainee, data)
            if heart.beat() and checkpoints.due() and recorder.step < steps:
                checkpoints.save(_state(trainee, recorder))


def _state(trainee: Trainee, recorder: Recorder) -> dict[str, Any]:
    return {"trainee": trainee.state(), "recorder": recorder.state(), "random": random_states()}


def augmented(
    x: torch.Tensor, settings: TrainingSettings, seed: int, step: int, image: tuple[int, int, int] | None
) -> torch.Tensor:
    """The batch, augmented as the study says; what is drawn depends on the seed and the step alone."""
    if not settings.augment:
        return x
    from fanin.lab.augment import augment

    generator = np.random.Generator(np.random.Philox(key=[derived_seed(seed, "augment"), step]))
    return torch.from_numpy(augment(x.cpu().numpy(), settings.augment, generator, image)).to(x.device)
