"""One run of `fanin.compare`, by the lab's engine: a PyTorch model constructed, initialised and trained.

What a run does depends on (factory, init, data, training, seed) alone. Runs with the same seed construct with the same
random state, see the same batches in the same order, and train with the same random state (dropout), so that the init
is all that differs between them. No random state of the caller is changed.
"""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fanin.lab import metrics
from fanin.lab.data import DataSet
from fanin.lab.inits import Init
from fanin.lab.inits_torch import initialise
from fanin.lab.losses_torch import find_loss
from fanin.lab.records import RunResult
from fanin.lab.study.records import RunConfig, TrainingSettings
from fanin.lab.torch.checkpoints import Checkpoints
from fanin.lab.torch.constant import constant_scores
from fanin.lab.torch.construct import Fit, construct, device_of, fit, take
from fanin.lab.torch.optimizers import Rule
from fanin.lab.torch.recorder import Recorder, score_member
from fanin.lab.torch.single import Single
from fanin.lab.torch.state import random_state, thread_count
from fanin.lab.torch.tensors import Orders, tensors
from fanin.lab.torch.train import train
from fanin.lab.training import Training, derived_seed

__all__ = ["Fit", "constant_prediction", "construct", "fit", "random_state", "run", "thread_count"]


def run(
    factory: Callable[..., Any],
    init: Init,
    data: DataSet,
    training: Training,
    seed: int,
    report: Callable[[float], None] | None = None,
) -> RunResult:
    """Constructs, initialises and trains one model; `data` in the form that `fit` found.

    Args:
        report: called with the share of the steps that is done, a few times a second.
    """
    with thread_count(training.threads):
        return _run(factory, init, data, training, seed, report or (lambda share: None))


def _run(
    factory: Callable[..., Any],
    init: Init,
    data: DataSet,
    training: Training,
    seed: int,
    report: Callable[[float], None],
) -> RunResult:
    start = time.perf_counter()
    model = construct(factory, seed)
    loss = find_loss(training.loss, data.task)[1]
    rows = Orders(len(data.train_inputs), training.batch_size, [seed]).rows()[0].numpy()
    x, y = (take(array, rows, device_of(model)) for array in (data.train_inputs, data.train_targets))
    model.train()
    begun = time.perf_counter()
    with random_state(derived_seed(seed, "init")), torch.enable_grad():
        given = initialise(model, init, x, y, loss, seed)
    init_seconds = time.perf_counter() - begun
    rule = Rule(
        training.optimizer,
        momentum=training.momentum if training.optimizer == "sgd" else 0.0,
        weight_decay=training.weight_decay,
    )
    trainee = Single(model, loss, rule, training.lr, given.lr_scales, None, derived_seed(seed, "evaluation"))
    config = _config(data, training, init, seed)
    recorder = Recorder([config], None, data.task, training.steps, trace=True, score=data.score)
    parts = tensors(data, device_of(model))
    train(trainee, recorder, parts, training.batch_size, (seed,), Checkpoints(None, ()), report)
    final = None
    if not recorder.over:
        losses, outputs = trainee.evaluate(parts.test_x, parts.test_y)
        final = score_member(data.task, outputs[0], data.test_targets, float(losses[0]), score=data.score)
    points, target = recorder.points[0], training.target
    reached = [p.step for p in points if target is not None and metrics.reaches(data.score, p.held_score, target)]
    names = metrics.compared(data.task, data.score)
    scores = final or constant_prediction(data, loss)
    return RunResult(
        init.name,
        seed,
        metrics={name: scores[name] for name in names},
        diverged=final is None,
        steps=int(recorder.steps[0]),
        planned_steps=training.steps,
        reached_at=reached[0] if reached and final is not None else None,
        train_steps=tuple(step for step, _ in recorder.traced),
        train_loss=tuple(value for _, value in recorder.traced),
        eval_steps=tuple(p.step for p in points),
        eval_loss=tuple(p.held_loss for p in points),
        eval_score=tuple(p.held_score for p in points),
        seconds=time.perf_counter() - start,
        init_seconds=init_seconds,
        note=given.note,
    )


def _config(data: DataSet, training: Training, init: Init, seed: int) -> RunConfig:
    """The run as the engine's recorder knows it; what is held out, the data says."""
    settings = TrainingSettings(
        steps=training.steps, validation=0.0, evaluations=training.evaluations, target=training.target, watch=False
    )
    return RunConfig("", init.name, data.name, training.optimizer, training.lr, training.batch_size, seed, settings)


def constant_prediction(data: DataSet, loss: Callable[[Any, Tensor], Tensor]) -> dict[str, float]:
    """What the best constant of the training part scores on the test part: the commonest class, or the mean.

    Its loss is that of the log frequencies of the classes (infinite where the loss does not take them).
    """
    return constant_scores(data, "test", loss)
